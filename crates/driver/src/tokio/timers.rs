//! The timers on the ring.
//!
//! A timer is not taken back when another deadline becomes the next one. So it is remembered until
//! it fires: a deadline that a timer stands for already takes none when it is the next one again.

use halfopen_wheel::Instant;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<Instant>);

impl Timers {
    /// Something is next due at this moment. Whether that takes a timer: not where one fires by
    /// then.
    pub(super) fn arm(&mut self, next: Instant) -> bool {
        self.0.first().is_none_or(|&first| next < first) && self.0.insert(next)
    }

    /// The timer of this moment has fired.
    pub(super) fn fired(&mut self, at: Instant) {
        self.0.remove(&at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_later_deadline_keeps_its_timer_while_earlier_ones_come_and_go() {
        let mut timers = Timers::default();
        assert!(timers.arm(ms(3_600_000)));
        for earlier in 1..1000 {
            assert!(timers.arm(ms(earlier)));
            assert!(!timers.arm(ms(earlier)), "it has one");
            timers.fired(ms(earlier));
            assert!(!timers.arm(ms(3_600_000)), "it still has one");
        }
        assert_eq!(timers.0.len(), 1);
    }

    #[test]
    fn a_deadline_behind_the_next_timer_waits_for_it() {
        let mut timers = Timers::default();
        assert!(timers.arm(ms(10)));
        assert!(!timers.arm(ms(20)));
        timers.fired(ms(10));
        assert!(timers.arm(ms(20)));
    }
}
