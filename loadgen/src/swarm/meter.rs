//! What a swarm shows of itself while it runs.

use crate::record::{Tag, histogram};
use hdrhistogram::Histogram;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Numbers that one swarm writes and other threads read.
#[derive(Debug, Default)]
pub struct Meter {
    pub(super) opened: Gauge,
    pub(super) failed: Gauge,
    pub(super) lost: Gauge,
    pub(super) left: Gauge,
    pub(super) came_back: Gauge,
    pub(super) killed: Gauge,
    pub(super) ready_to_die: Gauge,
    pub(super) kills_missed: Gauge,
    pub(super) ends_seen: Gauge,
    pub(super) answered_a_ping: Gauge,
    pub(super) lost_without_an_answer: Gauge,
    pub(super) messages_sent: Gauge,
    pub(super) messages_received: Gauge,
    pub(super) messages_waiting: Gauge,
    pub(super) pings_seen: Gauge,
    pub(super) pings_answered: Gauge,
    pub(super) client_pings_answered: Gauge,
    pub(super) send_late_ns: Gauge,
    pub(super) latency_p99_ns: Gauge,
    pub(super) rtt_p99_ns: Gauge,
    pub(super) live: Live,
}

impl Meter {
    /// Adds the times of the seconds that have ended to `sum`.
    pub fn add_times(&self, tag: Tag, sum: &mut Histogram<u64>) {
        self.live.add_to(tag, sum);
    }
}

/// The times of all seconds that have ended: written once a second, so a lock costs nothing.
#[derive(Debug, Default)]
pub(super) struct Live(Mutex<[Option<Histogram<u64>>; 4]>);

impl Live {
    /// Takes in the times of a second.
    pub(super) fn add(&self, tag: Tag, second: &Histogram<u64>) {
        let mut all = self.0.lock().expect("nobody panics with it");
        let sum = all[tag as usize].get_or_insert_with(histogram);
        sum.add(second).expect("it grows as it needs");
    }

    fn add_to(&self, tag: Tag, sum: &mut Histogram<u64>) {
        let all = self.0.lock().expect("nobody panics with it");
        if let Some(times) = &all[tag as usize] {
            sum.add(times).expect("it grows as it needs");
        }
    }
}

/// What all swarms of a run show together at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Handshakes that succeeded.
    pub opened: u64,
    /// Connects and handshakes that failed.
    pub failed: u64,
    /// Living connections that were lost.
    pub lost: u64,
    /// Connections that we have ended ourselves, to come back.
    pub left: u64,
    /// Those who have come back.
    pub came_back: u64,
    /// Victims killed so far.
    pub killed: u64,
    /// Victims chosen and located, or found to be gone already.
    pub ready_to_die: u64,
    /// Deaths that could not happen, because nobody was left or the chosen one was gone.
    pub kills_missed: u64,
    /// Victims whose end the client knows by itself: FIN or RST came, or it sent the RST.
    pub ends_seen: u64,
    /// Connections that have answered a ping of the server.
    pub answered_a_ping: u64,
    /// Living connections that were lost or sent away before they answered one.
    pub lost_without_an_answer: u64,
    /// Messages sent.
    pub messages_sent: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Messages that wait to be sent or answered.
    pub messages_waiting: u64,
    /// Pings of the server that came.
    pub pings_seen: u64,
    /// Pongs sent.
    pub pings_answered: u64,
    /// Pongs that answered the client's own pings.
    pub client_pings_answered: u64,
    /// How late the latest send of the last second was.
    pub send_late: Duration,
    /// The 99th percentile of messages' latency in the last second, in a closed loop of their
    /// service time; zero if there was none.
    pub latency_p99: Duration,
    /// The 99th percentile of own pings' round trips in the last second; zero if there was none.
    pub rtt_p99: Duration,
}

impl Snapshot {
    /// Connections that are open and not victims.
    pub fn living(&self) -> u64 {
        (self.opened + self.came_back).saturating_sub(self.lost + self.left + self.killed)
    }

    /// Whether every living connection has answered a ping of the server; until the first death.
    pub fn all_answered(&self) -> bool {
        self.opened + self.came_back == self.answered_a_ping + self.lost_without_an_answer
    }

    /// All swarms together. Times are those of the worst.
    pub fn of<'a>(meters: impl IntoIterator<Item = &'a Meter>) -> Self {
        meters.into_iter().fold(Self::default(), Self::plus)
    }

    fn plus(self, meter: &Meter) -> Self {
        let worst =
            |so_far: Duration, gauge: &Gauge| so_far.max(Duration::from_nanos(gauge.value()));
        // Losses and deaths are read first, so that they are never more than what was opened.
        let (lost, killed) = (meter.lost.value(), meter.killed.value());
        let left = meter.left.value();
        Self {
            opened: self.opened + meter.opened.value(),
            failed: self.failed + meter.failed.value(),
            lost: self.lost + lost,
            killed: self.killed + killed,
            left: self.left + left,
            came_back: self.came_back + meter.came_back.value(),
            ready_to_die: self.ready_to_die + meter.ready_to_die.value(),
            kills_missed: self.kills_missed + meter.kills_missed.value(),
            ends_seen: self.ends_seen + meter.ends_seen.value(),
            answered_a_ping: self.answered_a_ping + meter.answered_a_ping.value(),
            lost_without_an_answer: self.lost_without_an_answer
                + meter.lost_without_an_answer.value(),
            messages_sent: self.messages_sent + meter.messages_sent.value(),
            messages_received: self.messages_received + meter.messages_received.value(),
            messages_waiting: self.messages_waiting + meter.messages_waiting.value(),
            pings_seen: self.pings_seen + meter.pings_seen.value(),
            pings_answered: self.pings_answered + meter.pings_answered.value(),
            client_pings_answered: self.client_pings_answered + meter.client_pings_answered.value(),
            send_late: worst(self.send_late, &meter.send_late_ns),
            latency_p99: worst(self.latency_p99, &meter.latency_p99_ns),
            rtt_p99: worst(self.rtt_p99, &meter.rtt_p99_ns),
        }
    }
}

/// A number with one writer: plain stores, no atomic addition.
#[derive(Debug, Default)]
pub(super) struct Gauge(AtomicU64);

impl Gauge {
    pub(super) fn add(&self, n: u64) {
        self.set(self.value() + n);
    }

    pub(super) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Release);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}
