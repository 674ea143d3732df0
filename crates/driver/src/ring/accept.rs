//! Taking connections from the listener, and never one that cannot be kept.
//!
//! A multishot accept takes whatever comes, and where the table of direct descriptors is full the
//! connection that came is lost. How many it may take before we can stop it is bounded by the
//! completion queue alone, so it is armed only while there is more room than that. Nearer to the
//! end accepts are armed one by one, never more than there is room, and none when there is none:
//! then the listener's other shards are woken in our place.
//!
//! A shared listener wakes one of those who wait, and the next time the next; a multishot accept
//! never leaves the first place, and would take all there are. So there accepts are armed one by
//! one too, and whoever has taken one stands behind the others. It costs nothing that could be
//! measured beside the 10 to 15 µs of taking a connection.

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
    armed: Armed,
    /// What is armed was cancelled.
    ending: bool,
    /// Nothing is armed before this moment.
    respite: Option<Instant>,
    /// Connections that a connect of our own took the room from. They wait for room.
    parked: Vec<u32>,
    full: bool,
    /// We are told when somebody waits.
    watched: bool,
    one_by_one: bool,
    /// The room above which a multishot accept is armed.
    multi_room: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Armed {
    Multi,
    Singles(u32),
}

const NONE: Armed = Armed::Singles(0);

impl Door {
    /// Accepts armed one by one, and so the most that can be parked.
    pub(super) const SPARE: u32 = 4;

    pub(super) fn new(
        listener: Option<Arc<TcpListener>>,
        one_by_one: bool,
        completions: u32,
    ) -> Self {
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        Self {
            v6: address.is_some_and(|address| address.is_ipv6()),
            listener,
            wanted: false,
            armed: NONE,
            ending: false,
            respite: None,
            parked: Vec::new(),
            full: false,
            watched: false,
            one_by_one,
            // One more than the queue holds, for the one that finds it full and ends the accept.
            multi_room: completions + 1,
        }
    }

    pub(super) fn open(&mut self, open: bool) {
        self.wanted = open;
    }

    /// When to look again without having been called.
    pub(super) fn alarm(&self) -> Option<Instant> {
        self.respite.filter(|_| self.wanted)
    }

    fn goal(&self, room: u32) -> Armed {
        if !self.wanted || self.respite.is_some() {
            NONE
        } else if room > self.multi_room && !self.one_by_one {
            Armed::Multi
        } else {
            Armed::Singles(room.min(Self::SPARE))
        }
    }

    /// One of what is armed has ended.
    fn ended(&mut self) {
        self.armed = match self.armed {
            Armed::Multi => NONE,
            Armed::Singles(count) => Armed::Singles(count.saturating_sub(1)),
        };
        self.ending &= self.armed != NONE;
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
        let Some(listener) = self.door.listener.clone() else { return };
        if self.door.ending {
            return;
        }
        match (self.door.armed, self.door.goal(room)) {
            (Armed::Multi, Armed::Multi) => {}
            (NONE, Armed::Multi) => {
                self.queue.accept(listener.as_fd(), true);
                self.door.armed = Armed::Multi;
            }
            (Armed::Singles(have), Armed::Singles(goal)) if have <= goal => {
                (have..goal).for_each(|_| self.queue.accept(listener.as_fd(), false));
                self.door.armed = Armed::Singles(goal);
            }
            // They are used up first.
            (Armed::Singles(_), Armed::Multi) => {}
            (_, Armed::Singles(_)) => {
                self.queue.cancel(Kind::Accept.alone());
                self.door.ending = true;
            }
        }
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

    pub(super) fn on_accept(&mut self, result: i32, more: bool, now: Instant) {
        self.arrivals += 1;
        if !more {
            self.door.ended();
        }
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

    #[test]
    fn no_more_accepts_are_armed_than_there_is_room() {
        let mut door = Door::new(None, false, 64);
        assert_eq!(door.goal(1000), NONE);
        door.open(true);
        let goals = [1000, 66, 65, 4, 3, 0].map(|room| door.goal(room));
        let singles = [4, 4, 3, 0].map(Armed::Singles);
        assert_eq!(goals[..2], [Armed::Multi; 2]);
        assert_eq!(goals[2..], singles);
    }

    #[test]
    fn after_a_cancel_all_must_end_before_more_are_armed() {
        let mut door = Door::new(None, false, 64);
        door.armed = Armed::Singles(2);
        door.ending = true;
        door.ended();
        assert!(door.ending);
        door.ended();
        assert!(!door.ending);
    }
}
