use crate::Counter;
use std::time::Duration;

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const S: u64 = 1_000 * MS;

/// Upper bounds for the times of turns, ns: from a loop that has next to nothing to do to one that
/// somebody blocks.
pub const TURN_NS: [u64; 19] = [
    10 * US,
    25 * US,
    50 * US,
    100 * US,
    250 * US,
    500 * US,
    MS,
    2_500 * US,
    5 * MS,
    10 * MS,
    25 * MS,
    50 * MS,
    100 * MS,
    250 * MS,
    500 * MS,
    S,
    2_500 * MS,
    5 * S,
    10 * S,
];

/// How long turns of a loop took, written by one thread and read by others. A turn does not contain
/// the wait before it.
#[derive(Debug, Default)]
pub struct Turns {
    /// One for each bound, and one for what is beyond the last.
    counts: [Counter; TURN_NS.len() + 1],
    /// Nanoseconds of all together.
    pub sum_ns: Counter,
    /// Nanoseconds of the longest.
    pub max_ns: Counter,
}

impl Turns {
    /// One took so long.
    pub fn add(&self, turn: Duration) {
        let ns = turn.as_nanos() as u64;
        self.counts[TURN_NS.partition_point(|&bound| bound < ns)].add(1);
        self.sum_ns.add(ns);
        self.max_ns.raise(ns);
    }

    /// How many took at most as long as each of [`TURN_NS`] and longer than the one before; then
    /// those that took longer than all.
    pub fn counts(&self) -> [u64; TURN_NS.len() + 1] {
        self.counts.each_ref().map(Counter::value)
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts().iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_is_counted_below_the_next_bound() {
        assert!(TURN_NS.is_sorted());
        let turns = Turns::default();
        for ns in [0, 10 * US, 10 * US + 1, 60 * S] {
            turns.add(Duration::from_nanos(ns));
        }
        let counts = turns.counts();
        assert_eq!((counts[0], counts[1], counts[TURN_NS.len()]), (2, 1, 1));
        assert_eq!((turns.count(), turns.max_ns.value()), (4, 60 * S));
        assert_eq!(turns.sum_ns.value(), 20 * US + 1 + 60 * S);
    }
}
