//! Completions become news for the engine, operations become requests.

use super::Options;
use super::accept::Door;
use super::completion::{Completion, Of};
use super::connect::Attempts;
use super::probe::probe;
use super::queue::{Landed, Queue};
use super::state::{Connection, Grains};
use crate::WakeSource;
use crate::table::Table;
use crate::{Cause, Chunk, Config, ConnId, Counters, Ends, Error, INDEX_MAX, Op, Opening, Token};
use halfopen_wheel::Instant;
use rustix::process::{Resource, getrlimit};
use std::collections::{HashMap, VecDeque};
use std::os::fd::AsFd;
use std::sync::Arc;

/// What the engine is to be told: [`Event`](crate::Event) without anything borrowed.
#[derive(Debug)]
pub(super) enum News {
    Started,
    Opened(ConnId, Opening),
    Refused(Token, Cause),
    Received(ConnId, u16, usize),
    Sent(ConnId, Landed),
    /// A chunk that was never given to the kernel comes home.
    Stranded(ConnId, Chunk, Instant),
    Probed(ConnId, u32),
    Located(ConnId, Option<Ends>),
    Closed(ConnId, Cause),
    Woken,
}

/// All that a run holds but the engine.
pub(super) struct Driver {
    pub(super) queue: Queue,
    pub(super) table: Table<Connection>,
    pub(super) attempts: Attempts,
    pub(super) door: Door,
    pub(super) news: VecDeque<News>,
    /// Whose receives are armed again when buffers have returned.
    pub(super) starved: VecDeque<ConnId>,
    /// Chunks that met an end that the engine has not heard of, and come home with it.
    pub(super) stranded: HashMap<ConnId, (Chunk, Instant)>,
    pub(super) counters: Arc<Counters>,
    /// Receives and accepts that have completed since it was last looked.
    pub(super) arrivals: u32,
    pub(super) stopped: bool,
    /// From this silence on a connection is quiet.
    pub(super) quiet: Grains,
    /// Few enough requests can be armed that one of them is found quickly.
    pub(super) cancels_are_cheap: bool,
    connections_max: u32,
    wake: WakeSource,
}

impl Driver {
    pub(super) fn new(config: Config, options: Options) -> Result<Self, Error> {
        let wanted = config.connections_max;
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        if u64::from(wanted) > limit {
            return Err(Error::Descriptors { wanted, limit });
        }
        let wanted = wanted.min(INDEX_MAX + 1);
        let spare = u64::from(wanted) + u64::from(Door::SPARE);
        let slots = u32::try_from(spare.min(limit)).unwrap_or(wanted).max(1);
        let features = probe(config.without)?.features;
        let queue = Queue::new(options, features, slots, config.counters.clone())?;
        let mut driver = Self {
            door: Door::new(config.listener),
            queue,
            table: Table::new(wanted),
            attempts: Attempts::default(),
            news: VecDeque::from([News::Started]),
            starved: VecDeque::new(),
            stranded: HashMap::new(),
            counters: config.counters,
            arrivals: 0,
            stopped: false,
            quiet: options.quiet.into(),
            cancels_are_cheap: wanted <= options.cheap_cancels_max,
            connections_max: wanted,
            wake: config.wake,
        };
        driver.queue.watch_waker(driver.wake.as_fd());
        Ok(driver)
    }

    /// How many connections more could be kept.
    pub(super) fn room(&self) -> u32 {
        let taken = self.table.len() + self.attempts.len();
        self.connections_max.saturating_sub(taken)
    }

    /// Makes ready for a system call: what was put off for lack of room or buffers.
    pub(super) fn prepare(&mut self, now: Instant) {
        let mut buffers = self.queue.buffers_count();
        while buffers > 0
            && let Some(id) = self.starved.pop_front()
        {
            buffers -= usize::from(self.receive_again(id));
        }
        self.mind_the_door(now);
    }

    /// Whether there is something to do before the next sleep.
    pub(super) fn is_busy(&mut self) -> bool {
        self.queue.is_at_hand() || !self.news.is_empty() || !self.starved.is_empty()
    }

    /// Whether nothing that has arrived waits to be handed over.
    pub(super) fn is_dry(&mut self) -> bool {
        self.starved.is_empty() && self.queue.is_submitted() && !self.queue.is_waiting()
    }

    /// Whether that is certain without a call.
    pub(super) fn is_known_dry(&mut self) -> bool {
        self.queue.has_nothing_put_off() && self.is_dry()
    }

    /// Closes all sockets, and waits until the kernel has let go of our memory.
    pub(super) fn close(self) {
        drop(self.queue);
    }

    pub(super) fn complete(&mut self, completion: Completion, now: Instant) {
        let Completion { of, result, more } = completion;
        match of {
            Of::Nobody => {}
            Of::Accept => self.on_accept(result, now),
            Of::Listener => self.on_listener(),
            Of::Socket(key) => self.on_socket(key, result),
            Of::Connect(key) => self.on_connect(key, result, now),
            Of::Receive(id, filled) => self.on_receive(id, result, more, filled, now),
            Of::Send(id, landed) => self.on_send(id, landed, result, now),
            Of::Poll(id) => self.on_poll(id, result, more),
            Of::Shutdown(id) => self.on_shutdown(id),
            Of::Close(id) => self.on_close(id),
            Of::Check(id) => self.on_check(id, result),
            Of::Probe(id) => self.on_probe(id, result),
            Of::Locate(id, descriptor) => self.on_locate(id, descriptor),
            Of::Diagnose(id, descriptor) => self.on_diagnose(id, descriptor),
            Of::Wake => self.on_wake(more),
        }
    }

    pub(super) fn carry_out(&mut self, op: Op, now: Instant) {
        match op {
            Op::Accept(open) => self.door.open(open),
            Op::Connect { token, to, from, deadline } => self.connect(token, to, from, deadline),
            Op::Cancel(token) => self.give_up(token),
            Op::Send { id, chunk } => self.send(id, chunk, now),
            Op::Pause { id } => self.pause(id, true),
            Op::Resume { id } => self.pause(id, false),
            Op::Probe { id } => self.probe(id),
            Op::Locate { id } => self.locate(id),
            Op::Shutdown { id } => self.shut_down(id),
            Op::Abort { id } => self.abort(id),
            Op::Sever { id, how } => self.sever(id, how),
            Op::Stop => self.stopped = true,
        }
    }

    fn on_wake(&mut self, more: bool) {
        self.wake.clear();
        if !more {
            self.queue.watch_waker(self.wake.as_fd());
        }
        self.news.push_back(News::Woken);
    }
}
