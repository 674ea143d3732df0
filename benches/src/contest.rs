//! The contests: one job each, done by halfopen and by its rivals, every one through the best that
//! its public API has for the job.
//!
//! One loop runs all contestants, on the same bytes and in the same buffers, and checks every answer;
//! connections live as long as their bench, so the steady state is measured and never the set-up.
//! What a rival keeps private is not imitated: it is left out of that contest, and takes part in
//! those that reach it through what is public. Rivals come with the feature `rivals`.
//!
//! | job | what is to be done |
//! |---|---|
//! | [`mask`] | XOR with the key, in place |
//! | [`text`] | XOR with the key and tell whether that is UTF-8, in place |
//! | [`receive`] | messages out of the bytes of a stream, which a read copies as a kernel would |
//! | [`encode`] | the bytes of one frame, in one piece of memory |
//! | [`handshake`] | the bytes of a server's answer, for those of a request |

pub mod arena;
pub mod encode;
pub mod handshake;
pub mod input;
pub mod mask;
pub mod receive;
pub mod text;
#[cfg(feature = "rivals")]
mod transport;

use std::env;

/// The environment variable that numbers the rounds of a measurement. Where it is set, the
/// contestants take turns at being first, and halfopen takes part twice.
pub const ROUND: &str = "HALFOPEN_BENCH_ROUND";

/// One way in which halfopen takes part.
pub trait Variant {
    /// How it is called.
    const NAME: &'static str;
}

/// As everyone uses it.
#[derive(Debug)]
pub struct Plain;

/// The same once more: how far two runs of the same code lie apart.
#[derive(Debug)]
pub struct Again;

/// With nothing better than AVX2, on a CPU that has better.
#[derive(Debug)]
pub struct Avx2;

impl Variant for Plain {
    const NAME: &'static str = "halfopen";
}

impl Variant for Again {
    const NAME: &'static str = "halfopen-again";
}

impl Variant for Avx2 {
    const NAME: &'static str = "halfopen-avx2";
}

/// The ways in which halfopen takes part in this round, on this CPU.
macro_rules! ours {
    ($contest:ident) => {{
        use super::{Again, Avx2, Plain, round};
        use halfopen_proto::simd::{Level, available, limit};
        let mut ours: Vec<fn(&mut $contest)> = vec![$contest::run::<Halfopen<Plain>>];
        if round().is_some() {
            ours.push($contest::run::<Halfopen<Again>>);
        }
        if available().any(|level| level == Level::Avx512) {
            ours.push(|contest| {
                limit(Level::Avx2);
                contest.run::<Halfopen<Avx2>>();
                limit(Level::Avx512);
            });
        }
        ours
    }};
}
use ours;

/// The round of a measurement, where this is one.
fn round() -> Option<usize> {
    env::var(ROUND).ok()?.parse().ok()
}

/// Lets all take part, in this round's order.
fn take_turns<C>(contest: &mut C, contestants: Vec<fn(&mut C)>) {
    in_turn(contestants, round().unwrap_or(0)).into_iter().for_each(|run| run(contest));
}

/// Each round begins with another one, and every second goes backwards, so that a drift of the machine
/// meets all alike.
fn in_turn<T>(mut contestants: Vec<T>, round: usize) -> Vec<T> {
    if round % 2 == 1 {
        contestants.reverse();
    }
    let first = round % contestants.len();
    contestants.rotate_left(first);
    contestants
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_first_in_turn_and_every_second_round_goes_backwards() {
        let orders: Vec<_> = (0..4).map(|round| in_turn(vec!['a', 'b', 'c'], round)).collect();
        assert_eq!(orders, [['a', 'b', 'c'], ['b', 'a', 'c'], ['c', 'a', 'b'], ['c', 'b', 'a']]);
    }
}
