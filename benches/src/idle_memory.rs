//! What an idle connection holds of kernel memory: what was read, and the page. The program
//! `idle-memory` reads it.

use crate::report::Report;
use crate::table::spread::Spread;
use halfopen_loadgen::report::number::{count, significant};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What has come with some connections, in one way of waiting for them.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// In which round.
    pub round: u32,
    /// How the rings waited.
    pub way: &'static str,
    /// Connections, of which both ends are here.
    pub connections: u32,
    /// Bytes of slabs for both ends of one.
    pub slab_bytes: f64,
    /// Of them, by the slab's name; empty where we may not know.
    pub slabs: BTreeMap<String, f64>,
}

/// A slab that holds less than this of a pair is left out.
pub const SLAB_BYTES_MIN: f64 = 20.0;

const HOW_TO_READ: &str = "\
Bytes of the kernel's slabs for both ends of an idle connection, each on a ring: the median of the \
rounds, and in brackets the least and the greatest. As root it is what the objects in use take, and \
it is known which they are; else the pages that slabs have grown by, some of which were free before.\n";

/// The whole page.
pub fn page(report: &Report<Measured>) -> String {
    let title = "Kernel memory of an idle connection";
    let mut page = report.page(title, HOW_TO_READ, std::iter::empty());
    let mut ways: Vec<_> = report.runs.iter().map(|run| run.way).collect();
    ways.sort_unstable();
    ways.dedup();
    page +=
        "\n| the rings wait by | connections | slabs, B a pair | of which |\n|---|---|---|---|\n";
    for way in ways {
        let rounds: Vec<_> = report.runs.iter().filter(|run| run.way == way).collect();
        let all = rounds.iter().map(|run| run.slab_bytes).collect::<Vec<_>>();
        let connections = count(rounds[0].connections.into());
        let (all, slabs) = (shown(&Spread::of(&all)), slabs(&rounds));
        // Writing into a String does not fail.
        let _ = writeln!(page, "| {way} | {connections} | {all} | {slabs} |");
    }
    page
}

/// Each slab's bytes, the largest first.
fn slabs(rounds: &[&Measured]) -> String {
    let mut by_name = BTreeMap::<&str, Vec<f64>>::new();
    for (name, &bytes) in rounds.iter().flat_map(|run| &run.slabs) {
        by_name.entry(name).or_default().push(bytes);
    }
    let mut medians: Vec<_> =
        by_name.into_iter().map(|(name, bytes)| (name, Spread::of(&bytes).median)).collect();
    medians.sort_by(|a, b| b.1.total_cmp(&a.1));
    let words = medians.iter().map(|(name, bytes)| format!("{name} {bytes:.0}"));
    let words = words.collect::<Vec<_>>().join(", ");
    if words.is_empty() { "–".into() } else { words }
}

fn shown(Spread { median, min, max }: &Spread) -> String {
    let [median, min, max] = [median, min, max].map(|&bytes| significant(bytes));
    format!("{median} ({min} to {max})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_has_a_row_over_its_rounds() {
        let mut report = Report::begin("made-up/1", "made-up").unwrap();
        for (round, slab_bytes) in [(0, 8_000.0), (1, 9_000.0), (2, 8_100.0)] {
            let slabs = BTreeMap::from([("io_kiocb".into(), 260.0), ("TCP".into(), 5_000.0)]);
            let run = Measured { round, way: "poll", connections: 1_000, slab_bytes, slabs };
            report.runs.push(Measured { way: "multishot", slabs: BTreeMap::new(), ..run.clone() });
            report.runs.push(run);
        }
        let page = page(&report);
        for row in [
            "| poll | 1,000 | 8100 (8000 to 9000) | TCP 5000, io_kiocb 260 |",
            "| multishot | 1,000 | 8100 (8000 to 9000) | – |",
        ] {
            assert!(page.lines().any(|line| line == row), "{row}\n{page}");
        }
    }
}
