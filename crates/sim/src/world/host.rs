use halfopen_driver::{
    Busy, Cause, Chunk, ConnId, Ends, Engine, Heard, INDEX_MAX, Op, Token, WakeSource,
};
use halfopen_wheel::Instant;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// What an engine is run with.
#[derive(Debug, Default)]
pub struct Site {
    /// Where connections come from. Hosts with the same address share the listener.
    pub listener: Option<SocketAddr>,
    /// The size of the table of connections.
    pub connections_max: u32,
    /// The other end of the engine's waker.
    pub wake: Option<WakeSource>,
    /// Its loop never stands still, whatever the faults say: for peers that answer at once.
    pub steady: bool,
}

/// One engine and the state of the driver that runs it.
pub(super) struct Host<'a> {
    pub(super) engine: &'a mut dyn Engine,
    pub(super) listener: Option<usize>,
    pub(super) wake: Option<WakeSource>,
    pub(super) steady: bool,
    pub(super) accepting: bool,
    pub(super) slots: Vec<Slot>,
    free: Vec<u32>,
    connections_max: u32,
    /// What has happened and was not handed over yet.
    pub(super) ready: VecDeque<Ready>,
    /// Receives that wait for a buffer.
    pub(super) disarmed: u32,
    /// The time as this host's thread reads it: ahead of the world's while the engine works.
    pub(super) clock: Instant,
    pub(super) turn_at: Option<Instant>,
    pub(super) turning: bool,
    /// When its clock was looked at.
    pub(super) looked: Instant,
    pub(super) busy: Busy,
    pub(super) next_stall: Instant,
    pub(super) heard: Heard,
    pub(super) ops: Vec<Op>,
    pub(super) stopped: bool,
}

/// One entry of the table of connections.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) generation: u32,
    pub(super) used: bool,
    /// `Opened` was handed over.
    pub(super) open: bool,
    pub(super) sock: Option<u64>,
    pub(super) paused: bool,
    pub(super) disarmed: bool,
    /// Its `Readable` is among the ready.
    pub(super) readable: bool,
    pub(super) sending: Option<Sending>,
    pub(super) shutdown: bool,
    pub(super) ending: Option<Cause>,
}

/// The send in flight.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) chunk: Chunk,
    pub(super) taken: usize,
    pub(super) at: Instant,
    /// The kernel is late, and will come back to it by itself.
    pub(super) stalled: bool,
}

impl Sending {
    pub(super) fn is_done(&self) -> bool {
        self.taken == self.chunk.as_bytes().len()
    }
}

/// Something to hand over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ready {
    Started,
    Woken,
    Accepted(ConnId),
    Connected(ConnId, Token),
    Refused(Token, Cause),
    Readable(ConnId),
    SendDone(ConnId),
    Probed(ConnId, u32),
    Located(ConnId, Option<Ends>),
    Ended(ConnId),
}

impl<'a> Host<'a> {
    pub(super) fn new(
        engine: &'a mut dyn Engine,
        site: Site,
        listener: Option<usize>,
        now: Instant,
    ) -> Self {
        assert!(site.connections_max <= INDEX_MAX + 1, "an index has 24 bits");
        Self {
            engine,
            listener,
            wake: site.wake,
            steady: site.steady,
            accepting: false,
            slots: Vec::new(),
            free: Vec::new(),
            connections_max: site.connections_max,
            ready: VecDeque::from([Ready::Started]),
            disarmed: 0,
            clock: now,
            turn_at: None,
            turning: false,
            looked: now,
            busy: Busy::since(now),
            next_stall: now,
            heard: Heard { until: now, busy_since: None },
            ops: Vec::new(),
            stopped: false,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        !self.free.is_empty() || (self.slots.len() as u32) < self.connections_max
    }

    /// A slot of the table, with its next generation.
    pub(super) fn take_slot(&mut self) -> Option<ConnId> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.has_room() => self.slots.len() as u32,
            None => return None,
        };
        let generation = self.slots.get(index as usize).map_or(0, |slot| slot.generation + 1);
        let slot = Slot {
            generation,
            used: true,
            open: false,
            sock: None,
            paused: false,
            disarmed: false,
            readable: false,
            sending: None,
            shutdown: false,
            ending: None,
        };
        match self.slots.get_mut(index as usize) {
            Some(place) => *place = slot,
            None => self.slots.push(slot),
        }
        Some(ConnId { index, generation })
    }

    pub(super) fn free_slot(&mut self, id: ConnId) {
        let Some(slot) = self.slot(id) else { return };
        slot.used = false;
        let disarmed = std::mem::take(&mut slot.disarmed);
        self.disarmed -= u32::from(disarmed);
        self.free.push(id.index);
    }

    /// The slot of `id`, unless it has gone to somebody else.
    pub(super) fn slot(&mut self, id: ConnId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(id.index as usize)?;
        (slot.used && slot.generation == id.generation).then_some(slot)
    }

    /// The slot of `id` if operations on it count: told of, and not at its end.
    pub(super) fn live(&mut self, id: ConnId) -> Option<&mut Slot> {
        self.slot(id).filter(|slot| slot.open && slot.ending.is_none())
    }

    pub(super) fn sock(&mut self, id: ConnId) -> Option<u64> {
        self.slot(id)?.sock
    }

    /// Has `id` looked at by the loop; at most once at a time.
    pub(super) fn mark_readable(&mut self, id: ConnId) -> bool {
        let Some(slot) = self.slot(id) else { return false };
        if slot.readable || !slot.open {
            return false;
        }
        slot.readable = true;
        self.ready.push_back(Ready::Readable(id));
        true
    }
}
