//! A process that has run out of descriptors. Each test runs itself once more, as a process of its
//! own: the limit is the whole process's.

use crate::drivers::Driver;
use crate::rig::{Rig, Seen, in_a_process_of_its_own};
use halfopen_driver::ring::{Fallback, Features, Lack, probe};
use halfopen_driver::{Error, Op, Opening};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use std::fs::File;
use std::time::Duration;

on_every_driver! {
    who_comes_when_no_descriptor_is_free_waits_and_nobody_spins,
}

/// So long nobody can be taken. A loop that spins turns many thousand times in it.
const SHORTAGE: Duration = Duration::from_millis(300);

fn who_comes_when_no_descriptor_is_free_waits_and_nobody_spins(driver: Driver) {
    in_a_process_of_its_own(|| run_out(driver));
}

fn limit_descriptors() {
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(128), maximum: hard }).unwrap();
}

/// Descriptors come free as these are dropped.
fn take_all_descriptors() -> Vec<File> {
    let taken: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!taken.is_empty());
    taken
}

/// Nor is it remembered: the kernel is asked again.
#[test]
fn a_shortage_of_descriptors_is_not_taken_for_something_that_the_kernel_lacks() {
    in_a_process_of_its_own(|| {
        limit_descriptors();
        let mut taken = take_all_descriptors();
        let mut refused = 0;
        let probed = loop {
            match probe(Features::NONE) {
                Ok(probed) => break probed,
                Err(error) => {
                    assert!(refused > 0 || matches!(error, Error::NoDescriptors(_)), "{error}");
                    assert!(taken.pop().is_some());
                    refused += 1;
                }
            }
        };
        assert!((1..=3).contains(&refused), "a ring and two sockets at once, not {refused}");
        let short = |it: &Fallback| it.why == Lack::Kernel(libc::EMFILE);
        assert!(!probed.fallbacks.iter().any(short), "{probed:?}");
    });
}

fn run_out(driver: Driver) {
    limit_descriptors();
    let rig = Rig::new(driver, 8);
    rig.wish([Op::Accept(true)]);
    let peer = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let mut taken = take_all_descriptors();
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
    let failed = rig.counters.accepts_failed.value();
    assert_eq!(failed > 0, driver.takes_descriptors(), "{failed} accepts failed");
    let turns = rig.counters.turns.count() - before;
    assert!(turns < 100, "{turns} turns");
    rig.stop();
}
