//! One open connection: what of it is on the ring, and what is to follow.

use super::ops::{Ops, Tag};
use crate::{Cause, Chunk, ConnId, socket};
use halfopen_wheel::{Instant, clock};
use rustix::event::PollFlags;
use std::os::fd::{AsFd, OwnedFd};

/// A connection may be closed only when nothing of it is on the ring: the kernel would find
/// another file under the number of its descriptor.
pub(super) struct Connection {
    pub(super) socket: OwnedFd,
    /// A poll for bytes or the end is on the ring.
    watched: bool,
    /// A poll for the end alone is on the ring.
    end_watched: bool,
    paused: bool,
    sending: Option<Sending>,
    fin: Fin,
    /// Why it is to be closed, once nothing of it is on the ring.
    ending: Option<Cause>,
    /// `Closed` is on its way.
    closing: bool,
}

struct Sending {
    chunk: Chunk,
    done: usize,
    at: Instant,
    on_ring: bool,
}

/// Our own FIN.
#[derive(PartialEq)]
enum Fin {
    Unwanted,
    Wanted,
    Sent,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            watched: false,
            end_watched: false,
            paused: false,
            sending: None,
            fin: Fin::Unwanted,
            ending: None,
            closing: false,
        }
    }

    /// Whether bytes may be handed over.
    pub(super) fn is_read(&self) -> bool {
        !self.paused && self.ending.is_none()
    }

    /// Parks it, if it is not: until bytes or the end come, while paused only until the end.
    pub(super) fn watch(&mut self, id: ConnId, ops: &Ops) {
        if self.ending.is_some() || self.watched {
            return;
        }
        let fd = self.socket.as_fd();
        if !self.paused {
            self.watched = true;
            ops.poll(Tag::Readable(id), fd, PollFlags::IN | PollFlags::RDHUP);
        } else if !self.end_watched {
            self.end_watched = true;
            ops.poll(Tag::Ended(id), fd, PollFlags::RDHUP);
        }
    }

    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    pub(super) fn resume(&mut self, id: ConnId, ops: &Ops) {
        self.paused = false;
        self.watch(id, ops);
    }

    /// The poll for bytes has fired. Whether they are to be read; if not, all is done.
    pub(super) fn unwatched(&mut self, id: ConnId, mask: PollFlags, ops: &Ops) -> bool {
        self.watched = false;
        self.look_for_the_end(id, mask, ops);
        self.is_read()
    }

    /// The poll for the end has fired.
    pub(super) fn end_unwatched(&mut self, id: ConnId, mask: PollFlags, ops: &Ops) {
        self.end_watched = false;
        self.look_for_the_end(id, mask, ops);
    }

    /// Who reads hears of the end in its place, after the last byte; who is paused hears it here.
    fn look_for_the_end(&mut self, id: ConnId, mask: PollFlags, ops: &Ops) {
        if self.ending.is_some() {
            return self.settle(id, ops);
        }
        if self.paused && mask.intersects(socket::HANGUP) {
            let cause = socket::error(&self.socket).unwrap_or_else(|| self.cause_of_end(mask));
            return self.end(id, cause, ops);
        }
        if self.paused {
            self.watch(id, ops);
        }
    }

    /// What the end of the stream means, where the kernel's error has already gone to the send
    /// that was in flight: a hang-up in both directions is a FIN only if we sent ours.
    pub(super) fn cause_of_end(&self, mask: PollFlags) -> Cause {
        if mask.contains(PollFlags::HUP) && self.fin != Fin::Sent {
            Cause::Reset
        } else {
            Cause::Fin
        }
    }

    /// Sends `chunk`. On a connection that is ending it comes home with the end, of which the
    /// engine has not heard; but nothing is sent after an abort.
    pub(super) fn send(&mut self, id: ConnId, chunk: Chunk, ops: &Ops) {
        if self.ending == Some(Cause::Aborted) {
            return;
        }
        assert!(self.sending.is_none(), "one send in flight for each connection");
        let at = clock::now();
        self.sending = Some(Sending { chunk, done: 0, at, on_ring: false });
        if self.ending.is_none() {
            self.send_rest(id, ops);
        }
    }

    /// The send in flight was handed to the kernel at `moment`.
    pub(super) fn stamp_send(&mut self, moment: Instant) {
        if let Some(sending) = self.sending.as_mut().filter(|sending| sending.done == 0) {
            sending.at = moment;
        }
    }

    fn send_rest(&mut self, id: ConnId, ops: &Ops) {
        if let Some(sending) = &mut self.sending {
            sending.on_ring = true;
            let rest = &sending.chunk.as_bytes()[sending.done..];
            ops.send(Tag::Sent(id), self.socket.as_fd(), rest);
        }
    }

    /// The kernel has taken bytes, or has failed. The chunk, if it is home; if not, the rest is on
    /// its way.
    pub(super) fn sent(&mut self, id: ConnId, result: i32, ops: &Ops) -> Option<(Chunk, Instant)> {
        let sending = self.sending.as_mut()?;
        sending.on_ring = false;
        sending.done += usize::try_from(result).unwrap_or(0);
        if result > 0 && sending.done < sending.chunk.as_bytes().len() {
            self.send_rest(id, ops);
            return None;
        }
        let home = self.take_home();
        if self.ending == Some(Cause::Reset) && result == -libc::ETIMEDOUT {
            // The kernel tells its error once: to this send, and to who read only a hang-up.
            self.ending = Some(Cause::TimedOut);
        }
        if self.ending.is_some() {
            self.settle(id, ops);
        } else if result <= 0 {
            self.end(id, Cause::from_errno(-result), ops);
        } else if self.fin == Fin::Wanted {
            self.send_fin();
        }
        home
    }

    /// A chunk that never left, because the connection was ending.
    pub(super) fn take_home(&mut self) -> Option<(Chunk, Instant)> {
        self.sending.take().map(|sending| (sending.chunk, sending.at))
    }

    /// Sends FIN after the send in flight.
    pub(super) fn shut_down(&mut self) {
        match self.sending {
            Some(_) => self.fin = Fin::Wanted,
            None => self.send_fin(),
        }
    }

    fn send_fin(&mut self) {
        self.fin = Fin::Sent;
        socket::send_fin(&self.socket);
    }

    /// Begins the end. All but a FIN breaks the connection off, which brings home what is on the
    /// ring; after a FIN the send in flight goes on.
    pub(super) fn end(&mut self, id: ConnId, cause: Cause, ops: &Ops) {
        if self.closing {
            return;
        }
        if self.ending.is_none() || cause == Cause::Aborted {
            self.ending = Some(cause);
        }
        if cause != Cause::Fin {
            socket::disconnect(&self.socket);
        }
        self.settle(id, ops);
    }

    /// Closes it, if it is to be closed and nothing of it is on the ring.
    fn settle(&mut self, id: ConnId, ops: &Ops) {
        let sending = self.sending.as_ref().is_some_and(|sending| sending.on_ring);
        if !(self.closing || self.watched || self.end_watched || sending) {
            self.closing = true;
            ops.later(Tag::Closed(id));
        }
    }

    /// Why it was closed.
    pub(super) fn cause(&self) -> Cause {
        self.ending.unwrap_or(Cause::Aborted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use std::net::{TcpListener, TcpStream};

    /// A read that comes between the kernel's giving the peer up and the completion of the send
    /// that was told of it finds the end of the stream and no reason.
    #[test]
    fn a_send_that_is_told_of_a_timeout_says_why_there_was_a_hang_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (id, ops) = (ConnId { index: 0, generation: 0 }, Ops::default());
        let home = tokio_uring::start(async {
            let mut connection = Connection::new(socket.into());
            connection.send(id, Chunk::Own(BytesMut::from("ping")), &ops);
            let cause = connection.cause_of_end(PollFlags::IN | PollFlags::RDHUP | PollFlags::HUP);
            assert_eq!(cause, Cause::Reset);
            connection.end(id, cause, &ops);
            let home = connection.sent(id, -libc::ETIMEDOUT, &ops);
            assert_eq!(connection.cause(), Cause::TimedOut);
            home
        });
        assert!(home.is_some(), "the chunk outlives the ring, which was not told");
    }
}
