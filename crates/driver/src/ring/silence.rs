//! How far the driver has listened.
//!
//! The moment before each system call is noted. If the call leaves no completion to be handed over
//! (the queue is empty, the kernel has no deferred work and keeps no overflow, and no receive is
//! disarmed for want of buffers) then nothing that arrived before that moment waits any more.

use crate::Heard;
use halfopen_wheel::Instant;
use std::time::Duration;

/// Turns that lie further apart were not "without a break".
const STALL: Duration = Duration::from_millis(50);

/// A driver that was never dry for this long is saturated.
const SATURATED: Duration = Duration::from_millis(100);

pub(crate) struct Silence {
    until: Instant,
    /// Since when it has turned without a stall and without being dry.
    busy: Instant,
    /// When the last system call returned.
    returned: Instant,
}

impl Silence {
    pub(crate) fn new(now: Instant) -> Self {
        Self { until: now, busy: now, returned: now }
    }

    /// A system call was made at `begun`, returned at `now`, and left nothing to hand over if `dry`.
    ///
    /// The time in the call is no break if it was spent waiting; if not, it shows in the next turn.
    pub(crate) fn listened(&mut self, begun: Instant, now: Instant, dry: bool) {
        if begun.saturating_since(self.returned) > STALL {
            self.busy = now;
        }
        if dry {
            self.until = begun;
            self.busy = now;
        }
        self.returned = now;
    }

    /// How far it has listened. A stall since the last system call is no turning without a break.
    pub(crate) fn heard(&self, now: Instant) -> Heard {
        let turning = now.saturating_since(self.returned) <= STALL;
        let saturated = turning && now.saturating_since(self.busy) > SATURATED;
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
    fn turns_that_are_never_dry_are_busy_from_the_last_stall_on() {
        let mut silence = Silence::new(ms(0));
        for turn in 0..20 {
            silence.listened(ms(10 * turn), ms(10 * turn + 9), false);
        }
        assert_eq!(silence.heard(ms(200)), Heard { until: ms(0), busy_since: Some(ms(0)) });
        silence.listened(ms(300), ms(301), false);
        assert_eq!(silence.heard(ms(302)), Heard { until: ms(0), busy_since: None });
        for turn in 31..50 {
            silence.listened(ms(10 * turn), ms(10 * turn + 9), false);
        }
        assert_eq!(silence.heard(ms(500)), Heard { until: ms(0), busy_since: Some(ms(301)) });
        silence.listened(ms(510), ms(511), true);
        assert_eq!(silence.heard(ms(520)), Heard { until: ms(510), busy_since: None });
    }

    #[test]
    fn who_has_stood_still_since_its_last_call_is_not_busy() {
        let mut silence = Silence::new(ms(0));
        for turn in 0..20 {
            silence.listened(ms(10 * turn), ms(10 * turn + 9), false);
        }
        assert_eq!(silence.heard(ms(249)).busy_since, Some(ms(0)));
        assert_eq!(silence.heard(ms(10_000)).busy_since, None);
    }
}
