//! `report.json`, schema `halfopen.report/1`: names and meanings stay, more may come.
//!
//! Every block is always there. What was not measured is null, never 0.

mod servers;

pub use servers::{ServerRun, ServerRunPart, Skipped, Spread};

use crate::death::Death;
use crate::stats::{Ks, Summary};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of the schema.
pub const SCHEMA: &str = "halfopen.report/1";

/// What a run did and found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "halfopen.report/1")]
pub struct Report {
    /// `halfopen.report/1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The program that wrote this.
    pub tool: Tool,
    /// The command that was run, and reproduces it.
    pub argv: Vec<String>,
    /// What was to be done, fully resolved; times in the unit that their names end with.
    pub plan: serde_json::Map<String, serde_json::Value>,
    /// Where it was run.
    pub env: Env,
    /// When it began (RFC 3339).
    pub started: String,
    /// What was done when.
    pub phases: Vec<PhaseBlock>,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found out, in one sentence or two.
    pub finding: String,
    /// The limits that were set for it.
    pub thresholds: Vec<ThresholdBlock>,
    /// Reasons not to trust it.
    pub doubts: Vec<Doubt>,
    /// The steps that led here, where the most that the server bears was searched; the figures are
    /// those of the last that held, or of the first.
    pub search: Option<SearchBlock>,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// The machine while it ran.
    pub machine: MachineBlock,
    /// Connections and CPU over time.
    pub timeline: Vec<TimelinePoint>,
    /// The silent dead that the server still held, over time; empty where nobody died so, or its
    /// sockets could not be seen.
    #[serde(default)]
    pub zombies: Vec<ZombiePoint>,
    /// The figures of each server, where `lab` ran foreign ones. Those of the report itself are
    /// then of all runs together: counts are added up, and of several servers nothing else is told.
    pub servers: Vec<ServerRun>,
    /// Servers that were to be run and were not.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figures {
    /// The opening.
    pub connections: ConnectionsBlock,
    /// Those who were not killed.
    pub living: LivingBlock,
    /// Living connections lost to the heartbeat; the same as `living.lost.heartbeat`.
    pub false_kills: u64,
    /// Messages.
    pub messages: MessagesBlock,
    /// Heartbeats.
    pub pings: PingsBlock,
    /// Those who were killed, by how.
    #[schemars(extend("propertyNames" = { "enum": Death::ALL }))]
    pub deaths: BTreeMap<Death, DeathBlock>,
    /// What heartbeats cost.
    pub cost: CostBlock,
    /// What connections weigh.
    pub memory: MemoryBlock,
}

/// The program that wrote a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// Its version.
    pub version: String,
    /// The commit that it was built from.
    pub git: Option<String>,
}

impl Tool {
    /// This version, built from that commit.
    pub fn of(git: Option<String>) -> Self {
        Self { version: env!("CARGO_PKG_VERSION").into(), git }
    }
}

/// Where a run took place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Env {
    /// The kernel's release.
    pub kernel: String,
    /// The instruction set.
    pub arch: String,
    /// The processor, as it calls itself.
    pub cpu: Option<String>,
    /// Cores that are there.
    pub cores: u32,
    /// Memory, bytes.
    pub memory_bytes: Option<u64>,
    /// Whether client and server talked over the loopback interface.
    pub loopback: bool,
    /// Whether the machine is a virtual one.
    pub vm: Option<bool>,
    /// The hard limit of descriptors; null: unlimited.
    pub descriptors_max: Option<u64>,
}

/// A part of a run; seconds since it began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseBlock {
    /// What was done.
    pub name: String,
    /// Its begin.
    pub start_s: f64,
    /// Its end.
    pub end_s: f64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was done, and every limit held.
    Ok,
    /// A limit did not hold, or what it limits was not measured.
    ThresholdMissed,
    /// The generator was the bottleneck, so that nothing can be said of the server.
    NoVerdict,
    /// It was interrupted; what had been measured is here.
    Interrupted,
    /// It could not be done.
    Failed,
}

impl Verdict {
    /// The exit status of the program.
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::ThresholdMissed => 3,
            Self::NoVerdict => 4,
            Self::Interrupted => 130,
        }
    }
}

/// A limit that was set for a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThresholdBlock {
    /// What must not be.
    pub expr: String,
    /// The figure, in the unit of its path; null: not measured.
    pub value: Option<f64>,
    /// Whether the limit held: the figure was measured, and the expression is not true of it.
    pub held: bool,
}

/// A reason not to trust a figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Doubt {
    /// Its name, for scripts.
    pub code: String,
    /// What was seen.
    pub message: String,
    /// What to try.
    pub hint: String,
}

/// The same load again and again, each time more of it, until a limit broke.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SearchBlock {
    /// What grew: `connections` or `message-rate`.
    pub what: String,
    /// The most that held; null: nothing did.
    pub held: Option<f64>,
    /// The first that did not; null: everything held.
    pub broke: Option<f64>,
    /// Each step, in its order.
    pub steps: Vec<SearchStep>,
}

/// One step of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SearchStep {
    /// How much it was.
    pub value: f64,
    /// Whether every limit held, and the generator kept up.
    pub held: bool,
    /// What did not.
    pub broken: Vec<String>,
}

/// The opening of connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionsBlock {
    /// How many were asked for.
    pub requested: u64,
    /// How many were opened, handshake included.
    pub opened: u64,
    /// How many failed, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Opened a second, from the first connect to the end of the ramp.
    pub rate_per_s: Option<f64>,
    /// The most that were open at once.
    pub peak: u64,
    /// From SYN to the connection.
    pub connect_ms: Summary,
    /// From the connection to the end of the opening handshake.
    pub handshake_ms: Summary,
    /// Who was closed politely and opened anew all the while, counted nowhere else; null: nobody.
    pub churn: Option<ChurnBlock>,
    /// Who was dropped at once and came back, counted nowhere else; null: nobody.
    pub herd: Option<HerdBlock>,
}

/// Connections that were closed politely and opened anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChurnBlock {
    /// Closed.
    pub closed: u64,
    /// Opened anew, handshake included.
    pub reopened: u64,
    /// Tries that failed, by reason; each is followed by another.
    pub failed: BTreeMap<String, u64>,
    /// From the SYN to the end of the opening handshake.
    pub reopen_ms: Summary,
}

/// Connections that were dropped at once, by RST, and came back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HerdBlock {
    /// Dropped.
    pub dropped: u64,
    /// Back when the run ended, handshake included.
    pub back: u64,
    /// Tries that failed, by reason; each is followed by another.
    pub failed: BTreeMap<String, u64>,
    /// How long after the drop.
    pub back_ms: HerdTimes,
}

/// Times until so many of all who were dropped were back; null: they were not.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HerdTimes {
    /// Half of them.
    pub p50: Option<f64>,
    /// 90 %.
    pub p90: Option<f64>,
    /// 99 %.
    pub p99: Option<f64>,
    /// All.
    pub p100: Option<f64>,
}

/// Connections that were not killed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LivingBlock {
    /// Open at the end of the run.
    pub at_end: u64,
    /// Lost before that.
    pub lost: LostBlock,
}

/// Living connections that were lost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LostBlock {
    /// To an end that the heartbeat explains.
    pub heartbeat: u64,
    /// Closed by the server, by close code (1006: without a Close frame).
    pub closed: BTreeMap<String, u64>,
    /// Reset; or gone from the server when they were to die, without a word that reached the client.
    pub reset: u64,
}

/// Messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessagesBlock {
    /// Sent.
    pub sent: u64,
    /// Received.
    pub received: u64,
    /// Sent a second, after the ramp.
    pub rate_per_s: Option<f64>,
    /// From the intended send to the answer.
    pub latency_us: Option<Summary>,
    /// Why there is no latency though messages were answered; null: there is, or none was.
    pub latency_reason: Option<String>,
    /// From the actual send to the answer.
    pub service_us: Summary,
    /// Texts beside the messages, counted nowhere else in this block; null: there is no script.
    pub script: Option<ScriptBlock>,
}

/// What connections said in text beside their messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScriptBlock {
    /// Greetings after the upgrade.
    pub hellos: u64,
    /// Answers to the server's heartbeat in text, which `pings.server` counts as well.
    pub replies: u64,
    /// Beats.
    pub beats: u64,
}

/// Heartbeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PingsBlock {
    /// The server's.
    pub server: ServerPings,
    /// The client's own; null: it sent none.
    pub client: Option<ClientPings>,
}

/// Pings of the server, in frames of their own or in text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerPings {
    /// Seen by the client.
    pub seen: u64,
    /// Answered by it.
    pub answered: u64,
    /// Between successive pings on one connection.
    pub interval_ms: Summary,
    /// Pings in the fullest 100 ms, over those in the mean 100 ms, between the ramp and the first
    /// death: 1 is perfectly even, and the interval over 100 ms is everyone at once.
    pub burst_ratio_100ms: Option<f64>,
    /// From the making of a ping to its pong, by the server's own account.
    pub rtt_us: Option<Summary>,
}

/// Pings of the client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClientPings {
    /// Sent.
    pub sent: u64,
    /// Answered by the server.
    pub answered: u64,
    /// From the ping to its pong.
    pub rtt_us: Summary,
}

/// Connections that were killed in one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeathBlock {
    /// How many.
    pub killed: u64,
    /// The server let go of them: the socket left ESTABLISHED other than by the peer's FIN, or the
    /// client saw FIN or RST.
    pub detected: u64,
    /// Its kernel gave their memory back: the socket was destroyed.
    pub reclaimed: u64,
    /// Not found when the watch ended, or when they came back.
    pub pending: u64,
    /// Nobody could have seen whether they were found.
    pub unobservable: u64,
    /// What became of those who are not dead (`slow`, `flap`) or came back (`--revive`); null:
    /// nobody did.
    pub outcomes: Option<OutcomesBlock>,
    /// Of `slow`: ended by the server though the answer was to come within its timeout. They are
    /// among the false kills of the run. Null: no such death, or the timeout is not known.
    pub false_kills: Option<u64>,
    /// Of `blackhole` with `--revive`: how many had been found by the age at which they came back.
    #[serde(default)]
    pub revivals: Vec<RevivalBlock>,
    /// How long the one that was killed last was watched.
    pub watched_s: f64,
    /// Who watched.
    pub observer: Option<ObserverKind>,
    /// From the death to its detection.
    pub detection_ms: Summary,
    /// From the death to the end of the server's socket.
    pub reclaim_ms: Summary,
    /// Detection, minus (last ping that the victim answered + interval + timeout).
    pub residual_ms: Option<Summary>,
    /// The same on the server's own clock and deadline. The server cannot tell one silence from
    /// another: this is over all that its heartbeat aborted.
    pub lateness_ms: Option<Summary>,
    /// What the heartbeat's interval and timeout promise; null: the heartbeat is not known, there
    /// is none, or TCP tells of this death without one.
    pub predicted: Option<PredictedBlock>,
}

/// What became of those who are not dead, or came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomesBlock {
    /// The server still had the connection, as far as was seen.
    pub survived: u64,
    /// The client was told of its end by RST.
    pub reset: u64,
    /// The client was told of its end by a Close frame or FIN.
    pub closed: u64,
    /// The client was told nothing.
    pub unknown: u64,
}

/// Those who came back at about the same age.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RevivalBlock {
    /// From their death to their return, the mean.
    pub age_ms: f64,
    /// How many came back.
    pub revived: u64,
    /// How many of them the server had given up by then.
    pub found: u64,
}

/// Who saw what became of the dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObserverKind {
    /// The server's kernel was asked (sock_diag).
    SockDiag,
    /// Only what reached the client's end is known.
    Client,
}

/// A predicted detection time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PredictedBlock {
    /// The soonest.
    pub min_ms: f64,
    /// The median.
    pub p50_ms: f64,
    /// The latest.
    pub max_ms: f64,
    /// How far the measured times are from the prediction.
    pub ks: Option<Ks>,
}

/// What one heartbeat costs: a ping and its pong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CostBlock {
    /// CPU time of server and client together: loopback charges the receiver's work to the sender.
    pub both_ends_cpu_us_per_heartbeat: Option<Measured>,
    /// CPU time of the server.
    pub server_cpu_us_per_heartbeat: Option<Measured>,
    /// CPU time of the client, what watching costs not included.
    pub client_cpu_us_per_heartbeat: Option<Measured>,
    /// CPU time of the whole machine: cores × wall − idle.
    pub machine_cpu_us_per_heartbeat: Option<Measured>,
    /// Packets.
    pub packets_per_heartbeat: Option<Measured>,
    /// Bytes at layer 2.
    pub wire_bytes_per_heartbeat: Option<Measured>,
    /// System calls.
    pub syscalls_per_heartbeat: Option<Measured>,
    /// CPU time of the server in percent of one core, between the ramp and the first death.
    pub server_cpu_percent: Option<f64>,
}

/// A figure with its interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// The figure.
    pub value: f64,
    /// The lower end of its interval of 95 %; null: too few windows.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// How it was measured.
    pub method: String,
    /// The same of a program that does nothing but move the bytes.
    pub floor: Option<f64>,
}

/// What connections weigh.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryBlock {
    /// User memory (RssAnon) of the server: its growth from the first 1,000 connections on, a
    /// connection. Null where fewer than 1,000 came after those: pages and arenas hide them.
    pub server_user_bytes_per_connection: Option<f64>,
    /// All resident memory of the server with every connection open.
    pub server_rss_bytes: Option<u64>,
    /// Memory of the kernel (slab and TCP's pages): the same growth, both ends of a connection.
    /// Null too where only one end is on this machine.
    pub kernel_bytes_per_connection_pair: Option<f64>,
}

/// The machine while a run took place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MachineBlock {
    /// By how much a thread on each core overslept 1 ms: a tail below these is the machine's.
    pub hiccups_ms: Summary,
    /// Time that the hypervisor gave to others, in percent of all cores.
    pub steal_percent: Option<f64>,
    /// CPU time that was neither the server's nor ours, in percent of all cores. Interrupts are in
    /// it.
    pub foreign_cpu_percent: Option<f64>,
    /// Packets dropped for their TTL: what `blackhole` swallowed.
    pub ttl_dropped: Option<u64>,
    /// TCP segments sent again.
    pub retransmitted: Option<u64>,
}

/// The silent dead at a moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ZombiePoint {
    /// Seconds since the run began.
    pub at_s: f64,
    /// How many had died.
    pub dead: u64,
    /// How many of them the server had not let go of.
    pub held: u64,
    /// How many of them still had a socket in its kernel.
    pub unreclaimed: u64,
    /// How many its heartbeat promises to hold; null: nothing is predicted.
    pub predicted: Option<f64>,
}

/// A moment of a run. CPU is that since the moment before that told it, in percent of one core; null
/// where that was less than 100 ms ago.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimelinePoint {
    /// Seconds since the run began.
    pub at_s: f64,
    /// Connections that are open.
    pub connections: u64,
    /// CPU of the server.
    pub server_cpu_percent: Option<f64>,
    /// CPU of the client, what watching costs not included.
    pub client_cpu_percent: Option<f64>,
    /// CPU of the whole machine.
    pub machine_cpu_percent: Option<f64>,
}

/// The schema as JSON Schema, draft 2020-12.
pub fn json_schema() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<Report>().to_value()
}
