use crate::program::{Ran, run};
use std::process::Command;

/// Runs `doctor` from a shell that has done something before.
fn after(setting: &str, flags: &str) -> Ran {
    let line = format!("{setting}; exec {} doctor {flags}", env!("CARGO_BIN_EXE_halfopen"));
    Command::new("sh").args(["-c", &line]).output().unwrap().into()
}

/// What changes something can be typed as it stands.
const COMMANDS: [&str; 7] = ["halfopen", "modprobe", "ps", "sudo", "sysctl", "taskset", "ulimit"];

#[test]
fn every_finding_that_is_not_good_names_the_command_that_changes_it() {
    let ran = run(&["doctor", "--json"]);
    let document = ran.document();
    assert_eq!(document["schema"], "halfopen.doctor/1");
    let findings = document["findings"].as_array().unwrap();
    for finding in findings {
        assert!(finding["good"] == true || finding["change"].is_string(), "{finding}");
        let command = finding["change"].as_str().map(|line| line.split(' ').next().unwrap());
        assert!(command.is_none_or(|command| COMMANDS.contains(&command)), "{finding}");
        assert!(finding["found"].as_str().is_some_and(|words| !words.is_empty()), "{finding}");
    }
    let bad = findings.iter().filter(|finding| finding["good"] == false).count();
    assert_eq!(ran.status, Some(i32::from(bad > 0)), "{ran:?}");
    let all: Vec<_> = findings.iter().map(|finding| finding["what"].as_str().unwrap()).collect();
    for what in ["kernel", "memory", "descriptors", "locked memory", "ports", "io_uring"] {
        assert!(all.contains(&what), "{what}: {all:?}");
    }
}

#[test]
fn low_limits_are_found_and_the_lines_fit_a_terminal() {
    let ran = after("ulimit -n 300", "");
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.out.contains("! descriptors"), "{ran:?}");
    assert!(ran.err.contains("not as they should be"), "{ran:?}");
    let widest = ran.out.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{}", ran.out);
}

#[test]
fn a_limit_that_leaves_nothing_is_a_finding_and_no_fault() {
    let ran = after("ulimit -n 40", "--json");
    assert_eq!(ran.status, Some(1), "{ran:?}");
    let document = ran.document();
    let findings = document["findings"].as_array().unwrap();
    let ring = findings.iter().find(|finding| finding["what"] == "io_uring").unwrap();
    assert!(ring["found"].as_str().unwrap().contains("descriptor"), "{ring}");
    assert_eq!(ring["change"], "ulimit -n 1048576");
}
