//! How the numbers of a series lie: evenly, or as they come from many who know nothing of each other.

use super::Share;
use crate::chance;
use serde::{Deserialize, Serialize};
use std::vec;

/// How messages come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// At equal distances.
    #[default]
    Constant,
    /// As a Poisson process: at random, with the same rate.
    Poisson,
}

/// The place of each number on an axis on which one is due at every unit.
#[derive(Clone, Debug)]
pub(super) enum Places {
    /// Number `n` lies at `n`.
    Even,
    /// The distances are exponential. Each is looked up by its number, so that all who share a
    /// series add up the same sums in the same order, and the places are the same to the last bit.
    Poisson {
        seed: u64,
        /// So many distances are in the sum.
        walked: u64,
        sum: f64,
    },
    /// All were drawn at once, so that it is known how many there are.
    Drawn {
        /// Those of one worker to which it was not walked yet.
        left: vec::IntoIter<f64>,
        at: f64,
    },
}

impl Places {
    pub(super) fn new(arrivals: Arrivals, seed: u64) -> Self {
        match arrivals {
            Arrivals::Constant => Self::Even,
            Arrivals::Poisson => Self::Poisson { seed, walked: 0, sum: 0.0 },
        }
    }

    /// So many places anywhere among as many units, as one worker needs them that has this share.
    pub(super) fn drawn(seed: u64, share: Share, total: u64) -> Self {
        let mut all: Vec<f64> = (0..total).map(|n| chance::unit(seed, n) * total as f64).collect();
        all.sort_unstable_by(f64::total_cmp);
        let own = (0..share.count(total)).map(|nth| all[share.number(nth) as usize]);
        Self::Drawn { left: own.collect::<Vec<_>>().into_iter(), at: 0.0 }
    }

    /// Walks to `number`, which is the worker's next.
    pub(super) fn walk_to(&mut self, number: u64) {
        match self {
            Self::Even => {}
            Self::Poisson { seed, walked, sum } => {
                while *walked <= number {
                    *sum += exponential(*seed, *walked);
                    *walked += 1;
                }
            }
            Self::Drawn { left, at } => *at = left.next().unwrap_or(*at),
        }
    }

    /// The place of `number`, to which it was walked.
    pub(super) fn place(&self, number: u64) -> f64 {
        match self {
            Self::Even => number as f64,
            Self::Poisson { sum, .. } => *sum,
            Self::Drawn { at, .. } => *at,
        }
    }
}

/// One on average.
fn exponential(seed: u64, n: u64) -> f64 {
    -(1.0 - chance::unit(seed, n)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Ks;

    #[test]
    fn distances_are_exponential() {
        let distances: Vec<f64> = (0..20_000).map(|n| exponential(3, n)).collect();
        let ks = Ks::of(&distances, |x| 1.0 - (-x).exp()).unwrap();
        assert!(ks.p > 0.01, "{ks:?}");
    }
}
