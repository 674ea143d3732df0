use crate::program::{halfopen, run, tell, wait_for};
use rustix::process::Signal;
use std::io::{BufRead, BufReader};

#[test]
fn three_clients_die_and_the_lines_say_what_became_of_them() {
    let ran = run(&["demo"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    for words in ["ESTABLISHED", "aborted", "FIN", "ESTAB  ", "for ever"] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    assert!(ran.out.lines().all(|line| line.chars().count() <= 80), "{}", ran.out);
}

#[test]
fn ctrl_c_ends_the_demo_with_130() {
    let mut child = halfopen(&["demo"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    wait_for("its first words", || out.next()?.ok().filter(|line| line.contains("Server B")));
    tell(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
