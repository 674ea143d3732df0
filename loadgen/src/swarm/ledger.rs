//! The book that a swarm keeps: its tally, the current second of it, and the meter that others read.

use super::meter::Meter;
use super::returning::Returns;
use crate::record::{Interval, Loss, Returned, Second, Tag, Tally, histogram, record};
use halfopen_wheel::Instant;
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) tally: Tally,
    pub(super) meter: Arc<Meter>,
    origin: Instant,
    /// When the current second ends.
    next_roll: Instant,
    second: Second,
    /// The histograms of the current second, in the order of [`Tag::ALL`]; added to the tally when
    /// it ends, so that a value is recorded once.
    current: [Histogram<u64>; 4],
    living: u64,
    send_late: Duration,
}

impl Ledger {
    pub(super) fn new(origin: Instant, meter: Arc<Meter>) -> Self {
        Self {
            tally: Tally::default(),
            meter,
            origin,
            next_roll: origin + SECOND,
            second: Second::default(),
            current: std::array::from_fn(|_| histogram()),
            living: 0,
            send_late: Duration::ZERO,
        }
    }

    pub(super) fn next_roll(&self) -> Instant {
        self.next_roll
    }

    /// Closes the seconds that have ended at `now`.
    pub(super) fn roll(&mut self, now: Instant) {
        while self.next_roll <= now {
            self.end_second();
            self.next_roll = self.next_roll + SECOND;
        }
    }

    pub(super) fn finish(mut self) -> Tally {
        self.end_second();
        self.tally.living_at_end = self.living;
        self.tally
    }

    fn end_second(&mut self) {
        let second = self.tally.seconds.len() as u32;
        self.tally.seconds.push(Second { living: self.living, ..self.second });
        self.second = Second::default();
        let p99 = |histogram: &Histogram<u64>| histogram.value_at_quantile(0.99);
        let answers =
            [Tag::MessageLatency, Tag::MessageService].map(|tag| p99(&self.current[tag as usize]));
        self.meter.latency_p99_ns.set(if answers[0] > 0 { answers[0] } else { answers[1] });
        self.meter.rtt_p99_ns.set(p99(&self.current[Tag::PingRtt as usize]));
        self.meter.send_late_ns.set(std::mem::take(&mut self.send_late).as_nanos() as u64);
        for (tag, current) in Tag::ALL.into_iter().zip(&mut self.current) {
            if current.is_empty() {
                continue;
            }
            let counts = current.iter_recorded();
            let counts = counts.map(|step| (step.value_iterated_to(), step.count_at_value()));
            self.tally.intervals.push(Interval { second, tag, counts: counts.collect() });
            let total = match tag {
                Tag::Connect => &mut self.tally.connect_ns,
                Tag::PingRtt => &mut self.tally.client_rtt_ns,
                Tag::MessageLatency => &mut self.tally.latency_ns,
                Tag::MessageService => &mut self.tally.service_ns,
            };
            total.add(&*current).expect("it grows as it needs");
            self.meter.live.add(tag, current);
            current.reset();
        }
    }

    fn record(&mut self, tag: Tag, duration: Duration) {
        record(&mut self.current[tag as usize], duration);
    }

    pub(super) fn connected(&mut self, took: Duration) {
        self.record(Tag::Connect, took);
    }

    pub(super) fn failed(&mut self, reason: String) {
        *self.tally.failed.entry(reason).or_default() += 1;
        self.meter.failed.add(1);
    }

    pub(super) fn opened(&mut self, handshake: Duration) {
        record(&mut self.tally.handshake_ns, handshake);
        self.tally.opened += 1;
        self.lives();
        self.meter.opened.add(1);
    }

    fn lives(&mut self) {
        self.second.opened += 1;
        self.living += 1;
        self.tally.peak = self.tally.peak.max(self.living);
    }

    fn returned(&mut self, returns: Returns) -> &mut Returned {
        match returns {
            Returns::Churn => &mut self.tally.churn,
            Returns::Herd => &mut self.tally.herd,
            Returns::No => unreachable!("it does not come back"),
        }
    }

    pub(super) fn sent_away(&mut self, returns: Returns, had_answered: bool) {
        self.returned(returns).left += 1;
        self.living -= 1;
        self.meter.lost_without_an_answer.add(u64::from(!had_answered));
        self.meter.left.add(1);
    }

    pub(super) fn came_back(&mut self, returns: Returns, after: Duration) {
        let returned = self.returned(returns);
        returned.back += 1;
        record(&mut returned.back_ns, after);
        self.lives();
        self.meter.came_back.add(1);
    }

    pub(super) fn failed_to_come_back(&mut self, returns: Returns, reason: String) {
        *self.returned(returns).failed.entry(reason).or_default() += 1;
    }

    pub(super) fn lost(&mut self, loss: Loss, had_answered: bool) {
        self.tally.losses.push(loss);
        self.living -= 1;
        self.meter.lost_without_an_answer.add(u64::from(!had_answered));
        self.meter.lost.add(1);
    }

    pub(super) fn killed(&mut self) {
        self.living -= 1;
        self.meter.killed.add(1);
    }

    pub(super) fn kill_missed(&mut self) {
        self.tally.kills_missed += 1;
        self.meter.kills_missed.add(1);
    }

    /// The end of a victim became known to the client itself.
    pub(super) fn end_seen(&mut self) {
        self.meter.ends_seen.add(1);
    }

    /// A ping of the server came; `before` is when the one before it came on that connection.
    pub(super) fn pinged(&mut self, now: Instant, before: Option<Instant>) {
        self.tally.pings_seen += 1;
        self.second.pings_seen += 1;
        self.meter.pings_seen.add(1);
        let slot = now.as_nanos().saturating_sub(self.origin.as_nanos()) / 100_000_000;
        let slot = slot as usize;
        if self.tally.pings_per_100ms.len() <= slot {
            self.tally.pings_per_100ms.resize(slot + 1, 0);
        }
        self.tally.pings_per_100ms[slot] += 1;
        if let Some(before) = before {
            record(&mut self.tally.ping_interval_ns, now.saturating_since(before));
        }
    }

    pub(super) fn answered(&mut self, for_the_first_time: bool) {
        self.tally.pings_answered += 1;
        self.meter.pings_answered.add(1);
        self.meter.answered_a_ping.add(u64::from(for_the_first_time));
    }

    pub(super) fn own_ping_sent(&mut self) {
        self.tally.client_pings_sent += 1;
    }

    pub(super) fn own_ping_answered(&mut self, round_trip: Duration) {
        self.tally.client_pings_answered += 1;
        self.meter.client_pings_answered.add(1);
        self.record(Tag::PingRtt, round_trip);
    }

    pub(super) fn message_sent(&mut self, late: Duration) {
        self.tally.messages_sent += 1;
        self.second.messages_sent += 1;
        self.meter.messages_sent.add(1);
        self.send_late = self.send_late.max(late);
        record(&mut self.tally.send_late_ns, late);
    }

    pub(super) fn message_received(&mut self) {
        self.tally.messages_received += 1;
        self.second.messages_received += 1;
        self.meter.messages_received.add(1);
    }

    /// In a closed loop there is no latency.
    pub(super) fn message_answered(&mut self, latency: Option<Duration>, service: Duration) {
        if let Some(latency) = latency {
            self.record(Tag::MessageLatency, latency);
        }
        self.record(Tag::MessageService, service);
    }
}
