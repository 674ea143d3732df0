//! Taking connections from the listener.
//!
//! The listener is watched *exclusively*, so that one connection wakes one shard. The kernel wakes
//! the one that has waited at the listener for longest, and would wake it every time; so who has
//! taken some of what others may take, too, goes to the end of the row.
//!
//! A shard that was woken and does not take would have swallowed the call. That cannot be: only a
//! shard that sleeps is woken instead of others, the call is then the first of its events, and
//! between its last sleep and that nothing has been done that could have shut its door.

use super::connection::{Connection, WATCHED};
use super::driver::Driver;
use super::news::News;
use super::poll::{Key, Mask};
use crate::Opening;
use crate::socket::{self, Blocking};
use halfopen_wheel::{Instant, clock};
use rustix::io::Errno;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// How many connections are taken in a turn; the others are not to wait for a crowd at the door.
const TAKEN_AT_ONCE: u32 = 64;

/// And how many where other shards take them, too.
const TAKEN_AT_ONCE_OF_SHARED: u32 = 4;

/// How long the system is left alone after it had no memory or descriptors for an accept. The
/// listener would say "ready" at once, again and again.
const RESPITE: Duration = Duration::from_millis(50);

pub(super) struct Door {
    listener: Option<Arc<TcpListener>>,
    shared: bool,
    wanted: bool,
    watch: Watch,
    /// Nobody is taken before this moment.
    respite: Option<Instant>,
}

/// How the listener is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    Off,
    /// To take.
    Exclusively,
    /// To count: the table is full. Once, and in nobody's place.
    Once,
}

impl Door {
    pub(super) fn new(listener: Option<Arc<TcpListener>>, shared: bool) -> Self {
        Self { listener, shared, wanted: false, watch: Watch::Off, respite: None }
    }

    pub(super) fn open(&mut self, open: bool) {
        self.wanted = open;
    }

    /// When to look again without having been called.
    pub(super) fn alarm(&self) -> Option<Instant> {
        self.respite.filter(|_| self.wanted)
    }

    fn goal(&self, full: bool) -> Watch {
        match (self.wanted && self.respite.is_none(), full) {
            (false, _) => Watch::Off,
            (true, false) => Watch::Exclusively,
            (true, true) => Watch::Once,
        }
    }
}

impl Driver {
    /// Watches the listener, as the room is.
    pub(super) fn mind_the_door(&mut self, now: Instant) {
        self.door.respite = self.door.respite.filter(|&respite| now < respite);
        let goal = self.door.goal(self.table.is_full());
        if goal != self.door.watch {
            self.watch_listener(goal);
        }
    }

    fn watch_listener(&mut self, goal: Watch) {
        let Some(listener) = &self.door.listener else { return };
        if self.door.watch != Watch::Off {
            self.counters.syscalls.add(1);
            self.poll.remove(listener);
        }
        self.door.watch = Watch::Off;
        let mask = match goal {
            Watch::Off => return,
            Watch::Exclusively => Mask::IN | Mask::EXCLUSIVE,
            Watch::Once => Mask::IN | Mask::ONESHOT,
        };
        self.counters.syscalls.add(1);
        match self.poll.add(listener, Key::Listener, mask) {
            Ok(()) => self.door.watch = goal,
            Err(_) => self.pause_accepting(self.now),
        }
    }

    fn pause_accepting(&mut self, now: Instant) {
        self.counters.accepts_failed.add(1);
        self.door.respite = Some(now + RESPITE);
    }

    pub(super) fn on_listener(&mut self) {
        if self.door.watch == Watch::Once {
            return self.counters.table_full.add(1);
        }
        let most = if self.door.shared { TAKEN_AT_ONCE_OF_SHARED } else { TAKEN_AT_ONCE };
        let taken = (0..most).take_while(|_| self.take_one()).count();
        if taken > 0 && self.door.shared {
            self.watch_listener(Watch::Exclusively);
        }
    }

    /// Takes a connection. Whether there may be another.
    fn take_one(&mut self) -> bool {
        if !self.door.wanted || self.table.is_full() {
            return false;
        }
        let Some(listener) = &self.door.listener else { return false };
        self.counters.syscalls.add(1);
        match socket::accept(listener, Blocking::No) {
            Ok(socket) => self.open(Connection::accepted(socket)),
            Err(Errno::AGAIN) => return false,
            // Told of one connection that has gone meanwhile.
            Err(Errno::CONNABORTED | Errno::INTR | Errno::PROTO) => {}
            Err(_) => {
                self.pause_accepting(clock::now());
                return false;
            }
        }
        true
    }

    fn open(&mut self, connection: Connection) {
        let Ok(id) = self.table.insert(connection) else { return };
        let Some(connection) = self.table.open(id) else { return };
        self.counters.syscalls.add(1);
        match self.poll.add(&connection.socket, Key::Connection(id), WATCHED) {
            Ok(()) => self.news.push(News::Opened(id, Opening::Accepted)),
            // The user watches as many descriptors as the system allows (fs.epoll), or there is no
            // memory: this one is lost, and the next ones may have more luck.
            Err(_) => {
                self.table.remove(id);
                self.pause_accepting(clock::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listener_is_watched_as_the_room_is() {
        let mut door = Door::new(None, false);
        assert_eq!(door.goal(false), Watch::Off);
        door.open(true);
        assert_eq!((door.goal(false), door.goal(true)), (Watch::Exclusively, Watch::Once));
        door.respite = Some(Instant::FAR);
        assert_eq!((door.goal(false), door.alarm()), (Watch::Off, Some(Instant::FAR)));
        door.open(false);
        assert_eq!(door.alarm(), None);
    }
}
