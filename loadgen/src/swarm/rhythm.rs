//! What each connection does of itself again and again, on a phase of its own: pings, and a beat in
//! text.
//!
//! When it is due follows from the connection's number and the seed alone, so that an idle
//! connection keeps nothing of it but the next deadline.

use super::Swarm;
use halfopen_driver::Op;
use halfopen_wheel::Instant;
use std::time::Duration;

/// Moments that lie `every` nanoseconds apart.
#[derive(Clone, Copy, Debug)]
struct Rhythm {
    every: u64,
    phase: u64,
}

/// What tells the phases of pings and beats of one connection apart.
const PINGS: u64 = 0x70;
const BEATS: u64 = 0xbe;

impl Rhythm {
    fn new(every: Duration, seed: u64) -> Self {
        let every = (every.as_nanos() as u64).max(1);
        Self { every, phase: fastrand::Rng::with_seed(seed).u64(0..every) }
    }

    /// The first moment later than `after`.
    fn next(self, after: Instant) -> Instant {
        let passed = match after.as_nanos().checked_sub(self.phase) {
            None => 0,
            Some(since) => since / self.every + 1,
        };
        Instant::from_nanos(passed.saturating_mul(self.every).saturating_add(self.phase))
    }
}

impl Swarm {
    fn rhythm(&self, index: usize, every: Option<Duration>, kind: u64) -> Option<Rhythm> {
        let number = u64::from(self.conns[index].number);
        Some(Rhythm::new(every?, self.plan.seed.rotate_left(16) ^ number << 8 ^ kind))
    }

    fn pings(&self, index: usize) -> Option<Rhythm> {
        self.rhythm(index, self.plan.client_ping, PINGS)
    }

    fn beats(&self, index: usize) -> Option<Rhythm> {
        self.rhythm(index, self.plan.script.beat.as_ref().map(|beat| beat.every), BEATS)
    }

    /// Has the wheel come up for the next ping or beat after `now`.
    pub(super) fn await_rhythm(&mut self, now: Instant, index: usize) {
        let rhythms = [self.pings(index), self.beats(index)];
        if let Some(next) = rhythms.into_iter().flatten().map(|rhythm| rhythm.next(now)).min() {
            self.conns[index].deadline = next;
            self.wheel.arm(index as u32, next);
        }
    }

    /// What came due since the deadline is done, once each; what was missed beyond that is left out.
    pub(super) fn rhythm_is_due(&mut self, now: Instant, index: usize, ops: &mut Vec<Op>) {
        let before = self.conns[index].deadline - Duration::from_nanos(1);
        let is_due = |rhythm: Option<Rhythm>| rhythm.is_some_and(|r| r.next(before) <= now);
        let (ping, beat) = (is_due(self.pings(index)), is_due(self.beats(index)));
        if ping {
            self.ping(now, index, ops);
        }
        if beat {
            self.beat(now, index, ops);
        }
        self.await_rhythm(now, index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn moments_lie_one_interval_apart(every in 1u64..1_000_000_000_000, seed: u64, from: u64) {
            let from = Instant::from_nanos(from / 2);
            let rhythm = Rhythm::new(Duration::from_nanos(every), seed);
            let first = rhythm.next(from);
            let second = rhythm.next(first);
            prop_assert!(first > from && first.saturating_since(from) <= Duration::from_nanos(every));
            prop_assert_eq!(second.saturating_since(first), Duration::from_nanos(every));
            prop_assert_eq!(rhythm.next(first - Duration::from_nanos(1)), first);
        }
    }
}
