//! The table for people.

use super::claim::Claim;
use super::machine::Machine;
use super::rounds::{BLURRED_FACTOR, BLURRED_MIN};
use super::spread::Spread;
use super::{Bench, FLOOR, OURS, OURS_AGAIN, OURS_AVX2, Row, Table, Time};
use halfopen_loadgen::report::number::significant;
use std::fmt::Write;

/// The page.
pub fn page(table: &Table) -> String {
    let mut page = String::from("# Framing beside other libraries\n\n");
    page.push_str(&head(table));
    for bench in &table.benches {
        page.push('\n');
        page.push_str(&section(bench));
    }
    page
}

fn head(table: &Table) -> String {
    let Table { machine, rounds, started, .. } = table;
    let mut head = String::new();
    let _ = writeln!(head, "{}.\n", described(machine));
    head.push_str(
        &machine.doubt().map_or(String::new(), |doubt| format!("**Doubt**: {doubt}.\n\n")),
    );
    let _ = writeln!(
        head,
        "Medians of {rounds} interleaved rounds, begun {started}. A ratio is the best rival's time \
         over halfopen's in the same round: 2 is twice as fast. Behind the median stand the least \
         and the greatest of the rounds. *Again* is halfopen beside halfopen: what 1 looks like here; a \
         row in which it is off by {off} % in half of the rounds has {BLURRED_FACTOR} times as many. \
         `{OURS_AVX2}` uses nothing better than AVX2; rivals always use the best they have.\n",
        off = 100.0 * BLURRED_MIN,
    );
    let _ = writeln!(head, "```sh\n{}\n```\n", table.command.join(" "));
    head.push_str("| claim | at least | measured | where | held |\n|---|---|---|---|---|\n");
    table.claims.iter().for_each(|claim| head.push_str(&outcome(claim)));
    head
}

/// The machine in a line, without a full stop.
pub fn described(machine: &Machine) -> String {
    let place = match machine.vm {
        Some(true) => ", VM",
        Some(false) => ", bare metal",
        None => "",
    };
    let load = machine.load_before.map_or_else(String::new, |load| format!(", load before {load}"));
    format!(
        "{} ({} cores{place}; kernels: {}), Linux {}, {}, commit {}{load}",
        machine.cpu.as_deref().unwrap_or("an unnamed processor"),
        machine.cores,
        machine.kernels,
        machine.kernel,
        machine.rustc,
        machine.commit,
    )
}

fn outcome(claim: &Claim) -> String {
    let held = match (claim.rows, claim.held) {
        (0, _) => "not measured",
        (_, true) => "yes",
        (_, false) => "**no**",
    };
    let measured = ratio(claim.worst.as_ref());
    let place = claim.worst_row.as_ref().map_or_else(
        || format!("{} rows", claim.rows),
        |row| format!("worst of {} rows: {row}", claim.rows),
    );
    format!("| {} | {} | {measured} | {place} | {held} |\n", claim.claim, claim.least)
}

fn section(bench: &Bench) -> String {
    let contestants = in_order(&bench.contestants);
    let floor = contestants.contains(&FLOOR);
    let mut section = format!("## {}\n\n", bench.name);
    let mut titles = vec!["", "ratio", "with AVX2", "again", "best rival"];
    if floor {
        titles.push("of the floor");
    }
    titles.extend(&contestants);
    section.push_str(&line(titles.iter().map(|title| (*title).to_owned())));
    section.push_str(&line(titles.iter().map(|_| "---".to_owned())));
    for row in &bench.rows {
        section.push_str(&line(cells(row, &contestants, floor)));
    }
    let means = [bench.ratio, bench.ratio_avx2, bench.ratio_again];
    let mut cells = vec!["*geometric mean*".to_owned()];
    cells.extend(means.iter().map(|mean| ratio(mean.as_ref())));
    cells.resize(titles.len(), String::new());
    section.push_str(&line(cells.into_iter()));
    section
}

/// Ours first, then the rivals, then the floor; ours once more is in the ratio.
fn in_order(contestants: &[String]) -> Vec<&str> {
    let (mut ours, mut rivals, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    for contestant in contestants {
        match contestant.as_str() {
            OURS_AGAIN => {}
            name @ (OURS | OURS_AVX2) => ours.push(name),
            name @ FLOOR => floor.push(name),
            name => rivals.push(name),
        }
    }
    [ours, rivals, floor].concat()
}

fn cells(row: &Row, contestants: &[&str], floor: bool) -> impl Iterator<Item = String> {
    let mut cells = vec![row.name.clone()];
    cells.extend([&row.ratio, &row.ratio_avx2, &row.ratio_again].map(|one| ratio(one.as_ref())));
    cells.push(row.best_rival.clone().unwrap_or_default());
    if floor {
        cells.push(ratio(row.ratio_floor.as_ref()));
    }
    let time =
        |contestant: &&str| row.time(contestant).map_or_else(String::new, |one| time(one, row));
    cells.extend(contestants.iter().map(time));
    cells.into_iter()
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<_> = cells.collect();
    format!("| {} |\n", cells.join(" | "))
}

fn ratio(spread: Option<&Spread>) -> String {
    spread.map_or_else(
        || "–".to_owned(),
        |Spread { median, min, max }| format!("{median:.2} ({min:.2}–{max:.2})"),
    )
}

/// The time of one element, and below it the bytes in a second.
fn time(time: &Time, row: &Row) -> String {
    let ns = time.ns.median;
    let shown = match ns {
        0.0..1e3 => format!("{} ns", significant(ns)),
        1e3..1e6 => format!("{} µs", significant(ns / 1e3)),
        _ => format!("{} ms", significant(ns / 1e6)),
    };
    let rate = row.element_bytes() / ns * 1e9 / f64::from(1 << 30);
    format!("{shown}<br>{} GiB/s", significant(rate))
}
