//! The result as a page to publish.

use super::slope::Estimate;
use super::{Columns, Report, Step};
use std::fmt::Write as _;

/// The whole page.
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    // Writing into a String does not fail.
    let _ = writeln!(
        out,
        "# CPU a heartbeat, both ends together, over loopback in a VM\n\n\
         One ping and its pong, in µs of CPU: the slope over a ladder of heartbeat rates, Linux {}, \
         {} s a run. In brackets the 95 % interval by the bootstrap over pairs. The floor sends and \
         answers the same bytes on the same rings and does nothing else.\n",
        report.kernel, report.window_s
    );
    out += "| connections | rings a side | pairs | halfopen | floor | halfopen / floor | floor / floor |\n";
    out += "|---|---|---|---|---|---|---|\n";
    for step in &report.steps {
        let Step { connections, rings, pairs, both_ends_us, ratio, ratio_of_the_same, .. } = step;
        let [halfopen, floor] = [both_ends_us.halfopen, both_ends_us.floor].map(|us| cell(&us, 1));
        let [over, same] = [ratio, ratio_of_the_same].map(|ratio| cell(ratio, 3));
        let _ = writeln!(
            out,
            "| {connections} | {rings} | {pairs} | {halfopen} | {floor} | {over} | {same} |"
        );
    }
    out += "\n| connections | server: halfopen | floor | client: halfopen | floor |\n";
    out += "|---|---|---|---|---|\n";
    for step in &report.steps {
        let [server, client] = [&step.server_us, &step.client_us].map(two);
        let _ = writeln!(out, "| {} | {server} | {client} |", step.connections);
    }
    out
}

fn two(columns: &Columns) -> String {
    format!("{} | {}", cell(&columns.halfopen, 1), cell(&columns.floor, 1))
}

fn cell(estimate: &Estimate, digits: usize) -> String {
    let Estimate { value, low, high } = estimate;
    format!("{value:.digits$} ({low:.digits$} to {high:.digits$})")
}

#[cfg(test)]
mod tests {
    use super::super::tests::made_up;
    use super::*;

    #[test]
    fn each_step_has_its_row_in_both_tables() {
        let page = page(&Report::new(2.0, vec![made_up()]));
        let row = "| 10000 | 1 | 4 | 30.0 (30.0 to 30.0) | 20.0 (20.0 to 20.0) | \
                   1.500 (1.500 to 1.500) | 1.000 (1.000 to 1.000) |";
        assert!(page.lines().any(|line| line == row), "{page}");
        assert!(page.contains("| 10000 | 15.0 (15.0 to 15.0) | 10.0 (10.0 to 10.0) |"), "{page}");
    }
}
