//! The loop: completions in their order, then what is due, then the ring again.

use super::accept::Door;
use super::attempt::Attempt;
use super::connection::Connection;
use super::ops::{Ops, Tag};
use super::silence::Silence;
use super::timers::Timers;
use crate::table::Table;
use crate::{
    CHUNK_MAX, Config, ConnId, Counters, Engine, Event, Op, Severance, Token, WakeSource, socket,
};
use halfopen_wheel::{Instant, clock};
use rustix::event::PollFlags;
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

/// How long deadlines are worked at in a turn.
const DEADLINES_BUDGET: Duration = Duration::from_micros(200);

/// So many completions are handed over before what they have brought about is handed to the kernel.
const COMPLETIONS_MAX: u32 = 1024;

/// And no more after so long, if something is due.
const ARRIVALS_BUDGET: Duration = Duration::from_millis(1);

/// How many completions are handed over between two looks at the clock.
const COMPLETIONS_PER_CLOCK: u32 = 32;

/// The buffer of the thread.
const BUFFER: usize = 64 * 1024;

/// How many full buffers one connection may hand over in a turn.
const BUFFERS_AT_ONCE: usize = 8;

/// Who holds a place in the table.
pub(super) enum Peer {
    Attempt(Attempt),
    Open(Connection),
}

impl Table<Peer> {
    /// The connection of that name, if it is open.
    pub(super) fn open(&mut self, id: ConnId) -> Option<&mut Connection> {
        match self.at(id)? {
            Peer::Open(connection) => Some(connection),
            Peer::Attempt(_) => None,
        }
    }
}

/// All that a run holds but the engine and the runtime.
pub(super) struct Driver {
    pub(super) table: Table<Peer>,
    pub(super) tokens: HashMap<Token, ConnId>,
    /// When to give up which connect.
    pub(super) deadlines: BTreeSet<(Instant, Token)>,
    pub(super) door: Door,
    pub(super) ops: Ops,
    pub(super) counters: Arc<Counters>,
    pub(super) stopped: bool,
    /// The engine takes long for an event: the clock is looked at after each.
    is_slow: bool,
    wake: WakeSource,
    silence: Silence,
    timers: Timers,
    buffer: Box<[u8]>,
    wishes: Vec<Op>,
    /// Whose sends wait to be handed to the kernel.
    unstamped: Vec<ConnId>,
}

impl Driver {
    pub(super) fn new(config: Config) -> Self {
        Self {
            table: Table::new(config.connections_max),
            tokens: HashMap::new(),
            deadlines: BTreeSet::new(),
            door: Door::new(config.listener, config.listener_shared),
            ops: Ops::default(),
            counters: config.counters,
            stopped: false,
            is_slow: false,
            wake: config.wake,
            silence: Silence::new(clock::now()),
            timers: Timers::default(),
            buffer: vec![0; BUFFER].into(),
            wishes: Vec::new(),
            unstamped: Vec::new(),
        }
    }

    /// The whole run.
    pub(super) async fn turn_until_stop<E: Engine>(&mut self, engine: &mut E) {
        self.watch_waker();
        self.tell(engine, Event::Started);
        while !self.stopped {
            self.plan_next(engine.deadline());
            let ops = self.ops.clone();
            ops.completions().arrived().await;
            if let Some(moment) = ops.completions().handed_over() {
                self.stamp_sends(moment);
            }
            self.turn(engine);
        }
    }

    /// A send begins when the batch that holds it is handed to the kernel, which may be a long turn
    /// after it was asked for.
    fn stamp_sends(&mut self, moment: Instant) {
        while let Some(id) = self.unstamped.pop() {
            if let Some(connection) = self.table.open(id) {
                connection.stamp_send(moment);
            }
        }
    }

    fn turn<E: Engine>(&mut self, engine: &mut E) {
        let begun = clock::now();
        self.silence.looked(begun);
        // The runtime's own: one to submit, one to wait. It makes one more in a turn under load.
        self.counters.syscalls.add(2);
        self.hand_over_some(engine, begun);
        if !self.stopped && !self.ops.completions().is_empty() {
            // This is not the end of a pass, and to be called again the engine may wait for its next
            // tick: without a pass of its own it would never learn of more than it does now.
            self.begin_pass(engine.deadline(), clock::now());
            self.work_at_deadlines(engine);
            // Who lets go of the thread is called back by a completion alone.
            self.ops.later(Tag::GoOn);
        }
        self.counters.turns.add(clock::now().saturating_since(begun));
    }

    fn hand_over_some<E: Engine>(&mut self, engine: &mut E, begun: Instant) {
        for number in 1..=COMPLETIONS_MAX {
            if self.stopped {
                return;
            }
            let Some((tag, result)) = self.ops.completions().next() else { return };
            self.hand_over(engine, tag, result);
            if self.is_slow || number.is_multiple_of(COMPLETIONS_PER_CLOCK) {
                let now = clock::now();
                let due = engine.deadline().is_some_and(|due| due <= now);
                if due && now.saturating_since(begun) > ARRIVALS_BUDGET {
                    return;
                }
            }
        }
    }

    /// Sees to it that the next turn comes in time: by a pass where a deadline of the engine is
    /// due, else by a timer.
    fn plan_next(&mut self, deadline: Option<Instant>) {
        let now = clock::now();
        let attempts = self.expire_attempts(now);
        self.begin_pass(deadline, now);
        let deadline = deadline.filter(|_| !self.silence.is_under_way());
        let Some(next) = deadline.into_iter().chain(attempts).min() else { return };
        if next != Instant::FAR && self.timers.arm(next) {
            self.ops.timer(Tag::Timer(next), next);
        }
    }

    /// Finds out how far has been listened, if a deadline is due.
    fn begin_pass(&mut self, deadline: Option<Instant>, now: Instant) {
        if deadline.is_some_and(|deadline| deadline <= now) && self.silence.begin() {
            self.ops.later_twice(Tag::Heard(now));
        }
    }

    fn hand_over<E: Engine>(&mut self, engine: &mut E, tag: Tag, result: i32) {
        match tag {
            Tag::Readable(id) => self.on_readable(engine, id, mask(result)),
            Tag::Ended(id) => {
                if let Some(connection) = self.table.open(id) {
                    connection.end_unwatched(id, mask(result), &self.ops);
                }
            }
            Tag::Sent(id) => self.on_sent(engine, id, result),
            Tag::Connected(id) => self.on_connected(engine, id, result),
            Tag::GiveUp(id) => self.on_give_up(id),
            Tag::Listener | Tag::AcceptAgain => self.on_listener(engine),
            Tag::Wake => {
                self.wake.clear();
                self.watch_waker();
                self.tell(engine, Event::Woken);
            }
            Tag::Timer(at) => self.timers.fired(at),
            Tag::Heard(moment) => {
                self.silence.end(moment, clock::now());
                self.work_at_deadlines(engine);
            }
            Tag::GoOn => {}
            Tag::Closed(id) => self.on_closed(engine, id),
            Tag::Refused(token, cause) => self.tell(engine, Event::Refused { token, cause }),
            Tag::Probed(id, queued) => {
                if self.table.open(id).is_some() {
                    self.tell(engine, Event::Probed { id, queued });
                }
            }
            Tag::Locate(id) => {
                if let Some(connection) = self.table.open(id) {
                    let ends = socket::ends(&connection.socket);
                    self.tell(engine, Event::Located { id, ends });
                }
            }
        }
    }

    /// Hands over what is there, until nothing is left or the connection has had its share.
    fn on_readable<E: Engine>(&mut self, engine: &mut E, id: ConnId, mask: PollFlags) {
        let Some(connection) = self.table.open(id) else { return };
        if !connection.unwatched(id, mask, &self.ops) {
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let empty = (0..BUFFERS_AT_ONCE).any(|_| self.read_once(engine, id, mask, &mut buffer));
        self.buffer = buffer;
        if !empty {
            self.silence.make_void();
        }
        if let Some(connection) = self.table.open(id) {
            connection.watch(id, &self.ops);
        }
    }

    /// Hands over one buffer. Whether there is nothing more to hand over.
    fn read_once<E: Engine>(
        &mut self,
        engine: &mut E,
        id: ConnId,
        mask: PollFlags,
        buffer: &mut [u8],
    ) -> bool {
        let Some(connection) = self.table.open(id).filter(|connection| connection.is_read()) else {
            return true;
        };
        self.counters.syscalls.add(1);
        let taken = match socket::receive(&connection.socket, buffer) {
            Ok(taken) if taken > 0 => taken,
            Ok(_) => {
                connection.end(id, connection.cause_of_end(mask), &self.ops);
                return true;
            }
            Err(Errno::AGAIN) => return true,
            Err(Errno::INTR) => return false,
            Err(error) => {
                connection.end(id, crate::Cause::from_errno(error.raw_os_error()), &self.ops);
                return true;
            }
        };
        self.counters.bytes_in.add(taken as u64);
        self.tell(engine, Event::Received { id, bytes: &mut buffer[..taken] });
        self.stopped || (taken < buffer.len() && !mask.intersects(socket::HANGUP))
    }

    fn on_sent<E: Engine>(&mut self, engine: &mut E, id: ConnId, result: i32) {
        self.counters.bytes_out.add(u64::try_from(result).unwrap_or(0));
        let Some(connection) = self.table.open(id) else { return };
        match connection.sent(id, result, &self.ops) {
            Some((chunk, at)) => self.tell(engine, Event::Sent { id, chunk, at }),
            None => self.counters.sends_short.add(1),
        }
    }

    fn on_closed<E: Engine>(&mut self, engine: &mut E, id: ConnId) {
        let Some(Peer::Open(mut connection)) = self.table.remove(id) else { return };
        let cause = connection.cause();
        let stranded = connection.take_home();
        drop(connection);
        if let Some((chunk, at)) = stranded {
            self.tell(engine, Event::Sent { id, chunk, at });
        }
        if !self.stopped {
            self.tell(engine, Event::Closed { id, cause });
        }
        self.watch_listener();
    }

    /// Works at what is due.
    fn work_at_deadlines<E: Engine>(&mut self, engine: &mut E) {
        let mut now = clock::now();
        let enough = now + DEADLINES_BUDGET;
        while !self.stopped && now < enough && engine.deadline().is_some_and(|due| due <= now) {
            let mut wishes = std::mem::take(&mut self.wishes);
            engine.on_deadline(now, self.silence.heard(now), &mut wishes);
            let idle = wishes.is_empty();
            self.carry_out(wishes);
            if idle && !self.ops.completions().is_empty() {
                return;
            }
            now = clock::now();
        }
    }

    pub(super) fn tell<E: Engine>(&mut self, engine: &mut E, event: Event<'_>) {
        self.counters.events.add(1);
        let mut wishes = std::mem::take(&mut self.wishes);
        let now = clock::now();
        self.is_slow = self.silence.looked(now) > ARRIVALS_BUDGET / COMPLETIONS_PER_CLOCK;
        engine.on_event(now, event, &mut wishes);
        self.carry_out(wishes);
    }

    fn carry_out(&mut self, mut wishes: Vec<Op>) {
        for op in wishes.drain(..) {
            if self.stopped {
                break;
            }
            self.carry_out_one(op);
        }
        self.wishes = wishes;
    }

    fn carry_out_one(&mut self, op: Op) {
        match op {
            Op::Accept(open) => self.accept(open),
            Op::Connect { token, to, from, deadline } => self.connect(token, to, from, deadline),
            Op::Cancel(token) => self.give_up(token, crate::Cause::Cancelled),
            Op::Stop => self.stopped = true,
            Op::Send { id, .. }
            | Op::Pause { id }
            | Op::Resume { id }
            | Op::Probe { id }
            | Op::Locate { id }
            | Op::Shutdown { id }
            | Op::Abort { id }
            | Op::Sever { id, .. } => self.carry_out_on(id, op),
        }
    }

    fn carry_out_on(&mut self, id: ConnId, op: Op) {
        let Some(connection) = self.table.open(id) else { return };
        match op {
            Op::Send { chunk, .. } => {
                assert!((1..=CHUNK_MAX).contains(&chunk.as_bytes().len()), "a chunk's size");
                connection.send(id, chunk, &self.ops);
                self.unstamped.push(id);
            }
            Op::Pause { .. } => connection.pause(),
            Op::Resume { .. } => {
                connection.resume(id, &self.ops);
                self.silence.make_void();
            }
            Op::Probe { .. } => {
                self.ops.later(Tag::Probed(id, socket::queued(&connection.socket)));
            }
            Op::Locate { .. } => self.ops.later(Tag::Locate(id)),
            Op::Shutdown { .. } => connection.shut_down(),
            Op::Abort { .. } => connection.end(id, crate::Cause::Aborted, &self.ops),
            Op::Sever { how, .. } => {
                socket::sever(&connection.socket, how);
                if how == Severance::Vanish {
                    connection.end(id, crate::Cause::Aborted, &self.ops);
                }
            }
            Op::Accept(_) | Op::Connect { .. } | Op::Cancel(_) | Op::Stop => {}
        }
    }

    fn watch_waker(&self) {
        self.ops.poll(Tag::Wake, self.wake.as_fd(), PollFlags::IN);
    }
}

/// What a poll tells; an error of the poll itself counts as one of the connection.
fn mask(result: i32) -> PollFlags {
    u16::try_from(result).map_or(PollFlags::ERR, PollFlags::from_bits_retain)
}
