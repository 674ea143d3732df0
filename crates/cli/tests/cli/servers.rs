//! Foreign servers, started by `lab`. Here they are this program's own `serve`, as a shell runs it.

use crate::lab::{is_watching, only_folder};
use crate::program::{Ran, halfopen, is_spoilt, run, tell, unspoilt, wait_for};
use crate::report::assert_valid;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_halfopen");

/// `NAME=CMD` of a server with these flags.
fn server(name: &str, flags: &str) -> String {
    format!("{name}={PROGRAM} serve --listen=127.0.0.1:{{port}} --drain=0s {flags}")
}

#[test]
fn servers_take_turns_and_are_compared() {
    unspoilt("two servers", || {
        let out = tempfile::tempdir().unwrap();
        let pings = server("pings", "--driver=epoll --ping-interval=300ms --ping-timeout=1500ms");
        let silent =
            server("silent", "--ping-interval=off & wait; exit 1").replace("{port}", "$PORT");
        let ran = run(&[
            "lab",
            "--server",
            &pings,
            &silent,
            "--server-ping=300ms/1500ms",
            "--server-ping=silent=off",
            "--server-skipped=other=there is none",
            "--repeat=2",
            "-c40",
            "--kill",
            "freeze=4",
            "blackhole=4",
            "--watch=2500ms",
            "--name=both",
            "--json",
            "--fail-if=deaths.freeze.detected < 8",
            "--out",
            out.path().to_str().unwrap(),
        ]);
        let report = ran.document();
        assert_valid(&report);
        if is_spoilt(&report) {
            return None;
        }
        assert_eq!(report["skipped"][0]["reason"], "there is none");
        assert_eq!(turns(&report), ["pings-1", "silent-1", "silent-2", "pings-2"]);
        let [pings, silent] = servers(&report);
        assert_eq!(
            (&pings["connections"]["opened"], &pings["runs"][1]["folder"]),
            (&80.into(), &"pings-2".into())
        );
        assert!(silent["command"].as_str().unwrap().contains("--ping-interval=off"));
        for death in ["freeze", "blackhole"] {
            assert_eq!(silent["deaths"][death]["pending"], 8, "{silent}");
        }
        assert_eq!(silent["pings"]["server"]["seen"], 0);
        // The shell alone would weigh a tenth of it.
        assert!(silent["memory"]["server_rss_bytes"].as_u64().unwrap() > 2 << 20, "{silent}");
        look_at_the_folder(&only_folder(out.path()), &report);
        assert_eq!(ran.status, Some(3), "{ran:?}");
        for death in ["freeze", "blackhole"] {
            assert_eq!(pings["deaths"][death]["detected"], 8, "{pings}");
            assert_eq!(pings["deaths"][death]["predicted"]["max_ms"], 1800.0);
        }
        let held: Vec<_> = report["thresholds"].as_array().unwrap().iter().collect();
        assert_eq!((&held[0]["held"], &held[1]["held"]), (&true.into(), &false.into()));
        Some(())
    });
}

/// The runs in the order of time.
fn turns(report: &Value) -> Vec<&str> {
    let phases = report["phases"].as_array().unwrap();
    phases.iter().map(|phase| phase["name"].as_str().unwrap()).collect()
}

fn servers<const N: usize>(report: &Value) -> [&Value; N] {
    let servers: Vec<&Value> = report["servers"].as_array().unwrap().iter().collect();
    servers.try_into().unwrap()
}

fn look_at_the_folder(folder: &Path, report: &Value) {
    assert!(folder.to_str().unwrap().ends_with("-both"), "{folder:?}");
    for file in [
        "report.html",
        "report.md",
        "zombies-freeze.svg",
        "pings-1/report.html",
        "pings-1/pings.stderr.txt",
        "silent-2/silent.stderr.txt",
    ] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let part = fs::read(folder.join("silent-1/report.json")).unwrap();
    let part: Value = serde_json::from_slice(&part).unwrap();
    assert_valid(&part);
    assert_eq!(
        (&part["plan"]["server_name"], &part["servers"]),
        (&"silent".into(), &Value::Array(vec![]))
    );
    let place = folder.to_str().unwrap();
    assert_eq!(run(&["report", place, "--json"]).document(), *report);
    let markdown = run(&["report", place, "--format=md"]).out;
    assert!(markdown.contains("| silent | freeze |"), "{markdown}");
    assert!(run(&["report", place]).out.contains("pings-2/report.html"));
}

#[test]
fn a_server_that_ends_is_told_with_its_last_words() {
    let out = tempfile::tempdir().unwrap();
    let ran = lab(out.path(), &["--server", "a=echo oh dear >&2; exit 3"]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.err.contains("the server a ended by itself: exit status: 3"), "{ran:?}");
    assert!(ran.err.contains("oh dear"), "{ran:?}");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "nothing was measured");
}

#[test]
fn a_server_that_never_listens_is_given_up() {
    let out = tempfile::tempdir().unwrap();
    let flags = ["--server", "a=echo still here >&2; exec sleep 600", "--server-start=300ms"];
    let ran = lab(out.path(), &flags);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    for words in ["the server a took no WebSocket handshake within 300ms", "refused", "still here"]
    {
        assert!(ran.err.contains(words), "{words}: {ran:?}");
    }
}

#[test]
fn a_server_that_refuses_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("--url=ws://{}/nowhere", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let out = tempfile::tempdir().unwrap();
    let ran = lab(out.path(), &["--server=a=exec sleep 600", &url, "--server-start=10m"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("404") && ran.err.contains("is the path right?"), "{ran:?}");
}

#[test]
fn who_fails_drops_out_and_the_others_go_on() {
    let out = tempfile::tempdir().unwrap();
    let flags = ["--server", "broken=exit 7", &server("whole", ""), "--repeat=2", "--json"];
    let ran = lab(out.path(), &flags);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_eq!(ran.err.matches("broken drops out").count(), 1, "{ran:?}");
    let report = ran.document();
    assert_valid(&report);
    assert_eq!(report["verdict"], "failed");
    assert_eq!(report["skipped"][0]["name"], "broken");
    assert_eq!(turns(&report), ["whole-1", "whole-2"]);
}

#[test]
fn ctrl_c_ends_all_that_was_started_and_keeps_what_was_measured() {
    let (out, notes) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // One of its processes does not listen to SIGTERM.
    let child = start(out.path(), notes.path(), "(trap '' TERM; exec sleep 600) & echo $! >sleep;");
    let pids = pids(notes.path(), &["shell", "sleep", "server"]);
    let server = Pid::from_raw(pids[2] as i32).unwrap();
    wait_for("the connections", || is_watching(server).then_some(()));
    let cores = cores(pids[2]);
    tell(&child, Signal::INT);
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.status, Some(130), "{ran:?}");
    for pid in pids {
        assert!(is_gone(pid), "{pid}");
    }
    let folder = only_folder(out.path());
    let report: Value =
        serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["verdict"], "interrupted");
    assert_eq!(report["servers"][0]["connections"]["opened"], 50);
    assert!(folder.join("a-1/report.json").is_file());
    // None are named where there is but one.
    let meant = report["plan"]["server_cpus"].as_array().unwrap();
    assert!(meant.is_empty() || *meant == cores, "{meant:?} {cores:?}");
}

#[test]
fn a_second_ctrl_c_leaves_no_folder_behind() {
    let (out, notes) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // It is waited for after the first, because one of its processes does not listen to SIGTERM.
    let child = start(out.path(), notes.path(), "(trap '' TERM; exec sleep 600) & echo $! >sleep;");
    let pids = pids(notes.path(), &["shell", "sleep", "server"]);
    wait_for("the draft", || fs::read_dir(out.path()).unwrap().next().map(drop));
    tell(&child, Signal::INT);
    std::thread::sleep(Duration::from_millis(200));
    tell(&child, Signal::INT);
    assert_eq!(Ran::from(child.wait_with_output().unwrap()).status, Some(130));
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    for pid in pids {
        wait_for("the end of the group", || is_gone(pid).then_some(()));
    }
}

#[test]
fn what_was_started_ends_even_if_lab_is_killed() {
    let (out, notes) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut child = start(out.path(), notes.path(), "");
    let pids = pids(notes.path(), &["shell", "server"]);
    tell(&child, Signal::KILL);
    child.wait().unwrap();
    for pid in pids {
        wait_for("the end of the group", || is_gone(pid).then_some(()));
    }
}

/// A short run without deaths.
fn lab(out: &Path, flags: &[&str]) -> Ran {
    let usual = ["lab", "-c10", "--kill=none", "-d100ms", "--out", out.to_str().unwrap()];
    run(&[&usual[..], flags].concat())
}

/// A run that goes on until it is ended. Its processes note their numbers in `notes`.
fn start(out: &Path, notes: &Path, before: &str) -> Child {
    let notes = notes.to_str().unwrap();
    let server = format!(
        "a=cd {notes}; echo $$ >shell; {before} \
         {PROGRAM} serve --listen=127.0.0.1:{{port}} --ping-interval=off & echo $! >server; wait"
    );
    let flags = ["lab", "-c50", "--kill=none", "-d10m", "--server", &server, "--repeat=2"];
    halfopen(&[&flags[..], &["--out", out.to_str().unwrap()]].concat()).spawn().unwrap()
}

fn pids<const N: usize>(notes: &Path, names: &[&str; N]) -> [u32; N] {
    names.map(|name| {
        wait_for(name, || fs::read_to_string(notes.join(name)).ok()?.trim().parse().ok())
    })
}

/// The cores that a process may run on.
fn cores(pid: u32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    let ranges = list.trim().split(',').map(|part| part.split_once('-').unwrap_or((part, part)));
    let number = |text: &str| text.parse::<u32>().unwrap();
    ranges.flat_map(|(first, last)| number(first)..=number(last)).collect()
}

/// Whether a process has ended; one that nobody has asked after yet has, too.
fn is_gone(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X']))
}
