//! A process that has run out of descriptors. Each test runs itself once more, as a process of its
//! own: the limit is the whole process's.

use crate::drivers::Driver;
use crate::rig::{Rig, Seen};
use halfopen_driver::{Op, Opening};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use std::fs::File;
use std::process::Command;
use std::time::Duration;

on_every_driver! {
    who_comes_when_no_descriptor_is_free_waits_and_nobody_spins,
}

const CHILD: &str = "HALFOPEN_FEW_DESCRIPTORS";

/// So long nobody can be taken. A loop that spins turns many thousand times in it.
const SHORTAGE: Duration = Duration::from_millis(300);

fn who_comes_when_no_descriptor_is_free_waits_and_nobody_spins(driver: Driver) {
    if std::env::var_os(CHILD).is_some() {
        return run_out(driver);
    }
    // The harness names a test's thread after it.
    let thread = std::thread::current();
    let name = thread.name().expect("a test has a name");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{child:?}");
}

fn run_out(driver: Driver) {
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(128), maximum: hard }).unwrap();
    let rig = Rig::new(driver, 8);
    rig.wish([Op::Accept(true)]);
    let peer = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let mut taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!taken.is_empty());
    let before = rig.counters.turns.count();
    peer.connect(&rig.address.into()).unwrap();
    std::thread::sleep(SHORTAGE);
    if !driver.takes_descriptors() {
        // Its connections are no descriptors of the process.
        assert!(matches!(rig.next(), Seen::Opened(_, Opening::Accepted)));
    } else {
        rig.nothing_for_a_while();
        taken.truncate(taken.len() / 2);
        assert!(matches!(rig.next(), Seen::Opened(_, Opening::Accepted)));
    }
    let turns = rig.counters.turns.count() - before;
    assert!(turns < 100, "{turns} turns");
    rig.stop();
}
