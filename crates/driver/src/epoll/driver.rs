//! What a run holds, and what the engine wants of it.

use super::accept::Door;
use super::attempt::Attempts;
use super::connection::Connection;
use super::news::{News, Waiting};
use super::poll::{Key, Mask, Poll};
use crate::table::Table;
use crate::{Cause, Config, ConnId, Counters, Error, INDEX_MAX, Op, Severance, WakeSource, socket};
use halfopen_wheel::{Instant, clock};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::Arc;

/// The buffer of the thread, and so the most that one connection hands over in a turn. Greater ones
/// make no fewer cycles a byte, and the others wait for longer.
const BUFFER: usize = 16 * 1024;

/// All that a run holds but the engine.
pub(super) struct Driver {
    pub(super) poll: Poll,
    pub(super) table: Table<Connection>,
    pub(super) attempts: Attempts,
    pub(super) door: Door,
    pub(super) news: Waiting,
    /// Those that may have more to read than they have handed over.
    pub(super) backlog: VecDeque<ConnId>,
    pub(super) buffer: Box<[u8]>,
    pub(super) counters: Arc<Counters>,
    pub(super) stopped: bool,
    /// When the clock was last read.
    pub(super) now: Instant,
    wake: WakeSource,
}

impl Table<Connection> {
    /// The connection of that name, if the engine knows of it.
    pub(super) fn open(&mut self, id: ConnId) -> Option<&mut Connection> {
        self.at(id).filter(|connection| !connection.connecting)
    }
}

impl Driver {
    pub(super) fn new(config: Config) -> Result<Self, Error> {
        let poll = Poll::new().map_err(|errno| failed("making an epoll instance", errno))?;
        poll.add(config.wake.as_fd(), Key::Waker, Mask::IN)
            .map_err(|errno| failed("watching the waker", errno))?;
        let mut news = Waiting::default();
        news.push(News::Started);
        Ok(Self {
            poll,
            table: Table::new(config.connections_max.min(INDEX_MAX + 1)),
            attempts: Attempts::default(),
            door: Door::new(config.listener, config.listener_shared),
            news,
            backlog: VecDeque::new(),
            buffer: vec![0; BUFFER].into(),
            counters: config.counters,
            stopped: false,
            now: clock::now(),
            wake: config.wake,
        })
    }

    /// Epoll has told. The connection that is to be read, if any.
    pub(super) fn on_event(&mut self, key: Key, mask: Mask) -> Option<ConnId> {
        match key {
            Key::Listener => self.on_listener(),
            Key::Waker => {
                self.counters.syscalls.add(1);
                self.wake.clear();
                self.news.push(News::Woken);
            }
            Key::Connection(id) if self.table.open(id).is_some() => {
                return self.on_ready(id, mask).then_some(id);
            }
            Key::Connection(id) => self.on_answer(id, mask),
        }
        None
    }

    pub(super) fn carry_out(&mut self, op: Op) {
        match op {
            Op::Accept(open) => self.door.open(open),
            Op::Connect { token, to, from, deadline } => self.connect(token, to, from, deadline),
            Op::Cancel(token) => self.give_up(token, Cause::Cancelled),
            Op::Send { id, chunk } => self.send(id, chunk),
            Op::Pause { id } => self.pause(id, true),
            Op::Resume { id } => self.pause(id, false),
            Op::Probe { id } => self.ask(id, |socket| News::Probed(id, socket::queued(socket))),
            Op::Locate { id } => self.ask(id, |socket| News::Located(id, socket::ends(socket))),
            Op::Shutdown { id } => self.shut_down(id),
            Op::Abort { id } => self.end(id, Cause::Aborted),
            Op::Sever { id, how } => {
                if let Some(connection) = self.table.open(id) {
                    self.counters.syscalls.add(2);
                    socket::sever(&connection.socket, how);
                    if how == Severance::Vanish {
                        self.end(id, Cause::Aborted);
                    }
                }
            }
            Op::Stop => self.stopped = true,
        }
    }

    /// Asks something of a connection that has not ended.
    fn ask(&mut self, id: ConnId, question: impl FnOnce(&std::os::fd::OwnedFd) -> News) {
        if let Some(connection) = self.table.open(id).filter(|connection| !connection.has_ended()) {
            self.counters.syscalls.add(1);
            self.news.push(question(&connection.socket));
        }
    }
}

pub(super) fn failed(doing: &'static str, errno: Errno) -> Error {
    Error::Os { doing, error: errno.into() }
}
