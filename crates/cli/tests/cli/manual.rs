//! Every command in the manual runs.

use crate::operations::file;
use halfopen_sim::skipped;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[test]
fn every_command_in_the_manual_runs() {
    if let Some(missing) = ["curl", "jq"].into_iter().find(|tool| !is_there(tool)) {
        return skipped(&format!("no {missing}, so the commands of the manual are not run"));
    }
    let manual = file("docs/operations.md");
    let place = tempfile::tempdir().unwrap();
    // Stands for the profile of a container engine, which lies on a server of its own.
    let profile = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}"#;
    fs::write(place.path().join("default.json"), profile).unwrap();
    let blocks = commands(&manual);
    assert!(blocks.len() >= 4, "{blocks:?}");
    for block in blocks {
        run(&block, place.path());
    }
    let profile = fs::read(place.path().join("halfopen.json")).unwrap();
    let profile: serde_json::Value = serde_json::from_slice(&profile).unwrap();
    assert_eq!(profile["syscalls"][0]["names"][0], "io_uring_setup");
}

fn is_there(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success())
}

#[test]
fn every_command_about_the_interval_runs() {
    let place = tempfile::tempdir().unwrap();
    let blocks = commands(&file("docs/which-interval.md"));
    assert_eq!(blocks.len(), 3, "{blocks:?}");
    blocks.iter().for_each(|block| run(block, place.path()));
}

/// Pages whose commands measure for a while.
const LONG: [(&str, usize); 3] =
    [("behind-a-proxy", 2), ("in-kubernetes", 3), ("reading-a-histogram", 3)];

#[test]
fn every_command_of_the_long_pages_runs() {
    if !is_long() {
        return;
    }
    for (page, count) in LONG {
        let place = tempfile::tempdir().unwrap();
        let blocks = commands(&file(&format!("docs/{page}.md")));
        assert_eq!(blocks.len(), count, "{page}: {blocks:?}");
        blocks.iter().for_each(|block| run(block, place.path()));
    }
}

/// Whether there is time for what takes minutes.
fn is_long() -> bool {
    let is_long = std::env::var_os("HALFOPEN_LONG").is_some();
    if !is_long {
        eprintln!("not run: it takes minutes; HALFOPEN_LONG=1 runs it");
    }
    is_long
}

#[test]
fn a_server_that_is_not_ours_is_judged_by_page_and_workflow() {
    if !is_long() {
        return;
    }
    let Some(python) = python_with_websockets() else {
        return skipped("no Python with websockets ($PYTHON), so none is judged as in CI");
    };
    let bin = python.parent().unwrap().display().to_string();
    let within = |block: &str| format!("export PATH=\"{bin}:$PATH\"\n{block}");
    let place = tempfile::tempdir().unwrap();
    let blocks = commands(&file("docs/in-ci.md"));
    assert_eq!(blocks.len(), 5, "{blocks:?}");
    blocks.iter().for_each(|block| run(&within(block), place.path()));
    assert!(place.path().join("trend.json").is_file());

    let workflow = file("docs/ci-workflow.yml");
    let steps = steps(&workflow);
    assert_eq!(steps.len(), 3, "{steps:?}");
    let job = tempfile::tempdir().unwrap();
    for version in ["before", "after"] {
        fs::create_dir(job.path().join(version)).unwrap();
        let to = job.path().join(version).join("server.py");
        fs::copy(place.path().join("server.py"), to).unwrap();
    }
    let env: String = ["SERVER", "PLAN"]
        .iter()
        .map(|name| {
            let line = workflow.lines().find_map(|line| line.strip_prefix(&format!("  {name}: ")));
            format!("export {name}='{}'\n", line.unwrap())
        })
        .collect();
    for step in &steps[1..] {
        let summary = "export GITHUB_STEP_SUMMARY=summary.md\n";
        run(&within(&format!("{env}{summary}{step}")), job.path());
    }
    let summary = fs::read_to_string(job.path().join("summary.md")).unwrap();
    assert!(summary.contains("theirs beside the baseline"), "{summary}");
    assert!(job.path().join("pages").is_dir() && job.path().join("trend.json").is_file());
}

fn python_with_websockets() -> Option<PathBuf> {
    let python = PathBuf::from(std::env::var_os("PYTHON")?);
    let imported = Command::new(&python).args(["-c", "import websockets"]).output().ok()?;
    imported.status.success().then_some(python)
}

/// The scripts of a workflow, in their order.
fn steps(workflow: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let mut lines = workflow.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(indent) = line.strip_suffix("run: |").map(str::len) else { continue };
        let mut step = String::new();
        let is_deeper = |line: &&str| line.len() - line.trim_start().len() > indent;
        while let Some(line) = lines.next_if(is_deeper) {
            step += line.trim_start_matches(' ');
            step.push('\n');
        }
        steps.push(step);
    }
    steps
}

#[test]
fn every_doubt_that_the_manual_explains_is_one() {
    let page = file("docs/reading-a-histogram.md");
    let table = page.split_once("| code |").unwrap().1.split_once("\n\n").unwrap().0;
    let codes: Vec<_> =
        table.lines().filter(|l| l.starts_with("| `")).flat_map(|l| l.split('|').nth(1)).collect();
    let source = file("loadgen/src/report/doubts.rs");
    assert!(codes.len() > 5, "{codes:?}");
    for code in codes.iter().flat_map(|cell| cell.split(',')) {
        let code = code.trim().trim_matches('`');
        assert!(source.contains(&format!("\"{code}\"")), "{code}");
    }
}

/// The blocks of `sh` that are not marked as not to be run.
fn commands(manual: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut before = "";
    let mut lines = manual.lines();
    while let Some(line) = lines.next() {
        if line == "```sh" {
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            if !before.starts_with("<!--") {
                blocks.push(block.join("\n"));
            }
        }
        before = line;
    }
    blocks
}

/// Runs a block as a newcomer would, but on ports that are free.
fn run(block: &str, place: &Path) {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_halfopen"));
    let path = std::env::var("PATH").unwrap();
    let free: Vec<TcpListener> =
        (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: Vec<u16> = free.iter().map(|l| l.local_addr().unwrap().port()).collect();
    drop(free);
    let block = block.replace("9001", &ports[0].to_string()).replace("9100", &ports[1].to_string());
    let output = Command::new("sh")
        .args(["-euc", &block])
        .current_dir(place)
        .env("PATH", format!("{}:{path}", program.parent().unwrap().display()))
        .env_remove("HALFOPEN_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{block}\n{}\n{text}",
        String::from_utf8_lossy(&output.stdout)
    );
}
