//! Heartbeats between a server's shard and a load generator's swarm, joined in memory on a virtual
//! clock: `.ci/instructions` counts under callgrind what each side takes for one.
//!
//! `heartbeats server` (or `client`) has that side's calls go through `measured`, once all are
//! connected, and prints how many heartbeats were exchanged meanwhile.

use anyhow::{bail, ensure};
use halfopen_driver::{Chunk, ConnId, Engine, Event, Heard, Op, Opening, Token, WakeSource, Waker};
use halfopen_loadgen::death::Unwatched;
use halfopen_loadgen::pacing::Share;
use halfopen_loadgen::plan::{Asked, resolve};
use halfopen_loadgen::swarm::{Links, Meter, Orders, Swarm};
use halfopen_server::{Admission, Config, Echo, Heartbeat, Shard};
use halfopen_wheel::Instant;
use std::sync::Arc;
use std::time::Duration;

const CONNECTIONS: u32 = 1_000;
const INTERVAL: Duration = Duration::from_secs(1);
const INTERVALS: u32 = 10;

/// What is counted is what is called from here, and nothing else.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

/// An engine, and what it wants done.
struct Side<E> {
    engine: E,
    ops: Vec<Op>,
    is_counted: bool,
}

impl<E: Engine> Side<E> {
    fn new(engine: E) -> Self {
        Self { engine, ops: Vec::new(), is_counted: false }
    }

    fn tell(&mut self, now: Instant, event: Event<'_>) {
        let Self { engine, ops, is_counted } = self;
        let mut event = Some(event);
        let mut work = || {
            if let Some(event) = event.take() {
                engine.on_event(now, event, ops);
            }
        };
        if *is_counted { measured(&mut work) } else { work() }
    }

    fn remind(&mut self, now: Instant) {
        let Self { engine, ops, is_counted } = self;
        let heard = Heard { until: now, busy_since: None };
        let mut work = || engine.on_deadline(now, heard, ops);
        if *is_counted { measured(&mut work) } else { work() }
    }

    /// What it wants sent, and the connects it wants made.
    fn take(&mut self, sends: &mut Vec<(ConnId, Chunk)>, connects: &mut Vec<Token>) {
        for op in self.ops.drain(..) {
            match op {
                Op::Send { id, chunk } => sends.push((id, chunk)),
                Op::Connect { token, .. } => connects.push(token),
                _ => {}
            }
        }
    }
}

struct World {
    server: Side<Shard<Echo>>,
    client: Side<Swarm>,
    now: Instant,
    connected: u32,
    _wakes: [WakeSource; 2],
}

impl World {
    fn new() -> anyhow::Result<Self> {
        let now = Instant::from_nanos(1_000_000_000);
        let [(server_waker, one), (client_waker, two)] = [Waker::new()?, Waker::new()?];
        let heartbeat = Heartbeat { interval: INTERVAL, ..Heartbeat::default() };
        let config = Config { heartbeat: Some(heartbeat), ..Config::default() };
        let admission = Arc::new(Admission::new(u64::MAX));
        let (shard, _) = Shard::new(config, admission, server_waker, Echo);
        let plan = resolve(&Asked {
            connections: CONNECTIONS,
            connect_rate: 10_000.0,
            shards: Some(1),
            ..Asked::new("ws://127.0.0.1:9001/")
        })?;
        let links = Links {
            orders: Orders::new(client_waker),
            meter: Arc::<Meter>::default(),
            watch: Arc::new(Unwatched),
        };
        let swarm = Swarm::new(Arc::new(plan), Share::WHOLE, now, links);
        let (server, client) = (Side::new(shard), Side::new(swarm));
        let mut world = Self { server, client, now, connected: 0, _wakes: [one, two] };
        world.server.tell(now, Event::Started);
        world.client.tell(now, Event::Started);
        Ok(world)
    }

    /// Lets time pass.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let [server, client] = [self.server.engine.deadline(), self.client.engine.deadline()];
            let Some(due) = [server, client].into_iter().flatten().min().filter(|&at| at <= end)
            else {
                break;
            };
            self.now = self.now.max(due);
            if server.is_some_and(|at| at <= self.now) {
                self.server.remind(self.now);
            }
            if client.is_some_and(|at| at <= self.now) {
                self.client.remind(self.now);
            }
            self.carry_out();
        }
        self.now = end;
    }

    /// Has all arrive that is said, and what is said to that.
    fn carry_out(&mut self) {
        let (mut to_client, mut to_server, mut connects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.server.take(&mut to_client, &mut Vec::new());
            self.client.take(&mut to_server, &mut connects);
            if to_client.is_empty() && to_server.is_empty() && connects.is_empty() {
                return;
            }
            connects.drain(..).for_each(|token| self.connect(token));
            let Self { server, client, now, .. } = self;
            to_client.drain(..).for_each(|(id, chunk)| pass_on(*now, server, client, id, chunk));
            to_server.drain(..).for_each(|(id, chunk)| pass_on(*now, client, server, id, chunk));
        }
    }

    fn connect(&mut self, token: Token) {
        let id = ConnId { index: self.connected, generation: 1 };
        self.connected += 1;
        self.server.tell(self.now, Event::Opened { id, by: Opening::Accepted });
        self.client.tell(self.now, Event::Opened { id, by: Opening::Connected(token) });
    }

    fn heartbeats(&self) -> u64 {
        self.server.engine.stats().pongs_matched
    }
}

/// The chunk is copied, as by a kernel, and comes home before it arrives.
fn pass_on(
    now: Instant,
    from: &mut Side<impl Engine>,
    to: &mut Side<impl Engine>,
    id: ConnId,
    chunk: Chunk,
) {
    let mut bytes = chunk.as_bytes().to_vec();
    from.tell(now, Event::Sent { id, chunk, at: now });
    to.tell(now, Event::Received { id, bytes: &mut bytes });
}

fn main() -> anyhow::Result<()> {
    let mut world = World::new()?;
    // Until all are connected, and everything that grows has grown.
    world.pass(3 * INTERVAL);
    ensure!(world.connected == CONNECTIONS, "{} are connected", world.connected);
    match std::env::args().nth(1).as_deref() {
        Some("server") => world.server.is_counted = true,
        Some("client") => world.client.is_counted = true,
        None => {}
        Some(other) => bail!("`{other}` is no side: server or client"),
    }
    let before = world.heartbeats();
    world.pass(INTERVALS * INTERVAL);
    let heartbeats = world.heartbeats() - before;
    // Each ping is a little later than the interval after the one before.
    let expected = u64::from(CONNECTIONS * INTERVALS);
    ensure!(heartbeats.abs_diff(expected) < expected / 50, "{heartbeats} of {expected}");
    println!("{heartbeats}");
    Ok(())
}
