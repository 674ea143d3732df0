//! How long a driver that is never dry has worked.
//!
//! Such a driver cannot say how far it has heard; that it has worked for a while is all that speaks
//! for its having handed over who answered. But a process that was stopped comes back to a later
//! clock without having done anything, and between two looks at the clock a stop looks like a handler
//! that takes long. So of the time between two looks no more than [`PIECE`] counts as work.
//!
//! What would be exact is a clock of work beside each question; a connection has no room for one.
//! Instead it is remembered since when no time between two looks was longer than a piece, than four,
//! than sixteen and than sixty-four. Where none was longer than four, at least a quarter was work.

use halfopen_wheel::Instant;
use std::time::Duration;

/// The most that counts as work between two looks at the clock.
const PIECE: Duration = Duration::from_millis(50);

/// The times between two looks that are told apart, in pieces.
const PIECES: [u32; 4] = [1, 4, 16, 64];

/// Since when a driver has worked and was never dry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// Since when no time between two looks was longer than so many [`PIECES`].
    since: [Instant; PIECES.len()],
}

impl Busy {
    /// It has worked from then on, and looked at the clock often.
    pub const fn since(start: Instant) -> Self {
        Self { since: [start; PIECES.len()] }
    }

    /// It looked at the clock at `before`, and then not until `now`.
    pub fn looked(&mut self, before: Instant, now: Instant) {
        let time = now.saturating_since(before);
        if time <= PIECE {
            return;
        }
        for (since, pieces) in self.since.iter_mut().zip(PIECES) {
            if time > PIECE * pieces {
                *since = now;
            }
        }
    }

    /// When it was dry for the last time, or stopped for very long.
    pub fn start(&self) -> Instant {
        self.since[PIECES.len() - 1]
    }

    /// Since when it has looked at the clock often.
    pub fn unbroken(&self) -> Instant {
        self.since[0]
    }

    /// Whether since `asked` a time as long as `timeout` has passed, and as long a one in which it
    /// has worked.
    pub fn has_listened(&self, now: Instant, asked: Instant, timeout: Duration) -> bool {
        self.since.iter().zip(PIECES).any(|(&since, pieces)| {
            asked.max(since) + timeout + timeout.saturating_mul(pieces) <= now
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// Looks each so many milliseconds from `now` on, and gives back after how many who was asked
    /// at `asked` has had a second, and one in which there was work.
    fn listened(mut busy: Busy, now: u64, asked: u64, steps: impl Fn(u64) -> u64) -> Option<u64> {
        let mut at = now;
        (0..2_000).find_map(|number| {
            let step = steps(number);
            busy.looked(ms(at), ms(at + step));
            at += step;
            busy.has_listened(ms(at), ms(asked), SECOND).then_some(at - now)
        })
    }

    #[test]
    fn short_pieces_count_whole_and_of_long_ones_at_least_their_share() {
        let table = [(1, 2_000), (50, 2_000), (60, 5_040), (200, 5_000), (3_200, 67_200)];
        for (step, all) in table {
            assert_eq!(listened(Busy::since(ms(0)), 0, 0, |_| step), Some(all), "{step}");
        }
        assert_eq!(listened(Busy::since(ms(0)), 0, 0, |_| 4_000), None);
    }

    #[test]
    fn one_long_handler_among_short_ones_does_not_start_it_all_anew() {
        let steps = |number| if number % 20 == 19 { 60 } else { 1 };
        let all = listened(Busy::since(ms(0)), 0, 0, steps);
        assert!(all.is_some_and(|all| (5_000..5_100).contains(&all)), "{all:?}");
    }

    #[test]
    fn a_stop_is_no_work_however_long_it_is() {
        for stop in [300, 900, 2_000, 60_000, 86_400_000] {
            for asked in [500_000, 999_000, 999_999] {
                let mut busy = Busy::since(ms(0));
                let back = 1_000_000 + stop;
                busy.looked(ms(1_000_000), ms(back));
                let all = listened(busy, back, asked, |_| 1);
                // Who was asked long ago had time enough before it.
                let early = asked == 500_000 && stop <= 3_200;
                assert_eq!(all, Some(if early { 1 } else { 2_000 }), "{stop}");
            }
        }
    }
}
