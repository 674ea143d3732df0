//! In steady state no frame costs an allocation, whether it comes whole or split.
//!
//! A test program of its own, with one test: the allocator counts for the whole process.
#![allow(unsafe_code)] // A global allocator cannot be written without it; it only counts.

mod common;

use bytes::BytesMut;
use common::{frame, frames};
use halfopen_proto::{Connection, Limits, Message, Role, Scratch};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; `realloc` keeps its default, which
// is made of the other two.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps the same contract with us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the same contract with us.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Receives `wire` in two pieces, echoes its messages and answers its pings.
fn round(
    connection: &mut Connection,
    (wire, cut): (&mut [u8], usize),
    scratch: &mut Scratch,
    out: &mut BytesMut,
) {
    out.clear();
    let limits = Limits::default();
    let (mut first, mut second) = wire.split_at_mut(cut);
    for input in [&mut first, &mut second] {
        while let Some(incoming) = connection.receive(input, &limits, scratch).expect("valid") {
            connection.encode(Message::Text("ok"), [0; 4], out);
            scratch.reclaim(incoming);
        }
        connection.encode_pong([0; 4], scratch, out);
    }
}

#[test]
fn no_frame_allocates_in_steady_state() {
    let parts: [(u8, &[u8]); 6] = [
        (0x81, b"whole"),
        (0x89, b"beat"),
        (0x01, b"Hel"),
        (0x89, b"p"),
        (0x80, b"lo"),
        (0x8a, b""),
    ];
    let small = frames(Role::Client, &parts);
    let large = frame(Role::Client, 0x82, &vec![7; 60_000]);
    let (mut connection, mut scratch) = (Connection::new(Role::Server), Scratch::default());
    let (mut out, mut wire) = (BytesMut::new(), BytesMut::new());

    let mut run = |allowed: bool| {
        for (stream, step) in [(&small, 1), (&large, 977)] {
            for cut in (0..=stream.len()).step_by(step) {
                wire.clear();
                wire.extend_from_slice(stream);
                let before = ALLOCATIONS.load(Relaxed);
                round(&mut connection, (&mut wire, cut), &mut scratch, &mut out);
                let allocated = ALLOCATIONS.load(Relaxed) - before;
                assert!(allowed || allocated == 0, "{allocated} allocations, cut at {cut}");
                assert_eq!(connection.held(), 0);
            }
        }
    };
    run(true);
    run(false);
    assert!(ALLOCATIONS.load(Relaxed) > 0, "the allocator counts");
}
