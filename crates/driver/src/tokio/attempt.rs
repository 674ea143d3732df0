//! Outgoing connects.

use super::connection::Connection;
use super::ops::Tag;
use super::turn::{Driver, Peer};
use crate::socket::{self, Blocking};
use crate::{Cause, ConnId, Engine, Event, Opening, Token};
use halfopen_wheel::Instant;
use socket2::SockAddr;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

/// A connect under way; it holds its place in the table from the start.
pub(super) struct Attempt {
    token: Token,
    deadline: Instant,
    socket: OwnedFd,
    /// Why it was given up, if so.
    given_up: Option<Cause>,
}

impl Driver {
    pub(super) fn connect(
        &mut self,
        token: Token,
        to: SocketAddr,
        from: Option<IpAddr>,
        deadline: Instant,
    ) {
        if let Err(cause) = self.attempt(token, to, from, deadline) {
            self.ops.later(Tag::Refused(token, cause));
        }
    }

    fn attempt(
        &mut self,
        token: Token,
        to: SocketAddr,
        from: Option<IpAddr>,
        deadline: Instant,
    ) -> Result<(), Cause> {
        if self.table.is_full() {
            return Err(Cause::NoDescriptors);
        }
        let socket =
            socket::open(to, from, Blocking::Yes).map_err(|error| socket::cause_of(&error))?;
        let attempt = Peer::Attempt(Attempt { token, deadline, socket, given_up: None });
        let id = self.table.insert(attempt).map_err(|_| Cause::NoDescriptors)?;
        let earlier = self.tokens.insert(token, id);
        assert!(earlier.is_none(), "a token names one connect at a time");
        self.deadlines.insert((deadline, token));
        if let Some(Peer::Attempt(attempt)) = self.table.at(id) {
            self.ops.connect(Tag::Connected(id), attempt.socket.as_fd(), SockAddr::from(to));
        }
        Ok(())
    }

    /// Gives up the connect of `token`, if it is not answered yet.
    pub(super) fn give_up(&mut self, token: Token, cause: Cause) {
        let Some(&id) = self.tokens.get(&token) else { return };
        if let Some(Peer::Attempt(attempt)) = self.table.at(id)
            && attempt.given_up.is_none()
        {
            attempt.given_up = Some(cause);
            // Later: the connect itself may not have been submitted yet, and what is broken before
            // it began goes on all the same.
            self.ops.later(Tag::GiveUp(id));
        }
    }

    pub(super) fn on_give_up(&mut self, id: ConnId) {
        if let Some(Peer::Attempt(attempt)) = self.table.at(id) {
            socket::break_connect(&attempt.socket);
        }
    }

    /// Gives up what has taken too long. When the next of them is due.
    pub(super) fn expire_attempts(&mut self, now: Instant) -> Option<Instant> {
        while let Some(&(deadline, token)) = self.deadlines.first() {
            if deadline > now {
                return Some(deadline);
            }
            self.deadlines.pop_first();
            self.give_up(token, Cause::Deadline);
        }
        None
    }

    pub(super) fn on_connected<E: Engine>(&mut self, engine: &mut E, id: ConnId, result: i32) {
        let Some(Peer::Attempt(attempt)) = self.table.at(id) else { return };
        let token = attempt.token;
        let given_up = attempt.given_up;
        self.deadlines.remove(&(attempt.deadline, token));
        self.tokens.remove(&token);
        let refused = given_up.or((result < 0).then(|| Cause::from_errno(-result)));
        let Some(Peer::Attempt(attempt)) = self.table.remove(id) else { return };
        let Some(cause) = refused else {
            let by = Opening::Connected(token);
            return self.open(engine, attempt.socket, by);
        };
        drop(attempt);
        self.tell(engine, Event::Refused { token, cause });
        self.watch_listener();
    }

    /// Takes a connection into the table, where the caller knows that there is room.
    pub(super) fn open<E: Engine>(&mut self, engine: &mut E, socket: OwnedFd, by: Opening) {
        let Ok(id) = self.table.insert(Peer::Open(Connection::new(socket))) else { return };
        if let Some(connection) = self.table.open(id) {
            connection.watch(id, &self.ops);
        }
        self.tell(engine, Event::Opened { id, by });
    }
}
