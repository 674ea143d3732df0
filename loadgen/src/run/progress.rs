//! What a run shows while it goes on.

use super::phase::Phase;
use crate::record::{Tag, histogram};
use crate::swarm::{Meter, Snapshot};
use halfopen_driver::Counters;
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// For a live display, from any thread.
#[derive(Debug)]
pub struct Progress {
    meters: Vec<Arc<Meter>>,
    phase: AtomicUsize,
}

impl Progress {
    pub(super) fn new(meters: Vec<Arc<Meter>>) -> Self {
        Self { meters, phase: AtomicUsize::new(Phase::Ramp as usize) }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as usize, Ordering::Relaxed);
    }

    /// How far the run has come.
    pub fn phase(&self) -> Phase {
        Phase::ALL[self.phase.load(Ordering::Relaxed)]
    }

    /// The times of all seconds that have ended, ns.
    pub fn times(&self, tag: Tag) -> Histogram<u64> {
        let mut sum = histogram();
        self.meters.iter().for_each(|meter| meter.add_times(tag, &mut sum));
        sum
    }

    /// What all swarms show together.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(self.meters.iter().map(AsRef::as_ref))
    }
}

/// What the drivers of all shards have counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriverTotals {
    /// System calls of the loops.
    pub syscalls: u64,
    /// Turns of the loops.
    pub turns: u64,
    /// Events handed over.
    pub events: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Times that a receive ended because no buffer was free.
    pub buffers_exhausted: u64,
    /// Nanoseconds of the longest turn of any.
    pub turn_ns_max: u64,
}

impl DriverTotals {
    pub(super) fn add(&mut self, counters: &Counters) {
        self.syscalls += counters.syscalls.value();
        self.turns += counters.turns.count();
        self.events += counters.events.value();
        self.bytes_in += counters.bytes_in.value();
        self.bytes_out += counters.bytes_out.value();
        self.buffers_exhausted += counters.buffers_exhausted.value();
        self.turn_ns_max = self.turn_ns_max.max(counters.turns.max_ns.value());
    }
}
