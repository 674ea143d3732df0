//! What a hostile peer sends: nothing of it is accepted, and none of it costs us memory that the
//! peer has not paid for in bytes.

mod common;

use bytes::BytesMut;
use common::{Seen, Side, frame, frames, header};
use halfopen_proto::{CloseCode, Limits, Message, Role, Violation};

const CLIENT: Role = Role::Client;
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const TEXT_BEGINS: u8 = 0x01;
const BINARY_BEGINS: u8 = 0x02;
const GOES_ON: u8 = 0x00;
const ENDS: u8 = 0x80;

/// What a connection may hold beside the bytes that it has received.
const OVERHEAD: usize = 1024;

fn server() -> Side {
    Side::new(Role::Server)
}

fn boundless() -> Side {
    let mut limits = Limits::of_message(u64::MAX);
    limits.fragments_max = u32::MAX;
    Side { limits, ..server() }
}

#[test]
fn a_declared_length_allocates_nothing() {
    for length in [1 << 40, i64::MAX as u64, (1 << 32) + 5] {
        let mut side = boundless();
        assert_eq!(side.hear(&header(CLIENT, BINARY, length)), []);
        assert_eq!(side.hear(b"start"), []);
        assert!(side.connection.held() < OVERHEAD, "{} bytes held", side.connection.held());
    }
}

#[test]
fn a_declared_length_over_the_limit_is_refused_before_any_payload() {
    for length in [(16 << 20) + 1, 1 << 32, 1 << 40, i64::MAX as u64] {
        let max = Limits::default().frame_max;
        let heard = server().hear(&header(CLIENT, BINARY, length)[..10]);
        assert_eq!(heard, [Seen::Fault(Violation::FrameTooLong { max })]);
    }
}

#[test]
fn lengths_that_sum_up_past_64_bits_are_refused() {
    let mut side = Side { limits: Limits::default(), ..boundless() };
    side.limits.frame_max = u64::MAX;
    let mut wire = frame(CLIENT, BINARY_BEGINS, b"x");
    wire.extend(header(CLIENT, ENDS, i64::MAX as u64));
    let max = side.limits.message_max;
    assert_eq!(side.hear(&wire), [Seen::Fault(Violation::MessageTooLong { max })]);
}

#[test]
fn a_byte_a_segment_gives_the_message() {
    let wire = frames(CLIENT, &[(TEXT_BEGINS, "κόσμε".as_bytes()), (PING, b"p"), (ENDS, b"!")]);
    let cuts: Vec<usize> = (1..wire.len()).collect();
    let expected = [Seen::Ping(b"p".to_vec()), Seen::Text("κόσμε!".into())];
    assert_eq!(server().hear_cut(&wire, &cuts), expected);
}

#[test]
fn frames_of_one_byte_gather_into_one_message() {
    let mut side = server();
    side.hear(&frame(CLIENT, BINARY_BEGINS, b"x"));
    (0..10_000).for_each(|_| assert_eq!(side.hear(&frame(CLIENT, GOES_ON, b"x")), []));
    assert_eq!(side.hear(&frame(CLIENT, ENDS, b"")), [Seen::Binary(vec![b'x'; 10_001])]);
}

#[test]
fn sixty_five_thousand_fragments_are_legitimate() {
    let mut wire = frame(CLIENT, BINARY_BEGINS, &[1; 64]);
    (0..65_534).for_each(|_| wire.extend(frame(CLIENT, GOES_ON, &[1; 64])));
    wire.extend(frame(CLIENT, ENDS, &[1; 64]));
    assert_eq!(server().hear(&wire), [Seen::Binary(vec![1; 4 << 20])]);
}

#[test]
fn a_million_empty_continuations_end_at_the_limit_and_hold_nothing() {
    let mut side = server();
    side.hear(&frame(CLIENT, BINARY_BEGINS, b""));
    let empty = frame(CLIENT, GOES_ON, b"").repeat(1 << 10);
    for _ in 0..(1 << 10) - 1 {
        assert_eq!(side.hear(&empty), []);
        assert!(side.connection.held() < OVERHEAD);
    }
    let max = Limits::default().fragments_max;
    assert_eq!(side.hear(&empty), [Seen::Fault(Violation::TooManyFragments { max })]);
}

#[test]
fn a_message_without_end_stops_at_the_limit() {
    let mut side = Side { limits: Limits::of_message(1 << 20), ..server() };
    side.hear(&frame(CLIENT, TEXT_BEGINS, b""));
    let more = frame(CLIENT, GOES_ON, &vec![b'a'; 1 << 16]);
    for _ in 0..16 {
        assert_eq!(side.hear(&more), []);
    }
    assert!(side.connection.is_mid_message());
    assert!(side.connection.held() <= (2 << 20) + OVERHEAD);
    let max = side.limits.message_max;
    assert_eq!(side.hear(&more), [Seen::Fault(Violation::MessageTooLong { max })]);
    assert_eq!(side.connection.held(), 0, "a failed connection holds nothing");
}

#[test]
fn a_flood_of_pings_is_answered_once_and_holds_one_payload() {
    let mut side = server();
    for number in 0..100_000u32 {
        side.hear(&frame(CLIENT, PING, &number.to_be_bytes()));
        assert!(side.connection.held() < OVERHEAD);
    }
    let mut out = BytesMut::new();
    assert!(side.connection.encode_pong([0; 4], &mut side.scratch, &mut out));
    assert!(!side.connection.encode_pong([0; 4], &mut side.scratch, &mut out));
    assert_eq!(Side::new(CLIENT).hear(&out), [Seen::Pong(99_999u32.to_be_bytes().to_vec())]);
}

#[test]
fn pongs_that_nobody_asked_for_hold_nothing() {
    let mut side = server();
    for _ in 0..1000 {
        assert_eq!(side.hear(&frame(CLIENT, PONG, &[9; 125])), [Seen::Pong(vec![9; 125])]);
        assert_eq!(side.connection.held(), 0);
    }
}

#[test]
fn data_after_a_close_is_ignored_in_the_same_input_and_later() {
    let mut side = server();
    let wire = frames(CLIENT, &[(0x88, b"\x03\xe8"), (BINARY, b"late"), (0x88, b"\x03\xe9")]);
    assert_eq!(side.hear(&wire), [Seen::Close(Some(1000), String::new())]);
    assert_eq!(side.hear(&[0xff; 4096]), []);
    assert_eq!(side.connection.held(), 0);
}

#[test]
fn a_failed_connection_hears_and_says_nothing_more() {
    let mut side = server();
    let mut out = BytesMut::new();
    side.hear(&frame(CLIENT, PING, b"before"));
    assert_eq!(side.hear(&[0xff]), [Seen::Fault(Violation::ReservedBits)]);
    assert_eq!(side.hear(&frame(CLIENT, PING, b"after")), []);
    assert!(!side.connection.owes_pong());
    assert!(!side.connection.encode(Message::Text("no"), [0; 4], &mut out));
    assert!(!side.connection.encode_ping(b"", [0; 4], &mut out));
    assert!(out.is_empty());
    assert_eq!(side.fail(&Violation::ReservedBits).0, CloseCode::PROTOCOL_ERROR.get());
}
