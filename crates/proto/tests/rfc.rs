//! What RFC 6455 says must be so, a test for each rule, named with its section.

mod common;

use bytes::BytesMut;
use common::{Seen, Side, fails_at, frame, frames, header, is_heard_as, other};
use halfopen_proto::{
    CloseCode, Connection, Kind, Limits, Message, Role, State, Violation, encode_shared, frame_len,
};

const BOTH: [Role; 2] = [Role::Client, Role::Server];
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const TEXT_BEGINS: u8 = 0x01;
const BINARY_BEGINS: u8 = 0x02;
const GOES_ON: u8 = 0x00;
const ENDS: u8 = 0x80;

fn text(text: &str) -> Seen {
    Seen::Text(text.to_owned())
}

/// Everything that a side can say, each frame alone.
fn all_that_is_sent(role: Role) -> Vec<BytesMut> {
    let mut wires = Vec::new();
    let mut say = |what: &dyn Fn(&mut Side, &mut BytesMut) -> bool| {
        let (mut side, mut out) = (Side::new(role), BytesMut::new());
        side.hear(&frame(other(role), PING, b"beat"));
        assert!(what(&mut side, &mut out));
        wires.push(out);
    };
    let [first, second] = [0, 1].map(|offset| Message::Text("ab").fragment(offset, 1));
    say(&|side, out| side.connection.encode(Message::Text("Hello"), KEY, out));
    say(&|side, out| side.connection.encode(Message::Binary(&[7; 200]), KEY, out));
    say(&|side, out| side.connection.encode(Message::Binary(&vec![7; 70_000]), KEY, out));
    say(&|side, out| side.connection.encode_fragment(first, KEY, out));
    say(&|side, out| {
        let begun = side.connection.encode_fragment(first, KEY, &mut BytesMut::new());
        begun && side.connection.encode_fragment(second, KEY, out)
    });
    say(&|side, out| side.connection.encode_ping(b"ping", KEY, out));
    say(&|side, out| side.connection.encode_pong(KEY, &mut side.scratch, out));
    say(&|side, out| side.connection.encode_close(Some(CloseCode::NORMAL), "bye", KEY, out));
    say(&|side, out| side.connection.fail(&Violation::Masked, KEY, out));
    say(&|side, out| {
        let mut bytes = *b"..............in place";
        let made = side.connection.encode_in_place(Kind::Text, KEY, &mut bytes, 14);
        made.is_some_and(|frame| {
            out.extend_from_slice(frame);
            true
        })
    });
    wires
}

#[test]
fn s5_1_a_client_masks_every_frame_that_it_sends_and_a_server_none() {
    for wire in all_that_is_sent(Role::Client) {
        assert_eq!(wire[1] & 0x80, 0x80, "{wire:x?}");
        let key_at = match wire[1] & 0x7f {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        assert_eq!(wire[key_at..key_at + 4], KEY);
    }
    for wire in all_that_is_sent(Role::Server) {
        assert_eq!(wire[1] & 0x80, 0, "{wire:x?}");
    }
}

#[test]
fn s5_1_a_server_refuses_an_unmasked_frame_and_a_client_a_masked_one() {
    for first in [TEXT, BINARY, CLOSE, PING, PONG, TEXT_BEGINS, BINARY_BEGINS] {
        for payload in [&b""[..], b"Hello", &[7; 125]] {
            let unmasked = frame(Role::Server, first, payload);
            fails_at(Role::Client, &unmasked, 2, Violation::Unmasked, 1002);
            let masked = frame(Role::Client, first, payload);
            fails_at(Role::Server, &masked, 2, Violation::Masked, 1002);
        }
    }
    let unmasked = header(Role::Server, BINARY, 70_000);
    fails_at(Role::Client, &unmasked, 2, Violation::Unmasked, 1002);
    for (from, violation) in
        [(Role::Client, Violation::Unmasked), (Role::Server, Violation::Masked)]
    {
        let begun = frame(from, TEXT_BEGINS, b"a");
        let wire = [&begun[..], &frame(other(from), ENDS, b"b")].concat();
        fails_at(from, &wire, begun.len() + 2, violation, 1002);
    }
}

#[test]
fn s5_2_a_reserved_bit_fails_at_the_first_byte() {
    for from in BOTH {
        for bit in [0x40, 0x20, 0x10] {
            for first in [TEXT, BINARY, CLOSE, PING, PONG] {
                fails_at(from, &frame(from, first | bit, b""), 1, Violation::ReservedBits, 1002);
            }
            let begun = frame(from, TEXT_BEGINS, b"a");
            let wire = [&begun[..], &frame(from, ENDS | bit, b"b")].concat();
            fails_at(from, &wire, begun.len() + 1, Violation::ReservedBits, 1002);
        }
    }
}

#[test]
fn s5_2_a_reserved_opcode_fails_at_the_first_byte() {
    for from in BOTH {
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            for fin in [0, 0x80] {
                let wire = frame(from, fin | opcode, b"");
                fails_at(from, &wire, 1, Violation::ReservedOpcode(opcode), 1002);
            }
        }
    }
}

#[test]
fn s5_2_lengths_take_their_shortest_form_in_both_directions() {
    for length in [0, 1, 125, 126, 127, 0xffff, 0x1_0000, 0x1_0001] {
        for from in BOTH {
            let payload = vec![0xa5; length];
            let mut wire = BytesMut::new();
            Connection::new(from).encode(Message::Binary(&payload), KEY, &mut wire);
            assert_eq!(wire.len(), frame_len(from, length));
            assert_eq!(Side::new(other(from)).hear(&wire), [Seen::Binary(payload)]);
        }
    }
}

#[test]
fn s5_2_a_length_not_in_its_shortest_form_fails_as_soon_as_that_is_certain() {
    for (from, mask) in [(Role::Client, 0x80), (Role::Server, 0)] {
        let violation = Violation::NonMinimalLength;
        for length in 0..126u16 {
            let wire = [&[BINARY, mask | 126][..], &length.to_be_bytes()].concat();
            fails_at(from, &wire, 4, violation, 1002);
        }
        for length in [0u64, 5, 125, 126, 0xff, 0xfffe, 0xffff] {
            // Six zeros leave no more than 16 bits.
            let wire = [&[BINARY, mask | 127][..], &length.to_be_bytes()].concat();
            fails_at(from, &wire, 8, violation, 1002);
        }
    }
}

#[test]
fn s5_2_a_length_with_its_top_bit_set_fails_at_that_byte() {
    for (from, mask) in [(Role::Client, 0x80), (Role::Server, 0)] {
        for length in [1 << 63, (1 << 63) + 5, u64::MAX] {
            let wire = [&[BINARY, mask | 127][..], &length.to_be_bytes()].concat();
            fails_at(from, &wire, 3, Violation::LengthTopBit, 1002);
        }
    }
}

#[test]
fn s5_3_any_key_unmasks_also_zero() {
    for key in [[0; 4], [0xff; 4], KEY] {
        let mut wire = BytesMut::new();
        Connection::new(Role::Client).encode(Message::Text("Hello"), key, &mut wire);
        is_heard_as(Role::Client, &wire, &[text("Hello")]);
    }
}

#[test]
fn s5_3_each_frame_has_its_own_key_and_the_mask_changes_no_length() {
    let mut wire = BytesMut::new();
    let mut client = Connection::new(Role::Client);
    for key in [KEY, [1, 2, 3, 4], [0; 4]] {
        let before = wire.len();
        client.encode(Message::Text("Hello"), key, &mut wire);
        assert_eq!(wire.len() - before, 6 + 5);
        assert_eq!(wire[before + 2..before + 6], key);
    }
    assert_eq!(&wire[wire.len() - 5..], b"Hello");
    is_heard_as(Role::Client, &wire, &[text("Hello"), text("Hello"), text("Hello")]);
}

#[test]
fn s5_4_fragments_make_one_message_with_control_frames_between() {
    for from in BOTH {
        let parts: [(u8, &[u8]); 6] = [
            (TEXT_BEGINS, b"Hel"),
            (PING, b"1"),
            (GOES_ON, b""),
            (PONG, b"2"),
            (ENDS, b"lo"),
            (BINARY, b"next"),
        ];
        let expected = [
            Seen::Ping(b"1".to_vec()),
            Seen::Pong(b"2".to_vec()),
            text("Hello"),
            Seen::Binary(b"next".to_vec()),
        ];
        is_heard_as(from, &frames(from, &parts), &expected);
    }
}

#[test]
fn s5_4_a_message_of_empty_fragments_is_empty() {
    for from in BOTH {
        let parts: [(u8, &[u8]); 3] = [(BINARY_BEGINS, b""), (GOES_ON, b""), (ENDS, b"")];
        is_heard_as(from, &frames(from, &parts), &[Seen::Binary(Vec::new())]);
    }
}

#[test]
fn s5_4_a_continuation_of_nothing_fails_at_its_first_byte() {
    for from in BOTH {
        for first in [GOES_ON, ENDS] {
            fails_at(from, &frame(from, first, b"x"), 1, Violation::LoneContinuation, 1002);
            let done = frames(from, &[(TEXT_BEGINS, b"a"), (ENDS, b"b")]);
            let wire = [&done[..], &frame(from, first, b"x")].concat();
            fails_at(from, &wire, done.len() + 1, Violation::LoneContinuation, 1002);
        }
    }
}

#[test]
fn s5_4_a_message_inside_another_fails_at_its_first_byte() {
    for from in BOTH {
        for first in [TEXT, BINARY, TEXT_BEGINS, BINARY_BEGINS] {
            let begun = frames(from, &[(TEXT_BEGINS, b"a"), (PING, b"")]);
            let wire = [&begun[..], &frame(from, first, b"b")].concat();
            fails_at(from, &wire, begun.len() + 1, Violation::InterleavedMessage, 1002);
        }
    }
}

#[test]
fn s5_4_a_message_is_sent_in_fragments_with_a_ping_between() {
    for role in BOTH {
        let mut side = Connection::new(role);
        let mut wire = BytesMut::new();
        for fragment in Message::Text("κόσμε").fragments(3) {
            assert!(side.encode_fragment(fragment, KEY, &mut wire));
            assert!(side.encode_ping(b"", KEY, &mut wire));
        }
        let ping = Seen::Ping(Vec::new());
        let [a, b, c] = [ping.clone(), ping.clone(), ping.clone()];
        is_heard_as(role, &wire, &[a, b, c, text("κόσμε"), ping]);
    }
}

#[test]
#[should_panic(expected = "must not interleave")]
fn s5_4_a_message_begun_inside_another_of_ours_is_our_own_fault() {
    let mut side = Connection::new(Role::Server);
    let mut wire = BytesMut::new();
    let first = Message::Text("Hello").fragment(0, 3);
    side.encode_fragment(first, KEY, &mut wire);
    side.encode(Message::Text("other"), KEY, &mut wire);
}

#[test]
#[should_panic(expected = "must not interleave")]
fn s5_4_a_continuation_of_nothing_of_ours_is_our_own_fault() {
    let last = Message::Text("Hello").fragment(3, 2);
    Connection::new(Role::Server).encode_fragment(last, KEY, &mut BytesMut::new());
}

#[test]
fn s5_4_the_first_frame_says_what_the_message_is() {
    for from in BOTH {
        let binary: [(u8, &[u8]); 2] = [(BINARY_BEGINS, b"\xff"), (ENDS, b"\xfe")];
        is_heard_as(from, &frames(from, &binary), &[Seen::Binary(vec![0xff, 0xfe])]);
        let both: [(u8, &[u8]); 2] = [(TEXT_BEGINS, b"a"), (ENDS, b"b")];
        is_heard_as(from, &frames(from, &both), &[text("ab")]);
    }
}

#[test]
fn s5_4_a_control_frame_is_answered_while_a_message_is_unfinished() {
    for from in BOTH {
        let mut side = Side::new(other(from));
        side.hear(&frames(from, &[(TEXT_BEGINS, b"Hel"), (PING, b"p")]));
        assert!(side.connection.owes_pong());
        let mut out = BytesMut::new();
        assert!(side.connection.encode_pong(KEY, &mut side.scratch, &mut out));
        assert_eq!(Side::new(from).hear(&out), [Seen::Pong(b"p".to_vec())]);
        assert_eq!(side.hear(&frame(from, ENDS, b"lo")), [text("Hello")]);
    }
}

#[test]
#[should_panic(expected = "at most 125 bytes")]
fn s5_5_a_ping_of_ours_over_125_bytes_is_our_own_fault() {
    Connection::new(Role::Server).encode_ping(&[0; 126], KEY, &mut BytesMut::new());
}

#[test]
fn s5_5_what_we_send_in_control_frames_is_whole_and_at_most_125_bytes() {
    for role in BOTH {
        let (mut side, mut wire) = (Side::new(role), BytesMut::new());
        side.hear(&frame(other(role), PING, &[7; 125]));
        side.connection.encode_ping(&[8; 125], KEY, &mut wire);
        side.connection.encode_pong(KEY, &mut side.scratch, &mut wire);
        side.connection.encode_close(Some(CloseCode::NORMAL), &"x".repeat(1000), KEY, &mut wire);
        let close = Seen::Close(Some(1000), "x".repeat(123));
        is_heard_as(role, &wire, &[Seen::Ping(vec![8; 125]), Seen::Pong(vec![7; 125]), close]);
    }
}

#[test]
fn s5_5_a_control_frame_over_125_bytes_fails_at_its_second_byte() {
    for from in BOTH {
        for first in [CLOSE, PING, PONG] {
            for length in [126, 0x1_0000] {
                let wire = header(from, first, length);
                fails_at(from, &wire, 2, Violation::ControlTooLong, 1002);
            }
        }
        is_heard_as(from, &frame(from, PONG, &[7; 125]), &[Seen::Pong(vec![7; 125])]);
    }
}

#[test]
fn s5_5_a_fragmented_control_frame_fails_at_its_first_byte() {
    for from in BOTH {
        for first in [CLOSE, PING, PONG] {
            let wire = frame(from, first & 0x0f, b"");
            fails_at(from, &wire, 1, Violation::FragmentedControl, 1002);
        }
    }
}

#[test]
fn s5_5_1_a_close_is_answered_with_its_code_and_what_follows_is_ignored() {
    let mut client = Side::new(Role::Client);
    let heard = client.hear(b"\x88\x05\x03\xe9bye\x81\x05Hello");
    assert_eq!(heard, [Seen::Close(Some(1001), "bye".into())]);
    assert_eq!(client.hear(b"\xff\xff not a frame"), []);
    assert_eq!(client.connection.state(), State::CloseReceived);

    let mut out = BytesMut::new();
    assert!(client.connection.encode_close(None, "", [0; 4], &mut out));
    assert_eq!(&out[..], b"\x88\x82\0\0\0\0\x03\xe9");
    assert_eq!(client.connection.state(), State::Closed);
}

#[test]
fn s5_5_1_a_close_without_code_is_answered_by_one_without_code() {
    let mut server = Side::new(Role::Server);
    assert_eq!(server.hear(&frame(Role::Client, CLOSE, b"")), [Seen::Close(None, String::new())]);
    let mut out = BytesMut::new();
    assert!(server.connection.encode_close(None, "", [0; 4], &mut out));
    assert_eq!(&out[..], b"\x88\x00");
}

#[test]
fn s5_5_1_a_reason_needs_a_code() {
    let mut out = BytesMut::new();
    assert!(Connection::new(Role::Server).encode_close(None, "lost", KEY, &mut out));
    assert_eq!(&out[..], b"\x88\x00");
}

#[test]
fn s5_5_1_a_message_of_ours_may_be_finished_before_we_answer_a_close() {
    for role in BOTH {
        let (mut side, mut wire) = (Side::new(role), BytesMut::new());
        let [first, last] = [0, 3].map(|offset| Message::Text("Hello").fragment(offset, 3));
        side.connection.encode_fragment(first, KEY, &mut wire);
        side.hear(&frame(other(role), CLOSE, b""));
        assert!(side.connection.encode_fragment(last, KEY, &mut wire));
        assert!(side.connection.encode_close(None, "", KEY, &mut wire));
        assert_eq!(side.connection.state(), State::Closed);
        is_heard_as(role, &wire, &[text("Hello"), Seen::Close(None, String::new())]);
    }
}

#[test]
fn s5_5_1_closes_that_cross_close_both_sides() {
    let (mut client, mut server) = (Side::new(Role::Client), Side::new(Role::Server));
    let [mut from_client, mut from_server] = [BytesMut::new(), BytesMut::new()];
    client.connection.encode_close(Some(CloseCode::NORMAL), "", KEY, &mut from_client);
    server.connection.encode_close(Some(CloseCode::GOING_AWAY), "", KEY, &mut from_server);
    assert_eq!(server.hear(&from_client), [Seen::Close(Some(1000), String::new())]);
    assert_eq!(client.hear(&from_server), [Seen::Close(Some(1001), String::new())]);
    for side in [client, server] {
        assert_eq!(side.connection.state(), State::Closed);
    }
}

#[test]
fn s5_5_1_a_close_inside_a_message_ends_the_message() {
    for from in BOTH {
        let mut side = Side::new(other(from));
        let heard = side.hear(&frames(from, &[(TEXT_BEGINS, b"Hel"), (CLOSE, b"")]));
        assert_eq!(heard, [Seen::Close(None, String::new())]);
        assert_eq!((side.connection.held(), side.connection.is_mid_message()), (0, false));
    }
}

#[test]
fn s5_5_1_nothing_follows_our_close() {
    for role in BOTH {
        let mut side = Side::new(role);
        let mut out = BytesMut::new();
        side.hear(&frame(other(role), PING, b"unanswered"));
        assert!(side.connection.encode_close(Some(CloseCode::NORMAL), "", KEY, &mut out));
        let sent = out.len();
        assert!(!side.connection.owes_pong());
        assert!(!side.connection.encode_pong(KEY, &mut side.scratch, &mut out));
        assert!(!side.connection.encode(Message::Text("late"), KEY, &mut out));
        assert!(!side.connection.encode_ping(b"", KEY, &mut out));
        assert!(!side.connection.encode_close(Some(CloseCode::NORMAL), "", KEY, &mut out));
        assert!(!side.connection.fail(&Violation::Masked, KEY, &mut out));
        assert_eq!(out.len(), sent);
    }
}

#[test]
fn s5_5_1_what_the_peer_sent_before_it_saw_our_close_still_arrives() {
    let mut server = Side::new(Role::Server);
    server.connection.encode_close(Some(CloseCode::GOING_AWAY), "", KEY, &mut BytesMut::new());
    assert_eq!(server.connection.state(), State::CloseSent);
    let wire = frames(Role::Client, &[(TEXT, b"crossed"), (PING, b"p"), (CLOSE, b"\x03\xe9")]);
    let close = Seen::Close(Some(1001), String::new());
    assert_eq!(server.hear(&wire), [text("crossed"), Seen::Ping(b"p".to_vec()), close]);
    assert_eq!(server.connection.state(), State::Closed);
    assert!(!server.connection.owes_pong());
    assert_eq!(server.connection.held(), 0, "a ping that cannot be answered is not kept");
}

#[test]
fn s5_5_1_a_close_of_one_byte_fails_at_the_second_byte() {
    for from in BOTH {
        fails_at(from, &frame(from, CLOSE, b"\x03"), 2, Violation::CloseOneByte, 1002);
    }
}

#[test]
fn s5_5_1_a_reason_that_is_not_utf8_fails_inside_the_frame() {
    for from in BOTH {
        let wire = frame(from, CLOSE, b"\x03\xe8abc\xed\xa0 and more");
        let at = header(from, CLOSE, 2).len() + 2 + 5;
        fails_at(from, &wire, at, Violation::CloseReasonNotUtf8, 1007);
        let cut_short = frame(from, CLOSE, b"\x03\xe8\xe6\xb0");
        let at = cut_short.len() - 1;
        fails_at(from, &cut_short, at, Violation::CloseReasonNotUtf8, 1007);
    }
}

#[test]
fn s5_5_1_a_reason_too_long_for_its_frame_is_cut_between_characters() {
    let mut out = BytesMut::new();
    let reason = "水".repeat(60);
    Connection::new(Role::Server).encode_close(Some(CloseCode::NORMAL), &reason, KEY, &mut out);
    let expected = Seen::Close(Some(1000), "水".repeat(41));
    assert_eq!(Side::new(Role::Client).hear(&out), [expected]);
}

#[test]
fn s5_5_2_a_ping_is_owed_a_pong_with_its_payload() {
    for from in BOTH {
        let mut side = Side::new(other(from));
        assert!(!side.connection.owes_pong());
        assert_eq!(side.hear(&frame(from, PING, b"beat")), [Seen::Ping(b"beat".to_vec())]);
        assert!(side.connection.owes_pong());

        let mut out = BytesMut::new();
        assert!(side.connection.encode_pong(KEY, &mut side.scratch, &mut out));
        assert_eq!(Side::new(from).hear(&out), [Seen::Pong(b"beat".to_vec())]);
        assert!(!side.connection.encode_pong(KEY, &mut side.scratch, &mut out));
        assert_eq!(side.connection.held(), 0);
    }
}

#[test]
fn s5_5_2_a_ping_behind_a_close_is_owed_nothing() {
    for from in BOTH {
        let mut side = Side::new(other(from));
        side.hear(&frames(from, &[(CLOSE, b""), (PING, b"late")]));
        assert!(!side.connection.owes_pong());
    }
}

#[test]
fn s5_5_3_a_pong_carries_the_payload_of_its_ping() {
    for from in BOTH {
        for length in 0..=125 {
            let payload: Vec<u8> = (0..length).collect();
            let (mut side, mut out) = (Side::new(other(from)), BytesMut::new());
            side.hear(&frame(from, PING, &payload));
            assert!(side.connection.encode_pong(KEY, &mut side.scratch, &mut out));
            assert_eq!(Side::new(from).hear(&out), [Seen::Pong(payload)]);
        }
    }
}

#[test]
fn s5_5_3_only_the_newest_ping_is_answered() {
    let mut client = Side::new(Role::Client);
    client.hear(&frames(Role::Server, &[(PING, b"old"), (TEXT, b"x"), (PING, b"new")]));
    let mut out = BytesMut::new();
    assert!(client.connection.encode_pong(KEY, &mut client.scratch, &mut out));
    assert_eq!(Side::new(Role::Server).hear(&out), [Seen::Pong(b"new".to_vec())]);
}

#[test]
fn s5_5_3_an_unsolicited_pong_is_no_fault() {
    for from in BOTH {
        is_heard_as(from, &frame(from, PONG, b"?"), &[Seen::Pong(b"?".to_vec())]);
    }
}

#[test]
fn s5_7_the_examples() {
    let hello = [text("Hello")];
    is_heard_as(Role::Server, b"\x81\x05Hello", &hello);
    is_heard_as(Role::Client, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", &hello);
    is_heard_as(Role::Server, b"\x01\x03Hel\x80\x02lo", &hello);
    is_heard_as(Role::Server, b"\x89\x05Hello", &[Seen::Ping(b"Hello".to_vec())]);
    let pong = [Seen::Pong(b"Hello".to_vec())];
    is_heard_as(Role::Client, b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", &pong);
    let mut wire = vec![0x82, 0x7e, 0x01, 0x00];
    wire.extend([3; 256]);
    is_heard_as(Role::Server, &wire, &[Seen::Binary(vec![3; 256])]);
}

#[test]
fn s5_7_the_examples_are_written_as_printed() {
    let mut out = BytesMut::new();
    Connection::new(Role::Client).encode(Message::Text("Hello"), KEY, &mut out);
    assert_eq!(&out[..], b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert_eq!(&encode_shared(Message::Text("Hello"))[..], b"\x81\x05Hello");
    let fragments: Vec<_> = Message::Text("Hello").fragments(3).collect();
    let mut out = BytesMut::new();
    let mut server = Connection::new(Role::Server);
    assert!(fragments.iter().all(|fragment| server.encode_fragment(*fragment, KEY, &mut out)));
    assert_eq!(&out[..], b"\x01\x03Hel\x80\x02lo");
}

#[test]
fn s6_1_nothing_is_sent_on_a_connection_that_is_closed() {
    for role in BOTH {
        let mut closed = Side::new(role);
        closed.hear(&frame(other(role), CLOSE, b""));
        closed.connection.encode_close(None, "", KEY, &mut BytesMut::new());
        let mut failed = Side::new(role);
        failed.hear(&[0xff]);
        for mut side in [closed, failed] {
            let (mut out, mut bytes) = (BytesMut::new(), [0; 20]);
            assert_eq!(side.connection.state(), State::Closed);
            assert!(!side.connection.encode(Message::Text("no"), KEY, &mut out));
            let fragment = Message::Text("no").fragment(0, 1);
            assert!(!side.connection.encode_fragment(fragment, KEY, &mut out));
            assert!(!side.connection.encode_ping(b"", KEY, &mut out));
            assert_eq!(side.connection.encode_in_place(Kind::Text, KEY, &mut bytes, 14), None);
            assert!(out.is_empty());
        }
    }
}

#[test]
fn s6_2_a_message_is_told_when_its_last_byte_is_here_and_not_before() {
    for from in BOTH {
        for length in [1, 125, 126, 70_000] {
            let payload = vec![7; length];
            let wire = frame(from, BINARY, &payload);
            let mut side = Side::new(other(from));
            assert_eq!(side.hear(&wire[..wire.len() - 1]), []);
            assert_eq!(side.hear(&wire[wire.len() - 1..]), [Seen::Binary(payload)]);
        }
    }
}

#[test]
fn s7_1_5_the_first_close_counts() {
    for from in BOTH {
        let mut side = Side::new(other(from));
        let wire = frames(from, &[(CLOSE, b"\x03\xe9first"), (CLOSE, b"\x03\xe8second")]);
        assert_eq!(side.hear(&wire), [Seen::Close(Some(1001), "first".into())]);
        assert_eq!(side.hear(&frame(from, CLOSE, b"\x03\xe8third")), []);
    }
}

#[test]
fn s7_1_7_who_fails_a_connection_hears_nothing_more_of_it() {
    for from in BOTH {
        let mut side = Side::new(other(from));
        side.hear(&frame(from, PING, b"unanswered"));
        // For a reason of the owner's; what came before was no fault.
        assert_eq!(side.fail(&Violation::MessageTooLong { max: 1 }).0, 1009);
        for first in [TEXT, BINARY, PING, PONG, TEXT_BEGINS, CLOSE] {
            assert_eq!(side.hear(&frame(from, first, b"")), []);
        }
        assert_eq!((side.connection.state(), side.connection.held()), (State::Closed, 0));
    }
}

#[test]
fn s7_4_1_codes_that_must_not_be_sent_cannot_be_made() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
        assert_eq!(CloseCode::new(code), None, "{code}");
    }
}

#[test]
fn s7_4_codes_that_may_be_sent_are_accepted_and_all_others_refused() {
    for code in 0..=u16::MAX {
        let valid = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let heard = Side::new(Role::Client).hear(&frame(Role::Server, CLOSE, &code.to_be_bytes()));
        let expected = match valid {
            true => Seen::Close(Some(code), String::new()),
            false => Seen::Fault(Violation::InvalidCloseCode),
        };
        assert_eq!(heard, [expected], "{code}");
    }
}

#[test]
fn s7_4_a_bad_code_fails_at_the_byte_that_proves_it() {
    for from in BOTH {
        let payload_at = header(from, CLOSE, 2).len();
        for (code, byte) in [
            (0u16, 1),
            (999, 2),
            (1004, 2),
            (1005, 2),
            (1006, 2),
            (1015, 2),
            (1016, 2),
            (1100, 1),
            (2000, 1),
            (2999, 2),
            (5000, 2),
            (65535, 1),
        ] {
            let body = [&code.to_be_bytes()[..], b"why"].concat();
            let wire = frame(from, CLOSE, &body);
            fails_at(from, &wire, payload_at + byte, Violation::InvalidCloseCode, 1002);
        }
    }
}

#[test]
fn s8_1_text_fails_at_the_byte_that_proves_it_also_inside_a_frame() {
    let cases: [(&[u8], usize); 7] = [
        (b"abc\xff and more", 4),
        (b"abc\x80 and more", 4),
        (b"\xc0\xaf", 1),             // overlong
        (b"\xe0\x80\xaf", 2),         // overlong
        (b"\xed\xa0\x80", 2),         // a surrogate
        (b"\xf4\x90\x80\x80", 2),     // over U+10FFFF
        (b"ok \xe6\xb0 and more", 6), // a character broken off
    ];
    for from in BOTH {
        for (payload, at) in cases {
            let start = header(from, TEXT, payload.len() as u64).len();
            fails_at(from, &frame(from, TEXT, payload), start + at, Violation::TextNotUtf8, 1007);
        }
    }
}

#[test]
fn s8_1_text_may_not_end_inside_a_character() {
    for from in BOTH {
        // At the byte behind which too few are left.
        let payload_at = header(from, TEXT, 3).len();
        let violation = Violation::TextNotUtf8;
        fails_at(from, &frame(from, TEXT, b"\xf0\x9f\xa6"), payload_at + 1, violation, 1007);
        fails_at(from, &frame(from, TEXT, b"ok \xe6\xb0"), payload_at + 4, violation, 1007);
        fails_at(from, &frame(from, TEXT, b"\xd0"), payload_at + 1, violation, 1007);
    }
}

#[test]
fn s8_1_a_last_frame_too_short_for_what_a_text_misses_fails_at_its_length() {
    for from in BOTH {
        for (begun, last) in
            [(&b"\xf0\x9f\xa6"[..], &b""[..]), (b"\xf0", b"\x9f\xa6"), (b"a\xe6", b"\xb0")]
        {
            let begun = frames(from, &[(TEXT_BEGINS, begun), (PING, b"")]);
            let wire = [&begun[..], &frame(from, ENDS, last)].concat();
            fails_at(from, &wire, begun.len() + 2, Violation::TextNotUtf8, 1007);
            // More may still come behind a frame that is not the last.
            let wire = [&begun[..], &frame(from, GOES_ON, last)].concat();
            is_heard_as(from, &wire, &[Seen::Ping(Vec::new())]);
        }
    }
}

#[test]
fn s8_1_a_character_may_be_split_over_fragments() {
    for from in BOTH {
        let parts: [(u8, &[u8]); 6] = [
            (TEXT_BEGINS, b"\xf0"),
            (GOES_ON, b"\x9f"),
            (PING, b"\xff"),
            (GOES_ON, b""),
            (GOES_ON, b"\xa6"),
            (ENDS, b"\x80"),
        ];
        let expected = [Seen::Ping(b"\xff".to_vec()), text("🦀")];
        is_heard_as(from, &frames(from, &parts), &expected);
    }
}

#[test]
fn s8_1_a_character_broken_over_fragments_fails_in_the_later_one() {
    for from in BOTH {
        let begun = frame(from, TEXT_BEGINS, b"abc\xe6\xb0");
        let wire = [&begun[..], &frame(from, GOES_ON, b"x and more")].concat();
        let at = begun.len() + header(from, GOES_ON, 10).len() + 1;
        fails_at(from, &wire, at, Violation::TextNotUtf8, 1007);
    }
}

#[test]
fn s10_4_limits_are_kept_at_the_earliest_byte_and_named_as_ours() {
    let hear = |limits: Limits, wire: &[u8]| {
        let mut client = Side { limits, ..Side::new(Role::Client) };
        let before = client.hear(&wire[..wire.len() - 1]);
        assert!(!before.iter().any(|seen| matches!(seen, Seen::Fault(_))), "too early");
        match client.hear(&wire[wire.len() - 1..])[..] {
            [Seen::Fault(violation)] => violation,
            ref heard => panic!("heard {heard:?}"),
        }
    };
    let mut frame_of_100 = Limits::default();
    frame_of_100.frame_max = 100;
    let mut message_of_100 = Limits::default();
    message_of_100.message_max = 100;
    let mut three_fragments = Limits::default();
    three_fragments.fragments_max = 3;

    let frame_too_long = Violation::FrameTooLong { max: 100 };
    assert_eq!(hear(frame_of_100, &[BINARY, 101]), frame_too_long);
    assert_eq!(hear(frame_of_100, &[BINARY, 126]), frame_too_long);
    assert_eq!(hear(frame_of_100, &[BINARY, 127]), frame_too_long);
    assert_eq!(
        hear(Limits::of_message(300), &[BINARY, 126, 2]),
        Violation::FrameTooLong { max: 300 }
    );

    let mut wire = frame(Role::Server, BINARY_BEGINS, &[0; 60]);
    wire.extend([GOES_ON, 41]);
    let message_too_long = Violation::MessageTooLong { max: 100 };
    assert_eq!(hear(message_of_100, &wire), message_too_long);

    let parts: [(u8, &[u8]); 4] = [(TEXT_BEGINS, b""), (GOES_ON, b""), (PING, b""), (GOES_ON, b"")];
    let mut wire = frames(Role::Server, &parts);
    wire.push(ENDS);
    let too_many = Violation::TooManyFragments { max: 3 };
    assert_eq!(hear(three_fragments, &wire), too_many);

    for limit in [frame_too_long, message_too_long, too_many] {
        assert!(limit.is_limit());
        assert_eq!(limit.close_code(), CloseCode::TOO_BIG);
    }
    assert!(!Violation::Masked.is_limit());
}

#[test]
fn s10_4_what_lies_within_the_limits_passes() {
    let mut side = Side { limits: Limits::of_message(100), ..Side::new(Role::Client) };
    side.limits.fragments_max = 2;
    let (half, whole) = ([1; 50], [1; 100]);
    let wire = frames(Role::Server, &[(BINARY, &whole), (BINARY_BEGINS, &half), (ENDS, &half)]);
    assert_eq!(side.hear(&wire), [Seen::Binary(whole.to_vec()), Seen::Binary(whole.to_vec())]);
}

#[test]
fn every_fault_can_be_told_in_a_close_frame() {
    let faults = [
        Violation::ReservedBits,
        Violation::ReservedOpcode(15),
        Violation::FragmentedControl,
        Violation::ControlTooLong,
        Violation::Unmasked,
        Violation::Masked,
        Violation::NonMinimalLength,
        Violation::LengthTopBit,
        Violation::LoneContinuation,
        Violation::InterleavedMessage,
        Violation::CloseOneByte,
        Violation::InvalidCloseCode,
        Violation::CloseReasonNotUtf8,
        Violation::TextNotUtf8,
        Violation::FrameTooLong { max: u64::MAX },
        Violation::MessageTooLong { max: u64::MAX },
        Violation::TooManyFragments { max: u32::MAX },
        Violation::TooMuchPinned { max: u64::MAX },
    ];
    for fault in faults {
        let told = Side::new(Role::Server).fail(&fault);
        assert_eq!(told, (fault.close_code().get(), fault.to_string()), "cut short");
    }
}
