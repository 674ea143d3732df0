//! A shard as it looks from outside: when each peer was asked, heard and let go.

use bytes::Buf;
use halfopen_driver::{Cause, ConnId, Engine, Event, Heard, Op};
use halfopen_loadgen::swarm::Swarm;
use halfopen_server::{Echo, Shard, Stats};
use halfopen_sim::Stall;
use halfopen_wheel::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// How a shard is spoilt.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spoil {
    /// It takes the clock for its ears: whoever has not answered by now is dead.
    pub(crate) deaf: bool,
    /// Its thread stands still once: when it has run for as long as the first, for as long as the
    /// second.
    pub(crate) stall: Option<(Duration, Duration)>,
    /// The same of the load generator's thread.
    pub(crate) client_stall: Option<(Duration, Duration)>,
}

/// What became of one connection, on the server's clock.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) opened: Instant,
    /// When each ping was handed to the kernel.
    pub(crate) pings: Vec<Instant>,
    pub(crate) heard: Instant,
    pub(crate) aborted: Option<Instant>,
    pub(crate) closed: Option<(Instant, Cause)>,
    ping_aboard: bool,
}

/// Stands between a shard and its driver, and writes down.
pub(crate) struct Spy {
    shard: Shard<Echo>,
    spoil: Spoil,
    stall: Stall,
    started: Instant,
    open: BTreeMap<ConnId, usize>,
    pub(crate) seen: Vec<Seen>,
}

impl Spy {
    pub(crate) fn new(shard: Shard<Echo>, spoil: Spoil, stall: Stall) -> Self {
        let (open, seen) = (BTreeMap::new(), Vec::new());
        Self { shard, spoil, stall, started: Instant::default(), open, seen }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.shard.stats()
    }

    fn of(&mut self, id: ConnId) -> &mut Seen {
        &mut self.seen[self.open[&id]]
    }

    fn note_event(&mut self, now: Instant, event: &Event<'_>, ops: &mut Vec<Op>) {
        match *event {
            Event::Started => self.started = now,
            Event::Opened { id, .. } => {
                self.open.insert(id, self.seen.len());
                self.seen.push(Seen::new(now));
                ops.push(Op::Locate { id });
            }
            Event::Located { id, ends } => self.of(id).peer = ends.map(|ends| ends.peer),
            Event::Received { id, .. } => self.of(id).heard = now,
            Event::Sent { id, at, .. } => {
                let seen = self.of(id);
                if std::mem::take(&mut seen.ping_aboard) {
                    seen.pings.push(at);
                }
            }
            Event::Closed { id, cause } => {
                self.of(id).closed = Some((now, cause));
                self.open.remove(&id);
            }
            _ => {}
        }
    }

    fn note_ops(&mut self, now: Instant, ops: &[Op]) {
        for op in ops {
            match op {
                Op::Send { id, chunk } if self.open.contains_key(id) => {
                    self.of(*id).ping_aboard = has_ping(chunk.as_bytes());
                }
                Op::Abort { id } if self.open.contains_key(id) => {
                    self.of(*id).aborted.get_or_insert(now);
                }
                _ => {}
            }
        }
    }

    fn stall_if_it_is_time(&mut self, now: Instant) {
        let due = self.spoil.stall.take_if(|(after, _)| now >= self.started + *after);
        if let Some((_, time)) = due {
            self.stall.stall(time);
        }
    }
}

impl Engine for Spy {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        let before = ops.len();
        self.note_event(now, &event, ops);
        self.shard.on_event(now, event, ops);
        self.note_ops(now, &ops[before..]);
        self.stall_if_it_is_time(now);
    }

    fn on_deadline(&mut self, now: Instant, heard: Heard, ops: &mut Vec<Op>) {
        let deaf = Heard { until: now, busy_since: None };
        let heard = if self.spoil.deaf { deaf } else { heard };
        let before = ops.len();
        self.shard.on_deadline(now, heard, ops);
        self.note_ops(now, &ops[before..]);
    }

    fn deadline(&self) -> Option<Instant> {
        self.shard.deadline()
    }
}

/// A load generator whose thread stands still once.
pub(crate) struct Sleepy {
    pub(crate) swarm: Swarm,
    due: Option<(Instant, Duration)>,
    stall: Stall,
}

impl Sleepy {
    pub(crate) fn new(swarm: Swarm, now: Instant, spoil: Spoil, stall: Stall) -> Self {
        let due = spoil.client_stall.map(|(after, time)| (now + after, time));
        Self { swarm, due, stall }
    }
}

impl Engine for Sleepy {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        self.swarm.on_event(now, event, ops);
        if let Some((_, time)) = self.due.take_if(|(at, _)| *at <= now) {
            self.stall.stall(time);
        }
    }

    fn on_deadline(&mut self, now: Instant, heard: Heard, ops: &mut Vec<Op>) {
        self.swarm.on_deadline(now, heard, ops);
    }

    fn deadline(&self) -> Option<Instant> {
        self.swarm.deadline()
    }
}

impl Seen {
    fn new(now: Instant) -> Self {
        Self {
            peer: None,
            opened: now,
            pings: Vec::new(),
            heard: now,
            aborted: None,
            closed: None,
            ping_aboard: false,
        }
    }
}

/// Whether a ping (RFC 6455 §5.5.2) is among a server's frames, behind the handshake's answer or
/// not.
fn has_ping(mut bytes: &[u8]) -> bool {
    if bytes.starts_with(b"HTTP") {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        bytes = &bytes[end.map_or(bytes.len(), |end| end + 4)..];
    }
    while bytes.len() >= 2 {
        let (opcode, len) = (bytes.get_u8() & 0x0f, bytes.get_u8());
        let len = match len {
            126 => usize::from(bytes.get_u16()),
            127 => bytes.get_u64() as usize,
            short => usize::from(short),
        };
        if opcode == 9 {
            return true;
        }
        bytes.advance(len);
    }
    false
}
