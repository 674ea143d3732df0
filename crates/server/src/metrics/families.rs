//! The names, and what is behind each.

use super::buckets::Buckets;
use super::{Exposition, Reading};
use crate::{DriverStats, End, Refusal, Stats};
use halfopen_driver::TURN_NS;
use std::collections::BTreeMap;

impl Reading {
    /// All of it in Prometheus' text format.
    pub fn to_prometheus(&self) -> String {
        let mut text = Exposition::default();
        self.expose(&mut text);
        text.into_text()
    }

    /// Appends all of it.
    pub fn expose(&self, to: &mut Exposition) {
        self.connections(to);
        self.heartbeat(to);
        messages(&self.stats, to);
        driver(&self.stats.driver, to);
        self.shards(to);
    }

    /// Whether each shard answered in time.
    pub fn is_complete(&self) -> bool {
        self.shards.iter().all(|(answered, _)| *answered)
    }

    fn connections(&self, to: &mut Exposition) {
        let Stats { accepted, opened, open, peak, refused, http_answers, ended, closed, .. } =
            &self.stats;
        to.gauge("halfopen_connections", "Connections that are open now.", open);
        to.gauge("halfopen_connections_peak", "The most connections that were open at once.", peak);
        to.gauge(
            "halfopen_connections_limit",
            "The most connections that may be open at once.",
            self.connections_max,
        );
        to.counter("halfopen_accepts_total", "Connections taken from the listener.", accepted);
        to.counter(
            "halfopen_tls_handshakes_total",
            "TLS handshakes that succeeded.",
            self.stats.tls_handshakes,
        );
        to.counter(
            "halfopen_tls_failures_total",
            "TLS sessions that failed, most of them in their handshakes.",
            self.stats.tls_failures,
        );
        to.counter("halfopen_handshakes_total", "Opening handshakes that succeeded.", opened);
        to.counters(
            "halfopen_refusals_total",
            "Requests that were answered with an HTTP error, by reason.",
            "reason",
            by_name(&Refusal::ALL, Refusal::name, refused),
        );
        to.counter(
            "halfopen_http_answers_total",
            "Requests of plain HTTP that the app answered.",
            http_answers,
        );
        to.counters(
            "halfopen_reclaimed_total",
            "Connections that are gone and whose memory came back, by cause.",
            "cause",
            by_name(&End::ALL, End::name, ended),
        );
        to.counters(
            "halfopen_closes_total",
            "Close frames that began a closing handshake, from either side, by code.",
            "code",
            by_code(closed),
        );
    }

    fn heartbeat(&self, to: &mut Exposition) {
        let stats = &self.stats;
        to.counter("halfopen_pings_sent_total", "Pings handed to the kernel.", stats.pings_sent);
        to.counter(
            "halfopen_pongs_total",
            "Pongs that carried the stamp of a ping of ours.",
            stats.pongs_matched,
        );
        to.counter(
            "halfopen_unsolicited_pongs_total",
            "Pongs that answered no ping of ours.",
            stats.pongs_unsolicited,
        );
        to.counter("halfopen_pings_received_total", "Pings of peers.", stats.pings_received);
        to.histogram(
            "halfopen_ping_rtt_seconds",
            "Time from the making of a ping to its pong.",
            &self.rtt,
        );
        to.histogram(
            "halfopen_reclaim_lateness_seconds",
            "Time from the deadline of a silent peer to its abort; from a later one, where it was slow.",
            &self.lateness,
        );
    }

    fn shards(&self, to: &mut Exposition) {
        let numbered =
            || self.shards.iter().enumerate().map(|(number, seen)| (number.to_string(), seen));
        to.gauges(
            "halfopen_shard_answered",
            "Whether the shard answered this reading in time; if not, it is counted as it was last seen.",
            "shard",
            numbered().map(|(number, (answered, _))| (number, u64::from(*answered))),
        );
        to.gauges(
            "halfopen_shard_connections",
            "Connections that are open now, by shard.",
            "shard",
            numbered().map(|(number, (_, open))| (number, *open)),
        );
    }
}

fn messages(stats: &Stats, to: &mut Exposition) {
    to.counter("halfopen_messages_received_total", "Messages from peers.", stats.messages_received);
    to.counter(
        "halfopen_messages_sent_total",
        "Messages to peers, when they were queued.",
        stats.messages_sent,
    );
    to.counter(
        "halfopen_message_received_bytes_total",
        "Payload of messages from peers.",
        stats.payload_received,
    );
    to.counter(
        "halfopen_message_sent_bytes_total",
        "Payload of messages to peers, when they were queued.",
        stats.payload_sent,
    );
    to.counter(
        "halfopen_messages_dropped_total",
        "Messages that were dropped because a peer's queue was full.",
        stats.messages_dropped,
    );
    to.counter(
        "halfopen_message_dropped_bytes_total",
        "Payload of messages that were dropped.",
        stats.payload_dropped,
    );
    to.counter(
        "halfopen_letters_undeliverable_total",
        "Messages from other threads to connections that had gone meanwhile.",
        stats.undeliverable,
    );
    to.counter(
        "halfopen_pauses_total",
        "Times that a peer was not read from because it did not read.",
        stats.pauses,
    );
    to.gauge(
        "halfopen_pooled_bytes",
        "Bytes of memory that the shards keep for whoever works next.",
        stats.pooled_bytes,
    );
}

fn driver(stats: &DriverStats, to: &mut Exposition) {
    to.counter("halfopen_received_bytes_total", "Bytes received from TCP.", stats.bytes_received);
    to.counter("halfopen_sent_bytes_total", "Bytes given to TCP.", stats.bytes_sent);
    to.counter("halfopen_syscalls_total", "System calls of the drivers' loops.", stats.syscalls);
    to.counter(
        "halfopen_gathering_waits_total",
        "Waits for several arrivals at once, as the io_uring driver makes them at high load.",
        stats.gathers,
    );
    to.counter("halfopen_events_total", "Events that the drivers handed over.", stats.events);
    to.histogram(
        "halfopen_turn_seconds",
        "Time that a turn of a driver's loop took, without the wait before it.",
        &Buckets::counted(&TURN_NS, &stats.turns, stats.turn_ns_sum),
    );
    to.gauge(
        "halfopen_turn_seconds_max",
        "The longest turn of a driver's loop since the start.",
        stats.turn_ns_max as f64 / 1e9,
    );
    driver_pressure(stats, to);
}

/// What a driver has too little of.
fn driver_pressure(stats: &DriverStats, to: &mut Exposition) {
    to.gauge(
        "halfopen_receive_buffers",
        "Buffers to receive into that are in use now.",
        stats.buffers,
    );
    to.counter(
        "halfopen_buffers_exhausted_total",
        "Times that a receive ended because no buffer was free.",
        stats.buffers_exhausted,
    );
    to.counter(
        "halfopen_overflows_total",
        "Turns in which the kernel kept completions that the queue had no room for.",
        stats.overflows,
    );
    to.counter(
        "halfopen_short_sends_total",
        "Sends that took a part of what was to be sent.",
        stats.sends_short,
    );
    to.counter(
        "halfopen_failed_accepts_total",
        "Accepts that failed for want of descriptors or memory.",
        stats.accepts_failed,
    );
    to.counter(
        "halfopen_table_full_total",
        "Times that a driver's table was full while a connection waited.",
        stats.table_full,
    );
}

/// One sample for each that can be, also where nothing was counted yet: a counter that appears with
/// its first event hides that event from everyone who computes a rate.
fn by_name<K: Copy + Ord>(
    all: &[K],
    name: impl Fn(K) -> &'static str,
    counts: &BTreeMap<K, u64>,
) -> Vec<(&'static str, u64)> {
    all.iter().map(|key| (name(*key), counts.get(key).copied().unwrap_or(0))).collect()
}

/// The codes of RFC 6455 §7.4 one by one; those that are free for everyone, which peers choose, as
/// two: labels are bounded whatever peers send.
fn by_code(counts: &BTreeMap<u16, u64>) -> BTreeMap<String, u64> {
    let rest = FREE_CODES.map(str::to_owned).into_iter();
    let known = CODES.iter().map(u16::to_string);
    let mut labels: BTreeMap<_, _> = known.chain(rest).map(|label| (label, 0)).collect();
    for (code, count) in counts {
        *labels.entry(code_label(*code)).or_default() += count;
    }
    labels
}

fn code_label(code: u16) -> String {
    let [three, four, other] = FREE_CODES;
    match code {
        known if CODES.contains(&known) => known.to_string(),
        3_000..4_000 => three.into(),
        4_000..5_000 => four.into(),
        _ => other.into(),
    }
}

const CODES: [u16; 13] =
    [1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
const FREE_CODES: [&str; 3] = ["3xxx", "4xxx", "other"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::buckets::{LATENESS_NS, RTT_NS};
    use halfopen_driver::Counters;
    use serde_json::Value;
    use std::time::Duration;

    /// Gives each number in a document another value, and lists them by their names.
    fn number_all(value: &mut Value, name: &str, numbers: &mut Vec<(String, u64)>) {
        match value {
            Value::Number(_) => {
                let number = 1_000_003 * (numbers.len() as u64 + 1);
                *value = number.into();
                numbers.push((name.to_owned(), number));
            }
            Value::Object(fields) => {
                fields.iter_mut().for_each(|(name, value)| number_all(value, name, numbers));
            }
            _ => {}
        }
    }

    #[test]
    fn whatever_is_counted_is_shown() {
        let mut counted = serde_json::to_value(Stats::default()).unwrap();
        let mut numbers = Vec::new();
        number_all(&mut counted, "", &mut numbers);
        assert!(numbers.len() > 20, "{numbers:?}");
        let text = Reading {
            stats: serde_json::from_value(counted).unwrap(),
            rtt: Buckets::new(&RTT_NS),
            lateness: Buckets::new(&LATENESS_NS),
            connections_max: 0,
            shards: Vec::new(),
        }
        .to_prometheus();
        for (name, number) in numbers {
            let seconds = number as f64 / 1e9;
            let is_shown = |line: &str| {
                line.ends_with(&format!(" {number}")) || line.ends_with(&format!(" {seconds}"))
            };
            assert!(text.lines().any(is_shown), "Stats has {name}, and the metrics have not");
        }
    }

    #[test]
    fn turns_are_a_histogram_of_what_the_drivers_counted() {
        let counters = Counters::default();
        for ms in [1, 3, 3, 200, 60_000] {
            counters.turns.add(Duration::from_millis(ms));
        }
        let mut text = Exposition::default();
        driver(&DriverStats::from(&counters), &mut text);
        let text = text.into_text();
        for (bound, count) in [("0.0005", 0), ("0.001", 1), ("0.1", 3), ("10", 4), ("+Inf", 5)] {
            let row = format!("\nhalfopen_turn_seconds_bucket{{le=\"{bound}\"}} {count}\n");
            assert!(text.contains(&row), "{text}");
        }
        assert!(text.contains("\nhalfopen_turn_seconds_sum 60.207\n"), "{text}");
        assert!(text.contains("\nhalfopen_turn_seconds_max 60\n"), "{text}");
    }

    #[test]
    fn whatever_codes_peers_send_the_labels_are_few() {
        let everything = (0..=u16::MAX).map(|code| (code, 1)).collect();
        let labels = by_code(&everything);
        assert_eq!(labels.len(), CODES.len() + 3);
        assert_eq!(labels.values().sum::<u64>(), 1 << 16);
        assert_eq!((labels["1001"], labels["3xxx"], labels["4xxx"]), (1, 1000, 1000));
    }

    #[test]
    fn what_has_not_happened_yet_is_there_with_zero() {
        let samples = by_name(&End::ALL, End::name, &BTreeMap::from([(End::Silent, 3)]));
        assert_eq!(samples.len(), End::ALL.len());
        assert!(samples.contains(&("silent", 3)) && samples.contains(&("reset", 0)));
    }
}
