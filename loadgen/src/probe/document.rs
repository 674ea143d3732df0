//! `halfopen.probe/1`: names and meanings stay, more may come. What was not seen is null, never 0.

use super::idle::Counts;
use super::interval::Phase;
use super::verdict::Pings;
use crate::report::folder::pretty;
use crate::report::schema::{Doubt, Tool};
use crate::stats::Summary;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of the schema.
pub const SCHEMA: &str = "halfopen.probe/1";

/// How many were ended in which way: by a Close frame and its code, `FIN`, `RST`.
pub type Endings = BTreeMap<String, u64>;

/// What a probe found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "halfopen.probe/1")]
pub struct Document {
    /// `halfopen.probe/1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The program that wrote this.
    pub tool: Tool,
    /// What was probed.
    pub url: String,
    /// When it began (RFC 3339).
    pub started: String,
    /// How long it was watched.
    pub watched_s: f64,
    /// Nothing more was to be learned by waiting: it ended by itself before its time.
    pub complete: bool,
    /// The connections of the probe.
    pub connections: Connections,
    /// Who pings.
    pub pings: Pings,
    /// From one ping of the server that was answered to the next, on a connection that says nothing
    /// else.
    pub interval_ms: Summary,
    /// The greatest distance of an interval from their mean.
    pub jitter_ms: Option<f64>,
    /// How the pings of different connections lie to each other.
    pub phase: Option<Phase>,
    /// From the first ping that was left unanswered to the news of the end, at the client.
    pub timeout_ms: Summary,
    /// How those were ended who left a ping unanswered.
    pub ended_by: Endings,
    /// Whether the server does not ping who says something: a message, or where none was sent a
    /// client's ping.
    pub traffic_suppresses: Option<bool>,
    /// The age at which connections are ended that say nothing but pongs. Null: none was.
    pub idle_limit_ms: Option<f64>,
    /// What keeps a connection from being ended at that limit.
    pub idle_counts: Option<Counts>,
    /// How long after a silent death the server finds it.
    pub detection: Detection,
    /// From a ping of the client's to its pong.
    pub rtt_ms: Summary,
    /// Reasons not to trust it.
    pub doubts: Vec<Doubt>,
}

/// The connections of a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Connections {
    /// How many were asked for.
    pub requested: u64,
    /// How many were opened.
    pub opened: u64,
    /// How many were not, by the reason.
    pub failed: BTreeMap<String, u64>,
}

/// How long after a silent death the server finds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Detection {
    /// At the soonest.
    pub min_ms: Option<f64>,
    /// Half of them by then.
    pub p50_ms: Option<f64>,
    /// At the latest.
    pub max_ms: Option<f64>,
}

impl Document {
    /// As `--json` prints it.
    pub fn json(&self) -> String {
        pretty(self)
    }

    /// What `--out` leaves behind: the document, and its schema beside it.
    pub fn files(&self) -> [(&'static str, String); 2] {
        [("probe.json", self.json()), ("probe.schema.json", pretty(&json_schema()))]
    }
}

/// The schema as JSON Schema, draft 2020-12.
pub fn json_schema() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<Document>().to_value()
}
