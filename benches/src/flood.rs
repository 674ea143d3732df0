//! A flood: waves of connections that do to a server what nobody should, at stated rates, from a
//! process of its own.
//!
//! Each [`Wave`] is one kind of abuser. It opens connections at an even pace up to a number, and
//! those that the server lets go of are replaced at the same pace; what it sends is an open loop as
//! well, so a server that is slow does not slow the flood down. What could not be sent because the
//! last piece has not left yet (the server does not read) is counted and dropped.

pub mod sink;
mod tally;
mod wave;

pub use tally::Tally;
pub use wave::{Kind, Wave};

use bytes::Bytes;
use halfopen_driver::{Cause, Chunk, ConnId, Engine, Event, Heard, Op, Opening, Token};
use halfopen_wheel::Instant;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use wave::State;

/// What is due within the same tick is done together.
const TICK: Duration = Duration::from_millis(2);

/// Pieces of work in one call of `on_deadline`, for each wave.
const PIECES: usize = 32;

/// How long a connect may take: the server's queue may be full.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// Loopback addresses to come from, because each has ports of its own.
const SOURCES: u32 = 8;

/// A connection of some wave.
#[derive(Clone, Copy, Debug)]
struct Conn {
    generation: u32,
    wave: u8,
    /// Its place among those of its wave.
    place: u32,
    in_flight: bool,
    /// Pieces that it has sent.
    said: u32,
}

/// The engine of a flood.
#[derive(Debug)]
pub struct Flood {
    target: SocketAddr,
    duration: Duration,
    end: Instant,
    plans: Vec<Wave>,
    waves: Vec<State>,
    conns: Vec<Option<Conn>>,
    connects: u32,
}

impl Flood {
    /// A flood of `target` that lasts so long.
    pub fn new(target: SocketAddr, duration: Duration, waves: Vec<Wave>) -> Self {
        Self {
            target,
            duration,
            end: Instant::FAR,
            plans: waves,
            waves: Vec::new(),
            conns: Vec::new(),
            connects: 0,
        }
    }

    /// What was done, wave by wave.
    pub fn tallies(&self) -> Vec<Tally> {
        self.waves.iter().map(|wave| wave.tally.clone()).collect()
    }

    fn connect(&mut self, wave: usize, now: Instant, ops: &mut Vec<Op>) {
        self.connects = self.connects.wrapping_add(1) & 0x00ff_ffff;
        let token = Token((wave as u32) << 24 | self.connects);
        let from = self.target.ip().is_loopback() && self.target.is_ipv4();
        let from = from.then(|| IpAddr::V4(Ipv4Addr::new(127, 0, 9, source(self.connects))));
        self.waves[wave].connecting += 1;
        ops.push(Op::Connect { token, to: self.target, from, deadline: now + CONNECT_PATIENCE });
    }

    fn opened(&mut self, id: ConnId, token: Token, ops: &mut Vec<Op>) {
        let wave = (token.0 >> 24) as usize;
        let state = &mut self.waves[wave];
        let place = state.joined(id);
        let index = id.index as usize;
        if self.conns.len() <= index {
            self.conns.resize(index + 1, None);
        }
        let generation = id.generation;
        self.conns[index] =
            Some(Conn { generation, wave: wave as u8, place, in_flight: false, said: 0 });
        if !state.plan.kind.reads() {
            ops.push(Op::Pause { id });
        }
        if let Some(request) = state.plan.kind.first() {
            self.say(id, request, ops);
        }
    }

    fn closed(&mut self, id: ConnId, cause: Cause) {
        let Some(conn) = self.conns.get_mut(id.index as usize).and_then(Option::take) else {
            return;
        };
        let moved = self.waves[usize::from(conn.wave)].left(conn.place, cause);
        if let Some(moved) = moved.and_then(|id| self.conns[id.index as usize].as_mut()) {
            moved.place = conn.place;
        }
    }

    fn say(&mut self, id: ConnId, bytes: Bytes, ops: &mut Vec<Op>) {
        let Some(conn) = self.conns[id.index as usize].as_mut() else { return };
        conn.in_flight = true;
        conn.said += 1;
        let tally = &mut self.waves[usize::from(conn.wave)].tally;
        tally.sent += 1;
        tally.bytes_sent += bytes.len() as u64;
        ops.push(Op::Send { id, chunk: Chunk::Shared(bytes) });
    }

    /// Opens what is due, in the place of others where no more are allowed.
    fn open_due(&mut self, wave: usize, now: Instant, ops: &mut Vec<Op>) {
        for _ in 0..PIECES {
            let state = &mut self.waves[wave];
            if state.connects.take(now).is_none() {
                return;
            }
            if !state.is_full() {
                self.connect(wave, now, ops);
            } else if state.plan.kind == Kind::Silent {
                let id = state.next();
                ops.extend(id.map(|id| Op::Abort { id }));
                self.connect(wave, now, ops);
            }
        }
    }

    /// Sends what is due, to each in turn.
    fn send_due(&mut self, wave: usize, now: Instant, ops: &mut Vec<Op>) {
        for _ in 0..PIECES {
            let state = &mut self.waves[wave];
            if state.sends.as_mut().and_then(|pace| pace.take(now)).is_none() {
                return;
            }
            let Some(id) = state.next() else { continue };
            let kind = state.plan.kind;
            state.tally.unread_bytes += kind.unread_bytes() as u64;
            let conn = self.conns[id.index as usize].as_ref();
            match conn.filter(|conn| !conn.in_flight) {
                Some(conn) => {
                    let piece = kind.piece(conn.said);
                    self.say(id, piece, ops);
                }
                None => state.tally.held += 1,
            }
        }
    }
}

/// The last byte of an address to come from.
fn source(connects: u32) -> u8 {
    (connects % SOURCES + 1) as u8
}

impl Engine for Flood {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => {
                self.end = now + self.duration;
                self.waves = self.plans.iter().map(|plan| State::new(*plan, now)).collect();
            }
            Event::Opened { id, by: Opening::Connected(token) } => self.opened(id, token, ops),
            Event::Refused { token, cause } => {
                self.waves[(token.0 >> 24) as usize].refused(cause);
            }
            Event::Sent { id, .. } => {
                if let Some(Some(conn)) = self.conns.get_mut(id.index as usize)
                    && conn.generation == id.generation
                {
                    conn.in_flight = false;
                }
            }
            Event::Closed { id, cause } => self.closed(id, cause),
            _ => {}
        }
    }

    fn on_deadline(&mut self, now: Instant, _heard: Heard, ops: &mut Vec<Op>) {
        if now >= self.end {
            return ops.push(Op::Stop);
        }
        for wave in 0..self.waves.len() {
            self.open_due(wave, now, ops);
            self.send_due(wave, now, ops);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let due = self.waves.iter().filter_map(State::due).min();
        let tick = TICK.as_nanos() as u64;
        let due = due.map(|due| Instant::from_nanos(due.as_nanos().next_multiple_of(tick)));
        due.into_iter().chain([self.end]).min()
    }
}
