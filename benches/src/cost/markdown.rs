//! The result as a page to publish, held against what is claimed.

use super::slope::Estimate;
use super::{Columns, Step};
use crate::report::{Report, claim};
use halfopen_loadgen::report::number::count;
use std::fmt::Write as _;

/// How much more than the floor a heartbeat may cost.
const RATIO_MAX: f64 = 1.10;

/// An interval from fewer pairs is told of.
const PAIRS_MIN: usize = 20;

const HOW_TO_READ: &str = "\
One ping and its pong, in µs of CPU: the slope over a ladder of heartbeat rates, where heartbeats are \
counted as the server hears their pongs. In brackets the 95 % interval by the bootstrap over pairs. \
The floor sends and answers the same bytes on the same rings and does nothing else; it runs twice in \
each pair, what is held against it is held against both, and its second run over its first tells what \
a ratio of 1 looks like here. What the processes take without a heartbeat, in per cent of a core, is in \
no cost: it does not grow with the rate; with `--zero-once` the first pair has it for all. The machine's \
own stops are counted by the measuring program, alike beside every run, and not by the load generator \
once more.\n\n";

/// The whole page.
pub fn page(report: &Report<Step>) -> String {
    let title = "CPU a heartbeat, both ends together";
    let mut out = report.page(title, HOW_TO_READ, report.runs.iter().map(at_most));
    let ratios = ["connections", "rings a side", "pairs", "s a run", "halfopen", "floor"];
    out += &header(&[&ratios[..], &["halfopen / floor", "floor / floor"]].concat());
    for step in &report.runs {
        let Step { rings, pairs, window_s, both_ends_us, ratio, ratio_of_the_same, .. } = step;
        // Writing into a String does not fail.
        let _ = writeln!(
            out,
            "| {} | {rings} | {pairs} | {window_s} | {} | {} | {} |",
            count(step.connections.into()),
            two(both_ends_us, 1),
            ratio.shown(3),
            ratio_of_the_same.shown(3),
        );
    }
    let parts = ["server: halfopen", "floor", "client: halfopen", "floor"];
    out += &header(&[&["µs, connections"][..], &parts].concat());
    for step in &report.runs {
        out += &parts_row(step, &step.server_us, &step.client_us, 1);
    }
    out += &header(&[&["without a heartbeat, %"][..], &parts].concat());
    for step in &report.runs {
        out += &parts_row(step, &step.server_idle_percent, &step.client_idle_percent, 2);
    }
    out
}

/// What is doubtful about a step.
pub fn doubt(step: &Step) -> Option<String> {
    let few = step.pairs < PAIRS_MIN;
    let (connections, pairs) = (count(step.connections.into()), step.pairs);
    few.then(|| format!("with {connections} connections the interval is of {pairs} pairs only"))
}

fn at_most(step: &Step) -> String {
    let name = format!("{} connections", count(step.connections.into()));
    let says = format!(
        "the upper end of the 95 % interval of the paired ratio over the floor at most {RATIO_MAX:.2}"
    );
    let Estimate { high, .. } = step.ratio;
    claim(&name, &says, &format!("{high:.3}"), high <= RATIO_MAX)
}

fn header(titles: &[&str]) -> String {
    format!("\n| {} |\n|{}\n", titles.join(" | "), "---|".repeat(titles.len()))
}

fn parts_row(step: &Step, server: &Columns, client: &Columns, digits: usize) -> String {
    let connections = count(step.connections.into());
    format!("| {connections} | {} | {} |\n", two(server, digits), two(client, digits))
}

fn two(columns: &Columns, digits: usize) -> String {
    format!("{} | {}", columns.halfopen.shown(digits), columns.floor.shown(digits))
}

#[cfg(test)]
mod tests {
    use super::super::tests::made_up;
    use super::*;

    #[test]
    fn each_step_has_its_row_in_all_tables_and_its_claim() {
        let mut report = Report::begin("made-up/1", "made-up").unwrap();
        report.runs.push(made_up());
        let page = page(&report);
        let rows = [
            "| 10,000 connections: the upper end of the 95 % interval of the paired ratio over the \
             floor at most 1.10 | 1.500 | **no** |",
            "| 10,000 | 1 | 4 | 2 | 30.0 (30.0 to 30.0) | 20.0 (20.0 to 20.0) | \
             1.500 (1.500 to 1.500) | 1.000 (1.000 to 1.000) |",
            "| 10,000 | 15.0 (15.0 to 15.0) | 10.0 (10.0 to 10.0) | 15.0 (15.0 to 15.0) | \
             10.0 (10.0 to 10.0) |",
            "| 10,000 | 0.30 (0.30 to 0.30) | 0.30 (0.30 to 0.30) | 0.10 (0.10 to 0.10) | \
             0.10 (0.10 to 0.10) |",
        ];
        for row in rows {
            assert!(page.lines().any(|line| line == row), "{row}\n{page}");
        }
        assert!(doubt(&report.runs[0]).unwrap().ends_with("of 4 pairs only"));
    }
}
