//! Whatever bytes come, a connection does not panic, holds no more than its limits allow, gives out
//! nothing that breaks a rule, and tells its peer of a fault. What it gives out can be sent on.

use crate::common::{Seen, Side, other};
use crate::stream::Stream;
use bytes::BytesMut;
use halfopen_proto::{Limits, Message, Role, State, Violation};

/// What a connection may hold beside a message.
const OVERHEAD: usize = 1024;

/// Checks it of one stream.
pub fn check(stream: &Stream) {
    let mut side = Side { limits: stream.limits, ..Side::new(stream.role) };
    let ends = stream.cuts.iter().copied().chain([stream.wire.len()]);
    let (mut from, mut newest_ping) = (0, None);
    for end in ends {
        for seen in side.hear(&stream.wire[from..end]) {
            keeps_the_rules(&seen, &stream.limits);
            match &seen {
                Seen::Fault(violation) => fails(&mut side, violation),
                Seen::Ping(payload) => newest_ping = Some(payload.clone()),
                Seen::Close(code, _) => assert_eq!(closes(&mut side), *code),
                _ => {}
            }
            passes_on(stream.role, &seen);
        }
        holds_little(&side);
        from = end;
    }
    answers_the_newest_ping(&mut side, newest_ping);
}

fn keeps_the_rules(seen: &Seen, limits: &Limits) {
    match seen {
        Seen::Text(text) => assert!(text.len() as u64 <= limits.message_max),
        Seen::Binary(bytes) => assert!(bytes.len() as u64 <= limits.message_max),
        Seen::Ping(payload) | Seen::Pong(payload) => assert!(payload.len() <= 125),
        Seen::Close(code, reason) => {
            assert!(code.is_some() || reason.is_empty());
            assert!(
                code.is_none_or(|code| { matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) })
            );
        }
        Seen::Fault(violation) => assert!(!violation.to_string().is_empty()),
    }
}

fn holds_little(side: &Side) {
    let held = side.connection.held();
    let pinned_max = side.limits.pinned_max as usize;
    assert!(held <= pinned_max + OVERHEAD, "{held} bytes held, {pinned_max} allowed");
    if side.connection.state() != State::Open {
        assert!(held <= OVERHEAD && !side.connection.is_mid_message());
    }
}

/// The peer is told, hears the same code, and nothing else happens any more.
fn fails(side: &mut Side, violation: &Violation) {
    assert_eq!(side.connection.state(), State::Closed);
    assert_eq!(side.fail(violation), (violation.close_code().get(), violation.to_string()));
    assert_eq!(side.hear(b"\x81\x80\0\0\0\0"), []);
}

/// Our Close frame, in answer to the peer's, as the peer hears it: its code.
fn closes(side: &mut Side) -> Option<u16> {
    let mut out = BytesMut::new();
    assert_eq!(side.connection.state(), State::CloseReceived);
    assert!(side.connection.encode_close(None, "", [1, 2, 3, 4], &mut out));
    match Side::new(other(side.connection.role())).hear(&out).as_slice() {
        [Seen::Close(code, _)] => *code,
        answer => panic!("{answer:?}"),
    }
}

/// Sends a message to the next one, who hears the same.
fn passes_on(role: Role, seen: &Seen) {
    let message = match seen {
        Seen::Text(text) => Message::Text(text),
        Seen::Binary(bytes) => Message::Binary(bytes),
        _ => return,
    };
    let (mut sender, mut out) = (Side::new(role), BytesMut::new());
    for fragment in message.fragments(message.as_bytes().len() / 2 + 1) {
        assert!(sender.connection.encode_fragment(fragment, [0x5a, 0, 0xc3, 0x91], &mut out));
    }
    assert!(sender.connection.encode(message, [0xff, 1, 2, 3], &mut out));
    assert_eq!(Side::new(other(role)).hear(&out), [seen.clone(), seen.clone()]);
}

fn answers_the_newest_ping(side: &mut Side, newest: Option<Vec<u8>>) {
    let mut out = BytesMut::new();
    let is_open = side.connection.state() == State::Open;
    let expected = newest.filter(|_| is_open).map(Seen::Pong);
    assert_eq!(side.connection.owes_pong(), expected.is_some());
    side.connection.encode_pong([9, 8, 7, 6], &mut side.scratch, &mut out);
    let answer = Side::new(other(side.connection.role())).hear(&out);
    assert_eq!(answer, Vec::from_iter(expected));
}
