use halfopen_driver::ConnId;
use halfopen_wheel::Instant;
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
