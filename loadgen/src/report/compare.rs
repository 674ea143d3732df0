//! One run beside another.
//!
//! One run against one cannot settle a ratio: the same program measured twice differs by up to
//! [`NOISE`]. So a single pair of runs is judged by a rule that knows its limits. Counts that ought
//! to be zero and are not, where they were before, are *worse*. A time or a cost that is greater by
//! more than the noise may be either: *no verdict*, measure more runs. Everything else is *not
//! worse*, as far as two runs can tell.

use super::number::{or_dash, significant};
use super::schema::Report;
use super::text::{figures, table};
use serde::Serialize;
use std::collections::BTreeMap;

/// By how much two runs of the same program may differ.
pub const NOISE: f64 = 1.12;

/// Two runs side by side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Each figure that was measured in one of them.
    pub rows: Vec<Row>,
    /// What may be said of the second.
    pub judgement: Judgement,
    /// Why.
    pub reasons: Vec<String>,
}

/// A figure in two runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its path in `report.json`.
    pub figure: String,
    /// In the baseline.
    pub baseline: Option<f64>,
    /// In the run that is judged.
    pub value: Option<f64>,
    /// The one over the other.
    pub ratio: Option<f64>,
}

/// What may be said of a run that stands beside its baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Nothing is worse by more than two runs of the same program may differ.
    NotWorse,
    /// Something is lost that was not lost before.
    Worse,
    /// Two runs cannot tell.
    NoVerdict,
}

impl Judgement {
    /// The exit status of the program for `--fail-if worse`.
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::NotWorse => 0,
            Self::Worse => 3,
            Self::NoVerdict => 4,
        }
    }
}

/// Settings that must agree, or else two runs say nothing about each other.
const SETTINGS: [&str; 13] = [
    "connections",
    "ping_interval_ms",
    "ping_timeout_ms",
    "message_rate_per_s",
    "message_bytes",
    "window",
    "client_ping_ms",
    "beat_ms",
    "churn_per_s",
    "herd",
    "kill",
    "kill_over_ms",
    "tls",
];

/// Puts `run` beside `baseline`.
pub fn compare(baseline: &Report, run: &Report) -> Comparison {
    let before: BTreeMap<String, Option<f64>> = figures(baseline).into_iter().collect();
    let rows = figures(run).into_iter().map(|(figure, value)| {
        let baseline = before.get(&figure).copied().flatten();
        let ratio = value.zip(baseline).filter(|(_, base)| *base > 0.0);
        Row { figure, baseline, value, ratio: ratio.map(|(value, base)| value / base) }
    });
    let rows: Vec<Row> = rows.filter(|row| row.baseline.or(row.value).is_some()).collect();
    let (judgement, reasons) = judge(baseline, run, &rows);
    Comparison { rows, judgement, reasons }
}

fn judge(baseline: &Report, run: &Report, rows: &[Row]) -> (Judgement, Vec<String>) {
    let differences = differences(baseline, run);
    if !differences.is_empty() {
        return (Judgement::NoVerdict, differences);
    }
    let losses: Vec<String> = rows.iter().filter(|row| is_new_loss(row)).map(say).collect();
    if !losses.is_empty() {
        return (Judgement::Worse, losses);
    }
    let doubtful: Vec<String> = rows.iter().filter(|row| is_beyond_noise(row)).map(say).collect();
    if !doubtful.is_empty() {
        return (Judgement::NoVerdict, doubtful);
    }
    (Judgement::NotWorse, Vec::new())
}

/// What makes the runs incomparable.
fn differences(baseline: &Report, run: &Report) -> Vec<String> {
    // What is off was not always a setting.
    let set = |report: &'_ Report, name: &str| {
        report.plan.get(name).filter(|&value| value != false && !value.is_null()).cloned()
    };
    let settings = SETTINGS.iter().filter(|&&name| set(baseline, name) != set(run, name));
    let mut all: Vec<_> = settings.map(|name| format!("the plans differ in {name}")).collect();
    let place = |report: &Report| (report.env.label(), report.env.cores, report.env.cpu.clone());
    if place(baseline) != place(run) {
        all.push("the machines differ".to_owned());
    }
    all
}

fn is_new_loss(row: &Row) -> bool {
    let counts = ["false_kills", "living.lost.reset"];
    let matters = counts.contains(&row.figure.as_str())
        || row.figure.starts_with("connections.failed.")
        || row.figure.starts_with("living.lost.closed.")
        || (row.figure.starts_with("deaths.") && row.figure.ends_with(".pending"));
    matters && row.value.is_some_and(|n| n > 0.0) && row.baseline.unwrap_or(0.0) == 0.0
}

/// Times and costs of which a smaller one is better.
fn is_beyond_noise(row: &Row) -> bool {
    let costs = row.figure.starts_with("cost.") && row.figure.ends_with(".value");
    let memory = row.figure.starts_with("memory.");
    let percentile = row.figure.ends_with(".p50") || row.figure.ends_with(".p99");
    let times = ["detection_ms", "reclaim_ms", "rtt_us", "latency_us", "connect_ms"];
    let times = percentile && times.iter().any(|name| row.figure.contains(name));
    (costs || memory || times) && row.ratio.is_some_and(|ratio| ratio > NOISE)
}

fn say(row: &Row) -> String {
    format!("{}: {} after {}", row.figure, or_dash(row.value), or_dash(row.baseline))
}

impl Comparison {
    /// The rows that differ, as a table in Markdown, and what may be said.
    pub fn markdown(&self) -> String {
        let rows = self.rows.iter().filter(|row| row.value != row.baseline).map(|row| {
            let ratio = row.ratio.map_or_else(|| "–".into(), significant);
            [format!("`{}`", row.figure), or_dash(row.baseline), or_dash(row.value), ratio]
        });
        let rows: Vec<_> = rows.collect();
        let mut text = table(&["figure", "baseline", "this run", "ratio"], 1, &rows);
        let judgement = match self.judgement {
            Judgement::NotWorse => format!(
                "Not worse, as far as two runs can tell: they differ by up to {NOISE} without a cause."
            ),
            Judgement::Worse => "Worse:".to_owned(),
            Judgement::NoVerdict => {
                "No verdict: a single pair of runs cannot tell. Repeat both, in turns:".to_owned()
            }
        };
        text.push_str(&format!("\n{judgement}\n"));
        for reason in &self.reasons {
            text.push_str(&format!("- {reason}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample_run::sample;
    use super::*;
    use crate::death::Death;

    #[test]
    fn a_run_is_not_worse_than_itself() {
        let (report, _) = sample();
        let comparison = compare(&report, &report);
        assert_eq!(comparison.judgement, Judgement::NotWorse);
        assert!(comparison.rows.iter().all(|row| row.ratio.is_none_or(|ratio| ratio == 1.0)));
        assert!(comparison.rows.len() > 50);
    }

    #[test]
    fn a_loss_that_was_not_there_before_is_worse() {
        let (report, _) = sample();
        let mut lossy = report.clone();
        lossy.figures.false_kills = 1;
        assert_eq!(compare(&report, &lossy).judgement, Judgement::Worse);
        assert_eq!(compare(&lossy, &report).judgement, Judgement::NotWorse);
        let mut pending = report.clone();
        pending.figures.deaths.get_mut(&Death::Freeze).unwrap().pending = 3;
        let comparison = compare(&report, &pending);
        assert_eq!(comparison.reasons, ["deaths.freeze.pending: 3 after 0"]);
        assert!(comparison.markdown().contains("Worse:\n- deaths.freeze.pending"));
    }

    #[test]
    fn two_runs_cannot_settle_a_ratio() {
        let (report, _) = sample();
        let mut slower = report.clone();
        let p99 = &mut slower.figures.deaths.get_mut(&Death::Freeze).unwrap().detection_ms.p99;
        *p99 = p99.map(|ms| ms * 1.3);
        assert_eq!(compare(&report, &slower).judgement, Judgement::NoVerdict);
        assert_eq!(compare(&slower, &report).judgement, Judgement::NotWorse);
    }

    #[test]
    fn other_plans_are_not_compared() {
        let (report, _) = sample();
        let mut other = report.clone();
        other.plan.insert("connections".into(), 5.into());
        let comparison = compare(&report, &other);
        assert_eq!(comparison.judgement, Judgement::NoVerdict);
        assert_eq!(comparison.reasons, ["the plans differ in connections"]);
    }

    #[test]
    fn a_run_over_tls_is_not_compared_with_one_without_whether_that_says_so_or_is_older() {
        let (plain, _) = sample();
        let (mut secure, mut older) = (plain.clone(), plain.clone());
        secure.plan.insert("tls".into(), true.into());
        assert_eq!(compare(&plain, &secure).reasons, ["the plans differ in tls"]);
        older.plan.remove("tls");
        assert_eq!(compare(&older, &plain).judgement, Judgement::NotWorse);
    }
}
