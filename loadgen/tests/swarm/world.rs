//! A swarm on a virtual clock, over a network of memory, against a server that can be told how to
//! misbehave.

pub(crate) use crate::peer::{End, Script, Seen};

use crate::peer::Peer;
use halfopen_driver::{CHUNK_MAX, Token, Waker};
use halfopen_driver::{Cause, Chunk, ConnId, Ends, Engine, Event, Heard, Op, Opening, Severance};
use halfopen_loadgen::death::DeathWatch;
use halfopen_loadgen::pacing::Share;
use halfopen_loadgen::plan::{Asked, Plan, resolve};
use halfopen_loadgen::record::Tally;
use halfopen_loadgen::swarm::{Links, Meter, Order, Orders, Snapshot, Swarm};
use halfopen_wheel::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The way of a packet.
pub(crate) const WAY: Duration = Duration::from_micros(500);

pub(crate) const START: Instant = Instant::from_nanos(5_000_000_000);

/// What will happen.
enum Happening {
    Opened(Token),
    Refused(Token, Cause),
    /// A chunk comes home; when it was handed over.
    Sent(ConnId, Chunk, Instant),
    ToServer(usize, Vec<u8>),
    FinToServer(usize),
    ToClient(usize, Vec<u8>),
    Ended(usize, Cause),
    Closed(ConnId, Cause),
    Located(ConnId, Ends),
    /// The server looks after its heartbeat.
    Tick(usize),
}

/// One connection, on its way and at the server.
struct Link {
    id: ConnId,
    peer: Peer,
    open: bool,
    paused: bool,
    dropping: bool,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) swarm: Swarm,
    pub(crate) orders: Arc<Orders>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) watch: Arc<Announced>,
    pub(crate) stopped: bool,
    /// Every operation, in words.
    pub(crate) log: Vec<String>,
    pub(crate) script: Script,
    agenda: BTreeMap<(Instant, u64), Happening>,
    order: u64,
    links: Vec<Link>,
    free: Vec<u32>,
    plan: Arc<Plan>,
}

/// Remembers who was announced.
#[derive(Default)]
pub(crate) struct Announced(pub(crate) Mutex<Vec<SocketAddr>>);

impl DeathWatch for Announced {
    fn map(&self) -> std::io::Result<usize> {
        Ok(0)
    }

    fn watch(&self, client: SocketAddr, _server: SocketAddr) {
        self.0.lock().unwrap().push(client);
    }

    fn all_found(&self) -> bool {
        false
    }
}

/// A plan for `connections`, all opened within a tenth of a second.
pub(crate) fn asked(connections: u32) -> Asked {
    Asked {
        connections,
        connect_rate: f64::from(connections) * 10.0,
        shards: Some(1),
        ..Asked::new("ws://127.0.0.1:9001/chat")
    }
}

impl World {
    pub(crate) fn new(asked: &Asked, script: Script) -> Self {
        Self::with_plan(resolve(asked).unwrap(), script)
    }

    pub(crate) fn with_plan(plan: Plan, script: Script) -> Self {
        let plan = Arc::new(plan);
        let (waker, _) = Waker::new().unwrap();
        let (orders, meter) = (Orders::new(waker), Arc::<Meter>::default());
        let watch = Arc::<Announced>::default();
        let links = Links { orders: orders.clone(), meter: meter.clone(), watch: watch.clone() };
        let mut world = Self {
            now: START,
            swarm: Swarm::new(plan.clone(), Share::WHOLE, START, links),
            orders,
            meter,
            watch,
            stopped: false,
            log: Vec::new(),
            script,
            agenda: BTreeMap::new(),
            order: 0,
            links: Vec::new(),
            free: Vec::new(),
            plan,
        };
        world.tell(Event::Started);
        world
    }

    pub(crate) fn order(&mut self, order: Order) {
        self.orders.send(order);
        self.tell(Event::Woken);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::of([&*self.meter])
    }

    /// What the servers' ends have seen, in the order in which connections were opened.
    pub(crate) fn seen(&self) -> impl Iterator<Item = &Seen> {
        self.links.iter().map(|link| &link.peer.seen)
    }

    /// Chooses the victims, and kills them.
    pub(crate) fn kill(&mut self) {
        self.order(Order::Choose);
        self.run(Duration::from_millis(1));
        assert_eq!(self.snapshot().ready_to_die, self.plan.kills_total());
        self.order(Order::Kill { from: self.now });
        self.run(Duration::from_millis(1));
    }

    /// Ends the run, and gives what was counted.
    pub(crate) fn leave(mut self) -> Tally {
        self.order(Order::Leave);
        self.run(Duration::from_secs(5));
        assert!(self.stopped, "the swarm stops");
        self.swarm.into_tally()
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.next().filter(|&next| next <= end && !self.stopped) {
            self.now = self.now.max(next);
            self.turn();
        }
        self.now = end;
    }

    /// The client's thread does nothing for that long; the world goes on.
    pub(crate) fn stall(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    fn next(&self) -> Option<Instant> {
        let agenda = self.agenda.keys().next().map(|&(at, _)| at);
        [agenda, self.swarm.deadline()].into_iter().flatten().min()
    }

    /// One thing that happens, or one look at deadlines.
    fn turn(&mut self) {
        let due = self.agenda.first_entry().filter(|entry| entry.key().0 <= self.now);
        if let Some(entry) = due {
            let happening = entry.remove();
            return self.happen(happening);
        }
        let mut ops = Vec::new();
        let heard = Heard { until: self.now, busy_since: None };
        self.swarm.on_deadline(self.now, heard, &mut ops);
        self.carry_out(ops);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Opened(token) => self.open(token),
            Happening::Refused(token, cause) => self.tell(Event::Refused { token, cause }),
            Happening::Sent(id, chunk, at) => self.tell(Event::Sent { id, chunk, at }),
            Happening::ToServer(link, bytes) => self.at_server(link, |peer, script, now| {
                peer.receive(bytes, script, now);
            }),
            Happening::FinToServer(link) => self.at_server(link, |peer, _, now| peer.fin(now)),
            Happening::Tick(link) => self.at_server(link, |peer, script, now| {
                peer.tick(script, now);
            }),
            Happening::ToClient(link, bytes) => self.deliver(link, bytes),
            Happening::Ended(link, cause) => {
                if self.links[link].open && !self.links[link].dropping {
                    self.links[link].open = false;
                    let id = self.links[link].id;
                    self.close(id, cause);
                }
            }
            Happening::Closed(id, cause) => self.close(id, cause),
            Happening::Located(id, ends) => self.tell(Event::Located { id, ends: Some(ends) }),
        }
    }

    fn tell(&mut self, event: Event<'_>) {
        let mut ops = Vec::new();
        self.swarm.on_event(self.now, event, &mut ops);
        self.carry_out(ops);
    }

    fn open(&mut self, token: Token) {
        let link = self.links.len();
        let index = self.free.pop().unwrap_or(link as u32);
        let id = ConnId { index, generation: link as u32 + 1 };
        let peer = Peer::new();
        self.links.push(Link { id, peer, open: true, paused: false, dropping: false });
        self.tell(Event::Opened { id, by: Opening::Connected(token) });
        self.after_server(link);
    }

    fn at_server(&mut self, link: usize, act: impl FnOnce(&mut Peer, &Script, Instant)) {
        act(&mut self.links[link].peer, &self.script, self.now);
        self.after_server(link);
    }

    /// What the server has said goes on its way.
    fn after_server(&mut self, link: usize) {
        let peer = &mut self.links[link].peer;
        let (said, ended, tick) = (peer.say(), peer.ended.take(), peer.next_tick.take());
        let way = self.now.max(self.script.stalled_until) + WAY;
        for piece in said.chunks(self.script.piece) {
            self.at(way, Happening::ToClient(link, piece.to_vec()));
        }
        if let Some(cause) = ended {
            self.at(way, Happening::Ended(link, cause));
        }
        if let Some(tick) = tick {
            self.at(tick, Happening::Tick(link));
        }
    }

    fn deliver(&mut self, link: usize, mut bytes: Vec<u8>) {
        let Link { id, open, paused, dropping, .. } = self.links[link];
        if open && !paused && !dropping {
            self.tell(Event::Received { id, bytes: &mut bytes });
        }
    }

    fn close(&mut self, id: ConnId, cause: Cause) {
        // The send in flight comes home before.
        let flying = |entry: &&(Instant, u64)| matches!(self.agenda[*entry], Happening::Sent(whose, ..) if whose == id);
        if let Some(key) = self.agenda.keys().find(flying).copied() {
            let sent = self.agenda.remove(&key).unwrap();
            self.happen(sent);
        }
        self.free.push(id.index);
        self.tell(Event::Closed { id, cause });
    }

    fn at(&mut self, at: Instant, happening: Happening) {
        self.order += 1;
        self.agenda.insert((at, self.order), happening);
    }

    fn soon(&mut self, happening: Happening) {
        self.at(self.now + WAY, happening);
    }

    fn link_of(&self, id: ConnId) -> Option<usize> {
        let link = self.links.iter().rposition(|link| link.id == id)?;
        self.links[link].open.then_some(link)
    }

    fn carry_out(&mut self, ops: Vec<Op>) {
        for op in ops {
            self.log.push(format!("{:?} {op:?}", self.now));
            self.carry_out_one(op);
        }
    }

    fn carry_out_one(&mut self, op: Op) {
        match op {
            Op::Connect { token, to, .. } => match self.script.answer_to_connect(to) {
                Ok(()) => self.soon(Happening::Opened(token)),
                Err(cause) => self.soon(Happening::Refused(token, cause)),
            },
            Op::Cancel(_) | Op::Accept(_) => {}
            Op::Stop => self.stopped = true,
            Op::Send { id, .. }
            | Op::Pause { id }
            | Op::Resume { id }
            | Op::Probe { id }
            | Op::Locate { id }
            | Op::Shutdown { id }
            | Op::Abort { id }
            | Op::Sever { id, .. } => {
                if let Some(link) = self.link_of(id) {
                    self.carry_out_on(link, id, op);
                }
            }
        }
    }

    fn carry_out_on(&mut self, link: usize, id: ConnId, op: Op) {
        match op {
            Op::Send { chunk, .. } => {
                let bytes = chunk.as_bytes().to_vec();
                assert!((1..=CHUNK_MAX).contains(&bytes.len()), "a chunk of {}", bytes.len());
                self.soon(Happening::ToServer(link, bytes));
                let home = self.now + Duration::from_micros(20);
                self.at(home, Happening::Sent(id, chunk, self.now));
            }
            Op::Pause { .. } => self.links[link].paused = true,
            Op::Resume { .. } => self.links[link].paused = false,
            Op::Shutdown { .. } => self.soon(Happening::FinToServer(link)),
            Op::Abort { .. } => {
                self.links[link].open = false;
                self.links[link].peer.seen.reset = Some(self.now);
                self.soon(Happening::Closed(id, Cause::Aborted));
            }
            Op::Sever { how: Severance::Vanish, .. } => {
                self.links[link].open = false;
                self.soon(Happening::Closed(id, Cause::Aborted));
            }
            Op::Sever { how, .. } => self.links[link].dropping = how == Severance::Drop,
            Op::Locate { .. } => {
                let local = SocketAddr::from(([127, 0, 0, 1], 40_000 + link as u16));
                let ends = Ends { local, peer: self.plan.targets[0] };
                self.soon(Happening::Located(id, ends));
            }
            _ => {}
        }
    }
}
