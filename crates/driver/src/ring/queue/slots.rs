//! Where the sockets of connections are: in the ring's own table, or among the process's
//! descriptors. A *slot* is an index of the one or a number of the other.
//!
//! This file promises: a descriptor that the ring made is owned here until a close of it is queued,
//! so that none is left open behind the run.
#![allow(unsafe_code)] // the kernel gives descriptors as numbers

use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{DestinationSlot, Fd, Fixed};
use std::collections::BTreeMap;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

pub(super) enum Slots {
    /// They end with the ring.
    Direct,
    Plain(BTreeMap<u32, OwnedFd>),
}

impl Slots {
    pub(super) fn new(direct: bool) -> Self {
        if direct { Self::Direct } else { Self::Plain(BTreeMap::new()) }
    }

    /// What tells a request that its descriptor is a slot.
    pub(super) fn flag(&self) -> Flags {
        match self {
            Self::Direct => Flags::FIXED_FILE,
            Self::Plain(_) => Flags::empty(),
        }
    }

    /// Where a request for a new socket puts it.
    pub(super) fn destination(&self) -> Option<DestinationSlot> {
        matches!(self, Self::Direct).then(DestinationSlot::auto_target)
    }

    /// A request has made a socket, or has failed.
    ///
    /// # Safety
    /// `result` is that of a completed accept or socket of this ring, and is told once.
    pub(super) unsafe fn made(&mut self, result: i32) {
        if let (Self::Plain(open), Ok(slot)) = (self, u32::try_from(result)) {
            // SAFETY: by the caller's duty the descriptor is new and nobody's yet.
            open.insert(slot, unsafe { OwnedFd::from_raw_fd(result) });
        }
    }

    /// The request that closes a slot, to which it belongs from now on.
    pub(super) fn close_request(&mut self, slot: u32) -> Entry {
        match self {
            Self::Direct => opcode::Close::new(Fixed(slot)).build(),
            Self::Plain(open) => {
                let descriptor = open.remove(&slot).map(IntoRawFd::into_raw_fd);
                opcode::Close::new(Fd(descriptor.unwrap_or(-1))).build()
            }
        }
    }

    /// The descriptor of a slot's socket, where it is one of the process's.
    pub(super) fn descriptor(&self, slot: u32) -> Option<&OwnedFd> {
        match self {
            Self::Direct => None,
            Self::Plain(open) => open.get(&slot),
        }
    }

    /// Closes what is open among the process's descriptors.
    pub(super) fn close(&mut self) {
        if let Self::Plain(open) = self {
            open.clear();
        }
    }
}
