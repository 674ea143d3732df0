//! What a report is made of.

use super::schema::{Doubt, ObserverKind};
use crate::observer::Sighting;
use crate::plan::Plan;
use crate::record::{self, Tally};
use crate::sample::Samples;
use crate::serial;
use crate::threshold::Threshold;
use halfopen_wheel::Instant;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// All that is known when a run has ended.
#[derive(Debug)]
pub struct Input<'a> {
    /// The command and its arguments.
    pub argv: Vec<String>,
    /// The commit that the program was built from.
    pub git: Option<String>,
    /// What was to be done.
    pub plan: &'a Plan,
    /// More of the plan than the load generator needs to know, such as the server's settings.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// Whether the server pings only after silence, so that traffic suppresses its pings.
    pub pings_only_the_silent: bool,
    /// When the run began.
    pub began: Instant,
    /// The same moment as the time of day.
    pub started: jiff::Timestamp,
    /// What was done when.
    pub phases: Vec<Phase>,
    /// What the swarms counted.
    pub tally: &'a Tally,
    /// What was seen of the dead.
    pub observed: Observed,
    /// What the run used.
    pub samples: &'a Samples,
    /// What the server says itself, where it is ours.
    pub server: Option<ServerSide>,
    /// The cores that the server runs on; empty: any, or not known.
    pub server_cpus: Vec<usize>,
    /// Histograms of short times, for `intervals.hlog`.
    pub intervals: Vec<Interval>,
    /// How it ended.
    pub ending: Ending,
    /// The limits that were set.
    pub thresholds: &'a [Threshold],
    /// Doubts that others have.
    pub doubts: Vec<Doubt>,
}

/// A part of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Phase {
    /// What was done: [`Phase::RAMP`] and so on, or another word.
    pub name: String,
    /// Its begin.
    #[serde(with = "serial::instant")]
    pub start: Instant,
    /// Its end.
    #[serde(with = "serial::instant")]
    pub end: Instant,
}

impl Phase {
    /// Connections are opened.
    pub const RAMP: &str = "ramp";
    /// All are open and none was killed yet. What heartbeats cost is measured here.
    pub const STEADY: &str = "steady";
    /// Some are killed, and watched.
    pub const DEATHS: &str = "deaths";

    /// How long it lasted.
    pub fn duration(&self) -> Duration {
        self.end.saturating_since(self.start)
    }
}

/// What was seen of the dead.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Observed {
    /// Who watched; none: nobody died.
    pub by: Option<ObserverKind>,
    /// What became of the victims' sockets at the server.
    pub sightings: Vec<Sighting>,
    /// How often the kernel's news of them were lost.
    pub gaps: u64,
    /// The longest time between two looks at the server's sockets.
    pub resolution: Duration,
    /// When the watch ended.
    #[serde(with = "serial::instant")]
    pub until: Instant,
}

/// What our own server says of a run.
#[derive(Clone, Debug)]
pub struct ServerSide {
    /// From the deadline of a silent peer to its abort, ns.
    pub lateness_ns: Histogram<u64>,
    /// From the making of a ping to its pong, ns.
    pub rtt_ns: Histogram<u64>,
    /// Pings that it sent.
    pub pings_sent: u64,
}

/// A histogram of a short time.
#[derive(Clone, Debug)]
pub struct Interval {
    /// What was measured; the name of the `.hgrm` file without its ending.
    pub tag: String,
    /// Its begin.
    pub start: Instant,
    /// Its length.
    pub length: Duration,
    /// In nanoseconds.
    pub histogram: Histogram<u64>,
}

impl Interval {
    /// What a swarm counted in one second of a run that began then.
    pub fn of(counted: &record::Interval, began: Instant) -> Self {
        let mut histogram = record::histogram();
        for &(value, count) in &counted.counts {
            // `saturating_record_n` would not grow it, and cut every value to the little it begins with.
            histogram.record_n(value, count).expect("it grows as it needs");
        }
        Self {
            tag: counted.tag.name().into(),
            start: began + Duration::from_secs(counted.second.into()),
            length: Duration::from_secs(1),
            histogram,
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All was done.
    Complete,
    /// Somebody stopped it.
    Interrupted,
    /// It could not go on, and why.
    Failed(String),
}
