//! The result as a page to publish, held against what is claimed.

use super::{Case, Outcome, Pipelining};
use crate::cost::slope::Estimate;
use crate::report::{Report, claim};
use crate::table::spread::Spread;
use halfopen_loadgen::report::number::bytes;
use std::fmt::Write as _;

/// The least ratio to the floor with one message under way, and with several.
const RATIO_MIN: [f64; 2] = [0.95, 0.9];

/// How many times as many echoes go with several messages under way, at the least.
const TIMES_MIN: f64 = 7.0;

const HOW_TO_READ: &str = "\
Echoes a second, the median of the runs and in brackets the least and the greatest; ratios of the \
means with their 95 % interval by the bootstrap over pairs, in each of which everything that is \
compared was measured side by side. The floor sends back the bytes that it gets, out of the buffer \
that they came in; it is measured twice, and floor / floor tells what a ratio of 1 looks like here. \
A claim is held by the ratio; its interval stands beside.\n\n";

/// The whole page.
pub fn page(report: &Report<Outcome>) -> String {
    let title = "An echo in a closed loop, one server core";
    let mut out = report.page(title, HOW_TO_READ, report.runs.iter().flat_map(claims));
    out += "\n| connections | bytes | under way | pairs | s a run | halfopen | floor | halfopen / \
            floor | floor / floor | server CPU a message, halfopen / floor |\n\
            |---|---|---|---|---|---|---|---|---|---|\n";
    for outcome in &report.runs {
        outcome.cases.iter().for_each(|case| out += &row(outcome, case));
    }
    out
}

fn claims(outcome: &Outcome) -> Vec<String> {
    let name = format!("{} × {}", outcome.talk.connections, bytes(outcome.talk.size.into()));
    let at_least = |says: &str, measured: &Estimate, least: f64| {
        claim(
            &name,
            &format!("{says} at least {least}"),
            &measured.shown(3),
            measured.value >= least,
        )
    };
    let floors = outcome.cases.iter().map(|case| {
        let least = RATIO_MIN[usize::from(case.window > 1)];
        at_least(&format!("{} under way, of the floor", case.window), &case.ratio, least)
    });
    let times = outcome.pipelining.iter().map(|Pipelining { window, beside, times }| {
        at_least(&format!("{window} under way, times as many as with {beside}"), times, TIMES_MIN)
    });
    floors.chain(times).collect()
}

fn row(outcome: &Outcome, case: &Case) -> String {
    let [ours, floor] = [&case.halfopen, &case.floor].map(thousands);
    let [over, same, cpu] = [&case.ratio, &case.ratio_of_the_same, &case.server_cpu_ratio]
        .map(|estimate| estimate.shown(3));
    let mut row = String::new();
    // Writing into a String does not fail.
    let _ = writeln!(
        row,
        "| {} | {} | {} | {} | {} | {ours} | {floor} | {over} | {same} | {cpu} |",
        outcome.talk.connections, outcome.talk.size, case.window, outcome.pairs, outcome.window_s,
    );
    row
}

fn thousands(Spread { median, min, max }: &Spread) -> String {
    let [median, min, max] = [median, min, max].map(|rate| format!("{:.1}k", rate / 1e3));
    format!("{median} ({min} to {max})")
}

#[cfg(test)]
mod tests {
    use super::super::tests::made_up;
    use super::*;

    #[test]
    fn each_claim_has_its_row_and_falls_by_its_ratio() {
        let mut report = Report::begin("made-up/1", "made-up").unwrap();
        report.runs.push(made_up([949.0, 9_100.0]));
        let page = page(&report);
        let rows = [
            "| 200 × 20 B: 1 under way, of the floor at least 0.95 | 0.949 (0.949 to 0.949) | **no** |",
            "| 200 × 20 B: 16 under way, of the floor at least 0.9 | 0.910 (0.910 to 0.910) | yes |",
            "| 200 × 20 B: 16 under way, times as many as with 1 at least 7 | 9.589 (9.589 to 9.589) | yes |",
        ];
        for row in rows {
            assert!(page.lines().any(|line| line == row), "{row}\n{page}");
        }
        assert!(page.contains("| 200 | 20 | 1 | 4 | 1 | 1.1k (0.9k to 1.2k) |"), "{page}");
    }
}
