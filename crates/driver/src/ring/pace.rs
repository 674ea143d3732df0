//! For how many arrivals the loop sleeps.
//!
//! At low load it wakes for each, as soon as it comes. At high load to fall asleep and wake again
//! costs more than the event itself; there it sleeps until several have come, or for [`GATHER`] at
//! most. High load is where at least [`WORTH`] are to be expected in that time, and comes to its end
//! by itself: the expectation follows what has come in the last half millisecond.
//!
//! Where few connections are open, the next arrival may be the answer to what we have not said yet;
//! so never more than a quarter of them are waited for.

use halfopen_wheel::Instant;
use std::time::Duration;

/// How long an arrival may wait for others.
pub const GATHER: Duration = Duration::from_micros(200);

/// Fewer are not waited for.
const WORTH: u32 = 8;

/// More are not waited for.
const ENOUGH: u32 = 256;

/// How long something that has come is remembered.
const MEMORY: Duration = Duration::from_micros(500);

/// The driver's expectation of what comes.
#[derive(Debug)]
pub struct Pace {
    /// How many arrivals are to be expected in [`GATHER`].
    expected: f32,
    noted: Instant,
}

impl Pace {
    /// Nothing is expected yet.
    pub fn new(now: Instant) -> Self {
        Self { expected: 0.0, noted: now }
    }

    /// `arrivals` have come since it was asked last. How many to wait for now, where so many
    /// connections are open.
    pub fn want(&mut self, now: Instant, arrivals: u32, connections: u32) -> u32 {
        let passed = now.saturating_since(self.noted).max(Duration::from_nanos(1)).as_secs_f32();
        self.noted = now;
        let lately = arrivals as f32 * GATHER.as_secs_f32() / passed;
        let weight = f32::min(1.0, passed / MEMORY.as_secs_f32());
        self.expected += (lately - self.expected) * weight;
        match (self.expected as u32 / 2).min(connections / 4).min(ENOUGH) {
            few if few < WORTH => 1,
            many => many,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wanted after `turns` of so many microseconds with so many arrivals each.
    fn want(turns: u64, micros: u64, arrivals: u32, connections: u32) -> u32 {
        let mut pace = Pace::new(Instant::from_nanos(0));
        let at = |turn| Instant::from_nanos(turn * micros * 1_000);
        (1..=turns).map(|turn| pace.want(at(turn), arrivals, connections)).last().unwrap()
    }

    #[test]
    fn at_low_load_each_arrival_wakes() {
        for connections in [1, 100, 1_000_000] {
            assert_eq!(want(1_000, 1_000, 1, connections), 1);
            assert_eq!(want(1_000, 50, 1, connections), 1, "20,000 a second");
        }
    }

    #[test]
    fn at_high_load_half_of_what_is_expected_is_waited_for() {
        assert_eq!(want(1_000, 20, 2, 10_000), 9);
        assert_eq!(want(1_000, 100, 50, 10_000), 49);
        assert_eq!(want(1_000, 20, 100, 10_000), ENOUGH);
    }

    #[test]
    fn of_few_connections_only_a_quarter_is_waited_for() {
        assert_eq!(want(1_000, 20, 10, 31), 1);
        assert_eq!(want(1_000, 20, 10, 40), 10);
        assert_eq!(want(1_000, 15, 1, 1), 1, "an answer to each of ours");
    }

    #[test]
    fn a_burst_is_known_within_half_a_millisecond_and_forgotten_after_a_pause() {
        let mut pace = Pace::new(Instant::from_nanos(0));
        let us = |us: u64| Instant::from_nanos(us * 1_000);
        assert_eq!(pace.want(us(10_000), 1, 1_000), 1);
        let wants: Vec<_> = (1..=25).map(|n| pace.want(us(10_000 + 20 * n), 5, 1_000)).collect();
        assert_eq!(wants[0], 1);
        assert!(wants[24] >= WORTH, "{wants:?}");
        assert_eq!(pace.want(us(20_000), 1, 1_000), 1);
    }
}
