use super::Faults;
use fastrand::Rng;
use halfopen_wheel::Instant;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::time::Duration;

/// What everything in a world shares: the time, the dice, the faults and what is to happen.
pub(super) struct Env {
    pub(super) now: Instant,
    pub(super) rng: Rng,
    pub(super) faults: Faults,
    queue: BinaryHeap<Reverse<(Instant, u64, What)>>,
    pushed: u64,
}

/// What is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// A host's loop turns.
    Turn { host: usize },
    /// A host's loop enters the kernel with what its engine asked for.
    Submit { host: usize },
    /// The segments that a socket sent arrive at its peer.
    Carry { sock: u64, attempt: u64 },
    /// An acknowledgement arrives.
    Ack { sock: u64, upto: u64, fin: bool },
    /// A RST arrives.
    Rst { sock: u64 },
    /// A SYN arrives.
    Syn { connect: u64, tries: u32 },
    /// The answer to a SYN arrives.
    SynAck { connect: u64, sock: Option<u64> },
    /// A connect takes no longer.
    ConnectDeadline { connect: u64 },
    /// The kernel takes more of a send.
    SendMore { sock: u64 },
    /// A buffer is free for a receive that had none.
    Rearm { sock: u64 },
}

impl Env {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        Self {
            // An uptime of some days, so that nothing relies on a clock that begins at zero.
            now: Instant::from_nanos(300_000_000_000_000),
            rng: Rng::with_seed(seed),
            faults,
            queue: BinaryHeap::new(),
            pushed: 0,
        }
    }

    pub(super) fn at(&mut self, at: Instant, what: What) {
        self.pushed += 1;
        self.queue.push(Reverse((at.max(self.now), self.pushed, what)));
    }

    pub(super) fn after(&mut self, wait: Duration, what: What) {
        self.at(self.now + wait, what);
    }

    /// When the next thing happens.
    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse((at, ..))| *at)
    }

    /// Moves the time on to the next thing.
    pub(super) fn pop(&mut self) -> Option<What> {
        let Reverse((at, _, what)) = self.queue.pop()?;
        self.now = at;
        Some(what)
    }

    /// A packet's time on the way.
    pub(super) fn delay(&mut self) -> Duration {
        let range = self.faults.delay.clone();
        self.between(range)
    }

    pub(super) fn between(&mut self, range: Range<Duration>) -> Duration {
        let (low, high) = (range.start.as_nanos() as u64, range.end.as_nanos() as u64);
        Duration::from_nanos(if low < high { self.rng.u64(low..high) } else { low })
    }

    pub(super) fn up_to(&mut self, most: Duration) -> Duration {
        self.between(Duration::ZERO..most)
    }

    pub(super) fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.f64() < share
    }
}
