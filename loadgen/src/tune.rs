//! Which interval? From what is asked of a heartbeat to what each choice costs and finds.
//!
//! A row is an interval, a timeout and a policy. The bound on detection leaves one free choice: what
//! is not timeout is interval. A long interval costs fewer pings; a short timeout takes a lost packet
//! for a death. So of the rows that break nothing, and whose timeout survives [`LOSSES`] lost packets
//! in a row, the one that costs least is recommended.

mod ceiling;
mod document;
mod loss;
mod settings;

pub use ceiling::{CEILINGS, Ceiling, Kind};
pub use document::{
    Costs, Document, Pair, Policy, Question, Row, SCHEMA, Setting, Verified, Window, json_schema,
};
pub use loss::{Measured, losses_survived};

use crate::death::Death;
use crate::plan::ServerPing;
use crate::report::number::millis;
use crate::report::prediction::Prediction;
use crate::report::schema::Tool;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// So many lost packets in a row a recommended timeout survives, if any row's does.
pub const LOSSES: u32 = 5;

/// How late the wheel may be, ms.
const TICK_MS: f64 = 8.0;

/// The timeouts that are looked at, s.
const TIMEOUTS_S: [f64; 12] = [0.25, 0.7, 1.5, 3.5, 7.0, 10.0, 13.0, 20.0, 26.0, 40.0, 60.0, 120.0];

/// Of a limit on silence so much is made use of.
const OF_A_LIMIT: f64 = 0.9;

/// The heartbeats that servers have by default, and the recipe of `ws`: interval and timeout, s.
const KNOWN: [(&str, Policy, f64, f64); 5] = [
    ("uvicorn, websockets", Policy::Periodic, 20.0, 20.0),
    ("engine.io", Policy::Periodic, 25.0, 20.0),
    ("Centrifugo", Policy::Periodic, 25.0, 8.0),
    ("gorilla's chat", Policy::Periodic, 54.0, 6.0),
    ("the recipe of ws", Policy::Sweep, 30.0, 30.0),
];

/// All rows for a question that was asked at `started`, and the one that is recommended.
///
/// # Panics
/// If it is behind something that is no name of [`CEILINGS`].
///
/// ```
/// use halfopen_loadgen::tune::{Question, tune};
/// use std::time::SystemTime;
///
/// let asked = Question { connections: 3_000_000, ..Question::within_ms(60_000.0) };
/// let best = tune(asked, SystemTime::now(), None).recommended.unwrap();
/// assert_eq!((best.interval_ms, best.timeout_ms), (52_000.0, 7_000.0));
/// ```
pub fn tune(asked: Question, started: SystemTime, git: Option<String>) -> Document {
    let ceilings = asked.ceilings();
    let shortest_limit = ceilings
        .iter()
        .filter(|c| c.kind == Kind::Silence)
        .map(|c| c.limit_s * 1e3)
        .reduce(f64::min);
    let mut rows: Vec<Row> = candidates(&asked, shortest_limit)
        .into_iter()
        .map(|beat| row(&asked, &ceilings, beat, None))
        .collect();
    for (name, policy, interval_s, timeout_s) in KNOWN {
        let beat = Beat { policy, interval_ms: interval_s * 1e3, timeout_ms: timeout_s * 1e3 };
        rows.push(row(&asked, &ceilings, beat, Some(name)));
    }
    let recommended = recommend(&rows).cloned();
    Document {
        schema: document::SCHEMA.into(),
        tool: Tool::of(git),
        started: jiff::Timestamp::try_from(started).unwrap_or_default().to_string(),
        why: why(&rows, recommended.as_ref()),
        settings: recommended.as_ref().map_or_else(Vec::new, |best| settings::of(best, &ceilings)),
        notes: ceilings.iter().filter_map(Ceiling::note).collect(),
        asked,
        rows,
        recommended,
        verified: None,
    }
}

/// What is free to choose.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Beat {
    policy: Policy,
    interval_ms: f64,
    timeout_ms: f64,
}

impl Beat {
    /// From a silent death to the moment when it is found.
    fn prediction(self, inbound_per_s: f64) -> Prediction {
        let ping = ServerPing {
            interval: Some(Duration::from_secs_f64(self.interval_ms / 1e3)),
            timeout: Duration::from_secs_f64(self.timeout_ms / 1e3),
        };
        let restarts = if self.policy == Policy::Idle { inbound_per_s } else { 0.0 };
        Prediction::new(ping, restarts).expect("it pings")
    }

    /// Pings a second of one connection.
    fn pings_per_s(self, inbound_per_s: f64) -> f64 {
        let interval_s = self.interval_ms / 1e3;
        let restarts = inbound_per_s * interval_s;
        match self.policy {
            // λ/(e^{λI} − 1), which comes to 1/I where nothing is said.
            Policy::Idle if restarts > 1e-9 => inbound_per_s / restarts.exp_m1(),
            _ => 1.0 / interval_s,
        }
    }
}

/// The heartbeats that just keep the bound.
fn candidates(asked: &Question, shortest_limit_ms: Option<f64>) -> Vec<Beat> {
    let policies = match asked.inbound_per_s > 0.0 {
        true => &[Policy::Periodic, Policy::Idle][..],
        false => &[Policy::Periodic],
    };
    let longest_ms = shortest_limit_ms.map_or(f64::INFINITY, |limit| OF_A_LIMIT * limit);
    let mut beats = Vec::new();
    for &policy in policies {
        for timeout_ms in TIMEOUTS_S.map(|s| s * 1e3) {
            let interval_ms = interval_for(asked, policy, timeout_ms).min(longest_ms);
            let interval_ms = rounded_down(interval_ms);
            if interval_ms >= INTERVAL_MIN_MS {
                beats.push(Beat { policy, interval_ms, timeout_ms });
            }
        }
    }
    beats
}

/// More often nobody pings.
const INTERVAL_MIN_MS: f64 = 250.0;

/// The longest interval that keeps the bound with this timeout; less than nothing, if none does.
fn interval_for(asked: &Question, policy: Policy, timeout_ms: f64) -> f64 {
    let left_ms = asked.detect_ms - TICK_MS - timeout_ms;
    if !asked.detect_is_mean {
        return left_ms;
    }
    let mean_ms = |interval_ms| {
        let beat = Beat { policy, interval_ms, timeout_ms };
        beat.prediction(asked.inbound_per_s).mean_ms() - timeout_ms
    };
    // The mean grows with the interval, and is at least half of it.
    let (mut low, mut high) = (0.0, 2.0 * left_ms);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if left_ms > 0.0 && mean_ms(middle) <= left_ms { low = middle } else { high = middle }
    }
    low
}

/// To whole seconds, or below ten to twentieths of one: what people write.
fn rounded_down(ms: f64) -> f64 {
    let unit = if ms >= 10_000.0 { 1_000.0 } else { 50.0 };
    // A bound that is met exactly is not missed by a rounding error.
    ((ms + 1e-6) / unit).floor() * unit
}

fn row(asked: &Question, ceilings: &[&Ceiling], beat: Beat, known: Option<&str>) -> Row {
    let silent = beat.prediction(asked.inbound_per_s);
    let window = Window {
        p50_ms: silent.p50_ms() + TICK_MS / 2.0,
        p99_ms: silent.quantile_ms(0.99) + TICK_MS / 2.0,
        max_ms: silent.max_ms() + TICK_MS,
    };
    let mean_ms = silent.mean_ms() + TICK_MS / 2.0;
    let pings_per_s = asked.connections as f64 * beat.pings_per_s(asked.inbound_per_s);
    let zombies = asked.deaths_per_s() * mean_ms / 1e3;
    let costs = &asked.costs;
    Row {
        interval_ms: beat.interval_ms,
        timeout_ms: beat.timeout_ms,
        policy: beat.policy,
        known: known.map(str::to_owned),
        pings_per_s,
        packets_per_s: pings_per_s * costs.packets,
        mbit_per_s: pings_per_s * costs.wire_bytes * 8.0 / 1e6,
        cores: pings_per_s * costs.server_cpu_us / 1e6,
        detection: detection(beat, window),
        detection_mean_ms: mean_ms,
        zombies,
        zombie_bytes: zombies * costs.bytes_per_connection,
        false_kills_per_day: pings_per_s * 86_400.0 * asked.late_answers(beat.timeout_ms),
        lost_packets_survived: losses_survived(beat.timeout_ms),
        breaks: breaks(asked, ceilings, beat, window.max_ms, mean_ms),
    }
}

/// From each death to the moment when it is found.
fn detection(beat: Beat, silent: Window) -> BTreeMap<Death, Window> {
    let at_once = Window { p50_ms: 0.0, p99_ms: 0.0, max_ms: 0.0 };
    // The host that came back answers the next ping with RST: no timeout passes.
    let sooner = |ms: f64| ms - beat.timeout_ms;
    let vanish = Window {
        p50_ms: sooner(silent.p50_ms),
        p99_ms: sooner(silent.p99_ms),
        max_ms: sooner(silent.max_ms),
    };
    let window = |death: Death| match death {
        Death::Vanish => vanish,
        death if death.is_silent() => silent,
        // The peer's kernel says it itself.
        _ => at_once,
    };
    Death::DEADLY.map(|death| (death, window(death))).into()
}

/// What a heartbeat does not keep, each in a sentence.
fn breaks(
    asked: &Question,
    ceilings: &[&Ceiling],
    beat: Beat,
    max_ms: f64,
    mean_ms: f64,
) -> Vec<String> {
    let mut breaks = Vec::new();
    let (what, takes) = match asked.detect_is_mean {
        true => ("on average ", mean_ms),
        false => ("up to ", max_ms),
    };
    if takes > asked.detect_ms + 1e-6 {
        let (takes, late) = (millis(takes), millis(takes - asked.detect_ms));
        breaks.push(format!("a death is found after {what}{takes}, {late} later than asked for"));
    }
    for ceiling in ceilings.iter().filter(|ceiling| ceiling.kind == Kind::Silence) {
        if beat.interval_ms + TICK_MS >= ceiling.limit_s * 1e3 {
            let (every, limit) = (millis(beat.interval_ms), millis(ceiling.limit_s * 1e3));
            breaks.push(format!(
                "{} cuts who is silent for {limit}, and a ping comes after {every}",
                ceiling.title
            ));
        }
    }
    if beat.timeout_ms <= asked.rtt_ms {
        let (timeout, rtt) = (millis(beat.timeout_ms), millis(asked.rtt_ms));
        breaks.push(format!("an answer takes up to {rtt}, and is waited for {timeout}"));
    }
    breaks
}

/// The cheapest of those that break nothing and survive losses; if there is none, of those that
/// survive most of them.
fn recommend(rows: &[Row]) -> Option<&Row> {
    let sound = || rows.iter().filter(|row| row.breaks.is_empty());
    let survived = sound().map(|row| row.lost_packets_survived).max()?.min(LOSSES);
    sound()
        .filter(|row| row.lost_packets_survived >= survived)
        .min_by(|a, b| a.cores.total_cmp(&b.cores))
}

fn why(rows: &[Row], recommended: Option<&Row>) -> String {
    let Some(best) = recommended else {
        return "every row breaks something: allow more time, or less in the way".into();
    };
    let sound = rows.iter().filter(|row| row.breaks.is_empty()).count();
    let survives = match best.lost_packets_survived {
        0 => "not one survives a lost packet".to_owned(),
        n if n >= LOSSES => format!("of those that survive {LOSSES} lost packets in a row"),
        n => format!("none survives more than {n} lost packets in a row, and of those that do"),
    };
    format!("{sound} of {} rows break nothing; {survives}, it costs least", rows.len())
}

#[cfg(test)]
mod tests;
