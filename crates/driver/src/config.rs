use crate::ring::Features;
use crate::{Turns, WakeSource};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a driver is run with.
#[derive(Debug)]
pub struct Config {
    /// Where connections come from; shards share one, so that none waits at a full shard while
    /// another has room. None for a driver that only connects.
    pub listener: Option<Arc<TcpListener>>,
    /// Other drivers take connections from it too: then each takes a few at a time, so that they
    /// come to all alike.
    pub listener_shared: bool,
    /// The other end of the engine's [`Waker`](crate::Waker).
    pub wake: WakeSource,
    /// The most connections at once, accepted and connected together: the size of the table.
    pub connections_max: u32,
    /// What the driver counts while it runs.
    pub counters: Arc<Counters>,
    /// What the driver on io_uring is to do without, though the kernel may have it. The others do
    /// not ask.
    pub without: Features,
}

/// What a driver did, counted while it runs and readable from any thread.
#[derive(Debug, Default)]
pub struct Counters {
    /// System calls of the loop (`io_uring_enter`, or the calls that stand in its place).
    pub syscalls: Counter,
    /// Turns of the loop, and how long they took.
    pub turns: Turns,
    /// Waits for several arrivals at once, as the io_uring driver makes them at high load.
    pub gathers: Counter,
    /// Events handed over.
    pub events: Counter,
    /// Bytes received.
    pub bytes_in: Counter,
    /// Bytes sent.
    pub bytes_out: Counter,
    /// Buffers to receive into that are in use now; not counted, but the number at this moment.
    pub buffers: Counter,
    /// Times that a receive ended because no buffer was free.
    pub buffers_exhausted: Counter,
    /// Turns in which the kernel kept completions that the queue had no room for.
    pub overflows: Counter,
    /// Sends that took a part of a chunk, and were begun anew with the rest.
    pub sends_short: Counter,
    /// Accepts that failed for want of descriptors or memory; after each nobody is taken for a while.
    pub accepts_failed: Counter,
    /// Times that the driver's table was full while a connection waited.
    pub table_full: Counter,
}

/// A number that one thread writes and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. One writer only: this is no atomic addition, and costs what a plain one does.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Makes it this number.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Raises the number to `n` if it is less.
    pub fn raise(&self, n: u64) {
        if n > self.0.load(Ordering::Relaxed) {
            self.0.store(n, Ordering::Relaxed);
        }
    }

    /// The number now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a driver could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refuses io_uring (seccomp, `kernel.io_uring_disabled`, or too old).
    #[error(
        "the kernel refuses io_uring: {0} (see `sysctl kernel.io_uring_disabled` and the container's seccomp profile)"
    )]
    RingRefused(std::io::Error),
    /// The ring's memory does not fit under RLIMIT_MEMLOCK.
    #[error(
        "the ring's memory does not fit under the locked-memory limit: {0} (raise it with `ulimit -l`, or use fewer shards)"
    )]
    LockedMemory(std::io::Error),
    /// The process or the machine has no descriptor left for a ring.
    #[error(
        "no descriptor is free for a ring: {0} (raise the limit with `ulimit -n`, or close what is open)"
    )]
    NoDescriptors(std::io::Error),
    /// The table of connections does not fit under RLIMIT_NOFILE.
    #[error(
        "a table of {wanted} connections does not fit under the descriptor limit of {limit} (raise it with `ulimit -n`; on io_uring each shard's table has the limit to itself, so there more shards help)"
    )]
    Descriptors {
        /// How many were asked for.
        wanted: u32,
        /// RLIMIT_NOFILE.
        limit: u64,
    },
    /// Another error of the kernel, and what was being done.
    #[error("{doing}: {error}")]
    Os {
        /// What was being done.
        doing: &'static str,
        /// The kernel's word.
        error: std::io::Error,
    },
}
