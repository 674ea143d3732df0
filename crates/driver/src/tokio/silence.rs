//! How far the driver has listened.
//!
//! When a deadline of the engine is due, and before it is told so, a *pass* is made: the moment is
//! noted, then two no-ops go through the ring, the second submitted after the first has come back,
//! and the noted moment joins the queue of completions. When it comes out of the queue, nothing
//! that arrived before it waits any more:
//!
//! - A connection that was parked in its poll when bytes came: the poll's completion is posted at
//!   the latest when the system call returns that submits the first no-op, because the kernel does
//!   such work whenever it returns to us. The second no-op's completion stands behind it. The
//!   runtime wakes tasks in the order of completions and runs them in the order of their waking,
//!   so the connection is in front of the moment in the queue.
//! - A connection whose poll was noted but not submitted: its entry is in front of the first no-op
//!   and fires as it is submitted, since bytes are there.
//! - A connection whose turn to be read has come: it is in the queue, in front of the moment, and
//!   is read until nothing is left. Its poll is then armed again, maybe behind the no-ops, but
//!   what fires it arrived later than the reading.
//!
//! What breaks the last step makes the pass *void*: a peer that was cut short because it sends
//! faster than we read, or a connection that was paused and is read again. A peer whose `Opened`
//! is still to come may wait behind the moment, and has not been asked anything yet.
//!
//! Where a turn leaves completions over, what is due is worked at with what the last pass has told:
//! pings do not wait for the row.
//!
//! A driver under load makes its passes too, only slower; it is saturated only while they are void.

use crate::{Busy, Heard};
use halfopen_wheel::Instant;
use std::time::Duration;

pub(super) struct Silence {
    heard: Heard,
    under_way: bool,
    void: bool,
    busy: Busy,
    /// When the clock was looked at.
    looked: Instant,
}

impl Silence {
    pub(super) fn new(now: Instant) -> Self {
        let heard = Heard { until: now, busy_since: None };
        Self { heard, under_way: false, void: false, busy: Busy::since(now), looked: now }
    }

    /// The clock was looked at. Gives back how long ago that was done before.
    pub(super) fn looked(&mut self, now: Instant) -> Duration {
        let before = std::mem::replace(&mut self.looked, now);
        self.busy.looked(before, now);
        now.saturating_since(before)
    }

    /// Whether a pass is to be begun; it is under way then.
    pub(super) fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.under_way, true)
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// Something that has arrived waits behind the moment of the pass.
    pub(super) fn make_void(&mut self) {
        self.void = self.under_way;
    }

    /// How far it has listened, by the passes that are over.
    pub(super) fn heard(&mut self, now: Instant) -> Heard {
        self.looked(now);
        Heard { busy_since: self.heard.busy_since.map(|_| self.busy), ..self.heard }
    }

    /// The pass begun at `moment` is over.
    pub(super) fn end(&mut self, moment: Instant, now: Instant) {
        self.looked(now);
        self.under_way = false;
        self.heard = if std::mem::take(&mut self.void) {
            Heard { until: self.heard.until, busy_since: Some(self.busy) }
        } else {
            self.busy = Busy::since(now);
            Heard { until: moment, busy_since: None }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn void_passes_hold_the_moment_back_and_count_as_busy() {
        let mut silence = Silence::new(ms(0));
        let mut pass = |begun, ended, void| {
            assert!(silence.begin());
            if void {
                silence.make_void();
            }
            silence.end(ms(begun), ms(ended));
            silence.heard(ms(ended))
        };
        let busy = Busy::since(ms(20));
        assert_eq!(pass(10, 20, false), Heard { until: ms(10), busy_since: None });
        assert_eq!(pass(30, 40, true), Heard { until: ms(10), busy_since: Some(busy) });
        assert_eq!(pass(50, 60, true), Heard { until: ms(10), busy_since: Some(busy) });
        let broken = pass(60, 200, true).busy_since.unwrap();
        assert_eq!((broken.start(), broken.unbroken()), (ms(20), ms(200)));
        assert_eq!(pass(210, 220, false), Heard { until: ms(210), busy_since: None });
    }

    #[test]
    fn what_was_cut_short_before_a_pass_began_does_not_make_it_void() {
        let mut silence = Silence::new(ms(0));
        silence.make_void();
        assert!(silence.begin());
        silence.end(ms(10), ms(20));
        assert_eq!(silence.heard(ms(20)).until, ms(10));
    }
}
