//! The memory of the server, watched beside.

use halfopen_loadgen::sample::proc;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

/// How often the memory is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// A thread that looks at the memory of a process again and again.
#[derive(Debug)]
pub struct MemoryWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Option<MemoryUse>>,
}

/// Memory of a process that no file stands behind (RssAnon), in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryUse {
    /// When it was first looked at.
    pub at_first: u64,
    /// The most.
    pub peak: u64,
    /// When it was last looked at.
    pub at_last: u64,
}

impl MemoryUse {
    /// By how much it has grown at the most.
    pub fn growth(&self) -> u64 {
        self.peak - self.at_first
    }
}

impl MemoryWatch {
    /// Begins.
    pub fn start(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut seen: Option<MemoryUse> = None;
            while let Some(memory) = proc::memory(pid) {
                let now = memory.anon;
                let seen = seen.get_or_insert(MemoryUse { at_first: now, peak: now, at_last: now });
                (seen.peak, seen.at_last) = (seen.peak.max(now), now);
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                sleep(LOOK);
            }
            seen
        });
        Self { stop, thread }
    }

    /// Looks once more, and ends; none if the process was never there.
    pub fn finish(self) -> Option<MemoryUse> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("looking does not panic")
    }
}
