//! What an idle connection costs the server in user space, counted at the allocator.

mod live_bytes;

use halfopen_driver::{ConnId, Engine, Event, Heard, Op, Opening, Waker};
use halfopen_server::{
    Accept, Admission, App, Config, Echo, Handshake, Message, Peer, Rejection, Shard, ShardHandle,
};
use halfopen_wheel::Instant;
use live_bytes::live;
use std::sync::Arc;
use std::time::Duration;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// A ping, and a text in two fragments that both come split, masked with zero.
const FRAMES: [&[u8]; 4] = [
    &[0x89, 0x81, 0, 0, 0, 0, b'?', 0x01, 0x82, 0, 0],
    &[0, 0, b'h'],
    &[b'a', 0x80, 0x81, 0],
    &[0, 0, 0, b'!'],
];

/// Bytes that a shard holds whose `connections` have all spoken and are idle again, beside what
/// `keep` keeps.
fn held<A: App, K>(connections: u32, app: A, keep: impl Fn(&ShardHandle) -> K) -> usize {
    let before = live();
    let config = Config { connections_max: connections, ..Config::default() };
    let (waker, _wake) = Waker::new().unwrap();
    let admission = Arc::new(Admission::new(u64::from(connections)));
    let (mut shard, handle) = Shard::new(config, admission, waker, app);
    let _kept = keep(&handle);
    let mut now = Instant::from_nanos(1_000_000_000);
    let mut ops = Vec::new();
    shard.on_event(now, Event::Started, &mut ops);
    shard.on_event(now, Event::Woken, &mut ops);
    for index in 0..connections {
        let id = ConnId { index, generation: 1 };
        shard.on_event(now, Event::Opened { id, by: Opening::Accepted }, &mut ops);
        for bytes in std::iter::once(REQUEST).chain(FRAMES) {
            let mut bytes = bytes.to_vec();
            shard.on_event(now, Event::Received { id, bytes: &mut bytes }, &mut ops);
            bring_home(&mut shard, now, &mut ops);
        }
        now = now + Duration::from_micros(100);
    }
    // All are pinged, all at about the same time.
    now = now + Duration::from_secs(20);
    while shard.deadline().is_some_and(|due| due <= now) {
        shard.on_deadline(now, Heard { until: now, busy_since: None }, &mut ops);
    }
    bring_home(&mut shard, now, &mut ops);
    drop(ops);
    assert_eq!(shard.stats().open, u64::from(connections));
    assert_eq!(shard.stats().messages_sent, u64::from(connections));
    assert_eq!(shard.stats().pings_sent, u64::from(connections));
    live() - before
}

fn bring_home<A: App>(shard: &mut Shard<A>, now: Instant, ops: &mut Vec<Op>) {
    while !ops.is_empty() {
        for op in std::mem::take(ops) {
            if let Op::Send { id, chunk } = op {
                shard.on_event(now, Event::Sent { id, chunk, at: now }, ops);
            }
        }
    }
}

/// Echoes, and keeps a number of each connection.
struct Counts;

impl App for Counts {
    type State = u64;

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<u64>, Rejection> {
        Ok(Accept::new(0))
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, count: &mut u64, message: Message<'_>) {
        *count += 1;
        peer.send(message);
    }
}

/// Bytes a connection.
fn slope(held: impl Fn(u32) -> usize) -> f64 {
    let (few, many) = (16_384, 65_536);
    (held(many) as f64 - held(few) as f64) / f64::from(many - few)
}

/// One test, because all that the process allocates is counted.
#[test]
fn an_idle_connection_costs_its_session_its_place_on_the_wheel_and_what_the_app_keeps() {
    let plain = slope(|connections| held(connections, Echo, |_| ()));
    assert!((120.0..=142.0).contains(&plain), "{plain:.1} bytes a connection");

    let kept = slope(|connections| held(connections, Counts, |_| ())) - plain;
    assert!((15.0..=17.0).contains(&kept), "{kept:.1} bytes for an Option<u64>");

    let listed = slope(|connections| held(connections, Echo, ShardHandle::mailbox)) - plain;
    assert!(
        (3.0..=5.0).contains(&listed),
        "{listed:.1} bytes for a mailbox that tells who is gone"
    );
}
