//! What a shard, or a server, has done.

use crate::{End, Refusal};
use halfopen_driver::{Counters, TURN_NS};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a shard has done since it began; several are merged by [`add`](Self::add).
///
/// It passes between processes as JSON; its histograms with their full resolution, as the base64 of
/// HdrHistogram's V2 encoding.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stats {
    /// Connections taken from the listener.
    pub accepted: u64,
    /// TLS handshakes that succeeded; none without TLS.
    pub tls_handshakes: u64,
    /// TLS sessions that failed, most of them in their handshakes.
    pub tls_failures: u64,
    /// Opening handshakes that succeeded.
    pub opened: u64,
    /// Connections that are open now: admitted, and not yet gone.
    pub open: u64,
    /// The most that were open at once.
    pub peak: u64,
    /// Requests that were answered with an HTTP error.
    pub refused: BTreeMap<Refusal, u64>,
    /// Requests of plain HTTP that the app answered.
    pub http_answers: u64,
    /// How connections ended.
    pub ended: BTreeMap<End, u64>,
    /// Close frames that began a closing handshake, from either side, by code (1005: none given).
    pub closed: BTreeMap<u16, u64>,
    /// Pings handed to the kernel.
    pub pings_sent: u64,
    /// Pongs that carried a stamp of ours.
    pub pongs_matched: u64,
    /// Pongs that did not.
    pub pongs_unsolicited: u64,
    /// Pings of peers.
    pub pings_received: u64,
    /// Messages from peers.
    pub messages_received: u64,
    /// Messages to peers, when they were queued.
    pub messages_sent: u64,
    /// Bytes in messages from peers.
    pub payload_received: u64,
    /// Bytes in messages to peers.
    pub payload_sent: u64,
    /// Messages that were dropped, because a peer's queue was full.
    pub messages_dropped: u64,
    /// Bytes in messages that were dropped.
    pub payload_dropped: u64,
    /// Letters to connections that had gone meanwhile.
    pub undeliverable: u64,
    /// Times that a peer was not read from because it did not read.
    pub pauses: u64,
    /// Bytes of memory that are kept for whoever works next, up to a bound; not counted, but the
    /// number at this moment.
    pub pooled_bytes: u64,
    /// From the making of a ping to its pong, ns.
    #[serde(with = "v2")]
    pub rtt_ns: Histogram<u64>,
    /// From the deadline of a silent peer (flush of the ping + timeout) to its abort, ns.
    #[serde(with = "v2")]
    pub lateness_ns: Histogram<u64>,
    /// What the driver has done.
    pub driver: DriverStats,
}

/// What a driver has done.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct DriverStats {
    /// System calls of the loop.
    pub syscalls: u64,
    /// Waits for several arrivals at once, as the io_uring driver makes them at high load.
    pub gathers: u64,
    /// Events handed over.
    pub events: u64,
    /// Bytes received from TCP.
    pub bytes_received: u64,
    /// Bytes given to TCP.
    pub bytes_sent: u64,
    /// Buffers to receive into that are in use now.
    pub buffers: u64,
    /// Times that a receive ended because no buffer was free.
    pub buffers_exhausted: u64,
    /// Turns in which the kernel kept completions that the queue had no room for.
    pub overflows: u64,
    /// Sends that took a part of a chunk.
    pub sends_short: u64,
    /// Accepts that failed for want of descriptors or memory.
    pub accepts_failed: u64,
    /// Times that the table was full while a connection waited.
    pub table_full: u64,
    /// How many turns of the loop took at most as long as each of [`TURN_NS`] and longer than the
    /// one before; then those that took longer than all.
    pub turns: [u64; TURN_NS.len() + 1],
    /// All turns together, ns.
    pub turn_ns_sum: u64,
    /// The longest turn, ns.
    pub turn_ns_max: u64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            accepted: 0,
            tls_handshakes: 0,
            tls_failures: 0,
            opened: 0,
            open: 0,
            peak: 0,
            refused: BTreeMap::new(),
            http_answers: 0,
            ended: BTreeMap::new(),
            closed: BTreeMap::new(),
            pings_sent: 0,
            pongs_matched: 0,
            pongs_unsolicited: 0,
            pings_received: 0,
            messages_received: 0,
            messages_sent: 0,
            payload_received: 0,
            payload_sent: 0,
            messages_dropped: 0,
            payload_dropped: 0,
            undeliverable: 0,
            pauses: 0,
            pooled_bytes: 0,
            rtt_ns: latency_histogram(),
            lateness_ns: latency_histogram(),
            driver: DriverStats::default(),
        }
    }
}

impl Stats {
    /// Adds what another shard has done. Peaks are added too, although they may have been at
    /// different times; only [`Admission::peak`](crate::Admission::peak) knows better.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.tls_handshakes += other.tls_handshakes;
        self.tls_failures += other.tls_failures;
        self.opened += other.opened;
        self.open += other.open;
        self.peak += other.peak;
        add_map(&mut self.refused, &other.refused);
        self.http_answers += other.http_answers;
        add_map(&mut self.ended, &other.ended);
        add_map(&mut self.closed, &other.closed);
        self.pings_sent += other.pings_sent;
        self.pongs_matched += other.pongs_matched;
        self.pongs_unsolicited += other.pongs_unsolicited;
        self.pings_received += other.pings_received;
        self.messages_received += other.messages_received;
        self.messages_sent += other.messages_sent;
        self.payload_received += other.payload_received;
        self.payload_sent += other.payload_sent;
        self.messages_dropped += other.messages_dropped;
        self.payload_dropped += other.payload_dropped;
        self.undeliverable += other.undeliverable;
        self.pauses += other.pauses;
        self.pooled_bytes += other.pooled_bytes;
        self.rtt_ns += &other.rtt_ns;
        self.lateness_ns += &other.lateness_ns;
        self.driver.add(&other.driver);
    }

    pub(crate) fn count_close(&mut self, code: u16) {
        *self.closed.entry(code).or_default() += 1;
    }

    /// How many connections ended so.
    pub fn ended(&self, end: End) -> u64 {
        self.ended.get(&end).copied().unwrap_or(0)
    }
}

impl DriverStats {
    /// How many turns of the loop there were.
    pub fn turns(&self) -> u64 {
        self.turns.iter().sum()
    }

    fn add(&mut self, other: &Self) {
        self.syscalls += other.syscalls;
        self.gathers += other.gathers;
        self.events += other.events;
        self.bytes_received += other.bytes_received;
        self.bytes_sent += other.bytes_sent;
        self.buffers += other.buffers;
        self.buffers_exhausted += other.buffers_exhausted;
        self.overflows += other.overflows;
        self.sends_short += other.sends_short;
        self.accepts_failed += other.accepts_failed;
        self.table_full += other.table_full;
        self.turns.iter_mut().zip(other.turns).for_each(|(to, from)| *to += from);
        self.turn_ns_sum += other.turn_ns_sum;
        self.turn_ns_max = self.turn_ns_max.max(other.turn_ns_max);
    }
}

impl From<&Counters> for DriverStats {
    fn from(counters: &Counters) -> Self {
        // Each by its name, so that none is forgotten.
        let Counters {
            syscalls,
            turns,
            gathers,
            events,
            bytes_in,
            bytes_out,
            buffers,
            buffers_exhausted,
            overflows,
            sends_short,
            accepts_failed,
            table_full,
        } = counters;
        Self {
            syscalls: syscalls.value(),
            gathers: gathers.value(),
            events: events.value(),
            bytes_received: bytes_in.value(),
            bytes_sent: bytes_out.value(),
            buffers: buffers.value(),
            buffers_exhausted: buffers_exhausted.value(),
            overflows: overflows.value(),
            sends_short: sends_short.value(),
            accepts_failed: accepts_failed.value(),
            table_full: table_full.value(),
            turns: turns.counts(),
            turn_ns_sum: turns.sum_ns.value(),
            turn_ns_max: turns.max_ns.value(),
        }
    }
}

/// From 1 µs to 60 s, to three digits; in nanoseconds. What is beyond counts as its end.
fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("the bounds are valid")
}

fn add_map<K: Ord + Copy>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (&key, &count) in from {
        *to.entry(key).or_default() += count;
    }
}

/// A histogram as the base64 of its V2 encoding.
mod v2 {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::{
        Deserializer as V2Deserializer, Serializer as _, V2Serializer,
    };
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        histogram: &Histogram<u64>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(histogram, &mut bytes).map_err(S::Error::custom)?;
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Histogram<u64>, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        V2Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_survive_the_way_to_another_process_and_add_up() {
        let mut stats = Stats { accepted: 3, ..Stats::default() };
        stats.ended.insert(End::OutputStuck, 2);
        stats.closed.insert(1001, 4);
        stats.lateness_ns.saturating_record(5_000_000);
        stats.lateness_ns.saturating_record(u64::MAX);

        let json = serde_json::to_string(&stats).unwrap();
        assert!(json.contains(r#""ended":{"output_stuck":2}"#), "{json}");
        let mut twice: Stats = serde_json::from_str(&json).unwrap();
        twice.add(&stats);

        assert_eq!(twice.accepted, 6);
        assert_eq!(twice.ended(End::OutputStuck), 4);
        assert_eq!(twice.closed[&1001], 8);
        assert_eq!(twice.lateness_ns.len(), 4);
        assert_eq!(
            twice.lateness_ns.value_at_quantile(0.5),
            stats.lateness_ns.value_at_quantile(0.5)
        );
    }
}
