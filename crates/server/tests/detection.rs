//! How often peers are asked and how fast the dead are found, against the formulas of what a
//! heartbeat costs: thousands of lives of one beat on a virtual clock, with fixed seeds.
//!
//! A peer speaks by itself at rate λ (a Poisson process) and answers pings at once. Where pings
//! come only after silence of I, they come λ/(e^{λI} − 1) times a second, and a death is found after
//! I + T − (1/λ − I/(e^{λI} − 1)) on average; where they come always, after a time that is uniform
//! on (T, T + I).

use fastrand::Rng;
use halfopen_driver::Heard;
use halfopen_server::heartbeat::{Beat, Heartbeat, Policy, Verdict};
use halfopen_wheel::Instant;
use std::time::Duration;

const INTERVAL: f64 = 20.0;
const TIMEOUT: f64 = 8.0;
const START: Instant = Instant::from_nanos(5_000_000_000_000);

fn heartbeat(policy: Policy) -> Heartbeat {
    let time = Duration::from_secs_f64;
    Heartbeat { policy, interval: time(INTERVAL), timeout: time(TIMEOUT) }
}

/// A life from its beginning to when its end was noticed.
struct Life {
    /// Pings before the death.
    pings: u32,
    /// From the death to its detection, in seconds.
    detection: f64,
}

/// A peer that speaks `rate` times a second, and dies after `age`.
fn live(heartbeat: &Heartbeat, rate: f64, age: Duration, rng: &mut Rng) -> Life {
    let death = START + age;
    let mut beat = Beat::start(START, heartbeat, rng);
    let mut speaks = START + exponential(rate, rng);
    let mut pings = 0;
    loop {
        let due = beat.deadline(heartbeat);
        if speaks <= due && speaks < death {
            beat.heard(speaks);
            speaks = speaks + exponential(rate, rng);
            continue;
        }
        match beat.check(due, Heard { until: due, busy_since: None }, heartbeat, rng) {
            Verdict::Ping => {
                beat.left(due, heartbeat, rng);
                if due < death {
                    pings += 1;
                    beat.heard(due);
                }
            }
            Verdict::Silent => {
                let detection = due.saturating_since(death).as_secs_f64();
                return Life { pings, detection };
            }
            Verdict::Wait | Verdict::Unheard => {}
        }
    }
}

/// From one word to the next of a peer that speaks at random.
fn exponential(rate: f64, rng: &mut Rng) -> Duration {
    let wait = -(1.0 - rng.f64()).ln() / rate;
    Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX)
}

/// Lives of an hour and up to ten intervals more, so that death comes at no special moment.
fn lives(policy: Policy, rate: f64, count: usize, seed: u64) -> (Vec<Life>, f64) {
    let rng = &mut Rng::with_seed(seed);
    let heartbeat = heartbeat(policy);
    let mut seconds = 0.0;
    let lives = (0..count).map(|_| {
        let age = 3_600.0 + rng.f64() * 10.0 * INTERVAL;
        seconds += age;
        live(&heartbeat, rate, Duration::from_secs_f64(age), rng)
    });
    (lives.collect(), seconds)
}

/// Whether `value` lies between `one` and `other`, give or take `slack` of itself.
#[track_caller]
fn between(value: f64, one: f64, other: f64, slack: f64) {
    let (low, high) = (one.min(other) * (1.0 - slack), one.max(other) * (1.0 + slack));
    assert!((low..=high).contains(&value), "{value} is not within {low} to {high}");
}

/// Each wait is drawn from 90 to 100 % of the interval, so what is measured lies between what the
/// formula says of the one and of the other.
#[test]
fn idle_pings_come_as_seldom_and_deaths_are_found_as_late_as_the_formulas_say() {
    let pings = |rate: f64, interval: f64| rate / (rate * interval).exp_m1();
    let found = |rate: f64, interval: f64| {
        interval + TIMEOUT - (1.0 / rate - interval / (rate * interval).exp_m1())
    };
    for (seed, words) in [(1, 0.05), (2, 0.5), (3, 1.0), (4, 2.0), (5, 4.0)] {
        let rate = words / INTERVAL;
        let (lives, seconds) = lives(Policy::Idle, rate, 4_000, seed);
        let asked: u32 = lives.iter().map(|life| life.pings).sum();
        let (low, high) = (INTERVAL * 0.9, INTERVAL);
        between(f64::from(asked) / seconds, pings(rate, low), pings(rate, high), 0.01);
        let mean = lives.iter().map(|life| life.detection).sum::<f64>() / lives.len() as f64;
        between(mean, found(rate, low), found(rate, high), 0.01);
        let most = lives.iter().map(|life| life.detection).fold(0.0, f64::max);
        assert!(most <= INTERVAL + TIMEOUT + 0.001, "found after {most} s");
    }
}

#[test]
fn periodic_detection_is_uniform_from_the_timeout_to_interval_and_timeout() {
    for (seed, words) in [(6, 0.05), (7, 4.0)] {
        let (lives, seconds) = lives(Policy::Periodic, words / INTERVAL, 5_000, seed);
        let asked: u32 = lives.iter().map(|life| life.pings).sum();
        between(f64::from(asked) / seconds, 1.0 / INTERVAL, 1.0 / INTERVAL, 0.01);
        let mut found: Vec<_> = lives.iter().map(|life| life.detection).collect();
        found.sort_by(f64::total_cmp);
        let count = found.len() as f64;
        // Kolmogorov and Smirnov: of 100 fair samples one is farther off than 1.63 / √n.
        let off = |(index, time): (usize, &f64)| {
            let expected = (time - TIMEOUT) / INTERVAL;
            (expected - index as f64 / count)
                .abs()
                .max((expected - (index + 1) as f64 / count).abs())
        };
        let distance = found.iter().enumerate().map(off).fold(0.0, f64::max);
        assert!(distance < 1.63 / count.sqrt(), "{distance} off a uniform distribution");
    }
}
