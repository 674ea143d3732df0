//! What a run is to do.

mod fault;
mod headers;
mod herd;
mod place;
mod resolve;
mod script;
mod secure;
mod size;

pub use fault::{Fault, Stall};
pub use headers::{Header, is_secret};
pub use herd::{Backoff, Herd};
pub use resolve::{Amount, Asked, PlanError, raise_descriptor_limit, resolve};
pub use script::{Beat, Preset, Reply, Script};
pub use secure::Secure;
pub use size::{SIZE_MAX, Size, Weighted};

use crate::death::Death;
use crate::pacing::{Arrivals, Rate, Share};
use halfopen_proto::handshake::ClientRequest;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The most connections of a run.
pub const CONNECTIONS_MAX: u32 = halfopen_driver::INDEX_MAX;

/// A run of the load generator, fully resolved: no name is left to look up, no `auto` to choose.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The URL as given.
    pub url: String,
    /// Its addresses: a connect that is refused tries the next one.
    pub targets: Vec<SocketAddr>,
    /// How it is spoken to over TLS; none: plainly.
    #[serde(default)]
    pub tls: Option<Secure>,
    /// The Host field.
    pub host: String,
    /// Path and query; `{n}` in it stands for the connection's number.
    pub path: String,
    /// Subprotocols to offer.
    pub subprotocols: Vec<String>,
    /// The Origin field.
    pub origin: Option<String>,
    /// Further fields of the request; `{n}` in a value stands for the connection's number.
    pub headers: Vec<Header>,
    /// Addresses to connect from, used in turn; empty: the kernel's choice.
    pub sources: Vec<IpAddr>,
    /// How many connections.
    pub connections: u32,
    /// New connections a second, over all.
    pub connect_rate: f64,
    /// How long a connect and its handshake may take.
    pub connect_timeout: Duration,
    /// How long messages and pings go on after the ramp, at the least: deaths that are still
    /// watched make it longer.
    pub duration: Duration,
    /// Messages a second, over all connections; open loop.
    pub message_rate: Option<Rate>,
    /// How they come.
    pub arrivals: Arrivals,
    /// Closed loop: so many messages of each connection are under way at any time.
    pub window: Option<u32>,
    /// Bytes in a message.
    pub size: Size,
    /// Text or binary.
    pub kind: MessageKind,
    /// What comes back for a message.
    pub expect: Expect,
    /// The client's own pings on each connection.
    pub client_ping: Option<Duration>,
    /// What each connection says in text beside its messages.
    pub script: Script,
    /// So many connections a second are closed politely and opened anew.
    pub churn: Option<f64>,
    /// Many are dropped at once, and come back.
    pub herd: Option<Herd>,
    /// Who dies how, in the order given.
    pub kills: Vec<Kill>,
    /// When they die.
    pub kill_at: KillAt,
    /// Over how long a time the deaths are spread.
    pub kill_over: Duration,
    /// How they lie in it.
    pub kill_times: KillTimes,
    /// How late a `slow` one answers a ping.
    pub pong_delay: Between,
    /// How long nothing arrives at a `flap`.
    pub flap_for: Duration,
    /// The age as a dead one at which each of the `blackhole` comes back, and learns whether it was
    /// found; none: they stay away.
    pub revive: Option<Between>,
    /// How long the dead are watched.
    pub watch: Watch,
    /// The server's heartbeat, to predict with.
    pub server_ping: Option<ServerPing>,
    /// The part of all this that is done here; the rest is done by other processes.
    pub slice: Share,
    /// Threads that drive connections.
    pub shards: u16,
    /// The cores to run on; empty: any.
    pub cpus: Vec<usize>,
    /// Seeds every random choice.
    pub seed: u64,
    /// What it does wrong, on purpose.
    #[serde(default)]
    pub fault: Fault,
}

impl Plan {
    /// How many connections are opened here.
    pub fn own_connections(&self) -> u32 {
        self.slice.count(self.connections.into()) as u32
    }

    /// How many are to die here.
    pub fn own_kills(&self) -> u64 {
        self.slice.count(self.kills_total())
    }

    /// How many are to die, here and elsewhere.
    pub fn kills_total(&self) -> u64 {
        self.kills.iter().map(|kill| u64::from(kill.count)).sum()
    }

    /// The longest time for which a victim stays away that comes back.
    pub fn absence_max(&self) -> Option<Duration> {
        let dies = |death| self.kills.iter().any(|kill| kill.death == death && kill.count > 0);
        let flap = dies(Death::Flap).then_some(self.flap_for);
        let revived = self.revive.filter(|_| dies(Death::Blackhole)).map(|ages| ages.to);
        flap.max(revived)
    }

    /// Does something with the request that opens the connection `number`.
    pub fn with_request<T>(
        &self,
        number: u32,
        nonce: [u8; 16],
        what: impl FnOnce(&ClientRequest<'_>) -> T,
    ) -> T {
        let subprotocols: Vec<&str> = self.subprotocols.iter().map(String::as_str).collect();
        let values: Vec<_> = self.headers.iter().map(|h| numbered(&h.value, number)).collect();
        let names = self.headers.iter().map(|header| header.name.as_str());
        let headers: Vec<_> = names.zip(values.iter().map(AsRef::as_ref)).collect();
        what(&ClientRequest {
            host: &self.host,
            target: &numbered(&self.path, number),
            nonce,
            subprotocols: &subprotocols,
            origin: self.origin.as_deref(),
            headers: &headers,
        })
    }

    /// The part of one shard.
    ///
    /// # Panics
    /// If there is no such shard.
    pub fn share(&self, shard: u16) -> Share {
        assert!(shard < self.shards, "shard {shard} of {}", self.shards);
        self.slice.part(shard.into(), self.shards.into())
    }

    /// How each of the dead dies, over all shards, in an order drawn from the seed.
    pub fn deaths(&self) -> Vec<Death> {
        let each = |kill: &Kill| std::iter::repeat_n(kill.death, kill.count as usize);
        let mut deaths: Vec<_> = self.kills.iter().flat_map(each).collect();
        fastrand::Rng::with_seed(self.seed).shuffle(&mut deaths);
        deaths
    }
}

/// `text` with the connection's number in the place of `{n}`.
pub(crate) fn numbered(text: &str, number: u32) -> Cow<'_, str> {
    match text.contains("{n}") {
        true => text.replace("{n}", &number.to_string()).into(),
        false => text.into(),
    }
}

impl ServerPing {
    /// The longest time from a death to its detection, by a server that pings every interval; none
    /// if it does not ping.
    pub fn detection_max(&self) -> Option<Duration> {
        self.interval.map(|interval| interval.saturating_add(self.timeout))
    }
}

/// The opcode of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

/// What is expected to come back for each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// One message, whatever it says: its latency is measured, the oldest unanswered first.
    Any,
    /// The same bytes.
    Echo,
    /// Nothing; what comes is counted.
    None,
}

/// How many connections die in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kill {
    /// How.
    pub death: Death,
    /// How many.
    pub count: u32,
}

/// When deaths begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillAt {
    /// When every connection has answered a ping of the server; 1 s after the ramp where the
    /// server is known not to ping.
    Auto,
    /// That long after the ramp.
    After(Duration),
}

/// How deaths lie in the time over which they are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillTimes {
    /// At equal distances.
    #[default]
    Even,
    /// At random, as deaths do that know nothing of each other.
    Poisson,
}

/// A time that is drawn between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Between {
    /// The least.
    pub from: Duration,
    /// The greatest; not less.
    pub to: Duration,
}

impl Between {
    /// Always the same.
    pub const fn always(time: Duration) -> Self {
        Self { from: time, to: time }
    }

    /// The time at this place between them, 0 to 1.
    pub fn at(&self, place: f64) -> Duration {
        self.from + self.to.saturating_sub(self.from).mul_f64(place)
    }
}

/// How long the dead are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watch {
    /// Until all are found, or past the predicted maximum + 5 s, or 150 s where nothing is
    /// predicted.
    Auto,
    /// As `Auto`, but at most that long.
    AtMost(Duration),
    /// That long.
    For(Duration),
}

/// What is known of the server's heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerPing {
    /// Its interval; none: the server does not ping.
    pub interval: Option<Duration>,
    /// How long it waits for an answer.
    pub timeout: Duration,
}
