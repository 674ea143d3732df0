//! The measurements for people, held against what is claimed.

use super::{LONGER, Measured, Target};
use crate::flood::Kind;
use crate::report::{Report, claim};
use halfopen_loadgen::report::number::{count, significant};
use serde_json::Value;
use std::fmt::Write;

/// What the quiet ones may wait at the 99th percentile while others flood.
const QUIET_P99_MS_MAX: f64 = 20.0;

/// The page.
pub fn page(report: &Report<Measured>) -> String {
    let floods = report.runs.iter().filter(|run| run.target == Target::Server);
    let mut page = report.page("Floods", HOW_TO_READ, floods.flat_map(claims));
    report.runs.iter().for_each(|run| page.push_str(&section(run)));
    page
}

const HOW_TO_READ: &str = "\
Quiet connections have messages echoed, while a process of its own floods the server: it connects \
without a byte, sends heads byte by byte, pings and never reads, has messages echoed and never \
reads, all at once. Latency counts from the intended send. *Beside* is the control: the same flood \
goes to a bare accept-and-close listener on the same machine, so what the quiet ones feel of it is \
the machine's share. When the flood's process ends its kernel closes thousands of sockets in one go, \
which is the machine's affair as well and stands in rows of its own.\n\n";

fn name(run: &Measured) -> String {
    match run.target {
        Target::Server => run.driver.clone(),
        Target::Sink => format!("{}, beside", run.driver),
    }
}

fn claims(run: &Measured) -> Vec<String> {
    let name = name(run);
    let line = |says: &str, measured: String, held: bool| claim(&name, says, &measured, held);
    let growth = run.memory.growth();
    let bytes = format!(
        "{} MiB of {}; what was asked for and not read is {}",
        mebibytes(growth),
        mebibytes(run.growth_max),
        mebibytes(unread(run)),
    );
    let p99 = run.during.p99_ms;
    let waited = p99.map_or("not measured".into(), |ms| significant(ms) + " ms");
    vec![
        line("none of the quiet is lost", count(run.lost), run.lost == 0),
        line(
            "the quiet ones' p99 at most 20 ms",
            waited,
            p99.is_some_and(|ms| ms <= QUIET_P99_MS_MAX),
        ),
        line("no growth past the configured bounds", bytes, growth <= run.growth_max),
    ]
}

/// What the answers come to that nobody read.
fn unread(run: &Measured) -> u64 {
    let waves = run.waves.as_array().into_iter().flatten();
    waves.filter_map(|wave| wave["unread_bytes"].as_u64()).sum()
}

fn mebibytes(bytes: u64) -> String {
    significant(bytes as f64 / f64::from(1 << 20))
}

fn section(run: &Measured) -> String {
    let mut section = format!("\n## {}\n\n", name(run));
    section.push_str("| latency of the quiet | count | p50 | p99 | p99.9 | max |\n");
    section.push_str("|---|---|---|---|---|---|\n");
    let rows = [
        ("before", &run.before),
        ("during the flood", &run.during),
        ("while it ends", &run.ending),
        ("behind it", &run.after),
        ("hiccups before", &run.hiccups_before),
        ("hiccups during the flood", &run.hiccups_during),
        ("hiccups while it ends", &run.hiccups_ending),
    ];
    for (name, latency) in rows {
        let _ = writeln!(section, "{}", latency.row(name));
    }
    let memory = [run.memory.at_first, run.memory.peak, run.memory.at_last].map(mebibytes);
    let _ = writeln!(
        section,
        "\nThe server's memory (RssAnon): {} MiB before, {} at the most, {} at the end. It took {} \
         connections, {} at once; its longest turn was {} ms. Refused: {}. Ended: {}.\n",
        memory[0],
        memory[1],
        memory[2],
        count(run.server.accepted),
        count(run.server.peak),
        significant(run.server.turn_ms_max),
        counts(&run.server.refused),
        counts(&run.server.ended),
    );
    section
        .push_str("| wave | planned | connected | at once | sent a second | held back | ended |\n");
    section.push_str("|---|---|---|---|---|---|---|\n");
    run.waves.as_array().into_iter().flatten().for_each(|wave| {
        section.push_str(&wave_row(wave, run.flood_s + LONGER.as_secs_f64()));
    });
    section
}

fn wave_row(wave: &Value, seconds: f64) -> String {
    let number = |name: &str| wave[name].as_u64().unwrap_or(0);
    let rate = |name: &str| wave[name].as_f64().unwrap_or(0.0);
    let (what, a_piece) = match wave["kind"].as_str() {
        Some("pinger") => ("pings", Kind::Pinger.frames()),
        Some("deaf" | "busy") => ("messages", Kind::Deaf.frames()),
        _ => ("bytes", 1),
    };
    let frames = |pieces: f64| format!("{} {what}", significant(pieces * a_piece as f64));
    format!(
        "| {} | {}, {} new/s, {}/s | {} | {} | {} | {} | {} |\n",
        wave["kind"].as_str().unwrap_or("?").replace('_', " "),
        count(number("connections")),
        significant(rate("connect_rate")),
        frames(rate("send_rate")),
        count(number("connected")),
        count(number("open_max")),
        frames(rate("sent") / seconds),
        frames(rate("held")),
        counts(&wave["ended"]),
    )
}

/// `3 reset, 5 fin`.
fn counts(map: &Value) -> String {
    let entries = map.as_object().into_iter().flatten();
    let entries = entries.map(|(name, times)| {
        format!("{} {}", count(times.as_u64().unwrap_or(0)), name.replace('_', " ").to_lowercase())
    });
    let all = entries.collect::<Vec<_>>().join(", ");
    if all.is_empty() { "none".into() } else { all }
}
