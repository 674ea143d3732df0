//! The life of an open connection: what it waits for, what is sent, how it ends.
//!
//! A connection ends *gently* after the peer's FIN, once the send in flight is home, and else
//! *abruptly*: it is broken off at once, and a chunk that waits for room comes home unsent. Either
//! way its place in the table is given back in the moment in which the engine is told.

use super::driver::Driver;
use super::news::News;
use super::poll::{HANGUP, INPUT, Key, Mask};
use crate::{CHUNK_MAX, Cause, Chunk, ConnId, socket};
use halfopen_wheel::{Instant, clock};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// An open connection, or a connect under way.
pub(super) struct Connection {
    pub(super) socket: OwnedFd,
    /// The connect has not been answered.
    pub(super) connecting: bool,
    paused: bool,
    /// It stands in the backlog.
    carried: bool,
    /// The peer's end was told, and may have bytes before it.
    hung_up: bool,
    /// The peer marks bytes as urgent. A read ends at the mark, whatever stands behind it.
    urgent: bool,
    /// It is watched for room, too.
    output_watched: bool,
    fin: Fin,
    /// Why it has ended; then nothing more is begun.
    ending: Option<Cause>,
    /// `Closed` is on its way.
    closing: bool,
    /// What waits for room in the kernel. Most chunks never do.
    waiting: Option<Box<Sending>>,
    /// The number of the news that tells of the last send.
    sent: u64,
}

/// A chunk on its way.
pub(super) struct Sending {
    pub(super) chunk: Chunk,
    done: usize,
    pub(super) at: Instant,
}

/// Our own FIN.
#[derive(PartialEq)]
enum Fin {
    Unwanted,
    /// It waits for the send in flight.
    Wanted,
    Sent,
}

/// What a connection is watched for from its beginning, and what for once it had to wait for room.
pub(super) const WATCHED: Mask = Mask::IN.union(Mask::PRI).union(Mask::RDHUP).union(Mask::ET);
pub(super) const WATCHED_FOR_ROOM: Mask = WATCHED.union(Mask::OUT);

/// What lets a send go on: room, or an error that ends it.
const ROOM: Mask = Mask::OUT.union(Mask::ERR).union(Mask::HUP);

impl Connection {
    pub(super) fn accepted(socket: OwnedFd) -> Self {
        Self {
            socket,
            connecting: false,
            paused: false,
            carried: false,
            hung_up: false,
            urgent: false,
            output_watched: false,
            fin: Fin::Unwanted,
            ending: None,
            closing: false,
            waiting: None,
            sent: 0,
        }
    }

    /// A connect is over when there is room to send.
    pub(super) fn connecting(socket: OwnedFd) -> Self {
        Self { connecting: true, output_watched: true, ..Self::accepted(socket) }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ending.is_some()
    }

    /// Why it was closed.
    pub(super) fn cause(&self) -> Cause {
        self.ending.unwrap_or(Cause::Aborted)
    }

    /// A chunk that waited when the end came.
    pub(super) fn take_home(&mut self) -> Option<Sending> {
        self.waiting.take().map(|sending| *sending)
    }

    /// Keeps what later reads have to know of what epoll has told.
    pub(super) fn note(&mut self, mask: Mask) {
        self.hung_up |= mask.intersects(HANGUP);
        self.urgent |= mask.intersects(Mask::PRI);
    }

    /// What the end of one that is not read means. An error has no other sign here than a hang-up
    /// in both directions, where a send has been told of it before.
    fn cause_of_end(&self, hung_up: Mask) -> Cause {
        let one_sided = !hung_up.contains(Mask::HUP) || self.fin == Fin::Sent;
        socket::error(&self.socket).unwrap_or(if one_sided { Cause::Fin } else { Cause::Reset })
    }

    /// Gives the kernel what it takes of `sending`. Whether it took all.
    fn push(&self, sending: &mut Sending) -> Result<bool, Errno> {
        loop {
            let rest = &sending.chunk.as_bytes()[sending.done..];
            if rest.is_empty() {
                return Ok(true);
            }
            match socket::send(&self.socket, rest) {
                Ok(taken) => sending.done += taken,
                // Only after EAGAIN there is an edge when room comes.
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

impl Driver {
    /// Epoll has told of a connection. Whether it is to be read.
    pub(super) fn on_ready(&mut self, id: ConnId, mask: Mask) -> bool {
        let Some(connection) = self.table.open(id).filter(|connection| !connection.closing) else {
            return false;
        };
        connection.note(mask);
        // Room has no other edge than this one, also where the same event tells of the end: a chunk
        // that the end waits for would stay.
        if mask.intersects(ROOM)
            && let Some(sending) = connection.waiting.take()
        {
            self.push(id, *sending);
        }
        let Some(connection) = self.table.open(id).filter(|connection| !connection.has_ended())
        else {
            return false;
        };
        if connection.paused && mask.intersects(HANGUP) {
            let cause = connection.cause_of_end(mask);
            self.end(id, cause);
            return false;
        }
        mask.intersects(INPUT)
    }

    /// Takes what is there, one buffer of it. How much that is.
    pub(super) fn read(&mut self, id: ConnId) -> Option<usize> {
        let connection = self.table.open(id).filter(|connection| connection.ending.is_none())?;
        if connection.paused {
            if connection.hung_up {
                let cause = connection.cause_of_end(Mask::RDHUP);
                self.end(id, cause);
            }
            return None;
        }
        self.counters.syscalls.add(1);
        match socket::receive(&connection.socket, &mut self.buffer) {
            Ok(0) => self.end(id, Cause::Fin),
            Ok(length) => {
                // A read that filled the buffer may have left something, and so may one that ended
                // at an urgent byte; behind the last bytes of a peer that hung up stands its end.
                if length == self.buffer.len() || connection.hung_up || connection.urgent {
                    self.carry_over(id);
                }
                self.counters.bytes_in.add(length as u64);
                return Some(length);
            }
            Err(Errno::AGAIN) => {}
            Err(Errno::INTR) => self.carry_over(id),
            Err(error) => self.end(id, Cause::from_errno(error.raw_os_error())),
        }
        None
    }

    /// A send to it that the engine has not been told of.
    pub(super) fn take_sent(&mut self, id: ConnId) -> Option<(Chunk, Instant)> {
        let number = self.table.open(id)?.sent;
        self.news.take_sent(id, number)
    }

    pub(super) fn is_aborted(&mut self, id: ConnId) -> bool {
        self.table.open(id).is_none_or(|connection| connection.ending == Some(Cause::Aborted))
    }

    /// Looks at it once more in the next turn.
    pub(super) fn carry_over(&mut self, id: ConnId) {
        if let Some(connection) = self.table.open(id)
            && !std::mem::replace(&mut connection.carried, true)
        {
            self.backlog.push_back(id);
        }
    }

    /// The next of those that were carried over.
    pub(super) fn next_carried(&mut self) -> Option<ConnId> {
        let id = self.backlog.pop_front()?;
        if let Some(connection) = self.table.open(id) {
            connection.carried = false;
        }
        Some(id)
    }

    /// No edge tells of what came while nobody read, so the next turn looks for itself; and for a
    /// connection that is paused after its peer hung up.
    pub(super) fn pause(&mut self, id: ConnId, paused: bool) {
        let Some(connection) = self.table.open(id) else { return };
        connection.paused = paused;
        if !paused || connection.hung_up {
            self.carry_over(id);
        }
    }

    /// Sends `chunk`. On a connection that is ending it comes home with the end, of which the
    /// engine has not heard; but nothing is sent after an abort.
    pub(super) fn send(&mut self, id: ConnId, chunk: Chunk) {
        let Some(connection) = self.table.open(id) else { return };
        if connection.ending == Some(Cause::Aborted) {
            return;
        }
        assert!((1..=CHUNK_MAX).contains(&chunk.as_bytes().len()), "a chunk's size");
        assert!(connection.waiting.is_none(), "one send in flight for each connection");
        self.now = clock::now();
        let sending = Sending { chunk, done: 0, at: self.now };
        if connection.ending.is_some() {
            connection.waiting = Some(Box::new(sending));
        } else {
            self.push(id, sending);
        }
    }

    /// Sends what the kernel takes; the rest waits for room.
    fn push(&mut self, id: ConnId, mut sending: Sending) {
        let Some(connection) = self.table.open(id) else { return };
        let before = sending.done;
        let pushed = connection.push(&mut sending);
        self.counters.syscalls.add(1);
        self.counters.bytes_out.add((sending.done - before) as u64);
        match pushed {
            Ok(true) => {
                connection.sent = self.news.next_number();
                self.news.push(News::Sent(id, sending.chunk, sending.at));
                self.on_home(id);
            }
            Ok(false) => {
                self.counters.sends_short.add(u64::from(sending.done > before));
                connection.waiting = Some(Box::new(sending));
                self.watch_output(id);
            }
            Err(errno) => {
                self.news.push(News::Sent(id, sending.chunk, sending.at));
                self.end(id, Cause::from_errno(errno.raw_os_error()));
            }
        }
    }

    /// From now on edges tell of room, too. Were there some already, this makes one.
    fn watch_output(&mut self, id: ConnId) {
        let Some(connection) = self.table.open(id) else { return };
        if std::mem::replace(&mut connection.output_watched, true) {
            return;
        }
        self.counters.syscalls.add(1);
        let watched = self.poll.modify(&connection.socket, Key::Connection(id), WATCHED_FOR_ROOM);
        if let Err(errno) = watched {
            self.end(id, Cause::from_errno(errno.raw_os_error()));
        }
    }

    /// Nothing is in flight any more: what waited for that.
    fn on_home(&mut self, id: ConnId) {
        let Some(connection) = self.table.open(id) else { return };
        if let Some(cause) = connection.ending {
            self.end(id, cause);
        } else if connection.fin == Fin::Wanted {
            self.shut_down(id);
        }
    }

    /// Sends FIN after the send in flight.
    pub(super) fn shut_down(&mut self, id: ConnId) {
        let Some(connection) = self.table.open(id) else { return };
        if connection.waiting.is_some() {
            connection.fin = Fin::Wanted;
        } else if connection.fin != Fin::Sent && connection.ending.is_none() {
            connection.fin = Fin::Sent;
            self.counters.syscalls.add(1);
            socket::send_fin(&connection.socket);
        }
    }

    /// Ends it, or once the send in flight is home.
    pub(super) fn end(&mut self, id: ConnId, cause: Cause) {
        let Some(connection) = self.table.open(id) else { return };
        if connection.closing {
            return;
        }
        if connection.ending.is_none() || cause == Cause::Aborted {
            connection.ending = Some(cause);
        }
        if cause == Cause::Fin && connection.waiting.is_some() {
            return;
        }
        if cause == Cause::Aborted {
            self.counters.syscalls.add(1);
            socket::disconnect(&connection.socket);
        }
        connection.closing = true;
        self.news.push(News::Closed(id));
    }
}
