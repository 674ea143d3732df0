//! The measurements for people, held against what is claimed.

use super::Measured;
use crate::report::{Report, claim};
use halfopen_loadgen::report::number::{count, significant};
use std::fmt::Write;

/// The tick of the wheel, and what may come on top of it.
const LATENESS_MS_MAX: f64 = 8.0 + 20.0;

/// By how much the echoes of the living may be slower than before.
const ECHO_MS_MAX: f64 = 2.0;

/// From the first that is let go to the last, where all are due in one tick.
const FREED_MS_MAX: f64 = 1_500.0;

/// The page.
pub fn page(report: &Report<Measured>) -> String {
    let claims = report.runs.iter().flat_map(claims);
    let mut page = report.page("Everyone dies at once", HOW_TO_READ, claims);
    report.runs.iter().for_each(|run| page.push_str(&section(run)));
    page
}

const HOW_TO_READ: &str = "\
The cables of all victims are cut in one instant (IP_MINTTL), and the server finds them by its \
heartbeat. *As they fall*: pings are spread over the interval, and so are the deadlines. *In one \
tick*: the shards look at the clock only at the multiples of a time, so that all pings go at one \
moment and all the dead are due in one tick. The echoes count from the intended send. Server, \
victims and the living share the machine; the hiccups are its own stops.\n\n";

fn name(run: &Measured) -> String {
    let how = if run.gather_ms.is_some() { "in one tick" } else { "as they fall" };
    format!("{}, {how}", run.driver)
}

fn claims(run: &Measured) -> Vec<String> {
    let name = name(run);
    let line = |says: &str, measured: Option<f64>, unit: &str, held: bool| {
        let measured = measured.map_or("not measured".into(), |ms| significant(ms) + unit);
        claim(&name, says, &measured, held)
    };
    let at_most = |measured: Option<f64>, most: f64| measured.is_some_and(|ms| ms <= most);
    let found = run.found == u64::from(run.victims) && run.lost == 0;
    let mut lines = vec![line(
        "all victims are found, and none of the living is lost",
        Some(run.found as f64),
        "",
        found,
    )];
    let slower = run.echo_during.p99_ms.zip(run.echo_quiet.p99_ms);
    let slower = slower.map(|(during, quiet)| during - quiet);
    if run.gather_ms.is_some() {
        let over = run.freed_over_ms;
        lines.push(line("all are let go within 1.5 s", over, " ms", at_most(over, FREED_MS_MAX)));
    } else {
        let late = run.lateness.p99_ms;
        let held = at_most(late, LATENESS_MS_MAX);
        lines.push(line("lateness p99 at most a tick and 20 ms", late, " ms", held));
        let held = at_most(slower, ECHO_MS_MAX);
        lines.push(line("the living's p99 within 2 ms of its quiet value", slower, " ms", held));
    }
    lines
}

fn section(run: &Measured) -> String {
    let mut section = format!("\n## {}\n\n", name(run));
    let ms = |ms: Option<f64>| ms.map_or("–".into(), |ms| format!("{} ms", significant(ms)));
    let _ = writeln!(
        section,
        "{} victims and {} living, pinged every {} with {} to answer, on {} shards.\n",
        count(run.victims.into()),
        count(run.living.into()),
        ms(Some(run.interval_ms)),
        ms(Some(run.timeout_ms)),
        run.shards,
    );
    let facts = [
        ("from the first death to the last", Some(run.killed_over_ms)),
        ("from the first death to the first let go", run.first_freed_ms),
        ("from the first death to the last let go", run.last_freed_ms),
        ("from the first let go to the last", run.freed_over_ms),
        ("the longest turn of a shard", Some(run.turn_ms_max)),
    ];
    section.push_str("| | |\n|---|---|\n");
    for (name, value) in facts {
        let _ = writeln!(section, "| {name} | {} |", ms(value));
    }
    section.push_str("\n| | count | p50 | p99 | p99.9 | max |\n|---|---|---|---|---|---|\n");
    let mut rows = vec![
        ("echo, quiet", &run.echo_quiet),
        ("echo, from the deaths until all are let go", &run.echo_during),
        ("hiccups, quiet", &run.hiccups_quiet),
        ("hiccups, from the deaths on", &run.hiccups_during),
    ];
    if run.gather_ms.is_none() {
        rows.insert(0, ("lateness of a detection", &run.lateness));
    }
    for (name, latency) in rows {
        let _ = writeln!(section, "{}", latency.row(name));
    }
    section
}
