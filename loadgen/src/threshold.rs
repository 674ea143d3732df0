//! Limits such as `pings.client.rtt_us.p99 > 2ms`: what must not be.
//!
//! A path leads through `report.json` to a number. A bare number is in the unit that the path names;
//! one with a unit is converted to it. A figure that was not measured counts as missed.

mod path;
mod unit;

use crate::report::schema::ThresholdBlock;
use path::Leaf;
use serde_json::Value;
use std::str::FromStr;
use unit::Unit;

/// A limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    expr: String,
    path: Vec<String>,
    comparison: Comparison,
    /// In the unit of the path.
    limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    Unequal,
}

/// The longer ones first, because `>` begins `>=`.
const COMPARISONS: [(&str, Comparison); 6] = [
    (">=", Comparison::GreaterOrEqual),
    ("<=", Comparison::LessOrEqual),
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    (">", Comparison::Greater),
    ("<", Comparison::Less),
];

impl Comparison {
    fn holds(self, figure: f64, limit: f64) -> bool {
        match self {
            Self::Greater => figure > limit,
            Self::GreaterOrEqual => figure >= limit,
            Self::Less => figure < limit,
            Self::LessOrEqual => figure <= limit,
            Self::Equal => figure == limit,
            Self::Unequal => figure != limit,
        }
    }
}

/// A figure of which a limit can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its path in `report.json`; `*` stands for any name.
    pub path: String,
    /// In what it is counted; empty: things, or a bare ratio.
    pub unit: &'static str,
}

/// All figures of which limits can be set, in the order of the schema.
pub fn metrics() -> Vec<Metric> {
    let metric = |path: String| Metric { unit: unit_of(&path), path };
    path::all().into_iter().map(metric).collect()
}

/// In what a figure is counted, by its path; empty: things, or a bare ratio.
pub fn unit_of(path: &str) -> &'static str {
    Unit::of_path(path.split('.')).name()
}

/// Checks that a figure has this name.
///
/// # Errors
/// It has not; the nearest names are told.
pub fn check_path(path: &str) -> Result<(), ThresholdError> {
    Leaf::find(path).map(drop)
}

/// What is wrong with a limit, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// It is no comparison.
    #[error("`{0}` is no comparison: write PATH > VALUE, with > >= < <= == or !=")]
    NoComparison(String),
    /// No figure of a report has this name.
    #[error("report.json has no figure `{path}`; the nearest are {}", .nearest.join(", "))]
    UnknownPath {
        /// What was asked for.
        path: String,
        /// The names most like it.
        nearest: Vec<String>,
    },
    /// The value is not one that the figure can have.
    #[error("`{value}` does not fit {path}: allowed are {allowed}")]
    BadValue {
        /// The figure.
        path: String,
        /// What was to be its limit.
        value: String,
        /// What could be.
        allowed: String,
    },
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(expr: &str) -> Result<Self, ThresholdError> {
        let no_comparison = || ThresholdError::NoComparison(expr.to_owned());
        let at = expr.find(['<', '>', '=', '!']).ok_or_else(no_comparison)?;
        let (path, rest) = expr.split_at(at);
        let (sign, comparison) = COMPARISONS
            .into_iter()
            .find(|(sign, _)| rest.starts_with(sign))
            .ok_or_else(no_comparison)?;
        let (path, value) = (path.trim(), rest[sign.len()..].trim());
        if path.is_empty() || value.is_empty() {
            return Err(no_comparison());
        }
        let leaf = Leaf::find(path)?;
        let limit = leaf.unit.parse(value).ok_or_else(|| ThresholdError::BadValue {
            path: path.to_owned(),
            value: value.to_owned(),
            allowed: leaf.unit.allowed().to_owned(),
        })?;
        Ok(Self { expr: expr.trim().to_owned(), path: leaf.segments, comparison, limit })
    }
}

impl Threshold {
    /// The limit as it was given.
    pub fn expr(&self) -> &str {
        &self.expr
    }

    /// Judges a report.
    pub fn judge(&self, report: &Value) -> ThresholdBlock {
        let value = self.figure(report);
        let held = value.is_some_and(|figure| !self.comparison.holds(figure, self.limit));
        ThresholdBlock { expr: self.expr.clone(), value, held }
    }

    fn figure(&self, report: &Value) -> Option<f64> {
        let mut here = report;
        for (i, segment) in self.path.iter().enumerate() {
            match here.get(segment) {
                Some(next) => here = next,
                // A reason or a code that never came was counted: it came 0 times.
                None => return path::counts_absence(&self.path[..i]).then_some(0.0),
            }
        }
        here.as_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judge(expr: &str, report: &Value) -> (Option<f64>, bool) {
        let block = expr.parse::<Threshold>().unwrap_or_else(|e| panic!("{e}")).judge(report);
        (block.value, block.held)
    }

    #[test]
    fn a_limit_is_converted_to_the_unit_of_its_path() {
        let report = json!({ "pings": { "client": { "rtt_us": { "p99": 1999.0 } } } });
        for (expr, held) in [
            ("pings.client.rtt_us.p99 > 2ms", true),
            ("pings.client.rtt_us.p99 > 1998us", false),
            ("pings.client.rtt_us.p99>1.9ms", false),
            ("pings.client.rtt_us.p99 >= 1999", false),
            ("pings.client.rtt_us.p99 < 0.001s", true),
            ("pings.client.rtt_us.p99 == 1999us", false),
            ("pings.client.rtt_us.p99 != 1999us", true),
            ("pings.client.rtt_us.p99 <= 1999us", false),
        ] {
            assert_eq!(judge(expr, &report), (Some(1999.0), held), "{expr}");
        }
    }

    #[test]
    fn a_figure_that_was_not_measured_is_missed() {
        let report =
            json!({ "pings": { "client": null }, "messages": { "latency_us": {"p99": null} } });
        assert_eq!(judge("pings.client.rtt_us.p99 > 2ms", &report), (None, false));
        assert_eq!(judge("messages.latency_us.p99 > 2ms", &report), (None, false));
        assert_eq!(judge("deaths.mute.detected < 1", &json!({ "deaths": {} })), (None, false));
    }

    #[test]
    fn a_reason_that_never_came_came_zero_times() {
        let report = json!({
            "connections": { "failed": { "refused": 3 } },
            "living": { "lost": { "closed": {} } },
        });
        assert_eq!(judge("connections.failed.refused > 0", &report), (Some(3.0), false));
        assert_eq!(judge("connections.failed.timeout > 0", &report), (Some(0.0), true));
        assert_eq!(judge("living.lost.closed.1006 > 0", &report), (Some(0.0), true));
    }

    #[test]
    fn sizes_shares_and_counts_have_their_units() {
        let report = json!({
            "memory": { "server_rss_bytes": 2048 }, "cost": { "server_cpu_percent": 12.5 },
            "false_kills": 0, "deaths": { "freeze": { "killed": 1000, "watched_s": 9.5 } },
        });
        assert_eq!(judge("memory.server_rss_bytes > 1KiB", &report), (Some(2048.0), false));
        assert_eq!(judge("cost.server_cpu_percent > 13%", &report), (Some(12.5), true));
        assert_eq!(judge("false_kills > 0", &report), (Some(0.0), true));
        assert_eq!(judge("deaths.freeze.killed < 1k", &report), (Some(1000.0), true));
        assert_eq!(judge("deaths.freeze.watched_s < 9600ms", &report), (Some(9.5), false));
    }

    #[test]
    fn an_unknown_path_is_answered_with_the_nearest() {
        let error = "ping.client.rtt_us.p9 > 2ms".parse::<Threshold>().unwrap_err();
        assert!(error.to_string().contains("pings.client.rtt_us.p90"), "{error}");
        let error = "deaths.blackhol.detected < 1".parse::<Threshold>().unwrap_err();
        assert!(error.to_string().contains("deaths.blackhole.detected"), "{error}");
        // A block is no figure, and neither is a word.
        assert!("pings.client.rtt_us > 2ms".parse::<Threshold>().is_err());
        assert!("verdict == 1".parse::<Threshold>().is_err());
    }

    #[test]
    fn a_value_of_another_kind_is_refused_with_what_is_allowed() {
        let error = "pings.client.rtt_us.p99 > 2KiB".parse::<Threshold>().unwrap_err();
        assert!(error.to_string().contains("2ms"), "{error}");
        for wrong in ["false_kills > 1ms", "false_kills > x", "memory.server_rss_bytes > 5%"] {
            assert!(wrong.parse::<Threshold>().is_err(), "{wrong}");
        }
        for wrong in ["", "false_kills", "> 3", "false_kills >", "false_kills = 3"] {
            let error = wrong.parse::<Threshold>().unwrap_err();
            assert!(matches!(error, ThresholdError::NoComparison(_)), "{wrong}: {error}");
        }
    }
}
