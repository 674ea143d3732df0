use crate::{End, Stats};
use halfopen_driver::ConnId;
use halfopen_wheel::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// The end of a shard: its connections are closed one by one, spread over a window, because those
/// who are sent away together come back together.
#[derive(Debug)]
pub(crate) struct Drain {
    order: Vec<ConnId>,
    next: usize,
    start: Instant,
    window: Duration,
}

impl Drain {
    /// Closes `order`, first to last, within `window`.
    pub(crate) fn new(order: Vec<ConnId>, start: Instant, window: Duration) -> Self {
        Self { order, next: 0, start, window }
    }

    /// When the next one is to be closed.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.order.get(self.next)?;
        let share = self.next as f64 / self.order.len() as f64;
        Some(self.start + self.window.mul_f64(share))
    }

    /// The next one, if its time has come.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<ConnId> {
        if self.deadline()? > now {
            return None;
        }
        self.next += 1;
        Some(self.order[self.next - 1])
    }
}

/// What became of the connections of a server that drained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// How many there were when it began, and how many came before all shards had shut their doors.
    pub connections: u64,
    /// How they ended.
    pub ended: BTreeMap<End, u64>,
    /// From the beginning to the end, of the shard that took longest.
    pub took: Duration,
}

impl DrainReport {
    /// Those that were told in full: both Close frames passed, or an answer in HTTP.
    pub fn clean(&self) -> u64 {
        self.sum(|end| matches!(end, End::Closed | End::Refused | End::Answered | End::Drained))
    }

    /// Those that were aborted, because they did not do their part in time.
    pub fn timed_out(&self) -> u64 {
        self.sum(is_timeout)
    }

    /// Those that ended otherwise: peers that were lost, or broke the protocol.
    pub fn broken(&self) -> u64 {
        self.sum(|_| true) - self.clean() - self.timed_out()
    }

    /// Those that were open when the server was stopped before it had drained.
    pub fn left(&self) -> u64 {
        self.connections.saturating_sub(self.sum(|_| true))
    }

    fn sum(&self, counts: impl Fn(End) -> bool) -> u64 {
        self.ended.iter().filter(|(end, _)| counts(**end)).map(|(_, times)| times).sum()
    }

    /// Adds what became of another shard's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        other.ended.iter().for_each(|(&end, times)| *self.ended.entry(end).or_default() += times);
        self.took = self.took.max(other.took);
    }
}

fn is_timeout(end: End) -> bool {
    matches!(end, End::CloseTimeout | End::HandshakeTimeout | End::OutputStuck | End::Silent)
}

/// Where a shard stood when its drain began.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    start: Instant,
    accepted: u64,
    open: u64,
    ended: BTreeMap<End, u64>,
}

impl Before {
    /// `open` is all connections, those too that are only to be refused.
    pub(crate) fn new(start: Instant, open: u64, stats: &Stats) -> Self {
        Self { start, accepted: stats.accepted, open, ended: stats.ended.clone() }
    }

    pub(crate) fn report(&self, now: Instant, stats: &Stats) -> DrainReport {
        let since = |(&end, times): (&End, &u64)| {
            let times = times - self.ended.get(&end).copied().unwrap_or(0);
            (times > 0).then_some((end, times))
        };
        DrainReport {
            connections: self.open + stats.accepted - self.accepted,
            ended: stats.ended.iter().filter_map(since).collect(),
            took: now.saturating_since(self.start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_closes_each_once_and_evenly_over_its_window() {
        let id = |index| ConnId { index, generation: 0 };
        let start = Instant::from_nanos(7_000_000_000);
        let mut drain = Drain::new((0..10).map(id).collect(), start, Duration::from_secs(20));
        let mut closed = Vec::new();
        for second in 0..20 {
            let now = start + Duration::from_secs(second);
            let before = closed.len();
            closed.extend(std::iter::from_fn(|| drain.pop(now)));
            assert_eq!(closed.len() - before, usize::from(second % 2 == 0), "second {second}");
        }
        assert_eq!(closed, (0..10).map(id).collect::<Vec<_>>());
        assert_eq!(drain.deadline(), None);
    }
}
