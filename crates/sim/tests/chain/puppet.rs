//! Clients that do what a test says, and a server for them: for traps that no load generator walks
//! into.

use bytes::BytesMut;
use halfopen_driver::{CHUNK_MAX, Cause, Chunk, ConnId, Engine, Event, Heard, Op, Opening};
use halfopen_driver::{Severance, Token, Waker};
use halfopen_proto::handshake::ClientRequest;
use halfopen_proto::{CloseCode, Connection, Incoming, Limits, Message, Role, Scratch};
use halfopen_server::{Admission, App, Config, Shard, ShardHandle, Stats};
use halfopen_sim::{Faults, Site, Stall, World};
use halfopen_wheel::Instant;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const LISTEN: &str = "127.0.0.1:9001";
const KEY: [u8; 4] = [5, 6, 7, 8];

/// Something that a puppet is to do.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Opens its connection.
    Connect,
    /// Sends bytes as they are.
    Say(Vec<u8>),
    /// Reads from now on, or not.
    Read(bool),
    /// From now on nothing arrives at it any more.
    Vanish,
    /// Sends FIN.
    Leave,
}

/// What puppets do unasked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Habits {
    /// Answers pings.
    pub(crate) answers: bool,
    /// Answers them with something that was not asked.
    pub(crate) garbles: bool,
    /// Sends a message of so many bytes, and the next when the answer has come.
    pub(crate) talks: Option<usize>,
}

/// One client, and what it has seen.
#[derive(Debug)]
pub(crate) struct Puppet {
    habits: Habits,
    id: Option<ConnId>,
    conn: Connection,
    is_open: bool,
    /// Came, and not whole yet.
    inbox: BytesMut,
    outbox: BytesMut,
    in_flight: bool,
    said_at: Instant,
    pub(crate) pings: Vec<Instant>,
    pub(crate) pongs: Vec<Vec<u8>>,
    pub(crate) messages: u64,
    pub(crate) texts: Vec<String>,
    /// From a message to its answer.
    pub(crate) waits: Vec<Duration>,
    pub(crate) close: Option<(Instant, Option<u16>)>,
    pub(crate) closed: Option<(Instant, Cause)>,
}

/// All clients of a run.
pub(crate) struct Puppets {
    pub(crate) all: Vec<Puppet>,
    by_id: BTreeMap<ConnId, usize>,
    scratch: Scratch,
    /// What is to be done, the next last.
    script: Vec<(Duration, usize, Act)>,
    started: Option<Instant>,
}

impl Puppets {
    /// One puppet for each of `habits`; each connects in its turn, over `ramp`.
    pub(crate) fn new(habits: impl IntoIterator<Item = Habits>, ramp: Duration) -> Self {
        let all: Vec<_> = habits.into_iter().map(Puppet::new).collect();
        let count = all.len() as u32;
        let connects = (0..all.len()).map(|who| (ramp * who as u32 / count, who, Act::Connect));
        let script = connects.rev().collect();
        let (by_id, scratch) = (BTreeMap::new(), Scratch::default());
        Self { all, by_id, scratch, script, started: None }
    }

    /// Has `who` do `act` so long after the start.
    pub(crate) fn then(mut self, after: Duration, who: usize, act: Act) -> Self {
        let at = self.script.partition_point(|(time, ..)| *time > after);
        self.script.insert(at, (after, who, act));
        self
    }

    fn act(&mut self, now: Instant, who: usize, act: Act, ops: &mut Vec<Op>) {
        let puppet = &mut self.all[who];
        match (act, puppet.id) {
            (Act::Connect, _) => ops.push(Op::Connect {
                token: Token(who as u32),
                to: LISTEN.parse().expect("an address"),
                from: None,
                deadline: now + Duration::from_secs(60),
            }),
            (_, None) => {}
            (Act::Say(bytes), Some(_)) => puppet.outbox.extend_from_slice(&bytes),
            (Act::Read(true), Some(id)) => ops.push(Op::Resume { id }),
            (Act::Read(false), Some(id)) => ops.push(Op::Pause { id }),
            (Act::Vanish, Some(id)) => ops.push(Op::Sever { id, how: Severance::Drop }),
            (Act::Leave, Some(id)) => ops.push(Op::Shutdown { id }),
        }
        puppet.flush(ops);
    }
}

impl Engine for Puppets {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => self.started = Some(now),
            Event::Opened { id, by: Opening::Connected(Token(who)) } => {
                self.by_id.insert(id, who as usize);
                let puppet = &mut self.all[who as usize];
                puppet.id = Some(id);
                let host = ClientRequest { host: "h", target: "/", ..Default::default() };
                host.encode(&mut puppet.outbox).expect("it is valid");
                puppet.flush(ops);
            }
            Event::Received { id, bytes } => {
                let puppet = &mut self.all[self.by_id[&id]];
                puppet.received(now, bytes, &mut self.scratch);
                puppet.flush(ops);
            }
            Event::Sent { id, .. } => {
                let puppet = &mut self.all[self.by_id[&id]];
                puppet.in_flight = false;
                puppet.flush(ops);
            }
            Event::Closed { id, cause } => {
                let who = self.by_id.remove(&id).expect("it was open");
                self.all[who].closed = Some((now, cause));
                self.all[who].id = None;
            }
            other => panic!("nobody asked for {other:?}"),
        }
    }

    fn on_deadline(&mut self, now: Instant, _heard: Heard, ops: &mut Vec<Op>) {
        for _ in 0..64 {
            if self.deadline().is_none_or(|due| due > now) {
                return;
            }
            let (_, who, act) = self.script.pop().expect("something is due");
            self.act(now, who, act, ops);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let (after, ..) = self.script.last()?;
        Some(self.started? + *after)
    }
}

impl Puppet {
    fn new(habits: Habits) -> Self {
        Self {
            habits,
            id: None,
            conn: Connection::new(Role::Client),
            is_open: false,
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
            in_flight: false,
            said_at: Instant::default(),
            pings: Vec::new(),
            pongs: Vec::new(),
            messages: 0,
            texts: Vec::new(),
            waits: Vec::new(),
            close: None,
            closed: None,
        }
    }

    fn flush(&mut self, ops: &mut Vec<Op>) {
        let Some(id) = self.id.filter(|_| !self.in_flight && !self.outbox.is_empty()) else {
            return;
        };
        let chunk = self.outbox.split_to(self.outbox.len().min(CHUNK_MAX));
        self.in_flight = true;
        ops.push(Op::Send { id, chunk: Chunk::Own(chunk) });
    }

    fn received(&mut self, now: Instant, bytes: &[u8], scratch: &mut Scratch) {
        self.inbox.extend_from_slice(bytes);
        if !self.is_open {
            let end = self.inbox.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            let Some(end) = end else { return };
            assert!(self.inbox.starts_with(b"HTTP/1.1 101 "));
            let _ = self.inbox.split_to(end + 4);
            self.is_open = true;
            self.talk(now);
        }
        let mut came = self.inbox.split();
        let mut input = &mut came[..];
        let limits = Limits::default();
        while let Some(incoming) =
            self.conn.receive(&mut input, &limits, scratch).expect("the server is valid")
        {
            self.look(now, &incoming);
            scratch.reclaim(incoming);
        }
    }

    fn look(&mut self, now: Instant, incoming: &Incoming<'_>) {
        match incoming {
            Incoming::Text(_) | Incoming::Binary(_) => {
                self.messages += 1;
                if let Incoming::Text(text) = incoming {
                    self.texts.push(text.to_string());
                }
                if self.habits.talks.is_some() {
                    self.waits.push(now.saturating_since(self.said_at));
                    self.talk(now);
                }
            }
            Incoming::Ping(payload) => {
                self.pings.push(now);
                if self.habits.answers {
                    let answer: &[u8] = if self.habits.garbles { b"well?" } else { payload };
                    self.outbox.extend_from_slice(&control(0x8a, answer));
                }
            }
            Incoming::Pong(payload) => self.pongs.push(payload.to_vec()),
            Incoming::Close(code, _) => {
                self.close = Some((now, code.map(CloseCode::get)));
                self.conn.encode_close(*code, "", KEY, &mut self.outbox);
            }
        }
    }

    fn talk(&mut self, now: Instant) {
        if let Some(len) = self.habits.talks {
            self.said_at = now;
            self.conn.encode(Message::Binary(&vec![1; len]), KEY, &mut self.outbox);
        }
    }
}

/// A client's control frame, masked with zero.
pub(crate) fn control(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

/// A client's binary message, masked with zero.
pub(crate) fn message(payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    Connection::new(Role::Client).encode(Message::Binary(payload), [0; 4], &mut out);
    out.to_vec()
}

/// Where puppets play.
pub(crate) struct Stage<A> {
    pub(crate) config: Config,
    pub(crate) faults: Faults,
    pub(crate) app: A,
    /// When the server's thread stands still, and for how long.
    pub(crate) stall: Option<(Duration, Duration)>,
    /// How often the server was told how much waits in its kernel.
    pub(crate) looks: Rc<Cell<u64>>,
}

impl<A: App> Stage<A> {
    pub(crate) fn new(config: Config, faults: Faults, app: A) -> Self {
        Self { config, faults, app, stall: None, looks: Rc::default() }
    }

    /// Serves the puppets for `time`, and gives back what the server counted.
    pub(crate) fn serve(self, puppets: &mut Puppets, time: Duration) -> Stats {
        self.play(puppets, |world, _| world.run_for(time))
    }

    /// Lets `direct` do what it likes with a world in which the app serves the puppets, and gives
    /// back what the server counted.
    pub(crate) fn play(
        self,
        puppets: &mut Puppets,
        direct: impl FnOnce(&mut World<'_>, &ShardHandle),
    ) -> Stats {
        let (waker, wake) = Waker::new().expect("an eventfd is free");
        let count = puppets.all.len() as u32;
        let config = Config { connections_max: count, ..self.config };
        let admission = Arc::new(Admission::new(count.into()));
        let (shard, handle) = Shard::new(config, admission, waker, self.app);
        let stall = Stall::default();
        let mut world = World::new(config.seed, self.faults).with_stall(stall.clone());
        let due = self.stall.map(|(after, time)| (world.now() + after, time));
        let mut server = Stalled { shard, stall, due, looks: self.looks };
        let listener = Some(LISTEN.parse().expect("an address"));
        let connections_max = count + config.refusals_max;
        let site = Site { listener, connections_max, wake: Some(wake), steady: false };
        world.add(&mut server, site);
        world.add(puppets, Site { connections_max: count, steady: true, ..Site::default() });
        direct(&mut world, &handle);
        drop(world);
        server.shard.stats()
    }
}

/// A shard whose thread stands still once.
struct Stalled<A: App> {
    shard: Shard<A>,
    stall: Stall,
    due: Option<(Instant, Duration)>,
    looks: Rc<Cell<u64>>,
}

impl<A: App> Engine for Stalled<A> {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        if let Event::Probed { .. } = event {
            self.looks.set(self.looks.get() + 1);
        }
        self.shard.on_event(now, event, ops);
        if let Some((_, time)) = self.due.take_if(|(at, _)| *at <= now) {
            self.stall.stall(time);
        }
    }

    fn on_deadline(&mut self, now: Instant, heard: Heard, ops: &mut Vec<Op>) {
        self.shard.on_deadline(now, heard, ops);
    }

    fn deadline(&self) -> Option<Instant> {
        self.shard.deadline()
    }
}
