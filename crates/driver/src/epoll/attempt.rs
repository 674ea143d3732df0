//! Outgoing connects.

use super::connection::{Connection, WATCHED_FOR_ROOM};
use super::driver::Driver;
use super::news::News;
use super::poll::{INPUT, Key, Mask};
use crate::socket::{self, Blocking};
use crate::{Cause, ConnId, Opening, Token};
use halfopen_wheel::Instant;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

/// The connects under way. Each holds its place in the table from the start.
#[derive(Default)]
pub(super) struct Attempts {
    by_token: HashMap<Token, (ConnId, Instant)>,
    by_index: HashMap<u32, Token>,
    /// When to give up which.
    deadlines: BTreeSet<(Instant, Token)>,
}

impl Attempts {
    /// When to give up the next.
    pub(super) fn alarm(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    fn insert(&mut self, token: Token, id: ConnId, deadline: Instant) {
        let earlier = self.by_token.insert(token, (id, deadline));
        assert!(earlier.is_none(), "a token names one connect at a time");
        self.by_index.insert(id.index, token);
        self.deadlines.insert((deadline, token));
    }

    fn remove(&mut self, token: Token) -> Option<ConnId> {
        let (id, deadline) = self.by_token.remove(&token)?;
        self.by_index.remove(&id.index);
        self.deadlines.remove(&(deadline, token));
        Some(id)
    }
}

impl Driver {
    pub(super) fn connect(
        &mut self,
        token: Token,
        to: SocketAddr,
        from: Option<IpAddr>,
        deadline: Instant,
    ) {
        match self.attempt(to, from) {
            Ok(id) => self.attempts.insert(token, id, deadline),
            Err(cause) => self.news.push(News::Refused(token, cause)),
        }
    }

    fn attempt(&mut self, to: SocketAddr, from: Option<IpAddr>) -> Result<ConnId, Cause> {
        if self.table.is_full() {
            return Err(Cause::NoDescriptors);
        }
        // A socket, its option, its address, the connect, and the watch.
        self.counters.syscalls.add(5);
        let socket =
            socket::open(to, from, Blocking::No).map_err(|error| socket::cause_of(&error))?;
        socket::begin_connect(&socket, to)
            .map_err(|errno| Cause::from_errno(errno.raw_os_error()))?;
        let connection = Connection::connecting(socket);
        let id = self.table.insert(connection).map_err(|_| Cause::NoDescriptors)?;
        let Some(connection) = self.table.at(id) else { return Err(Cause::NoDescriptors) };
        let watched = self.poll.add(&connection.socket, Key::Connection(id), WATCHED_FOR_ROOM);
        watched.map_err(|errno| {
            self.table.remove(id);
            Cause::from_errno(errno.raw_os_error())
        })?;
        Ok(id)
    }

    /// Gives up the connect of `token`, if it is not answered yet.
    pub(super) fn give_up(&mut self, token: Token, cause: Cause) {
        if let Some(id) = self.attempts.remove(token) {
            self.table.remove(id);
            self.news.push(News::Refused(token, cause));
        }
    }

    /// Gives up what has taken too long.
    pub(super) fn expire_attempts(&mut self, now: Instant) {
        while let Some(&(deadline, token)) = self.attempts.deadlines.first()
            && deadline <= now
        {
            self.give_up(token, Cause::Deadline);
        }
    }

    /// Epoll has told of a connect.
    pub(super) fn on_answer(&mut self, id: ConnId, mask: Mask) {
        let Some(connection) = self.table.at(id).filter(|connection| connection.connecting) else {
            return;
        };
        let Some(&token) = self.attempts.by_index.get(&id.index) else { return };
        self.counters.syscalls.add(1);
        if let Some(cause) = socket::error(&connection.socket) {
            return self.give_up(token, cause);
        }
        connection.connecting = false;
        // Bytes or an end right behind the answer have no other edge than this one. They are
        // looked at when the engine has been told of the connection.
        connection.note(mask);
        if mask.intersects(INPUT) {
            self.carry_over(id);
        }
        self.attempts.remove(token);
        self.news.push(News::Opened(id, Opening::Connected(token)));
    }
}
