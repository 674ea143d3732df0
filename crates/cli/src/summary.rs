//! The table at the end of a run, for the terminal: 80 columns, the finding, where the rest is.

mod servers;

use crate::words::wrapped;
use comfy_table::{CellAlignment, Table, presets};
use halfopen_loadgen::death::Death;
use halfopen_loadgen::report::number::{bytes, count, millis, significant};
use halfopen_loadgen::report::schema::{DeathBlock, Measured, Report};
use halfopen_loadgen::stats::Summary;
use std::fmt::Write;

/// What a run found out, in a few lines.
pub(crate) fn text(report: &Report) -> String {
    let mut text = String::new();
    if report.servers.is_empty() {
        if !report.figures.deaths.is_empty() {
            let _ = writeln!(text, "{}\n", tidy(&deaths(report)));
        }
        let _ = writeln!(text, "{}\n", tidy(&facts(report)));
    } else {
        text.push_str(&servers::tables(report));
    }
    let _ = writeln!(text, "{}", wrapped(&report.finding, 0));
    for doubt in &report.doubts {
        let words = format!("{}. Try: {}.", doubt.message, doubt.hint);
        let _ = writeln!(text, "doubt: {}", wrapped(&words, "doubt: ".len()));
    }
    for skipped in &report.skipped {
        let words = format!("{}: {}.", skipped.name, skipped.reason);
        let _ = writeln!(text, "skipped: {}", wrapped(&words, "skipped: ".len()));
    }
    for limit in &report.thresholds {
        let value = limit.value.map_or("not measured".into(), significant);
        let held = if limit.held { "held" } else { "MISSED" };
        let _ = writeln!(text, "fail-if {}: {held} ({value})", limit.expr);
    }
    text
}

/// One row a death.
fn deaths(report: &Report) -> Table {
    let mut table = plain_table();
    table.set_header(DEATH_COLUMNS);
    for (death, block) in &report.figures.deaths {
        table.add_row(death_row(*death, block));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn death_row(death: Death, block: &DeathBlock) -> [String; 8] {
    let detection = &block.detection_ms;
    let predicted = block.predicted.as_ref().map(|predicted| predicted.max_ms);
    [
        death.name().into(),
        count(block.killed),
        count(block.detected),
        count(block.reclaimed),
        time(detection.p50),
        time(detection.p99),
        time(detection.max),
        time(predicted),
    ]
}

/// What is known of the living.
fn facts(report: &Report) -> Table {
    let mut table = plain_table();
    for (name, value) in fact_rows(report) {
        table.add_row([name.to_owned(), value]);
    }
    table
}

fn fact_rows(report: &Report) -> Vec<(&'static str, String)> {
    let figures = &report.figures;
    let mut rows = vec![("connections", connections(report)), ("living", living(report))];
    rows.extend(returning(report));
    rows.push(("server's pings", {
        let pings = &figures.pings.server;
        format!("{} seen, {} answered", count(pings.seen), count(pings.answered))
    }));
    if let Some(client) = &figures.pings.client {
        let (sent, answered) = (count(client.sent), count(client.answered));
        let rtt = percentiles(&client.rtt_us, 1e-3);
        rows.push(("client's pings", format!("{sent} sent, {answered} answered{rtt}")));
    }
    if let Some(script) = &figures.messages.script {
        let (hellos, replies, beats) =
            (count(script.hellos), count(script.replies), count(script.beats));
        rows.push(("script", format!("{hellos} hellos, {replies} answers, {beats} beats")));
    }
    if figures.messages.sent > 0 {
        let (sent, received) = (count(figures.messages.sent), count(figures.messages.received));
        let messages = &figures.messages;
        let times = match (&messages.latency_us, &messages.latency_reason) {
            (Some(latency), _) => percentiles(latency, 1e-3),
            (None, Some(_)) => format!("{} (service)", percentiles(&messages.service_us, 1e-3)),
            (None, None) => String::new(),
        };
        rows.push(("messages", format!("{sent} sent, {received} received{times}")));
    }
    if let Some(cost) = &figures.cost.both_ends_cpu_us_per_heartbeat {
        rows.push(("a heartbeat", format!("{} of CPU, both ends together", microseconds(cost))));
    }
    if let Some(weight) = figures.memory.server_user_bytes_per_connection {
        rows.push(("a connection", format!("{} of the server's memory", bytes(weight))));
    }
    rows
}

fn connections(report: &Report) -> String {
    let connections = &report.figures.connections;
    let (opened, asked) = (count(connections.opened), count(connections.requested));
    let failed: u64 = connections.failed.values().sum();
    let mut text = format!("{opened} of {asked} opened, {} failed", count(failed));
    let reasons: Vec<String> = connections
        .failed
        .iter()
        .map(|(reason, n)| format!("{} {}", count(*n), reason.replace('_', " ")))
        .collect();
    if !reasons.is_empty() {
        let _ = write!(text, " ({})", reasons.join(", "));
    }
    text
}

/// Who was ended by our own will.
fn returning(report: &Report) -> Vec<(&'static str, String)> {
    let connections = &report.figures.connections;
    let mut rows = Vec::new();
    if let Some(churn) = &connections.churn {
        let (closed, reopened) = (count(churn.closed), count(churn.reopened));
        let times = percentiles(&churn.reopen_ms, 1.0);
        rows.push(("churn", format!("{closed} closed, {reopened} opened anew{times}")));
    }
    if let Some(herd) = &connections.herd {
        let (dropped, back) = (count(herd.dropped), count(herd.back));
        let (half, all) = (time(herd.back_ms.p50), time(herd.back_ms.p100));
        rows.push((
            "herd",
            format!("{dropped} dropped, {back} back; half in {half}, all in {all}"),
        ));
    }
    rows
}

fn living(report: &Report) -> String {
    let lost = &report.figures.living.lost;
    let closed: u64 = lost.closed.values().sum();
    let at_end = count(report.figures.living.at_end);
    match lost.heartbeat + lost.reset + closed {
        0 => format!("{at_end} at the end, none lost"),
        _ => format!(
            "{at_end} at the end; lost {} to the heartbeat, {} closed, {} reset",
            count(lost.heartbeat),
            count(closed),
            count(lost.reset)
        ),
    }
}

fn percentiles(summary: &Summary, to_ms: f64) -> String {
    let named = [("half", summary.p50), ("99 %", summary.p99)];
    let known = named.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    let words = known.map(|(name, value)| format!("{name} within {}", millis(value * to_ms)));
    let words = words.collect::<Vec<_>>().join(", ");
    if words.is_empty() { words } else { format!("; {words}") }
}

fn microseconds(cost: &Measured) -> String {
    let interval = match (cost.low, cost.high) {
        (Some(low), Some(high)) => format!(" ({} to {})", significant(low), significant(high)),
        _ => String::new(),
    };
    format!("{} µs{interval}", significant(cost.value))
}

fn time(ms: Option<f64>) -> String {
    ms.map_or("–".into(), millis)
}

/// Without the blanks around a table that has no frame.
fn tidy(table: &Table) -> String {
    let lines: Vec<String> = table.lines().map(|line| line.trim_end()[1..].to_owned()).collect();
    lines.join("\n")
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

const DEATH_COLUMNS: [&str; 8] =
    ["death", "killed", "detected", "reclaimed", "half in", "99 % in", "all in", "predicted"];
