use bytes::Bytes;
use halfopen_driver::{
    CHUNK_MAX, Chunk, ConnId, Engine, Event, Heard, Op, Opening, Severance, Token,
};
use halfopen_wheel::Instant;
use std::collections::BTreeSet;

/// Stands between a driver and an engine, and panics where either breaks the contract in a way that
/// can be seen from here. What it checks names its clause.
///
/// Time, order, names, one answer for each token, one send in flight, nothing after `Stop`: all
/// that holds for every engine at every moment. It can stand around any engine in any test.
#[derive(Debug)]
pub struct Checker<E> {
    engine: E,
    name: &'static str,
    connections_max: u32,
    layered: bool,
    now: Instant,
    heard: Instant,
    /// What was asked for before this moment has been carried out.
    carried_out: Instant,
    started: bool,
    stopped: bool,
    accepted_ever: bool,
    slots: Vec<Slot>,
    tokens: BTreeSet<Token>,
    opened: u64,
    closed: u64,
}

#[derive(Debug, Default)]
struct Slot {
    generation: Option<u32>,
    open: bool,
    shutdown: bool,
    aborted: bool,
    sending: Option<Flight>,
    probes: u32,
    locates: u32,
}

/// A chunk under way: where its memory is, so that it is known to be the same that comes home.
#[derive(Debug)]
struct Flight {
    since: Instant,
    len: usize,
    memory: usize,
    bytes: Bytes,
    /// Asked for after an `Abort`: it may come home, or be gone with its connection.
    late: bool,
}

impl<E: Engine> Checker<E> {
    /// Checks `engine`, which is called `name` in messages, under a driver whose table has
    /// `connections_max` places.
    pub fn new(name: &'static str, connections_max: u32, engine: E) -> Self {
        Self {
            engine,
            name,
            connections_max,
            layered: false,
            now: Instant::default(),
            heard: Instant::default(),
            carried_out: Instant::default(),
            started: false,
            stopped: false,
            accepted_ever: false,
            slots: Vec::new(),
            tokens: BTreeSet::new(),
            opened: 0,
            closed: 0,
        }
    }

    /// A record layer stands between it and the driver, and may give nothing.
    pub fn behind_a_layer(self) -> Self {
        Self { layered: true, ..self }
    }

    /// The engine.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// The engine, to be changed.
    pub fn engine_mut(&mut self) -> &mut E {
        &mut self.engine
    }

    /// The engine back.
    pub fn into_engine(self) -> E {
        self.engine
    }

    /// How many connections were opened so far, and how many of them are closed.
    pub fn counts(&self) -> (u64, u64) {
        (self.opened, self.closed)
    }

    /// To be called when the driver has returned.
    pub fn finish(&self) {
        self.holds(self.started, 2, "Started never came");
        self.holds(self.stopped, 12, "the driver returned before Stop");
    }

    #[track_caller]
    fn holds(&self, held: bool, clause: u32, broken: &str) {
        assert!(held, "clause {clause} at {}: {broken}, at {:?}", self.name, self.now);
    }

    fn on_call(&mut self, now: Instant) {
        self.holds(!self.stopped, 12, "a call after Stop");
        self.holds(now >= self.now, 1, &format!("time went back to {now:?}"));
        self.now = now;
    }

    fn slot(&mut self, id: ConnId, clause: u32, what: &str) -> &mut Slot {
        let slot = self.slots.get(id.index as usize);
        let known = slot.is_some_and(|slot| slot.open && slot.generation == Some(id.generation));
        self.holds(known, clause, &format!("{what} of {id:?}, which is not open"));
        &mut self.slots[id.index as usize]
    }

    fn check_event(&mut self, event: &Event<'_>) {
        if matches!(event, Event::Started) {
            self.holds(!self.started, 2, "Started twice");
            self.started = true;
        }
        self.holds(self.started, 2, "an event before Started");
        match event {
            Event::Started | Event::Woken => {}
            Event::Opened { id, by } => self.on_opened(*id, *by),
            Event::Refused { token, .. } => self.on_answer(*token),
            Event::Received { id, bytes } => {
                self.slot(*id, 2, "Received");
                self.holds(self.layered || !bytes.is_empty(), 4, "Received nothing");
            }
            Event::Sent { id, chunk, at } => self.on_sent(*id, chunk, *at),
            Event::Probed { id, .. } => {
                let asked = take_one(&mut self.slot(*id, 2, "Probed").probes);
                self.holds(asked, 2, "Probed without a Probe");
            }
            Event::Located { id, .. } => {
                let asked = take_one(&mut self.slot(*id, 2, "Located").locates);
                self.holds(asked, 2, "Located without a Locate");
            }
            Event::Closed { id, .. } => self.on_closed(*id),
        }
    }

    fn on_opened(&mut self, id: ConnId, by: Opening) {
        match by {
            Opening::Accepted => self.holds(self.accepted_ever, 10, "accepted without Accept"),
            Opening::Connected(token) => self.on_answer(token),
        }
        self.holds(id.index < self.connections_max, 3, &format!("{id:?} is beyond the table"));
        let index = id.index as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, Slot::default);
        }
        self.holds(!self.slots[index].open, 2, &format!("{id:?} opened while the index is open"));
        let another = self.slots[index].generation != Some(id.generation);
        self.holds(another, 3, &format!("{id:?} has the generation of its predecessor"));
        let generation = Some(id.generation);
        self.slots[index] = Slot { generation, open: true, ..Slot::default() };
        self.opened += 1;
    }

    fn on_answer(&mut self, token: Token) {
        let asked = self.tokens.remove(&token);
        self.holds(asked, 3, &format!("{token:?} answered, and not asked, or answered before"));
    }

    fn on_sent(&mut self, id: ConnId, chunk: &Chunk, at: Instant) {
        let Some(flight) = self.slot(id, 2, "Sent").sending.take() else {
            return self.holds(false, 5, &format!("Sent of {id:?} without a Send"));
        };
        let bytes = chunk.as_bytes();
        let whole = flight.len == bytes.len() && flight.memory == bytes.as_ptr() as usize;
        self.holds(whole, 5, &format!("another chunk came home to {id:?}"));
        self.holds(bytes == flight.bytes, 5, &format!("a chunk of {id:?} came home changed"));
        self.holds(at >= flight.since && at <= self.now, 5, &format!("handed over at {at:?}"));
        self.carried_out = self.carried_out.max(at);
    }

    /// A send that crossed with `Closed` was never in flight, and is gone with its connection.
    fn on_closed(&mut self, id: ConnId) {
        let carried_out = self.carried_out;
        let slot = self.slot(id, 2, "Closed");
        slot.open = false;
        let crossed = |flight: &Flight| flight.late || flight.since >= carried_out;
        let home = slot.sending.as_ref().is_none_or(crossed);
        self.closed += 1;
        self.holds(home, 2, &format!("Closed of {id:?} before its chunk came home"));
    }

    /// The engine's own duties; and what it may now expect.
    fn check_op(&mut self, op: &Op) {
        match op {
            Op::Accept(true) => self.accepted_ever = true,
            Op::Connect { token, .. } => {
                let new = self.tokens.insert(*token);
                assert!(new, "{} uses {token:?} twice", self.name);
            }
            Op::Send { id, chunk } => self.check_send(*id, chunk),
            Op::Shutdown { id } => self.open_slot(*id, |slot| slot.shutdown = true),
            Op::Abort { id } | Op::Sever { id, how: Severance::Vanish } => {
                self.open_slot(*id, |slot| slot.aborted = true);
            }
            Op::Probe { id } => self.open_slot(*id, |slot| slot.probes += 1),
            Op::Locate { id } => self.open_slot(*id, |slot| slot.locates += 1),
            Op::Stop => self.stopped = true,
            _ => {}
        }
    }

    fn check_send(&mut self, id: ConnId, chunk: &Chunk) {
        let (bytes, since, name) = (chunk.as_bytes(), self.now, self.name);
        assert!((1..=CHUNK_MAX).contains(&bytes.len()), "{name} sends {} bytes", bytes.len());
        self.open_slot(id, |slot| {
            assert!(slot.sending.is_none(), "{name} sends twice at once to {id:?}");
            assert!(!slot.shutdown, "{name} sends to {id:?} after its Shutdown");
            slot.sending = Some(Flight {
                since,
                len: bytes.len(),
                memory: bytes.as_ptr() as usize,
                bytes: Bytes::copy_from_slice(bytes),
                late: slot.aborted,
            });
        });
    }

    /// Operations on an id that is gone count for nothing.
    fn open_slot(&mut self, id: ConnId, then: impl FnOnce(&mut Slot)) {
        let slot = self.slots.get_mut(id.index as usize);
        slot.filter(|slot| slot.open && slot.generation == Some(id.generation)).map(then);
    }
}

impl<E: Engine> Engine for Checker<E> {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        self.on_call(now);
        self.check_event(&event);
        let before = ops.len();
        self.engine.on_event(now, event, ops);
        ops[before..].iter().for_each(|op| self.check_op(op));
    }

    fn on_deadline(&mut self, now: Instant, heard: Heard, ops: &mut Vec<Op>) {
        self.on_call(now);
        let due = self.engine.deadline().is_some_and(|deadline| deadline <= now);
        self.holds(due, 9, "on_deadline before the deadline");
        self.holds(heard.until <= now, 8, "heard in the future");
        self.holds(heard.until >= self.heard, 8, "what was heard is unheard again");
        self.holds(
            heard.busy_since.is_none_or(|busy| busy.unbroken() <= now),
            8,
            "busy in the future",
        );
        self.heard = heard.until;
        self.carried_out = self.carried_out.max(heard.until);
        let before = ops.len();
        self.engine.on_deadline(now, heard, ops);
        ops[before..].iter().for_each(|op| self.check_op(op));
    }

    fn deadline(&self) -> Option<Instant> {
        self.engine.deadline()
    }
}

/// Takes one off, if there is one.
fn take_one(count: &mut u32) -> bool {
    let any = *count > 0;
    *count -= u32::from(any);
    any
}
