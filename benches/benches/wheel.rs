//! The wheel with 100,000 connections and an interval of 20 s, far more entries than a cache holds.

use criterion::{Criterion, criterion_group, criterion_main};
use halfopen_wheel::{Instant, Wheel, WheelConfig};
use std::hint::black_box;
use std::time::Duration;

const KEYS: u32 = 100_000;
const INTERVAL: Duration = Duration::from_secs(20);
const START: Instant = Instant::from_nanos(0);

/// A wheel on which every key waits at a moment of its own in the next interval.
fn full() -> Wheel {
    let mut wheel = Wheel::new(WheelConfig::default(), START);
    let mut rng = fastrand::Rng::with_seed(7);
    for key in 0..KEYS {
        wheel.arm(key, START + INTERVAL.mul_f64(rng.f64()));
    }
    wheel
}

fn activity(criterion: &mut Criterion) {
    let mut wheel = full();
    let mut rng = fastrand::Rng::with_seed(8);
    criterion.bench_function("wheel/later", |bench| {
        bench.iter(|| wheel.arm(black_box(rng.u32(..KEYS)), START + 2 * INTERVAL));
    });
    assert_eq!(wheel.len(), KEYS as usize);
    let mut ahead = INTERVAL;
    criterion.bench_function("wheel/earlier", |bench| {
        bench.iter(|| {
            // Each round a little earlier, so that every call moves its key.
            ahead = ahead.saturating_sub(Duration::from_nanos(100));
            wheel.arm(black_box(rng.u32(..KEYS)), START + ahead);
        });
    });
    assert_eq!(wheel.len(), KEYS as usize);
}

/// One key comes up and is armed for an interval later: what a heartbeat asks of the wheel.
fn expiry(criterion: &mut Criterion) {
    let mut wheel = full();
    let mut now = START;
    criterion.bench_function("wheel/expire and arm", |bench| {
        bench.iter(|| {
            let key = loop {
                match wheel.pop(now) {
                    Some(key) => break key,
                    None => now = wheel.next_wake().expect("keys wait"),
                }
            };
            wheel.arm(key, now + INTERVAL);
        });
    });
    assert_eq!(wheel.len(), KEYS as usize);
}

criterion_group!(benches, activity, expiry);
criterion_main!(benches);
