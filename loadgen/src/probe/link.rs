//! What connects a probe that runs with whoever waits for it.

use super::diary::{Diary, Role};
use halfopen_driver::{WakeSource, Waker};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shows how far a probe is, and ends it before its time.
#[derive(Debug)]
pub struct Link {
    waker: Waker,
    interrupted: AtomicBool,
    open: AtomicU64,
    pings: AtomicU64,
    mutes: AtomicU64,
    mutes_ended: AtomicU64,
}

/// How far a probe is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Connections that are open.
    pub open: u64,
    /// Pings that came.
    pub pings: u64,
    /// Connections that are there to fall silent, and have been opened.
    pub mutes: u64,
    /// Those of them that were ended.
    pub mutes_ended: u64,
}

impl Link {
    /// A link, and the other end of its waker for the driver.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn new() -> io::Result<(Arc<Self>, WakeSource)> {
        let (waker, wake) = Waker::new()?;
        let link = Self {
            waker,
            interrupted: AtomicBool::default(),
            open: AtomicU64::default(),
            pings: AtomicU64::default(),
            mutes: AtomicU64::default(),
            mutes_ended: AtomicU64::default(),
        };
        Ok((Arc::new(link), wake))
    }

    /// Has the probe say goodbye now.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Progress {
            open: read(&self.open),
            pings: read(&self.pings),
            mutes: read(&self.mutes),
            mutes_ended: read(&self.mutes_ended),
        }
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    pub(super) fn show(&self, diaries: &[Diary]) {
        let count = |which: &dyn Fn(&Diary) -> bool| diaries.iter().filter(|d| which(d)).count();
        let set = |number: &AtomicU64, to: usize| number.store(to as u64, Ordering::Relaxed);
        let is_mute = |diary: &Diary| matches!(diary.role, Role::Mute { .. });
        set(&self.open, count(&Diary::is_open));
        set(&self.pings, diaries.iter().map(|diary| diary.pings.len()).sum());
        set(&self.mutes, count(&|diary| is_mute(diary) && diary.opened.is_some()));
        set(&self.mutes_ended, count(&|diary| is_mute(diary) && diary.end.is_some()));
    }
}
