//! The wheel against a model that keeps every deadline in ordered maps.
//!
//! The model knows no slots. It knows what a key was promised: not before its deadline (or, if that
//! lay beyond the turn, not before a turn has passed), and within one tick after it.

use fastrand::Rng;
use halfopen_wheel::{Instant, Wheel, WheelConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a waiting key may expect.
#[derive(Clone, Copy, Debug)]
struct Promise {
    /// It is not handed over before this moment.
    from: Instant,
    /// Once this moment has come, whoever looks is handed it.
    by: Instant,
}

struct Pair {
    wheel: Wheel,
    tick: Duration,
    /// The least time that a key can be parked for, whatever the dither.
    turn: Duration,
    now: Instant,
    waiting: BTreeMap<u32, Promise>,
    by: BTreeSet<(Instant, u32)>,
    /// Until the first look the wheel's time is that of its origin.
    looked: Instant,
}

impl Pair {
    fn new(config: WheelConfig, origin: Instant) -> Self {
        let slots = config.slots.next_power_of_two() as u32;
        Self {
            wheel: Wheel::new(config, origin),
            tick: config.tick,
            turn: (config.tick - config.tick / 4) * (slots - 1) - config.tick / 4,
            now: origin,
            waiting: BTreeMap::new(),
            by: BTreeSet::new(),
            looked: origin,
        }
    }

    fn arm(&mut self, key: u32, at: Instant) {
        let from = at.min(self.looked + self.turn);
        let promise = Promise { from, by: at.max(self.looked) + self.tick };
        let earlier = self.waiting.get(&key).copied();
        self.wheel.arm(key, at);
        let kept = match earlier {
            Some(old) => Promise { from: old.from.min(promise.from), by: old.by.min(promise.by) },
            None => promise,
        };
        self.forget(key);
        self.waiting.insert(key, kept);
        self.by.insert((kept.by, key));
    }

    fn disarm(&mut self, key: u32) {
        self.forget(key);
        self.wheel.disarm(key);
    }

    fn forget(&mut self, key: u32) {
        if let Some(old) = self.waiting.remove(&key) {
            self.by.remove(&(old.by, key));
        }
    }

    /// Looks at `now`; hands up to `most` keys to the model.
    fn pop(&mut self, most: usize) -> Vec<u32> {
        let mut popped = Vec::new();
        while popped.len() < most {
            let wake = self.wheel.next_wake();
            let Some(key) = self.wheel.pop(self.now) else {
                assert!(wake.is_none_or(|wake| wake > self.now), "{wake:?} has come, and no key");
                self.looked = self.looked.max(self.now);
                let first = self.by.first();
                assert!(first.is_none_or(|&(by, _)| by > self.now), "late: {first:?}");
                break;
            };
            assert!(wake.is_some_and(|wake| wake <= self.now), "came before {wake:?}");
            let promise = self.waiting[&key];
            assert!(promise.from <= self.now, "key {key} early: {promise:?} at {:?}", self.now);
            self.forget(key);
            popped.push(key);
        }
        popped
    }

    fn check(&self, key: u32) {
        assert_eq!(self.wheel.len(), self.waiting.len());
        assert_eq!(self.wheel.is_empty(), self.waiting.is_empty());
        assert_eq!(self.wheel.is_armed(key), self.waiting.contains_key(&key));
        let (wake, first) = (self.wheel.next_wake(), self.by.first());
        assert_eq!(wake.is_some(), first.is_some());
        if let (Some(wake), Some(&(by, _))) = (wake, first) {
            assert!(wake < by || wake <= self.now, "sleeping until {wake:?} misses {by:?}");
        }
    }

    /// Sleeps as an idle owner does: a nanosecond too early there is nothing, on time there is.
    fn sleep(&mut self) {
        let Some(wake) = self.wheel.next_wake().filter(|&wake| wake > self.now) else { return };
        self.now = wake - Duration::from_nanos(1);
        assert_eq!(self.pop(1), [], "before {wake:?}");
        self.now = wake;
        let popped = self.pop(usize::MAX);
        assert!(!popped.is_empty(), "nothing at {wake:?}");
    }
}

/// A deadline as connections have them: mostly soon, at times hours away, passed, or never.
fn deadline(rng: &mut Rng, pair: &Pair) -> Instant {
    let turn = pair.turn.as_nanos() as u64;
    let within = |rng: &mut Rng, most| Duration::from_nanos(rng.u64(0..=most));
    match rng.u8(0..32) {
        0 => Instant::FAR,
        1 => pair.now - within(rng, 3 * turn),
        2..4 => pair.now + Duration::from_secs(rng.u64(0..100_000)),
        4..8 => pair.now + within(rng, 3 * turn),
        8..16 => pair.now + within(rng, pair.tick.as_nanos() as u64 * 3),
        _ => pair.now + within(rng, turn),
    }
}

fn step(rng: &mut Rng, pair: &mut Pair, keys: u32) {
    let key = rng.u32(0..keys);
    match rng.u8(0..64) {
        0..36 => pair.arm(key, deadline(rng, pair)),
        36..42 => pair.disarm(key),
        42..52 => {
            pair.now = pair.now + Duration::from_nanos(rng.u64(0..pair.tick.as_nanos() as u64 * 4));
            let most = if rng.bool() { usize::MAX } else { rng.usize(0..4) };
            for key in pair.pop(most) {
                // A living connection: asked again, or its true deadline is later.
                if rng.bool() {
                    pair.arm(key, deadline(rng, pair).max(pair.now + Duration::from_nanos(1)));
                }
            }
        }
        52..63 => pair.sleep(),
        // The loop was stalled, or the machine was: part of a turn, or many.
        _ => {
            pair.now = pair.now + pair.turn * rng.u32(0..2_000) / 100;
            if rng.bool() {
                pair.pop(usize::MAX);
            }
        }
    }
    pair.check(key);
}

fn run(seed: u64, steps: u32) {
    let rng = &mut Rng::with_seed(seed);
    let config = WheelConfig {
        tick: Duration::from_nanos(rng.choice([1_000, 999_983, 8_000_000, 64_000_000]).unwrap()),
        slots: rng.choice([2, 3, 64, 128, 1000, 4096]).unwrap(),
        seed: rng.u64(..),
    };
    // With ticks of 1 µs and an origin long ago, ticks count past 2^32.
    let mut pair = Pair::new(config, Instant::from_nanos(rng.u64(0..1 << 40)));
    if rng.bool() {
        pair.now = pair.now + config.tick * u32::MAX;
    }
    let keys = rng.choice([1, 3, 50, 500]).unwrap();
    for _ in 0..steps {
        step(rng, &mut pair, keys);
    }
    pair.now = Instant::FAR;
    pair.pop(usize::MAX);
    assert!(pair.wheel.is_empty());
}

#[test]
fn the_wheel_keeps_every_promise_of_the_model_over_millions_of_operations() {
    let replayed = std::env::var("HALFOPEN_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seeds = replayed.map_or(0..400, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let held = std::panic::catch_unwind(|| run(seed, 10_000));
        if let Err(panic) = held {
            eprintln!("HALFOPEN_SEED={seed} cargo test -p halfopen-wheel --test model");
            std::panic::resume_unwind(panic);
        }
    }
}
