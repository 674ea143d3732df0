//! Taking connections from the listener.

use super::ops::Tag;
use super::turn::Driver;
use crate::socket::{self, Blocking};
use crate::{Engine, Opening};
use halfopen_wheel::clock;
use rustix::event::PollFlags;
use rustix::io::Errno;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

/// How many connections are taken in a turn; the others are not to wait for a crowd at the door.
const TAKEN_AT_ONCE: u32 = 64;

/// And how many where other shards take them, too: all are woken by each, and the first to come is
/// not to take them all.
const TAKEN_AT_ONCE_OF_SHARED: u32 = 4;

/// When to try again where the process or the machine is out of descriptors or memory. To poll the
/// listener would say "ready" at once, again and again.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// The door, and who minds it.
pub(super) struct Door {
    pub(super) listener: Option<Arc<TcpListener>>,
    pub(super) open: bool,
    shared: bool,
    /// A poll or a pause is on the ring, and will come back here.
    minded: bool,
}

impl Door {
    pub(super) fn new(listener: Option<Arc<TcpListener>>, shared: bool) -> Self {
        Self { listener, open: false, shared, minded: false }
    }
}

impl Driver {
    /// Opens or shuts the door. What a poll finds at a shut door is left to others.
    pub(super) fn accept(&mut self, open: bool) {
        self.door.open = open;
        self.watch_listener();
    }

    /// Minds the door, if it is open and nobody does.
    pub(super) fn watch_listener(&mut self) {
        let Door { listener: Some(listener), open: true, minded, .. } = &mut self.door else {
            return;
        };
        if !std::mem::replace(minded, true) {
            self.ops.poll(Tag::Listener, listener.as_fd(), PollFlags::IN);
        }
    }

    pub(super) fn on_listener<E: Engine>(&mut self, engine: &mut E) {
        self.door.minded = false;
        if self.door.open && self.table.is_full() {
            // Nobody minds the door now; `on_closed` sees to it when there is room.
            return self.counters.table_full.add(1);
        }
        let most = if self.door.shared { TAKEN_AT_ONCE_OF_SHARED } else { TAKEN_AT_ONCE };
        for _ in 0..most {
            if self.stopped || !self.door.open {
                return;
            }
            if self.table.is_full() {
                break;
            }
            let Some(listener) = &self.door.listener else { return };
            self.counters.syscalls.add(1);
            match socket::accept(listener, Blocking::Yes) {
                Ok(socket) => self.open(engine, socket, Opening::Accepted),
                Err(Errno::AGAIN) => break,
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    self.counters.accepts_failed.add(1);
                    self.door.minded = true;
                    return self.ops.timer(Tag::AcceptAgain, clock::now() + TRY_AGAIN);
                }
                // The others are told of one connection that has gone meanwhile.
                Err(_) => {}
            }
        }
        self.watch_listener();
    }
}
