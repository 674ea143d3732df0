//! The floor's two roles, small.
#![cfg(target_os = "linux")]

use halfopen_benches::cost::sides::{Setup, Side};
use rustix::thread::{CpuSet, sched_getaffinity};
use std::time::Duration;

fn run(rate: u32) -> halfopen_benches::cost::sides::Point {
    let mine = sched_getaffinity(None).unwrap();
    let core = (0..CpuSet::MAX_CPU).find(|&core| mine.is_set(core)).unwrap();
    let setup = Setup {
        connections: 100,
        rings: 1,
        window: Duration::from_millis(200),
        settle: Duration::from_millis(50),
        cores: [core, core],
    };
    Side::Floor { program: env!("CARGO_BIN_EXE_floor").into() }.run(&setup, rate).unwrap()
}

#[test]
fn pings_are_answered_and_cost_something() {
    let point = run(2_000);
    assert!(point.heartbeats > 0.0);
    assert!(point.server_cpu_us > 0.0 && point.client_cpu_us > 0.0);
    assert!(point.syscalls.is_some_and(|calls| calls > 0));
}

#[test]
fn without_a_rate_nothing_is_sent() {
    assert_eq!(run(0).heartbeats, 0.0);
}
