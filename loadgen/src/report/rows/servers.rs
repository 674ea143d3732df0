//! Several servers as rows of tables, in one order for every form.
//!
//! A cell is the median over the runs, and behind it the least and the greatest where there were
//! several; a dash where it was not measured.

use crate::death::Death;
use crate::report::number::{bytes, count, millis, significant};
use crate::report::schema::{Report, ServerRun, Spread};

/// What the columns of [`work`] are called.
pub const WORK_COLUMNS: [&str; 15] = [
    "server",
    "runs",
    "opened",
    "failed",
    "opened a second",
    "connect p50",
    "handshake p50",
    "handshake p99",
    "messages a second",
    "latency p50",
    "latency p99",
    "memory a connection",
    "CPU a heartbeat, both ends",
    "CPU of the server, % of a core",
    "living lost to the heartbeat, otherwise",
];

/// What each server did with the living.
pub fn work(report: &Report) -> Vec<[String; 15]> {
    report.servers.iter().map(work_row).collect()
}

fn work_row(server: &ServerRun) -> [String; 15] {
    let figures = &server.figures;
    let lost = &figures.living.lost;
    let otherwise = lost.reset + lost.closed.values().sum::<u64>();
    [
        server.name.clone(),
        count(server.runs.len() as u64),
        count(figures.connections.opened),
        count(figures.connections.failed.values().sum()),
        cell(server, "connections.rate_per_s", significant),
        cell(server, "connections.connect_ms.p50", millis),
        cell(server, "connections.handshake_ms.p50", millis),
        cell(server, "connections.handshake_ms.p99", millis),
        cell(server, "messages.rate_per_s", significant),
        cell(server, "messages.latency_us.p50", micros),
        cell(server, "messages.latency_us.p99", micros),
        cell(server, "memory.server_user_bytes_per_connection", bytes),
        cell(server, "cost.both_ends_cpu_us_per_heartbeat.value", micros),
        cell(server, "cost.server_cpu_percent", significant),
        format!("{}, {}", count(lost.heartbeat), count(otherwise)),
    ]
}

/// What the columns of [`deaths`] are called.
pub const DEATH_COLUMNS: [&str; 12] = [
    "server",
    "death",
    "killed",
    "detected",
    "reclaimed",
    "pending",
    "unobservable",
    "detected p50",
    "detected max",
    "reclaimed p50",
    "reclaimed max",
    "predicted",
];

/// What each server found of the dead.
pub fn deaths(report: &Report) -> Vec<[String; 12]> {
    let all = report.servers.iter();
    all.flat_map(|server| server.figures.deaths.keys().map(|&death| death_row(server, death)))
        .collect()
}

fn death_row(server: &ServerRun, death: Death) -> [String; 12] {
    let block = &server.figures.deaths[&death];
    let time = |what: &str| cell(server, &format!("deaths.{}.{what}", death.name()), millis);
    let predicted = block
        .predicted
        .as_ref()
        .map(|predicted| format!("{} to {}", millis(predicted.min_ms), millis(predicted.max_ms)));
    [
        server.name.clone(),
        death.name().into(),
        count(block.killed),
        count(block.detected),
        count(block.reclaimed),
        count(block.pending),
        count(block.unobservable),
        time("detection_ms.p50"),
        time("detection_ms.max"),
        time("reclaim_ms.p50"),
        time("reclaim_ms.max"),
        predicted.unwrap_or_else(|| if death.is_silent() { "–" } else { "at once" }.into()),
    ]
}

/// The heartbeat that a server is said to have, and whether any ping of it came.
pub fn heartbeat(server: &ServerRun) -> String {
    let ms = |name: &str| server.plan.get(name).and_then(serde_json::Value::as_f64);
    let off = server.plan.get("ping_interval_ms").is_some_and(|value| value == "off");
    let said = match (ms("ping_interval_ms"), ms("ping_timeout_ms")) {
        (Some(interval), Some(timeout)) => {
            format!("pings every {}, waits {}", millis(interval), millis(timeout))
        }
        _ if off => "pings nobody".into(),
        _ => "not known".to_owned(),
    };
    match server.figures.pings.server.seen {
        0 if off => said,
        0 => format!("{said}; no ping was seen"),
        seen => format!("{said}; {} pings seen", count(seen)),
    }
}

/// A figure over the runs of a server.
pub fn cell(server: &ServerRun, path: &str, write: impl Fn(f64) -> String) -> String {
    match server.spread.get(path) {
        None => "–".into(),
        Some(Spread { median, runs: 1, .. }) => write(*median),
        Some(&Spread { median, min, max, .. }) => {
            format!("{} ({} to {})", write(median), write(min), write(max))
        }
    }
}

/// Microseconds in the unit that suits them.
pub fn micros(us: f64) -> String {
    millis(us / 1e3)
}

#[cfg(test)]
mod tests {
    use super::super::super::servers::tests::contest;
    use super::*;

    #[test]
    fn a_row_for_each_server_and_a_dash_for_what_was_not_measured() {
        let (report, _) = contest();
        let rows = work(&report);
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0][0].as_str(), rows[0][1].as_str()), ("pings", "2"));
        assert_eq!(rows[0][2], "20,000");
        assert_eq!(rows[0][8], "–", "no messages");
        assert!(rows[0][4].contains(" to "), "two runs have a spread: {}", rows[0][4]);
        assert!(!rows[1][4].contains(" to "), "one has none: {}", rows[1][4]);
        let deaths = deaths(&report);
        let row = |server: &str, death: &str| {
            deaths.iter().find(|row| row[0] == server && row[1] == death).unwrap()
        };
        assert_eq!(row("pings", "freeze")[11], "3 s to 8 s");
        assert_eq!(
            (row("silent", "freeze")[3].as_str(), row("silent", "freeze")[7].as_str()),
            ("0", "–")
        );
        assert_eq!(row("silent", "fin")[11], "at once");
    }

    #[test]
    fn a_heartbeat_is_told_by_what_was_said_and_by_what_was_seen() {
        let (report, _) = contest();
        let [pings, silent] = &report.servers[..] else { panic!("two") };
        assert_eq!(heartbeat(pings), "pings every 5 s, waits 3 s; 80,000 pings seen");
        assert_eq!(heartbeat(silent), "pings nobody");
        let mut liar = pings.clone();
        liar.figures.pings.server.seen = 0;
        assert!(heartbeat(&liar).ends_with("no ping was seen"));
        liar.plan.clear();
        assert_eq!(heartbeat(&liar), "not known; no ping was seen");
    }
}
