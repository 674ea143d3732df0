//! What a run found out: numbers only, in the units of the clock; reports are made of them.

use crate::death::Death;
use halfopen_wheel::Instant;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What one swarm counted. Tallies of several swarms are merged by addition.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Connections whose handshake succeeded.
    pub opened: u64,
    /// Why others failed, and how many.
    pub failed: BTreeMap<String, u64>,
    /// The most that were open at once.
    pub peak: u64,
    /// Open at the end of the run, without the victims.
    pub living_at_end: u64,
    /// Living connections lost to an abort or close that the heartbeat explains: a RST without
    /// Close, or a Close frame, while a ping of the server was not answered in time.
    pub lost_heartbeat: u64,
    /// Living connections that the server closed, by close code (1006: none).
    pub lost_closed: BTreeMap<u16, u64>,
    /// Living connections reset.
    pub lost_reset: u64,
    /// From SYN to the connection, ns.
    pub connect_ns: Histogram<u64>,
    /// From the connection to the end of the opening handshake, ns.
    pub handshake_ns: Histogram<u64>,
    /// Messages sent and received.
    pub messages_sent: u64,
    /// Messages received.
    pub messages_received: u64,
    /// From the intended send to the answer, ns.
    pub latency_ns: Histogram<u64>,
    /// From the actual send to the answer, ns.
    pub service_ns: Histogram<u64>,
    /// How late sends were, ns.
    pub send_late_ns: Histogram<u64>,
    /// Pings of the server that came, and pongs sent for them.
    pub pings_seen: u64,
    /// Pongs sent.
    pub pings_answered: u64,
    /// Between successive pings of the server on one connection, ns.
    pub ping_interval_ns: Histogram<u64>,
    /// Pings of the server in each 100 ms since the run began.
    pub pings_per_100ms: Vec<u32>,
    /// The client's own pings.
    pub client_pings_sent: u64,
    /// Pongs that answered them.
    pub client_pings_answered: u64,
    /// Their round trip, ns.
    pub client_rtt_ns: Histogram<u64>,
    /// Those who were killed.
    pub victims: Vec<Victim>,
}

/// One connection that was killed.
#[derive(Clone, Copy, Debug)]
pub struct Victim {
    /// How.
    pub death: Death,
    /// Its own address and port.
    pub local: SocketAddr,
    /// The server's.
    pub peer: SocketAddr,
    /// When.
    pub killed: Instant,
    /// When the last ping came that it answered.
    pub answered: Option<Instant>,
    /// When the client's own kernel told of the end (FIN or RST came), where the death lets it.
    pub client_saw: Option<Instant>,
}
