//! Proof that framing, masking and the opening handshake need no std: a program with a panic handler of its own, which the
//! compiler refuses (E0152) if anything that it is built from links std.
//!
//! It opens a connection, receives a text as a server and echoes it, then the same in one-byte pieces,
//! and says by its exit status whether the bytes were right: `cargo run --release` here. The allocator
//! gives memory from an array and takes none back.
#![no_std]
#![no_main]

use bytes::BytesMut;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use halfopen_proto::handshake::{ClientRequest, HeadLimits, Request};
use halfopen_proto::{Connection, Incoming, Limits, Message, Role, Scratch, Violation};

// For the C start-up code and memcpy, which the compiler calls by itself.
#[link(name = "c")]
unsafe extern "C" {
    fn abort() -> !;
}

const ARENA: usize = 64 * 1024;

struct Arena {
    bytes: UnsafeCell<[u8; ARENA]>,
    used: AtomicUsize,
}

// SAFETY: each byte of the arena is given out once.
unsafe impl Sync for Arena {}

// SAFETY: what `alloc` gives lies within the arena, is aligned, and is given out once.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let room = layout.size() + layout.align();
        let at = self.used.fetch_add(room, Relaxed);
        if at + room > ARENA {
            return null_mut();
        }
        let free = self.bytes.get().cast::<u8>().wrapping_add(at);
        free.wrapping_add(free.align_offset(layout.align()))
    }

    unsafe fn dealloc(&self, _pointer: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Arena = Arena { bytes: UnsafeCell::new([0; ARENA]), used: AtomicUsize::new(0) };

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: it takes nothing and does not come back.
    unsafe { abort() }
}

/// Whether client and server agree on a connection.
fn opens() -> Option<bool> {
    let limits = HeadLimits::default();
    let ask =
        ClientRequest { host: "example.org", target: "/", nonce: [7; 16], ..Default::default() };
    let (mut asked, mut answered) = (BytesMut::new(), BytesMut::new());
    ask.encode(&mut asked).ok()?;
    let (request, _) = Request::parse(&asked, &limits).ok()??;
    request.accept(None, &[], &mut answered).ok()?;
    let (_, head) = ask.check_response(&answered, &limits).ok()??;
    Some(head == answered.len())
}

/// Receives all of `wire`, so many bytes at a time, and answers with the same texts.
fn echo(wire: &mut [u8], piece: usize) -> Result<BytesMut, Violation> {
    let (mut connection, mut out) = (Connection::new(Role::Server), BytesMut::new());
    let (limits, mut scratch) = (Limits::default(), Scratch::default());
    for mut input in wire.chunks_mut(piece) {
        while let Some(incoming) = connection.receive(&mut input, &limits, &mut scratch)? {
            if let Incoming::Text(text) = &incoming {
                connection.encode(Message::Text(text), [0; 4], &mut out);
            }
            scratch.reclaim(incoming);
        }
    }
    Ok(out)
}

#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    // "Hello" in one frame and in two, as in RFC 6455 §5.7, the second one with a ping between.
    let mut sent = BytesMut::new();
    let mut client = Connection::new(Role::Client);
    let mut fragments = Message::Text("Hello").fragments(3);
    client.encode(Message::Text("Hello"), [0x37, 0xfa, 0x21, 0x3d], &mut sent);
    client.encode_fragment(fragments.next().unwrap(), [1, 2, 3, 4], &mut sent);
    client.encode_ping(b"beat", [0; 4], &mut sent);
    client.encode_fragment(fragments.next().unwrap(), [5, 6, 7, 8], &mut sent);

    let expected = b"\x81\x05Hello\x81\x05Hello";
    let is_right = [1000, 1]
        .into_iter()
        .all(|piece| echo(&mut sent.clone(), piece).is_ok_and(|answer| answer[..] == expected[..]));
    if is_right && opens() == Some(true) { 0 } else { 1 }
}
