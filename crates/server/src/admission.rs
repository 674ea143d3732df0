use std::sync::atomic::{AtomicU64, Ordering};

/// How many connections are open over all shards, and how many may be.
#[derive(Debug)]
pub struct Admission {
    max: u64,
    open: AtomicU64,
    peak: AtomicU64,
}

impl Admission {
    /// Room for `max` connections.
    pub fn new(max: u64) -> Self {
        Self { max, open: AtomicU64::new(0), peak: AtomicU64::new(0) }
    }

    /// How many may be open.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// How many are open.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// The most that were open at once.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Whether there is no room.
    pub fn is_full(&self) -> bool {
        self.open() >= self.max
    }

    /// Takes a place, if there is one.
    pub(crate) fn enter(&self) -> bool {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        if before >= self.max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.peak.fetch_max(before + 1, Ordering::Relaxed);
        true
    }

    /// Gives a place back.
    pub(crate) fn leave(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
