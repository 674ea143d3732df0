//! What a swarm does, on a virtual clock against a server of memory.

mod deaths;
mod heartbeat;
mod leaving;
mod opening;
mod peer;
mod returning;
mod script;
mod spared;
mod traffic;
mod world;

use hdrhistogram::Histogram;
use std::time::Duration;
use world::Script;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn pinging(interval: Duration) -> Script {
    Script { pings: Some(interval), ..Script::default() }
}

fn assert_about(histogram: &Histogram<u64>, expected: Duration) {
    let (least, most) = (histogram.min(), histogram.max());
    let expected = expected.as_nanos() as f64;
    let near = |value: u64| (value as f64 - expected).abs() <= expected * 0.002;
    assert!(near(least) && near(most), "{least} to {most} ns, expected {expected}");
}
