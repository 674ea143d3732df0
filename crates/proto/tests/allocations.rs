//! In steady state no frame costs an allocation, whether it comes whole or split.
//!
//! A test program of its own, with one test: the allocator counts for the whole process.
#![allow(unsafe_code)] // A global allocator cannot be written without it; it only counts.

mod common;

use bytes::BytesMut;
use common::{frames, other};
use halfopen_proto::{
    CloseCode, Connection, Incoming, Kind, Limits, Message, Role, Scratch, State,
};
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

/// What a thread's connections share.
#[derive(Default)]
struct Shared {
    scratch: Scratch,
    wire: BytesMut,
    out: BytesMut,
}

/// Cut in the middle of its second character.
const SPLIT: &str = "σμε";

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Receives `wire` in pieces of `piece` bytes, the first one being of `first`, on a new connection,
/// and answers everything.
fn converse(role: Role, shared: &mut Shared, first: usize, piece: usize) {
    let Shared { scratch, wire, out } = shared;
    let (mut connection, limits) = (Connection::new(role), Limits::default());
    let (head, tail) = wire.split_at_mut(first);
    for mut input in [head].into_iter().chain(tail.chunks_mut(piece)) {
        while let Some(incoming) = connection.receive(&mut input, &limits, scratch).expect("valid")
        {
            answer(&mut connection, &incoming, out);
            scratch.reclaim(incoming);
        }
        connection.encode_pong(KEY, scratch, out);
    }
    assert_eq!(connection.state(), State::Closed, "every stream ends with a Close");
    assert_eq!(connection.held(), 0);
}

/// Sends whatever can be sent.
fn answer(connection: &mut Connection, incoming: &Incoming<'_>, out: &mut BytesMut) {
    match incoming {
        Incoming::Text(text) => {
            connection.encode(Message::Text(text), KEY, out);
            for fragment in Message::Text(text).fragments(1 + text.len() / 3) {
                connection.encode_fragment(fragment, KEY, out);
            }
        }
        Incoming::Binary(bytes) => {
            connection.encode(Message::Binary(bytes), KEY, out);
            let start = out.len();
            out.extend_from_slice(&[0; 14]);
            out.extend_from_slice(bytes);
            connection.encode_in_place(Kind::Binary, KEY, &mut out[start..], 14);
        }
        Incoming::Ping(_) | Incoming::Pong(_) => {
            connection.encode_ping(b"beat", KEY, out);
        }
        Incoming::Close(..) => {
            connection.encode_close(Some(CloseCode::NORMAL), "bye", KEY, out);
        }
    }
}

/// Frames of every kind, small and large, whole and in fragments.
fn streams(from: Role) -> [Vec<u8>; 3] {
    let small: [(u8, &[u8]); 9] = [
        (0x81, b"whole"),
        (0x82, b""),
        (0x89, b"beat"),
        (0x01, "κό".as_bytes()),
        (0x89, b"p"),
        (0x00, &SPLIT.as_bytes()[..3]),
        (0x80, &SPLIT.as_bytes()[3..]),
        (0x8a, &[7; 125]),
        (0x88, b"\x03\xe9why"),
    ];
    let text = "水".repeat(10_000);
    let binary = vec![7; 100_000];
    let large: [(u8, &[u8]); 3] = [(0x82, &binary), (0x81, text.as_bytes()), (0x88, b"")];
    let fragments: [(u8, &[u8]); 4] =
        [(0x02, &[1; 9_000]), (0x00, &[2; 9_000]), (0x80, &[3; 9_000]), (0x88, b"\x03\xe8")];
    [frames(from, &small), frames(from, &large), frames(from, &fragments)]
}

#[test]
fn no_frame_allocates_in_steady_state() {
    let mut shared = Shared::default();
    let mut run = |is_steady: bool| {
        for role in [Role::Client, Role::Server] {
            for stream in streams(other(role)) {
                let step = if stream.len() < 1000 { 1 } else { 977 };
                for (first, piece) in (0..=stream.len())
                    .step_by(step)
                    .flat_map(|cut| [(cut, stream.len()), (cut, step)])
                {
                    shared.wire.clear();
                    shared.wire.extend_from_slice(&stream);
                    shared.out.clear();
                    let before = ALLOCATIONS.load(Relaxed);
                    converse(role, &mut shared, first, piece);
                    let allocated = ALLOCATIONS.load(Relaxed) - before;
                    assert!(
                        !is_steady || allocated == 0,
                        "{allocated} allocations as {role:?}, cut at {first}, then every {piece}"
                    );
                }
            }
        }
    };
    run(false);
    run(true);
    assert!(ALLOCATIONS.load(Relaxed) > 0, "the allocator counts");
}
