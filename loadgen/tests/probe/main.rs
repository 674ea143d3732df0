//! What a probe finds out: in virtual time about servers of many habits and about our own shard, and
//! over real sockets about our own server and about programs by other hands.

mod habit;
mod other_hands;
mod own;
mod simulated;

use halfopen_loadgen::plan::{Asked, Plan, resolve};
use halfopen_loadgen::probe::{Document, Settings};
use halfopen_loadgen::stats::Summary;
use std::time::Duration;

fn plan(url: &str, connections: u32) -> Plan {
    resolve(&Asked { connections, ..Asked::new(url) }).unwrap()
}

fn settings(max_wait: Duration) -> Settings {
    Settings { max_wait, message: Some("{}".into()) }
}

/// Whether all of a summary is what it should be, within 100 ms, 2 % or `tick`.
#[track_caller]
fn assert_about(what: &str, found: &Summary, expected: Duration, tick: Duration) {
    let expected = expected.as_secs_f64() * 1e3;
    // Whose clock ticks finds at a tick, and a little later, what was due just after the last one.
    let near = (tick.as_secs_f64() * 1e3 + 10.0).max(100.0).max(expected * 0.02);
    let mean = found.mean.unwrap_or_else(|| panic!("{what} is not known: {found:?}"));
    assert!((mean - expected).abs() <= near, "{what}: {mean} ms, not {expected} ms: {found:?}");
}

fn doubts(document: &Document) -> Vec<&str> {
    document.doubts.iter().map(|doubt| doubt.code.as_str()).collect()
}
