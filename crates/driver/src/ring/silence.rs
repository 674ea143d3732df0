//! How far the driver has listened.
//!
//! The moment before each system call is noted. If the call leaves no completion to be handed over
//! (the queue is empty, the kernel has no deferred work and keeps no overflow, and no receive is
//! disarmed for want of buffers) then nothing that arrived before that moment waits any more.

use crate::{Busy, Heard};
use halfopen_wheel::Instant;
use std::time::Duration;

/// A driver that was never dry for this long is saturated.
const SATURATED: Duration = Duration::from_millis(100);

pub(crate) struct Silence {
    until: Instant,
    busy: Busy,
    /// When the clock was looked at.
    looked: Instant,
}

impl Silence {
    pub(crate) fn new(now: Instant) -> Self {
        Self { until: now, busy: Busy::since(now), looked: now }
    }

    /// A system call was made at `begun`, and left nothing to hand over if `dry`.
    pub(crate) fn listened(&mut self, begun: Instant, now: Instant, dry: bool) {
        self.looked(begun);
        self.looked(now);
        if dry {
            self.until = begun;
            self.busy = Busy::since(now);
        }
    }

    /// The clock was looked at. Gives back how long ago that was done before.
    pub(crate) fn looked(&mut self, now: Instant) -> Duration {
        let before = self.looked;
        self.busy.looked(before, now);
        self.looked = before.max(now);
        now.saturating_since(before)
    }

    /// How far it has listened.
    pub(crate) fn heard(&mut self, now: Instant) -> Heard {
        self.looked(now);
        let saturated = now.saturating_since(self.busy.start()) > SATURATED;
        Heard { until: self.until, busy_since: saturated.then_some(self.busy) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_dry_turn_moves_the_moment_to_before_its_call() {
        let mut silence = Silence::new(ms(0));
        silence.listened(ms(5), ms(6), true);
        silence.listened(ms(7), ms(8), false);
        assert_eq!(silence.heard(ms(8)), Heard { until: ms(5), busy_since: None });
    }

    #[test]
    fn turns_that_are_never_dry_are_busy() {
        let mut silence = Silence::new(ms(0));
        for turn in 0..20 {
            silence.listened(ms(10 * turn), ms(10 * turn + 9), false);
        }
        let busy = Busy::since(ms(0));
        assert_eq!(silence.heard(ms(200)), Heard { until: ms(0), busy_since: Some(busy) });
        silence.listened(ms(210), ms(211), true);
        assert_eq!(silence.heard(ms(220)), Heard { until: ms(210), busy_since: None });
    }

    #[test]
    fn a_stop_anywhere_is_no_work() {
        let second = Duration::from_secs(1);
        let stops: [fn(&mut Silence); 3] = [
            |_| {},
            |silence| silence.listened(ms(60_000), ms(60_000), false),
            |silence| silence.listened(ms(200), ms(60_000), false),
        ];
        for stop in stops {
            let mut silence = Silence::new(ms(0));
            for turn in 0..20 {
                silence.listened(ms(10 * turn), ms(10 * turn + 9), false);
            }
            stop(&mut silence);
            assert!(!silence.heard(ms(60_001)).silent_since(ms(60_001), ms(100), second));
        }
    }
}
