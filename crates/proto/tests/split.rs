//! However a stream of frames is cut into inputs, what comes out is the same: the same messages,
//! then the same fault.

mod common;

use bytes::BytesMut;
use common::{Seen, Side, frame, other};
use halfopen_proto::{Connection, Limits, Message, Role, Violation};
use proptest::prelude::*;

/// A frame, in a stream that need not make sense: first byte and payload.
type Frame = (u8, Vec<u8>);

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

/// Payloads of all length forms, of text that is often valid, mostly short.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-zκ水🦀]{0,12}".prop_map(String::into_bytes),
        4 => prop::collection::vec(any::<u8>(), 0..12),
        1 => prop::collection::vec(b'a'..=b'z', 120..132),
        1 => (65_530usize..65_540).prop_map(|length| vec![b'x'; length]),
    ]
}

/// Frames that mostly keep the rules: messages whole or in fragments, control frames anywhere.
fn plausible() -> impl Strategy<Value = Vec<Frame>> {
    let control = (prop::sample::select(&[0x89u8, 0x8a][..]), prop::collection::vec(0u8.., 0..126));
    let control = prop::option::weighted(0.3, control);
    let fragments = prop::collection::vec((payload(), control), 1..5);
    let message = (1u8..=2, fragments).prop_map(|(opcode, fragments)| {
        let last = fragments.len() - 1;
        let mut frames = Vec::new();
        for (i, (payload, control)) in fragments.into_iter().enumerate() {
            frames.extend(control);
            let opcode = if i == 0 { opcode } else { 0 };
            frames.push((if i == last { 0x80 | opcode } else { opcode }, payload));
        }
        frames
    });
    let messages = prop::collection::vec(message, 0..5).prop_map(|messages| messages.concat());
    let close = prop::option::of((Just(0x88u8), prop::collection::vec(any::<u8>(), 0..8)));
    (messages, close).prop_map(|(mut frames, close)| {
        frames.extend(close);
        frames
    })
}

/// Where a stream of `length` bytes is cut: nowhere in particular, or at every byte.
fn cuts_of(length: usize, places: &[prop::sample::Index]) -> Vec<usize> {
    let mut cuts: Vec<usize> = places.iter().map(|place| place.index(length + 1)).collect();
    cuts.sort_unstable();
    cuts
}

fn wire_of(from: Role, frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|(first, payload)| frame(from, *first, payload)).collect()
}

fn limits() -> impl Strategy<Value = Limits> {
    (50u64..200_000, 1u32..10).prop_map(|(bytes, fragments)| {
        let mut limits = Limits::of_message(bytes);
        limits.frame_max = bytes / 2;
        limits.fragments_max = fragments;
        limits
    })
}

fn hear_cut(from: Role, limits: Limits, wire: &[u8], cuts: &[usize]) -> Vec<Seen> {
    Side { limits, ..Side::new(other(from)) }.hear_cut(wire, cuts)
}

fn every_byte(wire: &[u8]) -> Vec<usize> {
    (1..wire.len().max(1)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_plausible_frames_gives_the_same(
        from in role(),
        frames in plausible(),
        limits in prop_oneof![Just(Limits::default()), limits()],
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut wire = wire_of(from, &frames);
        if let Some((place, byte)) = damage.filter(|_| !wire.is_empty()) {
            let at = place.index(wire.len());
            wire[at] = byte;
        }
        let whole = hear_cut(from, limits, &wire, &[]);
        prop_assert_eq!(&hear_cut(from, limits, &wire, &cuts_of(wire.len(), &places)), &whole);
        if wire.len() < 4096 {
            prop_assert_eq!(&hear_cut(from, limits, &wire, &every_byte(&wire)), &whole);
        }
    }

    #[test]
    fn any_split_of_any_bytes_gives_the_same(
        from in role(),
        wire in prop::collection::vec(any::<u8>(), 0..40),
        limits in limits(),
    ) {
        let whole = hear_cut(from, limits, &wire, &[]);
        prop_assert_eq!(hear_cut(from, limits, &wire, &every_byte(&wire)), whole);
    }

    #[test]
    fn what_one_side_encodes_the_other_receives(
        from in role(),
        said in prop::collection::vec(said(), 0..8),
        key in any::<[u8; 4]>(),
        payload_max in 1usize..100_000,
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let (mut side, mut wire) = (Connection::new(from), BytesMut::new());
        for message in &said {
            say(&mut side, message, key, payload_max, &mut wire);
        }
        let cuts = cuts_of(wire.len(), &places);
        prop_assert_eq!(Side::new(other(from)).hear_cut(&wire, &cuts), said);
    }
}

/// A text, a binary message, or a ping.
fn said() -> impl Strategy<Value = Seen> {
    prop_oneof![
        "[a-zκ水🦀]{0,40}".prop_map(Seen::Text),
        payload().prop_map(Seen::Binary),
        prop::collection::vec(any::<u8>(), 0..126).prop_map(Seen::Ping),
    ]
}

fn say(side: &mut Connection, what: &Seen, key: [u8; 4], payload_max: usize, out: &mut BytesMut) {
    let message = match what {
        Seen::Text(text) => Message::Text(text),
        Seen::Binary(bytes) => Message::Binary(bytes),
        Seen::Ping(payload) => return assert!(side.encode_ping(payload, key, out)),
        other => unreachable!("{other:?} is not said here"),
    };
    // One-byte fragments of a long message would only be slow.
    let payload_max = payload_max.max(message.as_bytes().len() / 100);
    for fragment in message.fragments(payload_max) {
        assert!(side.encode_fragment(fragment, key, out));
    }
}

/// Short streams with every rule in them, tried at every pair of cuts.
#[test]
fn every_two_cuts_of_some_short_streams_give_the_same() {
    let streams: [&[(u8, &[u8])]; 7] = [
        &[(0x81, "κ水🦀".as_bytes()), (0x82, b"\xff"), (0x88, b"\x03\xe8bye"), (0x81, b"late")],
        &[(0x01, b"\xf0\x9f"), (0x89, b"p"), (0x00, b""), (0x80, b"\xa6\x80"), (0x80, b"lone")],
        &[(0x01, b"\xe6"), (0x80, b"\xb0")],
        &[(0x01, b"ab"), (0x8a, b"q"), (0x01, b"inside")],
        &[(0x88, b"\x03\xe8\xe6\xb0\xb4"), (0xff, b"")],
        &[(0x88, b"\x03\xed"), (0x81, b"x")],
        &[(0x82, &[7; 130]), (0xc2, b"rsv")],
    ];
    for from in [Role::Client, Role::Server] {
        for stream in streams {
            let wire = common::frames(from, stream);
            let whole = Side::new(other(from)).hear(&wire);
            for second in 0..=wire.len() {
                for first in 0..=second {
                    let heard = Side::new(other(from)).hear_cut(&wire, &[first, second]);
                    assert_eq!(heard, whole, "{stream:x?} cut at {first} and {second}");
                }
            }
        }
    }
}

/// The last bytes of a length can break a second limit; the first one broken is the fault.
#[test]
fn the_limit_that_a_length_breaks_does_not_depend_on_the_split() {
    let mut limits = Limits::of_message(100_000);
    limits.frame_max = 200_000;
    let wire = common::header(Role::Server, 0x82, 0x03_ffff);
    let expected = [Seen::Fault(Violation::MessageTooLong { max: 100_000 })];
    assert_eq!(hear_cut(Role::Server, limits, &wire, &[]), expected);
    assert_eq!(hear_cut(Role::Server, limits, &wire, &every_byte(&wire)), expected);
}
