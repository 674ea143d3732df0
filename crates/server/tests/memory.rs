//! What an idle connection costs the server in user space, counted at the allocator.
#![allow(unsafe_code)] // A global allocator that counts is an unsafe trait; it only hands on.

use halfopen_driver::{ConnId, Engine, Event, Heard, Op, Opening, Waker};
use halfopen_server::{Admission, Config, Echo, Shard};
use halfopen_wheel::Instant;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the duties of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the duties of `dealloc`, and `memory` came from `System`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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

/// Bytes that a shard holds whose `connections` have all spoken and are idle again.
fn held(connections: u32) -> usize {
    let before = LIVE.load(Ordering::Relaxed);
    let config = Config { connections_max: connections, ..Config::default() };
    let (waker, _wake) = Waker::new().unwrap();
    let admission = Arc::new(Admission::new(u64::from(connections)));
    let (mut shard, _handle) = Shard::new(config, admission, waker, Echo);
    let mut now = Instant::from_nanos(1_000_000_000);
    let mut ops = Vec::new();
    shard.on_event(now, Event::Started, &mut ops);
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
    LIVE.load(Ordering::Relaxed) - before
}

fn bring_home(shard: &mut Shard<Echo>, now: Instant, ops: &mut Vec<Op>) {
    while !ops.is_empty() {
        for op in std::mem::take(ops) {
            if let Op::Send { id, chunk } = op {
                shard.on_event(now, Event::Sent { id, chunk, at: now }, ops);
            }
        }
    }
}

#[test]
fn an_idle_connection_costs_its_session_and_its_place_on_the_wheel() {
    let (few, many) = (16_384, 65_536);
    let slope = (held(many) - held(few)) as f64 / f64::from(many - few);
    assert!((120.0..=142.0).contains(&slope), "{slope:.1} bytes a connection");
}
