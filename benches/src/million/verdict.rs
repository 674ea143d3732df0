//! What was promised, and what came of it.

use super::memory::Growth;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// The most bytes a connection of the server's RssAnon.
const SERVER_SLOPE_MAX: f64 = 192.0;

/// The most bytes a shard that do not depend on connections.
const FIXED_MAX: f64 = 2.0 * 1024.0 * 1024.0;

/// How much longer than asked for the time from ping to ping may be, for 999 in 1,000.
const INTERVAL_P99_9: f64 = 1.05;

/// And for all.
const INTERVAL_MAX: f64 = 1.10;

/// The most ms by which the server is later than its own deadline, for all.
const LATENESS_MS_MAX: f64 = 100.0;

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
    /// Seconds that all are held before the deaths.
    pub hold_s: f64,
    /// New connections a second at least, if it is about that.
    pub connect_rate_min: Option<u32>,
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
    let interval = |at: &str| number(&format!("/pings/server/interval_ms/{at}"));
    let pings = asked.connections as f64 * (asked.hold_s / asked.interval_s).floor();
    // A death falls anywhere into an interval; two ticks of 8 ms and the way to the kernel's news.
    let latest = (asked.interval_s + asked.timeout_s) * 1e3 + LATENESS_MS_MAX;
    let victim = |field: &str| format!("/deaths/blackhole/{field}");
    let connect_rate = asked.connect_rate_min.map(|least| {
        let measured = number("/connections/rate_per_s");
        Promise::new("connections opened a second", measured, [least.into(), f64::MAX])
    });
    let opened = exactly("connections opened", "/connections/opened", asked.connections);
    let others = vec![
        exactly("living at the end", "/living/at_end", asked.connections - asked.killed),
        exactly("false kills", "/false_kills", 0),
        Promise::new("ms from ping to ping, the median", interval("p50"), near),
        upto("99.9 % of them", interval("p99_9"), interval_ms * INTERVAL_P99_9),
        upto("the longest", interval("max"), interval_ms * INTERVAL_MAX),
        Promise::new("pings seen", number("/pings/server/seen"), [pings, f64::MAX]),
        exactly("blackholed", &victim("killed"), asked.killed),
        exactly("detected", &victim("detected"), asked.killed),
        exactly("reclaimed", &victim("reclaimed"), asked.killed),
        upto("ms to the last detection", number(&victim("detection_ms/max")), latest),
        upto("ms to the last reclaim", number(&victim("reclaim_ms/max")), latest),
        upto(
            "ms behind the server's own deadline, the most",
            number(&victim("lateness_ms/max")),
            LATENESS_MS_MAX,
        ),
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
    ];
    std::iter::once(opened).chain(connect_rate).chain(others).collect()
}

/// The promises as a table.
pub fn table(promises: &[Promise]) -> String {
    let mut out = String::from("| | measured | bound | |\n|---|---|---|---|\n");
    for Promise { what, measured, bounds: [least, most], held } in promises {
        let bound = match (least, most) {
            (least, most) if least == most => number(*most),
            (&f64::MIN, most) => format!("≤ {}", number(*most)),
            (least, &f64::MAX) => format!("≥ {}", number(*least)),
            (least, most) => format!("{} to {}", number(*least), number(*most)),
        };
        let measured = measured.map_or("not measured".into(), number);
        let held = if *held { "held" } else { "MISSED" };
        // Writing into a String does not fail.
        let _ = writeln!(out, "| {what} | {measured} | {bound} | {held} |");
    }
    out
}

/// What no promise is about: round trips, and what the report itself doubts.
pub fn besides(report: &Value) -> String {
    let rtt = |at: &str| {
        let ms = report.pointer(&format!("/pings/server/rtt_us/{at}")).and_then(Value::as_f64);
        ms.map_or("not measured".into(), |us| format!("{} ms", number(us / 1e3)))
    };
    let phases = report["phases"].as_array().map_or(&[][..], Vec::as_slice);
    let end = phases.iter().find(|phase| phase["name"] == "end");
    let closing = end.and_then(|end| Some(end["end_s"].as_f64()? - end["start_s"].as_f64()?));
    let mut out = format!(
        "\nA ping's way there and back: p50 {}, p99 {}, at most {}, connecting, dying and closing \
         included; behind the measurement all are closed at once, which took {}.\n\n\
         What the report doubts:\n\n",
        rtt("p50"),
        rtt("p99"),
        rtt("max"),
        closing.map_or("a time that was not measured".into(), |s| format!("{} s", number(s))),
    );
    let doubts = report["doubts"].as_array().map_or(&[][..], Vec::as_slice);
    for doubt in doubts {
        let [code, message] = ["code", "message"].map(|field| doubt[field].as_str().unwrap_or("?"));
        let _ = writeln!(out, "- {code}: {message}");
    }
    if doubts.is_empty() {
        out += "- nothing\n";
    }
    out
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked = Asked {
        connections: 100,
        killed: 10,
        interval_s: 60.0,
        timeout_s: 20.0,
        hold_s: 300.0,
        connect_rate_min: None,
    };

    fn report(detected: u64) -> Value {
        serde_json::json!({
            "connections": {"opened": 100, "rate_per_s": 20_000.5}, "living": {"at_end": 90}, "false_kills": 0,
            "pings": {"server": {
                "seen": 500, "interval_ms": {"p50": 60_004.0, "p99_9": 62_000.0, "max": 65_900.0},
                "rtt_us": {"p50": 675.3, "p99": 2_340_400.0, "max": 6_090_000.0},
            }},
            "phases": [{"name": "end", "start_s": 500.0, "end_s": 560.6}],
            "doubts": [{"code": "hiccups", "message": "the machine stood still"}],
            "deaths": {"blackhole": {
                "killed": 10, "detected": detected, "reclaimed": 10,
                "detection_ms": {"max": 79_999.5}, "reclaim_ms": {"max": 79_999.5},
                "lateness_ms": {"max": 18.4},
            }},
        })
    }

    #[test]
    fn what_was_not_measured_is_missed_and_one_lost_victim_too() {
        let missed_of = |report: &Value| -> Vec<String> {
            let promises = promises(&ASKED, report, None);
            promises.into_iter().filter(|one| !one.held).map(|one| one.what).collect()
        };
        let missed = |detected| missed_of(&report(detected));
        assert_eq!(missed(10).len(), 3, "the memory: {:?}", missed(10));
        assert!(missed(9).contains(&"detected".to_owned()));
        let mut seldom = report(10);
        seldom["pings"]["server"]["seen"] = 499.into();
        seldom["pings"]["server"]["interval_ms"]["max"] = 66_001.0.into();
        assert_eq!(missed_of(&seldom)[..2], ["the longest", "pings seen"]);
        let table = table(&promises(&ASKED, &report(9), None));
        assert!(table.contains("| detected | 9 | 10 | MISSED |"), "{table}");
        assert!(table.contains("| pings seen | 500 | ≥ 500 | held |"), "{table}");
        let held = |least| {
            let asked = Asked { connect_rate_min: Some(least), ..ASKED };
            promises(&asked, &report(10), None)[1].held
        };
        assert!(held(20_000) && !held(20_001));
        let besides = besides(&report(10));
        assert!(besides.contains("p50 0.7 ms, p99 2340.4 ms, at most 6090 ms"), "{besides}");
        assert!(besides.contains("closed at once, which took 60.6 s.\n"), "{besides}");
        assert!(besides.ends_with("- hiccups: the machine stood still\n"), "{besides}");
    }
}
