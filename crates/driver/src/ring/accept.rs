//! Taking connections from the listener, and never one that cannot be kept.
//!
//! Accepts are armed one by one: a few at a time, never more than there is room, and none when
//! there is none; then the listener's other shards are woken in our place.
//!
//! A multishot accept would save a request for each connection, which cannot be measured beside the
//! 10 to 15 µs of taking it, and cannot be held back. It takes all that waits at the listener in one
//! go of the kernel, in which nobody else is heard; it takes what finds no place in the table; and
//! where a listener is shared it never leaves the first place among those that are woken.

use super::completion::Kind;
use super::driver::Driver;
use crate::Opening;
use halfopen_wheel::Instant;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

/// How long the system is left alone after it had no memory or descriptors for an accept.
const RESPITE: Duration = Duration::from_millis(50);

pub(super) struct Door {
    listener: Option<Arc<TcpListener>>,
    v6: bool,
    wanted: bool,
    /// How many accepts are armed.
    armed: u32,
    /// They were cancelled.
    ending: bool,
    /// Nothing is armed before this moment.
    respite: Option<Instant>,
    /// Connections that a connect of our own took the room from. They wait for room.
    parked: Vec<u32>,
    full: bool,
    /// We are told when somebody waits.
    watched: bool,
}

impl Door {
    /// The most accepts that are armed, and so the most that can be parked. So many are taken in a
    /// turn while anything else waits: some 50 µs.
    pub(super) const SPARE: u32 = 4;

    pub(super) fn new(listener: Option<Arc<TcpListener>>) -> Self {
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        Self {
            v6: address.is_some_and(|address| address.is_ipv6()),
            listener,
            wanted: false,
            armed: 0,
            ending: false,
            respite: None,
            parked: Vec::new(),
            full: false,
            watched: false,
        }
    }

    pub(super) fn open(&mut self, open: bool) {
        self.wanted = open;
    }

    /// When to look again without having been called.
    pub(super) fn alarm(&self) -> Option<Instant> {
        self.respite.filter(|_| self.wanted)
    }

    /// How many accepts should be armed.
    fn goal(&self, room: u32) -> u32 {
        let open = self.wanted && self.respite.is_none() && self.listener.is_some();
        if open { room.min(Self::SPARE) } else { 0 }
    }

    /// One of those that are armed has ended.
    fn ended(&mut self) {
        self.armed -= 1;
        self.ending &= self.armed > 0;
    }
}

impl Driver {
    /// Arms or cancels accepts, as the room is.
    pub(super) fn mind_the_door(&mut self, now: Instant) {
        while self.room() > 0
            && let Some(slot) = self.door.parked.pop()
        {
            self.opened(slot, self.door.v6, Opening::Accepted, now);
        }
        self.door.respite = self.door.respite.filter(|&respite| now < respite);
        let room = self.room();
        let full = self.door.wanted && room == 0;
        if full && !std::mem::replace(&mut self.door.full, full) {
            self.watch_listener();
        }
        self.door.full = full;
        self.arm_accepts(room);
    }

    fn arm_accepts(&mut self, room: u32) {
        let (armed, goal) = (self.door.armed, self.door.goal(room));
        if self.door.ending || armed == goal {
            return;
        }
        if armed > goal {
            self.queue.cancel_all(Kind::Accept.alone());
            self.door.ending = true;
            return;
        }
        let Some(listener) = self.door.listener.clone() else { return };
        (armed..goal).for_each(|_| self.queue.accept(listener.as_fd()));
        self.door.armed = goal;
    }

    /// Only to count: there is no room to take anybody.
    fn watch_listener(&mut self) {
        let Some(listener) = self.door.listener.clone() else { return };
        if !std::mem::replace(&mut self.door.watched, true) {
            self.queue.watch_listener(listener.as_fd());
        }
    }

    pub(super) fn on_listener(&mut self) {
        self.door.watched = false;
        self.counters.table_full.add(u64::from(self.door.full));
    }

    pub(super) fn on_accept(&mut self, result: i32, now: Instant) {
        self.arrivals += 1;
        self.door.ended();
        match u32::try_from(result) {
            Ok(slot) if self.room() > 0 => self.opened(slot, self.door.v6, Opening::Accepted, now),
            Ok(slot) => self.door.parked.push(slot),
            Err(_) if passes(-result) => {}
            Err(_) => {
                self.counters.accepts_failed.add(1);
                self.door.respite = Some(now + RESPITE);
            }
        }
    }
}

/// Errors after which the next accept may succeed at once: the peer has gone before we took it, or
/// we have cancelled.
fn passes(errno: i32) -> bool {
    [libc::ECANCELED, libc::ECONNABORTED, libc::EINTR, libc::EAGAIN].contains(&errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Door {
        Door::new(Some(Arc::new(TcpListener::bind("127.0.0.1:0").unwrap())))
    }

    #[test]
    fn no_more_accepts_are_armed_than_there_is_room() {
        let mut door = door();
        assert_eq!(door.goal(1000), 0);
        door.open(true);
        assert_eq!([1000, 4, 3, 0].map(|room| door.goal(room)), [4, 4, 3, 0]);
        door.respite = Some(Instant::FAR);
        assert_eq!(door.goal(1000), 0);
    }

    #[test]
    fn after_a_cancel_all_must_end_before_more_are_armed() {
        let mut door = door();
        door.armed = 2;
        door.ending = true;
        door.ended();
        assert!(door.ending);
        door.ended();
        assert!(!door.ending);
    }
}
