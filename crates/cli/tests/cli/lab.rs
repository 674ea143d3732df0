use crate::program::{Ran, halfopen, is_spoilt, run, tell, unspoilt, wait_for};
use crate::report::assert_valid;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread::scope;

const FILES: [&str; 7] = [
    "report.json",
    "report.schema.json",
    "report.html",
    "intervals.hlog",
    "connect.hgrm",
    "detection-freeze.hgrm",
    "reclaim-blackhole.hgrm",
];

#[test]
fn a_quick_run_finds_the_dead_and_leaves_a_folder() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().to_str().unwrap();
    let flags = ["lab", "--quick", "-c400", "--name=small", "--admin=127.0.0.1:0", "--out", place];
    let ran = run(&flags);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(ran.err.contains("\nmetrics: http://127.0.0.1:"), "{ran:?}");
    assert!(ran.out.contains("blackhole") && ran.out.contains("report: "), "{ran:?}");
    assert!(ran.out.lines().all(|line| line.chars().count() <= 80 || line.contains("report: ")));

    let folder = only_folder(out.path());
    assert!(folder.to_str().unwrap().ends_with("-small"), "{folder:?}");
    for file in FILES {
        assert!(folder.join(file).metadata().unwrap().len() > 0, "{file}");
    }
    let report = read(&folder);
    assert_valid(&report);
    assert_eq!(report["verdict"], "ok");
    assert_eq!(report["connections"]["opened"], 400);
    assert!(loses_none_and_finds_all(&report, 40) || is_spoilt(&report), "{report}");
}

/// Nobody living is lost; and of each death so many happen, and all of them are detected and reclaimed.
fn loses_none_and_finds_all(report: &serde_json::Value, victims: u64) -> bool {
    let found = |death: &str| {
        let block = &report["deaths"][death];
        ["killed", "detected", "reclaimed"].iter().all(|what| block[what] == victims)
    };
    report["false_kills"] == 0
        && ["blackhole", "freeze", "fin", "reset", "close"].into_iter().all(found)
}

/// A short run in which all goes well; none, if it was spoilt.
fn run_quickly(driver: &str) -> Option<()> {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().to_str().unwrap();
    let flags = ["lab", "--quick", "-c50", "--ping-interval=500ms", "--ping-timeout=1500ms"];
    let ran = run(&[&flags[..], &["--json", "--driver", driver, "--out", place]].concat());
    let report = ran.document();
    assert_eq!(report["plan"]["server_driver"], driver);
    if ran.status == Some(0) && loses_none_and_finds_all(&report, 5) {
        return Some(());
    }
    assert!(is_spoilt(&report), "{driver}: {ran:?}");
    None
}

/// All at once, so they have more time to answer than such a run gives by itself.
#[test]
fn a_quick_run_finds_the_dead_on_each_driver() {
    scope(|scope| {
        for driver in ["io-uring", "tokio-uring", "epoll"] {
            scope.spawn(move || unspoilt(driver, || run_quickly(driver)));
        }
    });
}

#[test]
fn without_pings_the_silent_dead_are_not_found_and_the_report_says_why() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().to_str().unwrap();
    let kill = ["--kill", "blackhole=5", "freeze=5", "mute=5", "fin=5"];
    let flags = ["lab", "-c60", "--ping-interval=off", "--watch=2s", "--json", "--out", place];
    let ran = run(&[&flags[..], &kill[..]].concat());
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let report = ran.document();
    for death in ["blackhole", "freeze", "mute"] {
        assert_eq!(report["deaths"][death]["detected"], 0, "{death}");
        assert_eq!(report["deaths"][death]["pending"], 5, "{death}");
    }
    assert_eq!(report["deaths"]["fin"]["detected"], 5);
    let finding = report["finding"].as_str().unwrap();
    assert!(finding.contains("The server sent no ping; it has no means to notice"), "{finding}");
}

#[test]
fn a_missed_threshold_exits_3() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().to_str().unwrap();
    let ran = run(&[
        "lab",
        "-c20",
        "--kill=none",
        "-d200ms",
        "--out",
        place,
        "--fail-if=connections.opened < 21",
    ]);
    assert_eq!(ran.status, Some(3), "{ran:?}");
    assert!(ran.out.contains("MISSED"), "{ran:?}");
    assert_eq!(read(&only_folder(out.path()))["verdict"], "threshold_missed");
}

#[test]
fn ctrl_c_exits_130_and_keeps_what_was_measured() {
    let out = tempfile::tempdir().unwrap();
    let child = start(out.path());
    let server = wait_for("the server process", || child_of(child.id()));
    wait_for("the connections", || is_watching(server).then_some(()));
    tell(&child, Signal::INT);
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.status, Some(130), "{ran:?}");
    let report = read(&only_folder(out.path()));
    assert_eq!(report["verdict"], "interrupted");
    assert_eq!(report["connections"]["opened"], 50);
}

#[test]
fn a_server_that_dies_in_the_middle_fails_the_run_and_what_was_measured_is_kept() {
    let out = tempfile::tempdir().unwrap();
    let child = start(out.path());
    let server = wait_for("the server process", || child_of(child.id()));
    wait_for("the connections", || is_watching(server).then_some(()));
    kill_process(server, Signal::KILL).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("the server process ended by itself: signal: 9"), "{ran:?}");
    let report = read(&only_folder(out.path()));
    assert_eq!(report["verdict"], "failed");
    assert_eq!(report["false_kills"], 0);
}

#[test]
fn a_place_that_cannot_be_written_is_told_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let ran = run(&["lab", "--quick", "--out", file.to_str().unwrap()]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("--out") && ran.err.contains("file"), "{ran:?}");
    assert_eq!(ran.out, "");
}

#[test]
fn several_runs_leave_several_folders() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().to_str().unwrap();
    let flags = ["lab", "-c10", "--kill=none", "-d100ms", "--repeat=2", "--json", "-q"];
    let ran = run(&[&flags[..], &["--out", place, "--driver=tokio-uring"]].concat());
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(ran.document().as_array().unwrap().len(), 2);
    assert_eq!(ran.document()[0]["plan"]["server_driver"], "tokio-uring");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 2);
}

/// A run that goes on until it is ended.
fn start(out: &Path) -> Child {
    let place = out.to_str().unwrap();
    let flags = ["lab", "-c50", "--kill=none", "-d10m", "--ping-interval=off", "--out", place];
    halfopen(&flags).spawn().unwrap()
}

fn child_of(pid: u32) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
}

/// Whether the server, and so the run, has all its connections: they stand in the kernel's table.
pub(crate) fn is_watching(server: Pid) -> bool {
    let table = fs::read_to_string(format!("/proc/{}/net/tcp", server.as_raw_pid())).unwrap();
    let listener = listening_port(server);
    let established = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        let local = words.next().unwrap_or_default();
        let state = words.nth(1).unwrap_or_default();
        state == "01" && Some(local) == listener.as_deref()
    };
    table.lines().filter(established).count() >= 50
}

/// The address on which a process listens, as /proc writes it.
fn listening_port(server: Pid) -> Option<String> {
    let pid = server.as_raw_pid();
    let inodes: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .ok()?
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let link = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(link.to_owned())
        })
        .collect();
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ours = words.get(3) == Some(&"0A")
            && inodes.iter().any(|inode| words.get(9) == Some(&inode.as_str()));
        ours.then(|| words[1].to_owned())
    })
}

/// The one thing that lies in `out`.
pub(crate) fn only_folder(out: &Path) -> PathBuf {
    let mut folders = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
    let folder = folders.next().expect("there is a folder");
    assert_eq!(folders.next(), None);
    folder
}

fn read(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap()
}
