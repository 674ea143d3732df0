//! The epoll instance: who is watched, under which name, and the wait.
#![allow(unsafe_code)] // epoll_pwait2, by its number: see `wait_exactly`

use crate::ConnId;
use halfopen_wheel::{Instant, clock};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::null;
use std::time::Duration;

pub(super) use epoll::EventFlags as Mask;

/// The most events of one wait. A turn hands over so many before it looks at what is due.
const EVENTS: usize = 256;

/// What tells of an end.
pub(super) const HANGUP: Mask = Mask::RDHUP.union(Mask::HUP).union(Mask::ERR);

/// Bytes and the end.
pub(super) const INPUT: Mask = Mask::IN.union(HANGUP);

/// Who is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Connection(ConnId),
    Listener,
    Waker,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    No,
    /// Until something happens, at most until then.
    Until(Option<Instant>),
}

pub(super) struct Poll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    /// The kernel refuses waits in nanoseconds.
    coarse: bool,
}

impl Poll {
    pub(super) fn new() -> Result<Self, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS), coarse: false })
    }

    pub(super) fn add(&self, fd: impl AsFd, key: Key, mask: Mask) -> Result<(), Errno> {
        epoll::add(&self.epoll, fd, epoll::EventData::new_u64(key.number()), mask)
    }

    pub(super) fn modify(&self, fd: impl AsFd, key: Key, mask: Mask) -> Result<(), Errno> {
        epoll::modify(&self.epoll, fd, epoll::EventData::new_u64(key.number()), mask)
    }

    pub(super) fn remove(&self, fd: impl AsFd) {
        // It fails only for what is not there.
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Waits, and keeps what has happened for [`Poll::event`]. Whether that was all.
    pub(super) fn wait(&mut self, wait: Wait) -> Result<bool, Errno> {
        self.events.clear();
        let waited = match wait {
            Wait::No => self.wait_for(Some(Duration::ZERO)),
            Wait::Until(None | Some(Instant::FAR)) => self.wait_for(None),
            Wait::Until(Some(end)) => self.wait_for(Some(end.saturating_since(clock::now()))),
        };
        match waited {
            Ok(()) => Ok(self.events.len() < EVENTS),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Which event stands there: whose, and what.
    pub(super) fn event(&self, number: usize) -> Option<(Key, Mask)> {
        let event = self.events.get(number)?;
        Some((Key::of(event.data.u64()), event.flags))
    }

    fn wait_for(&mut self, time: Option<Duration>) -> Result<(), Errno> {
        if !self.coarse
            && let Some(exact) = time.filter(|time| !time.is_zero())
        {
            match self.wait_exactly(exact) {
                // A kernel before 5.11, or a seccomp profile as old.
                Err(Errno::NOSYS | Errno::PERM) => self.coarse = true,
                waited => return waited,
            }
        }
        let time = time.map(whole_millis);
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), time.as_ref()).map(drop)
    }

    /// Waits with the precision of the kernel's timers. The safe wrapper either never calls
    /// epoll_pwait2 or, by a feature, always, and then fails where that is refused.
    fn wait_exactly(&mut self, time: Duration) -> Result<(), Errno> {
        let time = timespec(time);
        let events = self.events.spare_capacity_mut();
        // SAFETY: the kernel writes at most as many events as there is room for, reads one
        // timespec, and is given no signal mask.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                events.as_mut_ptr(),
                events.len() as i32,
                &raw const time,
                null::<libc::sigset_t>(),
                0_usize,
            )
        };
        let Ok(count) = usize::try_from(count) else {
            let errno = std::io::Error::last_os_error().raw_os_error();
            return Err(Errno::from_raw_os_error(errno.unwrap_or(libc::EINVAL)));
        };
        // SAFETY: so many were written, into a vector that was empty.
        unsafe { self.events.set_len(count) };
        Ok(())
    }
}

impl Key {
    const LISTENER: u64 = u64::MAX;
    const WAKER: u64 = u64::MAX - 1;

    /// 32 bits of generation and 24 of index; the others have the bits above them set.
    fn number(self) -> u64 {
        match self {
            Self::Connection(id) => u64::from(id.generation) << 24 | u64::from(id.index),
            Self::Listener => Self::LISTENER,
            Self::Waker => Self::WAKER,
        }
    }

    fn of(number: u64) -> Self {
        match number {
            Self::LISTENER => Self::Listener,
            Self::WAKER => Self::Waker,
            _ => Self::Connection(ConnId {
                index: number as u32 & crate::INDEX_MAX,
                generation: (number >> 24) as u32,
            }),
        }
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

/// Never shorter: who comes back too early has to wait again.
fn whole_millis(time: Duration) -> Timespec {
    let millis = time.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128);
    timespec(Duration::from_millis(millis as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_as_it_was_made() {
        let last = ConnId { index: crate::INDEX_MAX, generation: u32::MAX };
        let first = ConnId { index: 0, generation: 1 };
        for key in [Key::Connection(first), Key::Connection(last), Key::Listener, Key::Waker] {
            assert_eq!(Key::of(key.number()), key);
        }
    }

    #[test]
    fn a_coarse_wait_is_never_shorter_than_it_should_be() {
        for nanos in [0, 1, 999_999, 1_000_000, 1_000_001, u64::MAX] {
            let time = Duration::from_nanos(nanos);
            let coarse = whole_millis(time);
            let rounded = Duration::new(coarse.tv_sec as u64, coarse.tv_nsec as u32);
            assert!(rounded >= time.min(Duration::from_millis(i32::MAX as u64)), "{time:?}");
            assert_eq!(coarse.tv_nsec % 1_000_000, 0);
        }
    }

    #[test]
    fn a_coarse_wait_ends_and_not_too_early() {
        let mut poll = Poll::new().unwrap();
        poll.coarse = true;
        let end = clock::now() + Duration::from_micros(1500);
        assert_eq!(poll.wait(Wait::Until(Some(end))), Ok(true));
        assert!(clock::now() >= end);
        assert_eq!(poll.event(0), None);
    }
}
