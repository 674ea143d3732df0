//! What a run found out: numbers only, in the units of the clock; reports are made of them.

mod loss;

pub(crate) use loss::speaks_of_heartbeat;
pub use loss::{Ending, Loss, NO_CLOSE_FRAME, SLACK};

use loss::Losses;

use crate::death::Death;
use crate::plan::ServerPing;
use halfopen_wheel::Instant;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// What one swarm counted. Tallies of several swarms are merged by addition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tally {
    /// Connections whose handshake succeeded.
    pub opened: u64,
    /// Why others failed, and how many.
    pub failed: BTreeMap<String, u64>,
    /// The first failure that came with words: the server's HTTP status and the first line of its
    /// answer.
    pub failure_example: Option<String>,
    /// What TLS handshakes came to (version and cipher suite), and how many; empty where none was
    /// asked for.
    pub secured: BTreeMap<String, u64>,
    /// The most that were open at once, victims not counted.
    pub peak: u64,
    /// Open at the end of the run, without the victims.
    pub living_at_end: u64,
    /// Living connections that were lost, each with what is known of its end.
    pub losses: Vec<Loss>,
    /// How many of them are put down to the heartbeat (false kills), once
    /// [`Tally::sort_losses`] has sorted them.
    pub lost_heartbeat: u64,
    /// How many were closed otherwise, by close code; 1006 where no Close frame came.
    pub lost_closed: BTreeMap<u16, u64>,
    /// How many were reset.
    pub lost_reset: u64,
    /// Who was closed politely and opened anew, from the connect on.
    pub churn: Returned,
    /// Who was dropped at once and came back, from the drop on.
    pub herd: Returned,
    /// From SYN to the connection, ns; as all that follows, of those who came for the first time.
    #[serde(with = "crate::serial::histogram")]
    pub connect_ns: Histogram<u64>,
    /// From the connection to the end of the opening handshake, ns.
    #[serde(with = "crate::serial::histogram")]
    pub handshake_ns: Histogram<u64>,
    /// Messages sent.
    pub messages_sent: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Messages received that answer none of ours, or not with the same bytes where an echo is
    /// expected.
    pub messages_unasked: u64,
    /// Messages sent that had no answer when the run or their connection ended.
    pub messages_unanswered: u64,
    /// Messages that were due and not sent: too many were unanswered, or nobody was open.
    pub messages_skipped: u64,
    /// From the intended send to the answer, ns.
    #[serde(with = "crate::serial::histogram")]
    pub latency_ns: Histogram<u64>,
    /// From the actual send to the answer, ns.
    #[serde(with = "crate::serial::histogram")]
    pub service_ns: Histogram<u64>,
    /// How late sends were, ns.
    #[serde(with = "crate::serial::histogram")]
    pub send_late_ns: Histogram<u64>,
    /// Greetings of a script.
    pub hellos_sent: u64,
    /// Answers of a script to heartbeats in text; they are among [`Tally::pings_answered`].
    pub replies_sent: u64,
    /// Beats of a script.
    pub beats_sent: u64,
    /// Pings of the server that came, in frames of their own or in text.
    pub pings_seen: u64,
    /// Answers sent for them; of several pings at once only the newest is answered.
    pub pings_answered: u64,
    /// Between successive pings of the server on one connection, ns.
    #[serde(with = "crate::serial::histogram")]
    pub ping_interval_ns: Histogram<u64>,
    /// Pings of the server in each 100 ms since the run began.
    pub pings_per_100ms: Vec<u32>,
    /// The client's own pings.
    pub client_pings_sent: u64,
    /// Pongs that answered them.
    pub client_pings_answered: u64,
    /// Their round trip, ns.
    #[serde(with = "crate::serial::histogram")]
    pub client_rtt_ns: Histogram<u64>,
    /// Those who were killed.
    pub victims: Vec<Victim>,
    /// Deaths that were planned and did not happen: nobody was left, or the chosen one was lost
    /// before its time.
    pub kills_missed: u64,
    /// What happened in each second of the run.
    pub seconds: Vec<Second>,
    /// The histograms of each second, for logs that other tools read.
    pub intervals: Vec<Interval>,
    /// The longest time in which the generator turned without once running dry: its own figures
    /// are doubtful when that is long.
    pub saturated: Duration,
}

/// Connections that we have ended ourselves, and that came back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Returned {
    /// How many were ended.
    pub left: u64,
    /// How many came back.
    pub back: u64,
    /// What failed meanwhile, and how often; each such try is followed by another.
    pub failed: BTreeMap<String, u64>,
    /// After which time they were back, ns.
    #[serde(with = "crate::serial::histogram")]
    pub back_ns: Histogram<u64>,
}

impl Default for Returned {
    fn default() -> Self {
        Self { left: 0, back: 0, failed: BTreeMap::new(), back_ns: histogram() }
    }
}

impl Returned {
    fn merge(&mut self, other: Self) {
        self.left += other.left;
        self.back += other.back;
        for (reason, count) in other.failed {
            *self.failed.entry(reason).or_default() += count;
        }
        self.back_ns.add(&other.back_ns).expect("both grow as they need");
    }

    /// After which time that share of all who had left was back, ns; none: it was not.
    pub fn back_after(&self, share: f64) -> Option<u64> {
        let nth = (self.left as f64 * share).ceil() as u64;
        if nth == 0 || nth > self.back {
            return None;
        }
        let mut so_far = 0;
        let reached = self.back_ns.iter_recorded().find(|step| {
            so_far += step.count_at_value();
            so_far >= nth
        });
        reached.map(|step| step.value_iterated_to())
    }
}

/// One connection that was killed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Victim {
    /// How.
    pub death: Death,
    /// Its own address and port.
    pub local: SocketAddr,
    /// The server's.
    pub peer: SocketAddr,
    /// When.
    #[serde(with = "crate::serial::instant")]
    pub killed: Instant,
    /// When the last ping came that it answered.
    #[serde(with = "crate::serial::moment")]
    pub answered: Option<Instant>,
    /// When the client itself heard of the end (FIN or RST came, or a Close frame where somebody
    /// reads), where the death lets it.
    #[serde(with = "crate::serial::moment")]
    pub client_saw: Option<Instant>,
    /// What it heard.
    pub sight: Option<Sight>,
    /// It came back, if it did.
    pub back: Option<Back>,
    /// How late the pong is to be that it owes: of a slow one that was ended, the one it was ended
    /// for.
    pub owed: Option<Duration>,
}

/// What a client hears of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sight {
    /// A Close frame with this code; 1005 if it had none.
    Closed(u16),
    /// FIN without a Close frame.
    Fin,
    /// RST.
    Reset,
}

/// The return of a victim at which nothing arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Back {
    /// When.
    #[serde(with = "crate::serial::instant")]
    pub at: Instant,
    /// When the server answered the ping that it came back with.
    #[serde(with = "crate::serial::moment")]
    pub alive: Option<Instant>,
}

/// One second of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// Connections open at its end, victims not counted.
    pub living: u64,
    /// Handshakes that succeeded in it.
    pub opened: u64,
    /// Messages sent in it.
    pub messages_sent: u64,
    /// Messages received in it.
    pub messages_received: u64,
    /// Pings of the server that came in it.
    pub pings_seen: u64,
}

/// What a histogram got in one second, as recorded values and how often each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// Which second of the run, from zero.
    pub second: u32,
    /// Which histogram.
    pub tag: Tag,
    /// Values in ns, ascending, and counts.
    pub counts: Vec<(u64, u64)>,
}

/// The histograms that are also kept by the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tag {
    /// [`Tally::connect_ns`].
    Connect,
    /// [`Tally::client_rtt_ns`].
    PingRtt,
    /// [`Tally::latency_ns`].
    MessageLatency,
    /// [`Tally::service_ns`].
    MessageService,
}

impl Tag {
    /// Every tag.
    pub const ALL: [Self; 4] =
        [Self::Connect, Self::PingRtt, Self::MessageLatency, Self::MessageService];

    /// The name in logs, the same as of the file that holds the whole.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::PingRtt => "ping-rtt",
            Self::MessageLatency => "message-latency",
            Self::MessageService => "message-service",
        }
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            opened: 0,
            failed: BTreeMap::new(),
            failure_example: None,
            secured: BTreeMap::new(),
            peak: 0,
            living_at_end: 0,
            losses: Vec::new(),
            lost_heartbeat: 0,
            lost_closed: BTreeMap::new(),
            lost_reset: 0,
            churn: Returned::default(),
            herd: Returned::default(),
            connect_ns: histogram(),
            handshake_ns: histogram(),
            messages_sent: 0,
            messages_received: 0,
            messages_unasked: 0,
            messages_unanswered: 0,
            messages_skipped: 0,
            latency_ns: histogram(),
            service_ns: histogram(),
            send_late_ns: histogram(),
            hellos_sent: 0,
            replies_sent: 0,
            beats_sent: 0,
            pings_seen: 0,
            pings_answered: 0,
            ping_interval_ns: histogram(),
            pings_per_100ms: Vec::new(),
            client_pings_sent: 0,
            client_pings_answered: 0,
            client_rtt_ns: histogram(),
            victims: Vec::new(),
            kills_missed: 0,
            seconds: Vec::new(),
            intervals: Vec::new(),
            saturated: Duration::ZERO,
        }
    }
}

impl Tally {
    /// Puts each loss down to its cause, with what is known of the server's heartbeat; once all
    /// tallies of the run are merged.
    pub fn sort_losses(&mut self, ping: Option<ServerPing>) {
        let Losses { heartbeat, closed, reset } =
            Losses::sort(&self.losses, ping, self.living_at_end);
        self.lost_heartbeat = heartbeat;
        self.lost_closed = closed;
        self.lost_reset = reset;
    }

    /// Adds what another swarm of the same run counted.
    pub fn merge(&mut self, other: Self) {
        self.opened += other.opened;
        for (reason, count) in other.failed {
            *self.failed.entry(reason).or_default() += count;
        }
        for (established, count) in other.secured {
            *self.secured.entry(established).or_default() += count;
        }
        self.failure_example = self.failure_example.take().or(other.failure_example);
        self.living_at_end += other.living_at_end;
        self.losses.extend(other.losses);
        self.churn.merge(other.churn);
        self.herd.merge(other.herd);
        self.messages_sent += other.messages_sent;
        self.messages_received += other.messages_received;
        self.messages_unasked += other.messages_unasked;
        self.messages_unanswered += other.messages_unanswered;
        self.messages_skipped += other.messages_skipped;
        self.hellos_sent += other.hellos_sent;
        self.replies_sent += other.replies_sent;
        self.beats_sent += other.beats_sent;
        self.pings_seen += other.pings_seen;
        self.pings_answered += other.pings_answered;
        self.client_pings_sent += other.client_pings_sent;
        self.client_pings_answered += other.client_pings_answered;
        self.victims.extend(other.victims);
        self.kills_missed += other.kills_missed;
        self.saturated = self.saturated.max(other.saturated);
        self.merge_histograms([
            other.connect_ns,
            other.handshake_ns,
            other.latency_ns,
            other.service_ns,
            other.send_late_ns,
            other.ping_interval_ns,
            other.client_rtt_ns,
        ]);
        merge_counts(&mut self.pings_per_100ms, &other.pings_per_100ms);
        self.merge_seconds(&other.seconds, other.peak);
        merge_intervals(&mut self.intervals, other.intervals);
    }

    fn merge_histograms(&mut self, others: [Histogram<u64>; 7]) {
        let own = [
            &mut self.connect_ns,
            &mut self.handshake_ns,
            &mut self.latency_ns,
            &mut self.service_ns,
            &mut self.send_late_ns,
            &mut self.ping_interval_ns,
            &mut self.client_rtt_ns,
        ];
        for (own, other) in own.into_iter().zip(others) {
            own.add(&other).expect("all grow as they need");
        }
    }

    /// Peaks of two swarms are added: both ramp up together and fall together.
    fn merge_seconds(&mut self, others: &[Second], peak: u64) {
        self.peak += peak;
        let longest = self.seconds.len().max(others.len());
        self.seconds.resize(longest, Second::default());
        for (own, other) in self.seconds.iter_mut().zip(others) {
            own.living += other.living;
            own.opened += other.opened;
            own.messages_sent += other.messages_sent;
            own.messages_received += other.messages_received;
            own.pings_seen += other.pings_seen;
        }
    }
}

/// A histogram of nanoseconds with three digits, that grows with its greatest value.
pub fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are allowed")
}

/// Records a duration; zero counts as one nanosecond.
pub(crate) fn record(histogram: &mut Histogram<u64>, duration: Duration) {
    histogram.record((duration.as_nanos() as u64).max(1)).expect("it grows as it needs");
}

fn merge_counts(own: &mut Vec<u32>, other: &[u32]) {
    own.resize(own.len().max(other.len()), 0);
    for (own, other) in own.iter_mut().zip(other) {
        *own += other;
    }
}

/// Intervals of the same second and tag become one.
fn merge_intervals(own: &mut Vec<Interval>, other: Vec<Interval>) {
    let mut all: BTreeMap<(u32, Tag), BTreeMap<u64, u64>> = BTreeMap::new();
    for interval in own.drain(..).chain(other) {
        let counts = all.entry((interval.second, interval.tag)).or_default();
        for (value, count) in interval.counts {
            *counts.entry(value).or_default() += count;
        }
    }
    own.extend(all.into_iter().map(|((second, tag), counts)| Interval {
        second,
        tag,
        counts: counts.into_iter().collect(),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally_of(latency_ms: u64, second: u32) -> Tally {
        let mut tally =
            Tally { opened: 3, peak: 3, pings_per_100ms: vec![1, 2], ..Tally::default() };
        tally.failed.insert("refused".into(), 2);
        record(&mut tally.latency_ns, Duration::from_millis(latency_ms));
        tally.seconds.push(Second { living: 3, ..Second::default() });
        tally.intervals.push(Interval {
            second,
            tag: Tag::MessageLatency,
            counts: vec![(latency_ms * 1_000_000, 1)],
        });
        tally
    }

    #[test]
    fn a_share_is_back_when_so_many_of_all_who_left_are() {
        let mut herd = Returned { left: 100, back: 90, ..Returned::default() };
        (1..=90).for_each(|ms| record(&mut herd.back_ns, Duration::from_millis(ms)));
        let ms = |share| herd.back_after(share).map(|ns| ns / 1_000_000);
        assert_eq!([ms(0.5), ms(0.9), ms(0.99), ms(1.0)], [Some(50), Some(90), None, None]);
        assert_eq!(Returned::default().back_after(0.5), None);
    }

    #[test]
    fn merged_tallies_hold_the_sum() {
        let mut tally = tally_of(5, 0);
        tally.merge(Tally { pings_per_100ms: vec![1, 1, 1], ..tally_of(5, 0) });
        tally.merge(tally_of(7, 1));
        assert_eq!((tally.opened, tally.peak, tally.failed["refused"]), (9, 9, 6));
        assert_eq!(tally.pings_per_100ms, [3, 5, 1]);
        assert_eq!((tally.latency_ns.len(), tally.seconds[0].living), (3, 9));
        assert_eq!(tally.intervals.len(), 2);
        assert_eq!(tally.intervals[0].counts, [(5_000_000, 2)]);
    }
}
