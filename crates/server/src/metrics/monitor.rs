use super::buckets::{Buckets, LATENESS_NS, RTT_NS};
use crate::thread::Running;
use crate::{ServerHandle, Stats};
use hdrhistogram::Histogram;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Reads what the shards of a server have counted.
#[derive(Debug)]
pub struct Monitor {
    server: ServerHandle,
    shards: Vec<Watched>,
}

/// What a [`Monitor`] has read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Of all shards together; without the histograms, which are in buckets beside it.
    pub(super) stats: Stats,
    pub(super) rtt: Buckets,
    pub(super) lateness: Buckets,
    pub(super) connections_max: u64,
    /// For each shard, whether it answered, and how many connections it had when it last did.
    pub(super) shards: Vec<(bool, u64)>,
}

/// A shard, as it was last seen.
#[derive(Debug)]
struct Watched {
    /// The question that it has not answered yet. There is never a second one: they would fill the
    /// mailbox of a shard that is stuck, and hold up those who have something to tell it.
    asked: Option<Receiver<Stats>>,
    stats: Stats,
    rtt: Buckets,
    lateness: Buckets,
}

impl Monitor {
    /// A monitor of a running server; it may outlive it.
    pub fn new(server: ServerHandle) -> Self {
        let shards = server.shards.iter().map(|_| Watched::new()).collect();
        Self { server, shards }
    }

    /// Asks all shards at once, and waits for at most `patience` in all.
    pub fn read(&mut self, patience: Duration) -> Reading {
        let end = Instant::now() + patience;
        for (watched, running) in self.shards.iter_mut().zip(self.server.shards.iter()) {
            watched.ask(running);
        }
        let answered: Vec<_> = self.shards.iter_mut().map(|watched| watched.listen(end)).collect();
        self.sum_up(&answered)
    }

    fn sum_up(&self, answered: &[bool]) -> Reading {
        let mut stats = without_histograms(Stats::default());
        let (mut rtt, mut lateness) = (Buckets::new(&RTT_NS), Buckets::new(&LATENESS_NS));
        for (watched, running) in self.shards.iter().zip(self.server.shards.iter()) {
            // What the driver counts is read without asking.
            let driver = running.counters.as_ref().into();
            stats.add(&Stats { driver, ..watched.stats.clone() });
            rtt.add(&watched.rtt);
            lateness.add(&watched.lateness);
        }
        stats.peak = self.server.admission.peak();
        let open = self.shards.iter().map(|watched| watched.stats.open);
        Reading {
            stats,
            rtt,
            lateness,
            connections_max: self.server.admission.max(),
            shards: answered.iter().copied().zip(open).collect(),
        }
    }
}

impl Watched {
    fn new() -> Self {
        Self {
            asked: None,
            stats: without_histograms(Stats::default()),
            rtt: Buckets::new(&RTT_NS),
            lateness: Buckets::new(&LATENESS_NS),
        }
    }

    /// Asks, unless the last question is still open. An answer that came too late for the last
    /// reading is better than none.
    fn ask(&mut self, shard: &Running) {
        if self.asked.is_some() && !self.listen(Instant::now()) && self.asked.is_some() {
            return;
        }
        self.asked = shard.handle.ask_stats();
    }

    /// Whether the answer has come.
    fn listen(&mut self, end: Instant) -> bool {
        let Some(asked) = self.asked.take() else { return false };
        match asked.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(stats) => {
                self.rtt = Buckets::of(&stats.rtt_ns, &RTT_NS);
                self.lateness = Buckets::of(&stats.lateness_ns, &LATENESS_NS);
                self.stats = without_histograms(stats);
                true
            }
            Err(RecvTimeoutError::Timeout) => {
                self.asked = Some(asked);
                false
            }
            // The shard has ended.
            Err(RecvTimeoutError::Disconnected) => false,
        }
    }
}

/// The same with empty histograms: full ones take some hundred KiB a shard.
fn without_histograms(stats: Stats) -> Stats {
    let empty = || Histogram::new(1).expect("one digit is allowed");
    Stats { rtt_ns: empty(), lateness_ns: empty(), ..stats }
}
