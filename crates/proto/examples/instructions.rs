//! Fixed work whose instructions `.ci/instructions` counts under callgrind: decoding and encoding in
//! steady state, without the copying of inputs and the first use of memory.
//!
//! It prints a line for each job, its name and how many frames it has, in the order in which
//! `measured` is called for them.

use bytes::BytesMut;
use halfopen_proto::{Connection, Incoming, Kind, Limits, Message, Role, Scratch};
use std::hint::black_box;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Frames in one input.
const FRAMES: usize = 100;

/// What is counted is what is called from here, and nothing else.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

fn job(name: &str, frames: usize, work: &mut dyn FnMut()) {
    println!("{name}\t{frames}");
    measured(work);
}

fn main() {
    decode_whole();
    decode_unmasked();
    decode_in_pieces();
    decode_control();
    encode();
}

fn text(pattern: &str, len: usize) -> String {
    let mut text = pattern.repeat(len / pattern.len());
    text.extend(std::iter::repeat_n(' ', len - text.len()));
    text
}

/// What a client sends if it is made to say something so many times.
fn sent(encode: impl FnMut(&mut Connection, &mut BytesMut)) -> Vec<u8> {
    sent_by(Role::Client, encode)
}

fn sent_by(role: Role, mut encode: impl FnMut(&mut Connection, &mut BytesMut)) -> Vec<u8> {
    let (mut side, mut out) = (Connection::new(role), BytesMut::new());
    (0..FRAMES).for_each(|_| encode(&mut side, &mut out));
    out.to_vec()
}

fn decode(name: &str, wire: &[u8], piece: usize) {
    decode_as(Role::Server, name, wire, piece);
}

/// Receives `wire` in inputs of `piece` bytes, a first time to have the memory, and then counted.
fn decode_as(role: Role, name: &str, wire: &[u8], piece: usize) {
    let (mut side, mut scratch) = (Connection::new(role), Scratch::default());
    let (limits, mut pongs) = (Limits::default(), BytesMut::with_capacity(1024));
    let mut receive = |wire: &mut [u8]| {
        for mut input in wire.chunks_mut(piece) {
            while let Some(incoming) =
                side.receive(&mut input, &limits, &mut scratch).expect("valid frames")
            {
                match &incoming {
                    Incoming::Text(text) => _ = black_box(text.as_bytes()),
                    Incoming::Binary(bytes) => _ = black_box(&bytes[..]),
                    _ => {}
                }
                scratch.reclaim(incoming);
            }
            pongs.clear();
            side.encode_pong(KEY, &mut scratch, &mut pongs);
        }
    };
    receive(&mut wire.to_vec());
    let mut wire = wire.to_vec();
    job(&format!("decode/{name}"), FRAMES, &mut || receive(black_box(&mut wire)));
}

fn decode_whole() {
    for len in [20, 125, 1024, 64 * 1024] {
        let binary = vec![0xa5; len];
        let wire = sent(|client, out| _ = client.encode(Message::Binary(&binary), KEY, out));
        decode(&format!("binary/{len}"), &wire, wire.len());
        for (name, pattern) in [("ascii", "plain "), ("cyrillic", "жизнь "), ("cjk", "水木金")]
        {
            let text = text(pattern, len);
            let wire = sent(|client, out| _ = client.encode(Message::Text(&text), KEY, out));
            decode(&format!("{name}/{len}"), &wire, wire.len());
        }
    }
}

fn decode_unmasked() {
    let (binary, text) = (vec![0xa5; 125], text("plain ", 125));
    for (name, message) in [("binary", Message::Binary(&binary)), ("ascii", Message::Text(&text))] {
        let wire = sent_by(Role::Server, |server, out| _ = server.encode(message, KEY, out));
        decode_as(Role::Client, &format!("unmasked {name}/125"), &wire, wire.len());
    }
}

fn decode_in_pieces() {
    let (binary, text) = (vec![0xa5; 16 * 1024], text("жизнь ", 16 * 1024));
    for (name, message) in
        [("binary", Message::Binary(&binary)), ("cyrillic", Message::Text(&text))]
    {
        let whole = sent(|client, out| _ = client.encode(message, KEY, out));
        decode(&format!("{name} in segments/16384"), &whole, 1448);
        let fragments = sent(|client, out| {
            for fragment in message.fragments(256) {
                client.encode_fragment(fragment, KEY, out);
            }
        });
        decode(&format!("{name} in 64 fragments/16384"), &fragments, fragments.len());
    }
    let short = sent(|client, out| _ = client.encode(Message::Text("a byte a time"), KEY, out));
    decode("ascii byte by byte/13", &short, 1);
}

fn decode_control() {
    let ping = sent(|client, out| _ = client.encode_ping(b"beat", KEY, out));
    decode("ping, and its pong/4", &ping, ping.len() / FRAMES);
    let mut pong = ping.clone();
    pong.chunks_mut(ping.len() / FRAMES).for_each(|frame| frame[0] = 0x8a);
    decode("pong/4", &pong, pong.len());
}

fn encode() {
    for (name, role) in [("server", Role::Server), ("client", Role::Client)] {
        // No longer ones: the count of a large memcpy is that of the C library and of the CPU.
        for len in [20, 125, 1024] {
            let payload = vec![0xa5; len];
            let mut side = Connection::new(role);
            let mut out = BytesMut::with_capacity(FRAMES * (len + 16));
            job(&format!("encode/{name}/{len}"), FRAMES, &mut || {
                for _ in 0..FRAMES {
                    side.encode(Message::Binary(black_box(&payload)), KEY, &mut out);
                }
            });
        }
        let (mut side, mut bytes) = (Connection::new(role), vec![0xa5; 14 + 1024]);
        job(&format!("encode in place/{name}/1024"), FRAMES, &mut || {
            for _ in 0..FRAMES {
                black_box(side.encode_in_place(Kind::Binary, KEY, black_box(&mut bytes), 14));
            }
        });
        let mut out = BytesMut::with_capacity(FRAMES * 16);
        job(&format!("encode ping/{name}/4"), FRAMES, &mut || {
            for _ in 0..FRAMES {
                side.encode_ping(black_box(b"beat"), KEY, &mut out);
            }
        });
    }
}
