//! `halfopen.tune/1`: names and meanings stay, more may come.

use super::ceiling::Ceiling;
use super::loss::{Measured, lost};
use crate::death::Death;
use crate::report::folder::pretty;
use crate::report::picture::choice;
use crate::report::schema::{self, Report, Tool};
use crate::stats::{Ks, Summary};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The name of the schema.
pub const SCHEMA: &str = "halfopen.tune/1";

/// What to choose, and from what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "halfopen.tune/1")]
pub struct Document {
    /// `halfopen.tune/1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The program that wrote this.
    pub tool: Tool,
    /// When it was asked (RFC 3339).
    pub started: String,
    /// What was asked for, and what was assumed.
    pub asked: Question,
    /// The heartbeats that just keep the bound, and behind them those that servers have by default.
    pub rows: Vec<Row>,
    /// One of the rows. Null: each breaks something.
    pub recommended: Option<Row>,
    /// Why that one.
    pub why: String,
    /// The same heartbeat as servers and proxies spell it.
    pub settings: Vec<Setting>,
    /// What no heartbeat changes.
    pub notes: Vec<String>,
    /// What came of the recommended one when it was tried. Null: it was not.
    pub verified: Option<Verified>,
}

/// What is asked of a heartbeat, and what it has to live with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Question {
    /// Connections in all.
    pub connections: u64,
    /// Within which time a silent death is to be found.
    pub detect_ms: f64,
    /// On average, and not at the latest.
    pub detect_is_mean: bool,
    /// What stands in the way, by name.
    pub behind: Vec<String>,
    /// What a client says of its own, messages a second of a connection.
    pub inbound_per_s: f64,
    /// Silent deaths a second, over all. Null: each connection once a day.
    pub deaths_per_s: Option<f64>,
    /// The share of packets that are lost.
    pub loss: f64,
    /// The longest round trip of the path.
    pub rtt_ms: f64,
    /// Round trips of pings, where they were measured.
    pub measured: Option<Measured>,
    /// What a heartbeat costs.
    pub costs: Costs,
}

/// What one ping and its pong cost, and what a connection holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Costs {
    /// CPU of the server, µs.
    pub server_cpu_us: f64,
    /// Packets, both ways.
    pub packets: f64,
    /// Their bytes on an Ethernet.
    pub wire_bytes: f64,
    /// Memory of the server's user space and kernel for a connection.
    pub bytes_per_connection: f64,
    /// Where that is from.
    pub source: String,
}

impl Default for Costs {
    /// As measured on loopback in a VM of 2 cores (AMD EPYC): CPU and memory of `halfopen serve` on
    /// io_uring; packets and bytes of a ping with 4 bytes over IPv4 with timestamps, where no
    /// acknowledgement rides along.
    fn default() -> Self {
        Self {
            server_cpu_us: 12.5,
            packets: 4.0,
            wire_bytes: 280.0,
            bytes_per_connection: 4_400.0,
            source: "halfopen serve on loopback, in a VM of 2 cores".into(),
        }
    }
}

impl Question {
    /// Every silent death is to be found within this time; for the rest defaults.
    pub fn within_ms(detect_ms: f64) -> Self {
        Self {
            connections: 10_000,
            detect_ms,
            detect_is_mean: false,
            behind: Vec::new(),
            inbound_per_s: 0.0,
            deaths_per_s: None,
            loss: 0.001,
            rtt_ms: 200.0,
            measured: None,
            costs: Costs::default(),
        }
    }

    /// Takes what a run has measured in place of what is assumed: round trips, and what a heartbeat
    /// and a connection cost. What it did not measure stays as it was.
    pub fn learn(&mut self, report: &Report) {
        self.measured =
            report.figures.pings.server.rtt_us.as_ref().and_then(measured).or(self.measured.take());
        let value = |figure: &Option<schema::Measured>| figure.as_ref().map(|figure| figure.value);
        let Costs { server_cpu_us, packets, wire_bytes, bytes_per_connection, source } =
            &mut self.costs;
        let learned = [
            (server_cpu_us, value(&report.figures.cost.server_cpu_us_per_heartbeat)),
            (packets, value(&report.figures.cost.packets_per_heartbeat)),
            (wire_bytes, value(&report.figures.cost.wire_bytes_per_heartbeat)),
            (bytes_per_connection, connection_bytes(report)),
        ];
        for (figure, seen) in learned {
            *figure = seen.unwrap_or(*figure);
        }
        *source = format!("a run of {} connections", report.figures.connections.opened);
    }

    pub(super) fn ceilings(&self) -> Vec<&'static Ceiling> {
        Ceiling::named(&self.behind).expect("names of CEILINGS")
    }

    pub(super) fn deaths_per_s(&self) -> f64 {
        self.deaths_per_s.unwrap_or(self.connections as f64 / 86_400.0)
    }

    /// The share of answers that come later than this, at most.
    pub(super) fn late_answers(&self, timeout_ms: f64) -> f64 {
        let measured = self.measured.as_ref().map_or(0.0, |seen| seen.later_than(timeout_ms));
        (lost(timeout_ms, self.rtt_ms, self.loss) + measured).min(1.0)
    }
}

/// The server's end: its user space, and half of what the kernel holds for both ends.
fn connection_bytes(report: &Report) -> Option<f64> {
    let memory = &report.figures.memory;
    let kernel = memory.kernel_bytes_per_connection_pair? / 2.0;
    Some(memory.server_user_bytes_per_connection? + kernel)
}

fn measured(rtt_us: &Summary) -> Option<Measured> {
    let percentiles = [
        (0.5, rtt_us.p50),
        (0.9, rtt_us.p90),
        (0.99, rtt_us.p99),
        (0.999, rtt_us.p99_9),
        (0.9999, rtt_us.p99_99),
    ];
    let known = percentiles.into_iter().filter_map(|(share, us)| Some((share, us? / 1e3)));
    let max_ms = rtt_us.max? / 1e3;
    Some(Measured { count: rtt_us.count, max_ms, percentiles: known.collect() })
}

/// What makes a ping due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Each interval.
    Periodic,
    /// An interval without a byte from the peer.
    Idle,
    /// A sweep over all, each interval: who has not answered the last ping is ended, the others are
    /// pinged.
    Sweep,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Periodic => "periodic",
            Self::Idle => "idle",
            Self::Sweep => "sweep",
        })
    }
}

/// A heartbeat, what it costs and what it finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// From ping to ping.
    pub interval_ms: f64,
    /// How long an answer is waited for.
    pub timeout_ms: f64,
    /// What makes a ping due.
    pub policy: Policy,
    /// Whose default it is.
    pub known: Option<String>,
    /// Pings a second, over all connections.
    pub pings_per_s: f64,
    /// Packets a second, both ways.
    pub packets_per_s: f64,
    /// Mbit a second, both ways together.
    pub mbit_per_s: f64,
    /// Cores of the server.
    pub cores: f64,
    /// From each kind of death to the moment when it is found.
    pub detection: BTreeMap<Death, Window>,
    /// The mean of it for silent deaths.
    pub detection_mean_ms: f64,
    /// The silent dead that are held at any moment.
    pub zombies: f64,
    /// What they hold.
    pub zombie_bytes: f64,
    /// The living that are taken for dead, at most.
    pub false_kills_per_day: f64,
    /// How many lost packets in a row the timeout survives.
    pub lost_packets_survived: u32,
    /// What it does not keep.
    pub breaks: Vec<String>,
}

/// How long after a death it is found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Half of them by then.
    pub p50_ms: f64,
    /// 99 in 100 by then.
    pub p99_ms: f64,
    /// All by then.
    pub max_ms: f64,
}

/// A row that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verified {
    /// With so many connections.
    pub connections: u64,
    /// How many of them were blackholed.
    pub victims: u64,
    /// How many of those were found.
    pub found: u64,
    /// The living that were taken for dead.
    pub false_kills: u64,
    /// Half were found within.
    pub p50_ms: Pair,
    /// 99 in 100 were found within.
    pub p99_ms: Pair,
    /// All were found within.
    pub max_ms: Pair,
    /// Cores of the server.
    pub server_cores: Pair,
    /// How far the measured times are from the predicted ones.
    pub ks: Option<Ks>,
}

/// A figure as it was predicted, and as it was measured; null: not known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pair {
    /// Beforehand.
    pub predicted: Option<f64>,
    /// Afterwards.
    pub measured: Option<f64>,
}

impl Pair {
    /// By how much the measured figure is greater, as a share of the predicted one.
    pub fn apart(&self) -> Option<f64> {
        let predicted = self.predicted.filter(|&predicted| predicted != 0.0)?;
        Some(self.measured? / predicted - 1.0)
    }
}

/// A heartbeat as somebody spells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// Who.
    pub server: String,
    /// How.
    pub text: String,
}

impl Document {
    /// As `--json` prints it.
    pub fn json(&self) -> String {
        pretty(self)
    }

    /// What `--out` leaves behind: the document, its schema beside it, and the picture.
    pub fn files(&self) -> [(&'static str, String); 3] {
        [
            ("tune.json", self.json()),
            ("tune.schema.json", pretty(&json_schema())),
            ("tune.svg", choice(self).file()),
        ]
    }
}

/// The schema as JSON Schema, draft 2020-12.
pub fn json_schema() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<Document>().to_value()
}
