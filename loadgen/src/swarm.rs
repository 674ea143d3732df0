//! The client side of the seam: one thread's share of a run's connections.
//!
//! A [`Swarm`] is a pure engine. It ramps its connections up on the plan's schedule, shakes hands,
//! answers pings, sends pings and messages of its own, kills those who are to die, and keeps count.
//! Its random choices, masking keys and nonces come from the plan's seed alone: the same events
//! give the same operations. (A client in the field must draw its keys from a strong source,
//! RFC 6455 §5.3; here a run that can be replayed is worth more.)
//!
//! The way of a message: its time comes on the schedule ([`Pace`](crate::pacing::Pace)), the next of the living gets it
//! in its line, `flush` encodes what the connection has to say (pong, ping,
//! messages) into one chunk of the pool, and when the chunk comes home the time of its hand-over
//! is noted. The answer takes the oldest out of the line: its latency counts from the time on the
//! schedule, its service time from the hand-over.
//!
//! The file is the table of connections and the way of events; the parts of a connection's life
//! are one file each.

mod closed_loop;
mod conn;
mod dying;
mod heartbeat;
mod leaving;
mod ledger;
mod line;
mod meter;
mod opening;
mod orders;
mod output;
mod returning;
mod rhythm;
mod script;
mod spared;
mod traffic;

pub use meter::{Meter, Snapshot};
pub(crate) use opening::{answer_failure, connect_failure};
pub use orders::{Order, Orders};

use crate::death::DeathWatch;
use crate::pacing::Share;
use crate::plan::Plan;
use crate::record::{Ending, Loss, Tally, speaks_of_heartbeat};
use conn::{Conn, Phase};
use dying::Dying;
use halfopen_driver::{Cause, ConnId, Engine, Event, Heard, Op, Opening as By, prefetch};
use halfopen_proto::{CloseCode, Incoming, Limits, Scratch, Violation};
use halfopen_wheel::{Instant, Wheel, WheelConfig};
use leaving::Leaving;
use ledger::Ledger;
use line::Lines;
use opening::Opening;
use output::Output;
use returning::Returning;
use std::sync::Arc;
use traffic::Traffic;

/// Pieces of one kind of work in one call of `on_deadline`.
const PIECES: usize = 32;

/// The code that stands for a Close frame without a code (RFC 6455 §7.1.5).
const NO_CODE: u16 = 1005;

/// What connects a swarm with the rest of its run.
#[derive(Clone)]
pub struct Links {
    /// What it is told.
    pub orders: Arc<Orders>,
    /// What it shows.
    pub meter: Arc<Meter>,
    /// Who is told of its victims.
    pub watch: Arc<dyn DeathWatch>,
}

/// One thread's connections.
pub struct Swarm {
    plan: Arc<Plan>,
    share: Share,
    links: Links,
    rng: fastrand::Rng,
    conns: Vec<Conn>,
    /// The indices of those that are [`Phase::Living`].
    living: Vec<u32>,
    wheel: Wheel,
    limits: Limits,
    scratch: Scratch,
    opening: Opening,
    output: Output,
    lines: Lines,
    traffic: Traffic,
    returning: Returning,
    dying: Dying,
    /// No more messages are to be sent.
    hushed: bool,
    leaving: Option<Leaving>,
    /// Connections that the driver has opened and not closed.
    occupied: usize,
    ledger: Ledger,
}

impl Engine for Swarm {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        self.ledger.roll(now);
        match event {
            Event::Started => self.begin_ramp(now),
            Event::Opened { id, by: By::Connected(token) } => self.connected(now, id, token, ops),
            Event::Opened { by: By::Accepted, .. } => unreachable!("a swarm listens nowhere"),
            Event::Refused { token, cause } => self.refused(now, token, cause, ops),
            Event::Received { id, bytes } => {
                if let Some(index) = self.index_of(id) {
                    self.received(now, index, bytes, ops);
                }
            }
            Event::Sent { id, chunk, at } => {
                self.output.take_home(chunk);
                if let Some(index) = self.index_of(id) {
                    self.sent(now, index, at, ops);
                }
            }
            Event::Probed { .. } => {}
            Event::Located { id, ends } => self.located(id, ends),
            Event::Closed { id, cause } => {
                if let Some(index) = self.index_of(id) {
                    self.closed(now, index, cause, ops);
                }
            }
            Event::Woken => self.obey(now, ops),
        }
    }

    fn on_deadline(&mut self, now: Instant, heard: Heard, ops: &mut Vec<Op>) {
        if let Some(busy) = heard.busy_since {
            let saturated = &mut self.ledger.tally.saturated;
            *saturated = (*saturated).max(now.saturating_since(busy.unbroken()));
        }
        self.ledger.roll(now);
        self.look_at_the_due(now, heard, ops);
        self.kill_the_due(now, ops);
        self.send_the_due(now, ops);
        self.begin_the_loops(now, ops);
        self.churn_the_due(now, ops);
        self.drop_the_herd(now, ops);
        self.connect_the_due(now, ops);
        self.locate_the_chosen(ops);
        self.leave_on(now, ops);
    }

    fn deadline(&self) -> Option<Instant> {
        let deadlines = [
            Some(self.ledger.next_roll()),
            self.wheel.next_wake(),
            self.opening_due(),
            self.returning.due(),
            self.traffic.due(),
            self.loop_due(),
            self.dying.due(),
            self.leaving.as_ref().and_then(Leaving::due),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn foresee(&self, id: ConnId) {
        if let Some(conn) = self.conns.get(id.index as usize) {
            prefetch(conn);
        }
    }
}

impl Swarm {
    /// The swarm that does `share` of `plan`. Seconds and pings are counted from `origin`, the same
    /// for all swarms of a run.
    pub fn new(plan: Arc<Plan>, share: Share, origin: Instant, links: Links) -> Self {
        let seed = plan.seed.wrapping_add(u64::from(share.index));
        let config = WheelConfig { seed, ..WheelConfig::default() };
        // Room for all, so that nothing is left behind by growing: what is not used is no memory yet.
        let room = share.count(plan.connections.into());
        let mut wheel = Wheel::new(config, origin);
        wheel.reserve(room as u32);
        Self {
            rng: fastrand::Rng::with_seed(seed),
            conns: Vec::with_capacity(room as usize),
            living: Vec::with_capacity(room as usize),
            wheel,
            limits: Limits::default(),
            scratch: Scratch::default(),
            opening: Opening::new(share.of),
            output: Output::default(),
            lines: Lines::new(),
            traffic: Traffic::new(&plan.size, plan.seed),
            returning: Returning::default(),
            dying: Dying::default(),
            hushed: false,
            leaving: None,
            occupied: 0,
            ledger: Ledger::new(origin, links.meter.clone()),
            plan,
            share,
            links,
        }
    }

    /// What it has counted, after the run.
    pub fn into_tally(mut self) -> Tally {
        for conn in &mut self.conns {
            self.ledger.tally.messages_unanswered += self.lines.clear(&mut conn.line);
        }
        self.ledger.finish()
    }

    fn obey(&mut self, now: Instant, ops: &mut Vec<Op>) {
        for order in self.links.orders.take() {
            match order {
                Order::Traffic { from } => {
                    self.begin_traffic(from);
                    self.begin_returning(from);
                }
                Order::Choose => self.choose_victims(),
                Order::Kill { from } => self.begin_deaths(from),
                Order::Hush => {
                    self.traffic.end();
                    self.returning.end();
                    self.hushed = true;
                }
                Order::Leave => self.begin_leaving(now, ops),
            }
        }
    }

    /// Whether the run is at its end, so that nobody comes back.
    fn is_ending(&self) -> bool {
        self.hushed || self.leaving.is_some()
    }

    /// Whose name it is; none if that connection is gone.
    fn index_of(&self, id: ConnId) -> Option<usize> {
        let conn = self.conns.get(id.index as usize)?;
        (conn.generation == id.generation && conn.phase != Phase::Free).then_some(id.index as usize)
    }

    fn id_of(&self, index: usize) -> ConnId {
        ConnId { index: index as u32, generation: self.conns[index].generation }
    }

    fn received(&mut self, now: Instant, index: usize, bytes: &mut [u8], ops: &mut Vec<Op>) {
        match self.conns[index].phase {
            Phase::Handshaking { .. } => self.read_answer(now, index, bytes, ops),
            Phase::Refused => self.read_refusal(index, bytes, ops),
            Phase::Living => self.read_frames(now, index, bytes, ops),
            Phase::Dead(victim) if self.is_spared(victim) => {
                self.heard_by_the_spared(now, index, victim, bytes, ops);
            }
            Phase::Dead(victim) => self.heard_by_the_dead(index, victim, bytes, ops),
            Phase::Parting | Phase::Leaving | Phase::Gone | Phase::Free => {}
        }
    }

    fn read_frames(&mut self, now: Instant, index: usize, mut bytes: &mut [u8], ops: &mut Vec<Op>) {
        loop {
            let ws = &mut self.conns[index].ws;
            match ws.receive(&mut bytes, &self.limits, &mut self.scratch) {
                Ok(None) => break self.flush(now, index, ops),
                Ok(Some(incoming)) => self.take_in(now, index, incoming),
                Err(violation) => break self.fail(now, index, &violation, ops),
            }
        }
    }

    fn take_in(&mut self, now: Instant, index: usize, incoming: Incoming<'_>) {
        match &incoming {
            Incoming::Text(text) if self.is_text_ping(now, index, text) => {}
            Incoming::Text(text) => self.take_message(now, index, text.as_bytes()),
            Incoming::Binary(payload) => self.take_message(now, index, payload),
            Incoming::Ping(_) => self.take_ping(now, index),
            Incoming::Pong(payload) => self.take_pong(now, index, payload),
            Incoming::Close(code, reason) => {
                let code = code.map_or(NO_CODE, CloseCode::get);
                let heartbeat = speaks_of_heartbeat(reason);
                self.part(now, index, Ending::Closed { code, heartbeat });
            }
        }
        self.scratch.reclaim(incoming);
    }

    /// The server broke the protocol: it is told so, and the connection ends.
    fn fail(&mut self, now: Instant, index: usize, violation: &Violation, ops: &mut Vec<Op>) {
        let code = violation.close_code().get();
        self.ledger.tally.failure_example.get_or_insert_with(|| violation.to_string());
        self.part(now, index, Ending::Violation(code));
        let mut out = self.output.lend();
        let key = self.rng.u32(..).to_ne_bytes();
        self.conns[index].ws.fail(violation, key, &mut out);
        self.output.say_last(index, out);
        self.flush(now, index, ops);
    }

    /// A living connection is lost, though its socket may stay a while.
    fn part(&mut self, now: Instant, index: usize, ending: Ending) {
        let conn = &self.conns[index];
        let loss = Loss { at: now, pinged: conn.pinged.instant(), ending };
        self.ledger.lost(loss, !conn.answered.is_never());
        self.take_from_the_living(index, Phase::Parting);
    }

    /// It no longer takes part: no message, no ping of its own.
    fn take_from_the_living(&mut self, index: usize, into: Phase) {
        let conn = &mut self.conns[index];
        debug_assert_eq!(conn.phase, Phase::Living);
        conn.phase = into;
        self.ledger.tally.messages_unanswered += self.lines.clear(&mut conn.line);
        self.output.forget(index);
        let place = conn.place as usize;
        self.living.swap_remove(place);
        if let Some(&moved) = self.living.get(place) {
            self.conns[moved as usize].place = place as u32;
        }
        self.wheel.disarm(index as u32);
    }

    fn closed(&mut self, now: Instant, index: usize, cause: Cause, ops: &mut Vec<Op>) {
        match self.conns[index].phase {
            Phase::Handshaking { .. } => self.ended_in_handshake(now, index, cause),
            Phase::Living => {
                let ending = if cause == Cause::Fin { Ending::Fin } else { Ending::Reset };
                self.part(now, index, ending);
            }
            Phase::Dead(victim) => self.end_of_the_dead(now, victim, cause),
            _ => {}
        }
        self.dying.forget(self.id_of(index), &mut self.ledger);
        self.output.forget(index);
        self.opening.forget(index);
        self.wheel.disarm(index as u32);
        self.ended_away(now, index);
        let generation = self.conns[index].generation;
        self.conns[index] = Conn { generation, ..Conn::vacant() };
        self.occupied -= 1;
        self.stop_if_all_left(ops);
    }

    /// Visits connections whose deadline has come.
    fn look_at_the_due(&mut self, now: Instant, heard: Heard, ops: &mut Vec<Op>) {
        for _ in 0..PIECES {
            let Some(key) = self.wheel.pop(now) else { return };
            let index = key as usize;
            if self.conns[index].deadline > now {
                self.wheel.arm(key, self.conns[index].deadline);
                continue;
            }
            match self.conns[index].phase {
                Phase::Handshaking { .. } => self.handshake_is_due(now, index, heard, ops),
                Phase::Refused | Phase::Leaving => self.abort(index, ops),
                Phase::Living => self.rhythm_is_due(now, index, ops),
                Phase::Dead(victim) => self.dead_is_due(now, index, victim, ops),
                _ => {}
            }
        }
    }

    fn abort(&mut self, index: usize, ops: &mut Vec<Op>) {
        self.conns[index].phase = Phase::Gone;
        ops.push(Op::Abort { id: self.id_of(index) });
    }
}
