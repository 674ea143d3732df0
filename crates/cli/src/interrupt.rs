//! Ctrl-C and SIGTERM: the first asks a command to end in good order, the second to end at once.

use crate::exit::{Exit, Failure};
use crate::leftovers;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Whether somebody asked for the end.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches the signals from now on. Both are called on a thread of their own: `first` at the
    /// first signal, `second` at the second.
    ///
    /// # Errors
    /// No thread can be started, or no signal caught.
    pub(crate) fn catch(
        first: impl FnOnce() + Send + 'static,
        second: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let told = asked.clone();
        let catcher = thread::Builder::new().name("signals".into());
        catcher.spawn(move || {
            let mut signals = signals.forever();
            signals.next();
            told.store(true, Ordering::Release);
            first();
            signals.next();
            second();
        })?;
        Ok(Self(asked))
    }

    /// The first signal is to be asked for; the second ends the program, and leaves nothing behind.
    pub(crate) fn or_leave() -> Result<Self, Failure> {
        let leave = || {
            leftovers::remove();
            std::process::exit(Exit::Interrupted as i32);
        };
        Self::catch(|| (), leave).map_err(|e| Failure::run(format!("catching signals: {e}")))
    }

    /// One that nobody asks for: signals do what they always do.
    pub(crate) fn none() -> Self {
        Self(Arc::default())
    }

    /// Whether a signal came.
    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Sleeps, but not past a signal; whether one came.
    pub(crate) fn sleep(&self, duration: Duration) -> bool {
        let end = Instant::now() + duration;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if self.asked() || left.is_zero() {
                return self.asked();
            }
            thread::sleep(left.min(Duration::from_millis(20)));
        }
    }
}
