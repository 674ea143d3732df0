//! The blocks of a report that stands for several servers, each run once or several times.

use super::{Figures, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The figures of one server.
///
/// Over several runs counts are added up; `min`, `watched_s` and `max` are the least, the least and
/// the greatest; every other figure is the median of the runs in which it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerRun {
    /// Its name.
    pub name: String,
    /// The command that started it.
    pub command: String,
    /// What was to be done, as in a report of its own.
    #[serde(default)]
    pub plan: serde_json::Map<String, serde_json::Value>,
    /// Its runs in the order of time. Those that were not completed count only where none was.
    #[serde(default)]
    pub runs: Vec<ServerRunPart>,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// How far the runs lie apart, for each figure by its path; only what was measured.
    #[serde(default)]
    pub spread: BTreeMap<String, Spread>,
}

/// One run of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerRunPart {
    /// The folder with its own report, inside this one.
    pub folder: String,
    /// When it began (RFC 3339).
    pub started: String,
    /// How it ended.
    pub verdict: Verdict,
    /// The codes of its doubts.
    pub doubts: Vec<String>,
}

/// A figure over several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    /// The middle one; of an even number, between the two.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// In how many runs it was measured.
    pub runs: u64,
}

/// A server that was to be run and was not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl Spread {
    /// Of the values that were measured; none if none was.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let median = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { median, min, max, runs: sorted.len() as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_or_lies_between_two() {
        let spread = |values: &[f64]| Spread::of(values).unwrap();
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0, runs: 3 });
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Spread::of(&[]), None);
    }
}
