//! What was promised, and what came of it.

use super::memory::Growth;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// The most bytes a connection of the server's RssAnon.
const SERVER_SLOPE_MAX: f64 = 192.0;

/// The most bytes a shard that do not depend on connections.
const FIXED_MAX: f64 = 2.0 * 1024.0 * 1024.0;

/// The most bytes a connection of the generator's RssAnon.
const CLIENT_SLOPE_MAX: f64 = 384.0;

/// One promise.
#[derive(Clone, Debug, Serialize)]
pub struct Promise {
    /// What it is about.
    pub what: String,
    /// What was measured.
    pub measured: Option<f64>,
    /// Between which bounds it has to lie.
    pub bounds: [f64; 2],
    /// Whether it does.
    pub held: bool,
}

impl Promise {
    fn new(what: &str, measured: Option<f64>, bounds: [f64; 2]) -> Self {
        let held = measured.is_some_and(|value| bounds[0] <= value && value <= bounds[1]);
        Self { what: what.into(), measured, bounds, held }
    }
}

/// What a run is held to.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Connections.
    pub connections: u64,
    /// Victims.
    pub killed: u64,
    /// Seconds from ping to ping.
    pub interval_s: f64,
    /// Seconds that a peer has to answer.
    pub timeout_s: f64,
}

/// Every promise, from the report of `halfopen lab` and the growth of memory.
pub fn promises(asked: &Asked, report: &Value, growth: Option<&Growth>) -> Vec<Promise> {
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64);
    let exactly = |what: &str, pointer: &str, count: u64| {
        Promise::new(what, number(pointer), [count as f64; 2])
    };
    let upto = |what: &str, measured, most| Promise::new(what, measured, [f64::MIN, most]);
    let interval_ms = asked.interval_s * 1e3;
    let near = [interval_ms, interval_ms * 1.01];
    // A death falls anywhere into an interval; two ticks of 8 ms and the way to the kernel's news.
    let latest = (asked.interval_s + asked.timeout_s) * 1e3 + 100.0;
    let victim = |field: &str| format!("/deaths/blackhole/{field}");
    vec![
        exactly("connections opened", "/connections/opened", asked.connections),
        exactly("living at the end", "/living/at_end", asked.connections - asked.killed),
        exactly("false kills", "/false_kills", 0),
        Promise::new(
            "ms from ping to ping, the median",
            number("/pings/server/interval_ms/p50"),
            near,
        ),
        exactly("blackholed", &victim("killed"), asked.killed),
        exactly("detected", &victim("detected"), asked.killed),
        exactly("reclaimed", &victim("reclaimed"), asked.killed),
        upto("ms to the last detection", number(&victim("detection_ms/max")), latest),
        upto(
            "bytes a connection, server's RssAnon",
            growth.map(|growth| growth.server_slope),
            SERVER_SLOPE_MAX,
        ),
        upto(
            "bytes a shard beside them",
            growth.map(|growth| growth.server_fixed_a_shard),
            FIXED_MAX,
        ),
        upto(
            "bytes a connection, generator's RssAnon",
            growth.map(|growth| growth.client_slope),
            CLIENT_SLOPE_MAX,
        ),
    ]
}

/// The promises as a table.
pub fn table(promises: &[Promise]) -> String {
    let mut out = String::from("| | measured | bound | |\n|---|---|---|---|\n");
    for Promise { what, measured, bounds: [least, most], held } in promises {
        let bound = match (least, most) {
            (least, most) if least == most => number(*most),
            (&f64::MIN, most) => format!("≤ {}", number(*most)),
            (least, most) => format!("{} to {}", number(*least), number(*most)),
        };
        let measured = measured.map_or("not measured".into(), number);
        let held = if *held { "held" } else { "MISSED" };
        // Writing into a String does not fail.
        let _ = writeln!(out, "| {what} | {measured} | {bound} | {held} |");
    }
    out
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked = Asked { connections: 100, killed: 10, interval_s: 60.0, timeout_s: 20.0 };

    fn report(detected: u64) -> Value {
        serde_json::json!({
            "connections": {"opened": 100}, "living": {"at_end": 90}, "false_kills": 0,
            "pings": {"server": {"interval_ms": {"p50": 60_004.0}}},
            "deaths": {"blackhole": {
                "killed": 10, "detected": detected, "reclaimed": 10,
                "detection_ms": {"max": 79_999.5},
            }},
        })
    }

    #[test]
    fn what_was_not_measured_is_missed_and_one_lost_victim_too() {
        let missed = |detected| -> Vec<String> {
            let promises = promises(&ASKED, &report(detected), None);
            promises.into_iter().filter(|one| !one.held).map(|one| one.what).collect()
        };
        assert_eq!(missed(10).len(), 3, "the memory: {:?}", missed(10));
        assert!(missed(9).contains(&"detected".to_owned()));
        let table = table(&promises(&ASKED, &report(9), None));
        assert!(table.contains("| detected | 9 | 10 | MISSED |"), "{table}");
    }
}
