//! How long the machine itself stops for: on each core a thread sleeps 1 ms over and over, and
//! records by how much it overslept. A tail shorter than these is the machine's, not the server's.

use super::cpu;
use halfopen_wheel::clock;
use hdrhistogram::Histogram;
use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The threads.
#[derive(Debug)]
pub struct Hiccups {
    threads: Vec<JoinHandle<Histogram<u64>>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// CPU time of each thread, ns.
    cpu: Vec<AtomicU64>,
}

const NAP: Duration = Duration::from_millis(1);

impl Hiccups {
    /// Begins on the cores 0 to `cores` − 1.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(cores: usize) -> std::io::Result<Self> {
        let cpu = (0..cores).map(|_| AtomicU64::new(0)).collect();
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), cpu });
        let mut hiccups = Self { threads: Vec::new(), shared };
        for core in 0..cores {
            let shared = Arc::clone(&hiccups.shared);
            let thread = std::thread::Builder::new().name(format!("hiccup-{core}"));
            hiccups.threads.push(thread.spawn(move || nap_on(core, &shared))?);
        }
        Ok(hiccups)
    }

    /// Tells the CPU time of the threads from anywhere.
    pub fn meter(&self) -> Meter {
        Meter(Arc::clone(&self.shared))
    }

    /// Ends them: by how much they overslept, ns, over all cores.
    pub fn finish(mut self) -> Histogram<u64> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut all = histogram();
        for thread in self.threads.drain(..) {
            all.add(thread.join().expect("napping does not panic")).expect("of one shape");
        }
        all
    }
}

/// See [`Hiccups::meter`].
#[derive(Clone, Debug)]
pub struct Meter(Arc<Shared>);

impl Meter {
    /// CPU time that the threads have used so far.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.0.cpu.iter().map(|cpu| cpu.load(Ordering::Relaxed)).sum())
    }
}

impl Drop for Hiccups {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

fn nap_on(core: usize, shared: &Shared) -> Histogram<u64> {
    let mut overslept = histogram();
    let mut cores = CpuSet::new();
    cores.set(core);
    if sched_setaffinity(None, &cores).is_err() {
        return overslept; // Not ours to run on, so nobody of ours is delayed there.
    }
    // The default slack of 50 µs would be measured as a hiccup.
    let _ = set_current_timer_slack(NonZeroU64::new(1));
    while !shared.stop.load(Ordering::Relaxed) {
        let due = clock::now() + NAP;
        std::thread::sleep(NAP);
        overslept.saturating_record(clock::now().saturating_since(due).as_nanos() as u64);
        shared.cpu[core].store(cpu::thread().as_nanos() as u64, Ordering::Relaxed);
    }
    overslept
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("these bounds are good")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naps_are_counted_on_every_core() {
        let hiccups = Hiccups::start(1).unwrap();
        while hiccups.meter().cpu() == Duration::ZERO {
            std::thread::yield_now();
        }
        assert!(!hiccups.finish().is_empty());
    }
}
