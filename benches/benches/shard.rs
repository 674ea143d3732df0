//! A shard on a driver that costs nothing: what we add to the kernel's work.

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use halfopen_driver::{ConnId, Engine, Event, Heard, Op, Opening, WakeSource, Waker};
use halfopen_proto::handshake::ClientRequest;
use halfopen_proto::{Connection, Message, Role};
use halfopen_server::{Admission, Config, Echo, Heartbeat, Shard};
use halfopen_wheel::Instant;
use std::sync::Arc;
use std::time::Duration;

const PEERS: u32 = 1_000;
const INTERVAL: Duration = Duration::from_secs(1);

/// Carries out what the shard wants at once: what it sends has left, and pings are answered.
struct World {
    shard: Shard<Echo>,
    now: Instant,
    ops: Vec<Op>,
    /// The frames sent, but for pings.
    frames: u64,
    pings: u64,
    _wake: WakeSource,
}

impl World {
    fn new() -> Self {
        let (waker, wake) = Waker::new().expect("a descriptor is free");
        let heartbeat = Heartbeat { interval: INTERVAL, ..Heartbeat::default() };
        let config = Config { heartbeat: Some(heartbeat), ..Config::default() };
        let admission = Arc::new(Admission::new(u64::MAX));
        let (shard, _) = Shard::new(config, admission, waker, Echo);
        let now = Instant::from_nanos(1);
        let mut world = Self { shard, now, ops: Vec::new(), frames: 0, pings: 0, _wake: wake };
        world.tell(Event::Started);
        for index in 0..PEERS {
            world.tell(Event::Opened { id: id(index), by: Opening::Accepted });
            world.receive(index, &mut request());
        }
        world.frames = 0;
        world
    }

    fn receive(&mut self, index: u32, bytes: &mut [u8]) {
        self.tell(Event::Received { id: id(index), bytes });
    }

    fn tell(&mut self, event: Event<'_>) {
        self.shard.on_event(self.now, event, &mut self.ops);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(op) = self.ops.pop() {
            let Op::Send { id, chunk } = op else { continue };
            let stamp = stamp(chunk.as_bytes());
            let sent = Event::Sent { id, chunk, at: self.now };
            self.shard.on_event(self.now, sent, &mut self.ops);
            match stamp {
                Some(stamp) => self.pong(id, stamp),
                None => self.frames += 1,
            }
        }
    }

    /// Answers with the key 0, which leaves the payload as it is.
    fn pong(&mut self, id: ConnId, [a, b, c, d]: [u8; 4]) {
        self.pings += 1;
        let mut pong = [0x8a, 0x84, 0, 0, 0, 0, a, b, c, d];
        let received = Event::Received { id, bytes: &mut pong };
        self.shard.on_event(self.now, received, &mut self.ops);
    }

    /// Lets the time pass in which every peer is pinged once.
    fn interval(&mut self) {
        let end = self.now + INTERVAL;
        while let Some(due) = self.shard.deadline().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            let heard = Heard { until: self.now, busy_since: None };
            self.shard.on_deadline(self.now, heard, &mut self.ops);
            self.carry_out();
        }
        self.now = end;
    }
}

fn id(index: u32) -> ConnId {
    ConnId { index, generation: 1 }
}

/// The payload, if these bytes are a ping of the server.
fn stamp(bytes: &[u8]) -> Option<[u8; 4]> {
    bytes.strip_prefix(&[0x89, 4])?.try_into().ok()
}

fn request() -> BytesMut {
    let mut out = BytesMut::new();
    let request = ClientRequest { host: "localhost", target: "/", ..ClientRequest::default() };
    request.encode(&mut out).expect("a valid request");
    out
}

fn echo(criterion: &mut Criterion) {
    let mut world = World::new();
    let mut group = criterion.benchmark_group("shard");
    for len in [64, 1024] {
        let mut frame = BytesMut::new();
        let payload = "x".repeat(len);
        Connection::new(Role::Client).encode(Message::Text(&payload), [0; 4], &mut frame);
        let mut received = 0;
        world.frames = 0;
        group.throughput(Throughput::Elements(1));
        // With the key 0 the frame reads the same after it was unmasked in place.
        group.bench_function(format!("echo/{len}"), |bench| {
            bench.iter(|| {
                world.receive(received % PEERS, &mut frame);
                received += 1;
            });
        });
        assert_eq!(world.frames, u64::from(received));
    }
    group.finish();
}

fn heartbeats(criterion: &mut Criterion) {
    let mut world = World::new();
    let mut intervals = 0;
    let mut group = criterion.benchmark_group("shard");
    group.throughput(Throughput::Elements(u64::from(PEERS)));
    group.bench_function("heartbeats", |bench| {
        bench.iter(|| {
            world.interval();
            intervals += 1;
        });
    });
    group.finish();
    let expected = intervals * u64::from(PEERS);
    // A tick more or less at either end.
    assert!(world.pings.abs_diff(expected) <= expected / 10, "{} of {expected}", world.pings);
}

criterion_group!(benches, echo, heartbeats);
criterion_main!(benches);
