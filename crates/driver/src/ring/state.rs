//! What the driver remembers of a connection.

use crate::Cause;
use halfopen_wheel::Instant;
use std::time::Duration;

/// A multishot request of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arm {
    Off,
    On,
    /// It was cancelled, and its last completion is still to come.
    Ending,
}

/// The poll of a connection that no receive is armed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Poll {
    Off,
    /// For bytes and for the end, each time: it is quiet.
    Input,
    /// For bytes and for the end, once: it is quiet, on a ring where a cancel is dear.
    InputOnce,
    /// For the end alone: it is paused.
    End,
    /// It was cancelled, and its completion is still to come.
    Ending,
}

/// What there is to be received of which no poll will tell once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unheard {
    Nothing,
    /// Perhaps something.
    Something,
    /// Something for which no buffer was free; it stands in a queue to be armed again.
    Starved,
}

/// A request that is made once in a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Once {
    No,
    /// It waits for the send in flight.
    Wanted,
    Asked,
    Done,
}

/// A connection. The chunk in flight is not kept here: an idle connection has none.
#[derive(Debug)]
pub(super) struct Connection {
    /// Its direct descriptor. The kernel may use the number anew as soon as it is closed, before
    /// we have heard the end of what was armed for it: so it is never a name.
    pub(super) slot: u32,
    /// Set when it has ended; then nothing more is begun.
    pub(super) end: Option<Cause>,
    pub(super) receive: Arm,
    /// Nothing has come since its multishot receive was armed.
    pub(super) fresh: bool,
    pub(super) poll: Poll,
    pub(super) unheard: Unheard,
    /// When something came last.
    pub(super) heard: Stamp,
    /// How often in a row it was not quiet before something came, up to [`BUSY`].
    pub(super) streak: u8,
    pub(super) sending: bool,
    pub(super) paused: bool,
    pub(super) v6: bool,
    pub(super) shutdown: Once,
    pub(super) close: Once,
}

impl Connection {
    pub(super) fn new(slot: u32, v6: bool, now: Instant) -> Self {
        Self {
            slot,
            end: None,
            receive: Arm::Off,
            fresh: false,
            poll: Poll::Off,
            unheard: Unheard::Nothing,
            heard: Stamp::of(now),
            streak: 0,
            sending: false,
            paused: false,
            v6,
            shutdown: Once::No,
            close: Once::No,
        }
    }

    /// Whether the engine still wants its bytes.
    pub(super) fn is_heard(&self) -> bool {
        self.end.is_none()
    }

    /// Something may have come of which no poll will tell once more.
    pub(super) fn suspect(&mut self) {
        if self.unheard == Unheard::Nothing {
            self.unheard = Unheard::Something;
        }
    }

    /// Something came. Whether it was quiet before.
    pub(super) fn hear(&mut self, now: Instant, quiet: Grains) -> bool {
        let was_quiet = self.heard.advance(now) >= quiet;
        self.streak = if was_quiet { 0 } else { BUSY.min(self.streak + 1) };
        was_quiet
    }

    /// Whether it speaks so often that a receive should be armed all the time.
    pub(super) fn is_busy(&self) -> bool {
        self.streak == BUSY
    }

    /// Whether the kernel has nothing under way for it.
    pub(super) fn is_idle(&self) -> bool {
        !self.sending && self.receive == Arm::Off && self.poll == Poll::Off
    }
}

/// Who was heard so often in a row without a quiet time in between is busy.
const BUSY: u8 = 4;

/// A moment, coarse and short: it is kept for each connection. It comes round every 9.8 hours, and
/// who is taken for busy then by mistake is so for one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(u16);

/// The unit of [`Stamp`]: 2^29 ns, half a second.
const GRAIN_SHIFT: u32 = 29;

/// A length of time in units of [`Stamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grains(u16);

impl Stamp {
    fn of(now: Instant) -> Self {
        Self((now.as_nanos() >> GRAIN_SHIFT) as u16)
    }

    /// Moves on to `now`, and tells how far.
    fn advance(&mut self, now: Instant) -> Grains {
        let before = std::mem::replace(self, Self::of(now));
        Grains(self.0.wrapping_sub(before.0))
    }
}

impl From<Duration> for Grains {
    fn from(time: Duration) -> Self {
        Self(u16::try_from(time.as_nanos() >> GRAIN_SHIFT).unwrap_or(u16::MAX))
    }
}

// The table adds its generation, and there may be a million of them.
const _: () = assert!(size_of::<Option<Connection>>() <= 24);

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn who_speaks_often_becomes_busy_and_who_was_silent_long_is_not() {
        let quiet = Grains::from(Duration::from_secs(8));
        let mut connection = Connection::new(0, false, s(100));
        let quiet_before = [100, 101, 101, 107].map(|at| connection.hear(s(at), quiet));
        assert_eq!(quiet_before, [false; 4]);
        assert!(connection.is_busy());
        assert!(connection.hear(s(116), quiet));
        assert!(!connection.is_busy());
        // Across the moment at which the stamp comes round.
        assert!(connection.hear(s(35_000), quiet));
        assert!(!connection.hear(s(35_186), Grains::from(Duration::from_secs(200))));
        assert!(connection.hear(s(35_200), quiet));
    }

    #[test]
    fn no_time_at_all_is_quiet_if_that_is_what_was_asked_for() {
        let mut connection = Connection::new(0, false, s(1));
        assert!((0..9).all(|_| connection.hear(s(1), Grains::from(Duration::ZERO))));
        let for_ever = Grains::from(Duration::MAX);
        assert!((0..9).all(|at| !connection.hear(s(1 + 1_000 * at), for_ever)));
    }
}
