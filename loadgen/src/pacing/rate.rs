//! How many a second, and how that changes with time.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A rate, constant or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Rate {
    /// So many a second.
    Constant(f64),
    /// It changes evenly.
    Ramp {
        /// At the begin.
        from: f64,
        /// At the end, and beyond it.
        to: f64,
    },
    /// One after the other, each for an equal part of the time; the last goes on beyond it.
    Steps(Vec<f64>),
}

impl From<f64> for Rate {
    fn from(rate: f64) -> Self {
        Self::Constant(rate)
    }
}

impl Rate {
    /// Whether everything about it is a rate: positive, and there at all.
    pub fn is_valid(&self) -> bool {
        let positive = |rate: &f64| *rate > 0.0 && rate.is_finite();
        match self {
            Self::Constant(rate) => positive(rate),
            Self::Ramp { from, to } => positive(from) && positive(to),
            Self::Steps(rates) => !rates.is_empty() && rates.iter().all(positive),
        }
    }

    /// The mean over the time that it is planned for.
    pub fn mean(&self) -> f64 {
        match self {
            Self::Constant(rate) => *rate,
            Self::Ramp { from, to } => (from + to) / 2.0,
            Self::Steps(rates) => rates.iter().sum::<f64>() / rates.len() as f64,
        }
    }

    /// Its course over `time`.
    pub(super) fn course(&self, time: Duration) -> Course {
        let time = time.as_secs_f64().max(f64::MIN_POSITIVE);
        let mut course = Course(Vec::new());
        match self {
            Self::Constant(rate) => course.add(0.0, *rate, *rate),
            Self::Ramp { from, to } => {
                course.add(time, *from, *to);
                course.add(0.0, *to, *to);
            }
            Self::Steps(rates) => {
                let each = time / rates.len() as f64;
                rates.iter().for_each(|rate| course.add(each, *rate, *rate));
            }
        }
        course
    }
}

/// Pieces of time, in each of which the rate changes evenly. The last never ends.
#[derive(Clone, Debug)]
pub(super) struct Course(Vec<Piece>);

#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Seconds before it.
    start: f64,
    /// How many are due before it.
    before: f64,
    /// The rate at its begin.
    rate: f64,
    /// By how much the rate grows in a second.
    slope: f64,
    /// Seconds; zero: the last.
    length: f64,
}

impl Course {
    /// The same rate for ever.
    pub(super) fn constant(rate: f64) -> Self {
        Rate::Constant(rate).course(Duration::ZERO)
    }

    fn add(&mut self, length: f64, from: f64, to: f64) {
        let (start, before) = self.0.last().map_or((0.0, 0.0), |last| {
            (
                last.start + last.length,
                last.before + (last.rate + last.slope * last.length / 2.0) * last.length,
            )
        });
        let slope = if from == to { 0.0 } else { (to - from) / length };
        self.0.push(Piece { start, before, rate: from, slope, length });
    }

    /// Seconds until so many are due. Computed from the number alone, so nothing adds up: a double
    /// holds it exactly enough, below a nanosecond of error for the first fifty days.
    pub(super) fn seconds(&self, due: f64) -> f64 {
        let piece = self.0.iter().rev().find(|piece| piece.before <= due).unwrap_or(&self.0[0]);
        let (due, Piece { rate, slope, .. }) = (due - piece.before, *piece);
        // due = rate·t + slope·t²/2, solved in the form in which nothing cancels.
        let root = (rate * rate + 2.0 * slope * due).max(0.0).sqrt();
        piece.start + 2.0 * due / (rate + root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_table_of_courses() {
        let ramp = Rate::Ramp { from: 10.0, to: 20.0 };
        let fall = Rate::Ramp { from: 20.0, to: 10.0 };
        let steps = Rate::Steps(vec![1.0, 2.0, 5.0]);
        // rate, how many, after how many seconds
        let table = [
            (Rate::Constant(4.0), 10.0, 2.5),
            (ramp.clone(), 0.0, 0.0),
            // 10·30 + 10/60·30²/2 in half the time, 15 a second on average over all of it.
            (ramp.clone(), 375.0, 30.0),
            (ramp.clone(), 900.0, 60.0),
            (ramp, 920.0, 61.0),
            (fall.clone(), 525.0, 30.0),
            (fall, 910.0, 61.0),
            (steps.clone(), 20.0, 20.0),
            (steps.clone(), 60.0, 40.0),
            (steps, 165.0, 61.0),
        ];
        for (rate, due, seconds) in table {
            let found = rate.course(MINUTE).seconds(due);
            assert!((found - seconds).abs() < 1e-9, "{due} of {rate:?} after {found} s");
        }
    }

    #[test]
    fn no_rate_is_nothing_or_endless() {
        let ramp = |from, to| Rate::Ramp { from, to };
        for wrong in [0.0.into(), f64::NAN.into(), ramp(0.0, 1.0), ramp(1.0, -1.0)] {
            assert!(!wrong.is_valid(), "{wrong:?}");
        }
        assert!(!Rate::Steps(Vec::new()).is_valid() && !Rate::Steps(vec![1.0, 0.0]).is_valid());
        assert!(ramp(1.0, 2.0).is_valid() && Rate::Steps(vec![1.0]).is_valid());
    }

    proptest! {
        /// As many are due in a piece of time as the mean of its rates says, whatever the rates.
        #[test]
        fn what_is_due_is_the_area_under_the_rate(
            rates in prop::collection::vec(0.1f64..1e6, 1..6), ramps: bool, part in 0.0f64..1.0,
        ) {
            let rate = match rates[..] {
                [from, to, ..] if ramps => Rate::Ramp { from, to },
                _ => Rate::Steps(rates),
            };
            let (course, all) = (rate.course(MINUTE), rate.mean() * 60.0);
            prop_assert!((course.seconds(all) - 60.0).abs() < 1e-6);
            let (some, more) = (course.seconds(all * part), course.seconds(all * part + 1.0));
            prop_assert!(some <= 60.0 + 1e-9 && some < more);
        }
    }
}
