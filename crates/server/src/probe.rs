//! Whether a peer that owes us something is slow or dead: looks at the bytes that its kernel has not
//! acknowledged.
//!
//! ```text
//!   owed since     T/3          2T/3           T             T/2 after the last sign of life
//!       │─────────▶ look ───────▶ look ───────▶ look ─ ─ ─ ─ ─ look
//!                    └ the others are held against it, or against the last that saw something move
//! ```
//!
//! The count alone does not tell. The kernel's queue is refilled as it drains, so that of a peer
//! that reads steadily is a sawtooth; and a dead peer's grows. We know what was added, the chunks
//! that came home, apart from how much of a chunk in flight the kernel has taken: where that could
//! explain a difference, it is taken for life, and the next look will tell.
//!
//! What lies in the peer's own kernel cannot be seen. So bytes that are acknowledged as fast as they
//! are sent are no sign of life, for the kernel of a program that hangs does that as well; only a
//! backlog that moves is. And a peer that takes less than a chunk in half of its time may look as if
//! it took nothing, where its kernel opens the window in steps as large as ours refills the queue.

use halfopen_wheel::Instant;
use std::time::Duration;

/// The looks of one wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    /// The moment that names the wait: the ping's flush, or the send's.
    pub(crate) about: Instant,
    /// When to look again; while an answer is on its way, when to do without it.
    pub(crate) again: Instant,
    timeout: Duration,
    /// Who shows no sign of life until then is dead.
    end: Instant,
    /// The bytes of all chunks that came home since the first look, modulo 2^32.
    home: u32,
    /// What the next look is held against.
    base: Option<Look>,
    /// The look that is not answered yet.
    asked: Option<Look>,
    /// All that was sent before some look has been acknowledged, and so has the ping.
    delivered: bool,
}

/// How things stood when a look was asked for.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    home: u32,
    in_flight: bool,
    /// What the kernel said (SIOCOUTQ), if it did.
    queued: Option<u32>,
}

/// What lies between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    /// All that was queued at the first has been acknowledged.
    Drained,
    /// There is a backlog, and it moves.
    Moved,
}

impl Probe {
    pub(crate) fn new(about: Instant, timeout: Duration) -> Self {
        Self {
            about,
            again: first_look(about, timeout),
            timeout,
            end: about + timeout,
            home: 0,
            base: None,
            asked: None,
            delivered: false,
        }
    }

    /// When the look was asked for that is not answered yet.
    pub(crate) fn asked(&self) -> Option<Instant> {
        self.asked.map(|look| look.at)
    }

    /// When the peer is dead, as it seems: its own time, and what was added because it was slow.
    pub(crate) fn end(&self) -> Instant {
        self.end
    }

    /// A chunk came home.
    pub(crate) fn came_home(&mut self, bytes: usize) {
        self.home = self.home.wrapping_add(bytes as u32);
    }

    /// The kernel is asked now, while a chunk is in flight or none is.
    pub(crate) fn ask(&mut self, now: Instant, in_flight: bool) {
        self.asked = Some(Look { at: now, home: self.home, in_flight, queued: None });
        self.again = now + gap(self.timeout);
    }

    /// The kernel answers, or does not. Whether the peer is dead.
    pub(crate) fn answer(&mut self, queued: Option<u32>) -> bool {
        let Some(asked) = self.asked.take() else { return false };
        let look = Look { queued, ..asked };
        let change = self.base.map(|base| base.change_to(look));
        let more_time = match change {
            None => Some(self.timeout / 4),
            Some(Change::Moved) => Some(self.timeout / 2),
            // What is on its way to the app cannot be seen; an answer may come soon.
            Some(Change::Drained) if !self.delivered => Some(self.timeout / 4),
            Some(_) if look.at >= self.end => return true,
            Some(_) => None,
        };
        if let Some(time) = more_time {
            self.base = Some(look);
            self.end = self.end.max(look.at + time);
        }
        self.delivered |= queued == Some(0) || change == Some(Change::Drained);
        self.again = (look.at + gap(self.timeout)).min(self.end);
        false
    }
}

impl Look {
    fn change_to(self, later: Self) -> Change {
        let home = later.home.wrapping_sub(self.home);
        if self.in_flight && home > 0 {
            // The chunk had to wait for room, and there was some.
            return Change::Moved;
        }
        let (Some(before), Some(queued)) = (self.queued, later.queued) else { return Change::None };
        if self.in_flight {
            // The same chunk still: less was acknowledged, more was taken because there was room.
            return if queued == before { Change::None } else { Change::Moved };
        }
        match queued {
            _ if later.in_flight => Change::Moved,
            _ if queued <= home => Change::Drained,
            _ if u64::from(queued) == u64::from(before) + u64::from(home) => Change::None,
            _ => Change::Moved,
        }
    }
}

/// When a peer is looked at first that owes us something since `about`.
pub(crate) fn first_look(about: Instant, timeout: Duration) -> Instant {
    about + gap(timeout)
}

/// From one look to the next, and how long an answer is waited for.
pub(crate) fn gap(timeout: Duration) -> Duration {
    timeout / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Duration = Duration::from_secs(12);
    const START: Instant = Instant::from_nanos(7_000_000_000_000);

    /// What a look finds: bytes that came home since the one before, a chunk in flight, the answer.
    type Found = (usize, bool, Option<u32>);

    /// When the peer is dead that is looked at whenever it is due, in twelfths of the timeout; none,
    /// if it lives when there is nothing more to find.
    fn dead_after(found: &[Found]) -> Option<u64> {
        let mut probe = Probe::new(START, T);
        for &(home, in_flight, queued) in found {
            let now = probe.again;
            probe.came_home(home);
            probe.ask(now, in_flight);
            if probe.answer(queued) {
                return Some(now.saturating_since(START).as_secs());
            }
        }
        None
    }

    #[test]
    fn who_takes_nothing_is_dead_when_its_time_is_over() {
        let cases: [(&str, [Found; 3]); 6] = [
            ("nothing was acknowledged", [(0, false, Some(14)); 3]),
            ("a chunk is stuck", [(0, true, Some(90_000)); 3]),
            (
                "messages go into a kernel that has room",
                [(0, false, Some(10)), (500, false, Some(510)), (700, false, Some(1210))],
            ),
            (
                "a kernel acknowledges all at once",
                [(0, false, Some(0)), (500, false, Some(0)), (700, false, Some(100))],
            ),
            (
                "the ping was acknowledged long ago",
                [(0, false, Some(500)), (0, false, Some(0)), (700, false, Some(0))],
            ),
            ("the kernel does not answer", [(0, false, None); 3]),
        ];
        for (what, found) in cases {
            assert_eq!(dead_after(&found), Some(12), "{what}");
        }
    }

    #[test]
    fn whose_backlog_moves_is_slow_and_dead_half_a_timeout_after_it_has_stopped() {
        let signs: [(&str, bool, Found); 5] = [
            ("bytes were acknowledged", true, (0, true, Some(79_000))),
            ("the kernel took more of the chunk", true, (0, true, Some(81_000))),
            ("the chunk came home", true, (65_536, true, Some(80_000))),
            ("the chunk came home, and the kernel does not answer", true, (65_536, true, None)),
            ("less was acknowledged than was sent", false, (500, false, Some(80_200))),
        ];
        for (what, in_flight, sign) in signs {
            let before = (0, in_flight, Some(80_000));
            let after = (0, in_flight, sign.2.or(Some(80_000)));
            let found = [before, before, sign, after, after, after];
            assert_eq!(dead_after(&found), Some(18), "{what}");
        }
    }

    #[test]
    fn who_has_just_got_the_ping_has_a_moment_to_answer_once() {
        let waits = (0, false, Some(500));
        let got = (20, false, Some(0));
        assert_eq!(dead_after(&[waits, waits, got, got, got]), Some(15));
        assert_eq!(dead_after(&[waits, got, got, got]), Some(12));
    }
}
