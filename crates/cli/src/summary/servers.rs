//! Several servers as tables for the terminal: what each did with the living, and with the silent
//! dead.

use super::{plain_table, tidy, time};
use comfy_table::{CellAlignment, Table};
use halfopen_loadgen::report::number::{bytes, count, millis, significant};
use halfopen_loadgen::report::rows::servers::micros;
use halfopen_loadgen::report::schema::{Report, ServerRun};
use std::fmt::Write;

/// Medians over the runs of each server; their spread stands in the report.
pub(super) fn tables(report: &Report) -> String {
    let mut text = String::new();
    let dead: Vec<_> = report.servers.iter().flat_map(silent_deaths).collect();
    if !dead.is_empty() {
        let _ = writeln!(text, "{}\n", tidy(&table(&DEATH_COLUMNS, dead, 2)));
    }
    let living = report.servers.iter().map(living).collect();
    let _ = writeln!(text, "{}\n", tidy(&table(&LIVING_COLUMNS, living, 1)));
    text
}

fn silent_deaths(server: &ServerRun) -> Vec<Vec<String>> {
    let silent = server.figures.deaths.iter().filter(|(death, _)| death.is_silent());
    let row = silent.map(|(death, block)| {
        vec![
            server.name.clone(),
            death.name().into(),
            count(block.killed),
            count(block.detected),
            count(block.reclaimed),
            time(block.detection_ms.p50),
            time(block.detection_ms.max),
            time(block.reclaim_ms.max),
        ]
    });
    row.collect()
}

fn living(server: &ServerRun) -> Vec<String> {
    let figures = &server.figures;
    let median = |path: &str, write: fn(f64) -> String| {
        server.spread.get(path).map_or("–".into(), |spread| write(spread.median))
    };
    vec![
        server.name.clone(),
        count(figures.connections.opened),
        median("connections.rate_per_s", significant),
        median("connections.handshake_ms.p50", millis),
        median("messages.latency_us.p50", micros),
        median("memory.server_user_bytes_per_connection", bytes),
        median("cost.both_ends_cpu_us_per_heartbeat.value", micros),
        count(figures.false_kills),
    ]
}

/// The first `words` columns are words, the others numbers.
fn table(columns: &[&str], rows: Vec<Vec<String>>, words: usize) -> Table {
    let mut table = plain_table();
    table.set_header(columns);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(words) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

const DEATH_COLUMNS: [&str; 8] =
    ["server", "death", "killed", "detected", "reclaimed", "half in", "all in", "freed in"];
const LIVING_COLUMNS: [&str; 8] =
    ["server", "opened", "per s", "handshake", "latency", "memory", "beat", "false kills"];
