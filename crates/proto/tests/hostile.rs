//! What a hostile peer sends: nothing of it is accepted, each fault is told in a Close frame with its
//! code, and none of it costs us memory that the peer has not paid for in bytes.
//!
//! `fails_at` tries each input in one piece, byte by byte, and cut at every place.

mod common;

use bytes::BytesMut;
use common::{Seen, Side, fails_at, frame, frames, header, is_heard_as, other};
use halfopen_proto::{CloseCode, Limits, Message, Role, Violation};

const BOTH: [Role; 2] = [Role::Client, Role::Server];
const CLIENT: Role = Role::Client;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const TEXT_BEGINS: u8 = 0x01;
const BINARY_BEGINS: u8 = 0x02;
const GOES_ON: u8 = 0x00;
const ENDS: u8 = 0x80;

const RSV1: u8 = 0x40;

/// What a connection may hold beside the bytes that it has received.
const OVERHEAD: usize = 512;

fn server() -> Side {
    Side::new(Role::Server)
}

fn with(limits: Limits) -> Side {
    Side { limits, ..server() }
}

fn boundless() -> Side {
    let mut limits = Limits::of_message(u64::MAX);
    limits.fragments_max = u32::MAX;
    with(limits)
}

/// Where the payload of a frame begins, its length being written in one byte.
fn payload_at(from: Role) -> usize {
    header(from, TEXT, 0).len()
}

// Lengths.

#[test]
fn a_length_with_its_top_bit_set_is_refused_at_that_byte() {
    for (from, mask) in [(Role::Client, 0x80), (Role::Server, 0)] {
        for length in [1u64 << 63, (1 << 63) | 5, u64::MAX] {
            let wire = [&[BINARY, mask | 127][..], &length.to_be_bytes()].concat();
            fails_at(from, &wire, 3, Violation::LengthTopBit, 1002);
        }
    }
}

#[test]
fn a_declared_length_allocates_nothing() {
    for length in [1 << 40, i64::MAX as u64, (1 << 32) + 5] {
        let mut side = boundless();
        assert_eq!(side.hear(&header(CLIENT, BINARY, length)), []);
        assert!(side.connection.held() < OVERHEAD, "{} bytes held", side.connection.held());
        assert_eq!(side.hear(b"start"), []);
        assert!(side.connection.held() < OVERHEAD, "{} bytes held", side.connection.held());
    }
}

#[test]
fn a_length_is_not_cut_to_32_bits() {
    // The five bytes that are left of it if it is.
    let mut wire = header(CLIENT, BINARY, (1 << 32) + 5);
    wire.extend(b"start");
    for cut in 0..=wire.len() {
        let mut side = boundless();
        assert_eq!(side.hear_cut(&wire, &[cut]), [], "cut at {cut}");
        assert!(side.connection.is_mid_message());
    }
}

#[test]
fn a_declared_length_over_the_limit_is_refused_at_the_byte_that_proves_it() {
    let max = Limits::default().frame_max;
    let violation = Violation::FrameTooLong { max };
    for from in BOTH {
        for (length, at) in [(max + 1, 10), (1 << 32, 6), (1 << 40, 5), (i64::MAX as u64, 3)] {
            fails_at(from, &header(from, BINARY, length)[..10], at, violation, 1009);
        }
    }
}

#[test]
fn a_small_limit_holds_for_frames_that_come_whole_too() {
    for from in BOTH {
        for max in [0u64, 19, 124, 500] {
            let limits = Limits::of_message(max);
            let refused = Violation::FrameTooLong { max };
            for first in [TEXT, BINARY] {
                let mut side = Side { limits, ..Side::new(other(from)) };
                let (fits, long) = (vec![b'a'; max as usize], vec![b'a'; max as usize + 1]);
                assert_eq!(side.hear(&frame(from, first, &fits)).len(), 1);
                assert_eq!(side.hear(&frame(from, first, &long)), [Seen::Fault(refused)]);
            }
            // Control frames have bounds of their own.
            let mut side = Side { limits, ..Side::new(other(from)) };
            assert_eq!(side.hear(&frame(from, PONG, &[7; 125])), [Seen::Pong(vec![7; 125])]);
        }
    }
}

#[test]
fn lengths_that_sum_up_past_64_bits_are_refused() {
    let mut side = with(Limits::default());
    side.limits.frame_max = u64::MAX;
    let mut wire = frame(CLIENT, BINARY_BEGINS, b"x");
    wire.extend(header(CLIENT, ENDS, i64::MAX as u64));
    let max = side.limits.message_max;
    assert_eq!(side.hear(&wire), [Seen::Fault(Violation::MessageTooLong { max })]);
}

#[test]
fn lengths_not_in_their_shortest_form_are_refused() {
    let violation = Violation::NonMinimalLength;
    for (from, mask) in [(Role::Client, 0x80), (Role::Server, 0)] {
        // As the length says, so that nothing else is wrong with the frame.
        let rest = [0; 4 + 126];
        for first in [TEXT, BINARY, TEXT_BEGINS] {
            for length in [0u16, 1, 125] {
                let wire = [&[first, mask | 126][..], &length.to_be_bytes(), &rest].concat();
                fails_at(from, &wire, 4, violation, 1002);
            }
            for length in [0u64, 125, 126, 0xffff] {
                let wire = [&[first, mask | 127][..], &length.to_be_bytes(), &rest].concat();
                fails_at(from, &wire, 8, violation, 1002);
            }
        }
    }
}

// Masks.

#[test]
fn a_mask_that_is_missing_or_should_be_is_refused_at_the_second_byte() {
    for first in [TEXT, BINARY, CLOSE, PING, PONG] {
        let unmasked = frame(Role::Server, first, b"\x03\xe8");
        fails_at(Role::Client, &unmasked, 2, Violation::Unmasked, 1002);
        let masked = frame(Role::Client, first, b"\x03\xe8");
        fails_at(Role::Server, &masked, 2, Violation::Masked, 1002);
    }
}

#[test]
fn a_key_of_zero_is_a_key() {
    is_heard_as(CLIENT, b"\x81\x85\0\0\0\0Hello", &[Seen::Text("Hello".into())]);
    // And one that makes valid text of what is none on the wire.
    is_heard_as(CLIENT, b"\x81\x81\xff\0\0\0\x9e", &[Seen::Text("a".into())]);
}

// Reserved bits and opcodes.

#[test]
fn a_reserved_bit_is_refused_on_every_kind_of_frame() {
    for from in BOTH {
        for bit in [RSV1, 0x20, 0x10, 0x70] {
            for first in [TEXT, BINARY, CLOSE, PING, PONG, TEXT_BEGINS] {
                fails_at(from, &frame(from, first | bit, b""), 1, Violation::ReservedBits, 1002);
            }
            let begun = frame(from, TEXT_BEGINS, b"a");
            for next in [GOES_ON, ENDS, PING, CLOSE] {
                let wire = [&begun[..], &frame(from, next | bit, b"")].concat();
                fails_at(from, &wire, begun.len() + 1, Violation::ReservedBits, 1002);
            }
        }
    }
}

// Control frames.

#[test]
fn a_control_frame_in_fragments_is_refused_at_its_first_byte() {
    for from in BOTH {
        for first in [CLOSE, PING, PONG] {
            let begins = frame(from, first & 0x0f, b"p");
            fails_at(from, &begins, 1, Violation::FragmentedControl, 1002);
            let begun = frame(from, BINARY_BEGINS, b"a");
            let wire = [&begun[..], &begins].concat();
            fails_at(from, &wire, begun.len() + 1, Violation::FragmentedControl, 1002);
        }
    }
}

#[test]
fn a_control_frame_over_125_bytes_is_refused_at_its_second_byte() {
    for from in BOTH {
        for first in [CLOSE, PING, PONG] {
            for length in [126, 0xffff, 0x1_0000, i64::MAX as u64] {
                let wire = header(from, first, length);
                fails_at(from, &wire, 2, Violation::ControlTooLong, 1002);
            }
            let whole = frame(from, first, &[b'a'; 126]);
            fails_at(from, &whole, 2, Violation::ControlTooLong, 1002);
        }
    }
}

#[test]
fn a_close_of_one_byte_is_refused_at_its_second_byte() {
    for from in BOTH {
        for byte in [0x03, 0xff] {
            fails_at(from, &frame(from, CLOSE, &[byte]), 2, Violation::CloseOneByte, 1002);
        }
    }
}

#[test]
fn a_bad_close_code_is_refused_at_the_byte_that_proves_it() {
    for from in BOTH {
        for code in (0..=0xffu16).map(|high| high << 8 | 0xff).chain([999, 1004, 1005, 1006, 1015])
        {
            if CloseCode::new(code).is_some() {
                continue;
            }
            let [high, _] = code.to_be_bytes();
            let may_go_on =
                (0..=0xff).any(|low| CloseCode::new(u16::from(high) << 8 | low).is_some());
            let at = payload_at(from) + if may_go_on { 2 } else { 1 };
            let wire = frame(from, CLOSE, &code.to_be_bytes());
            fails_at(from, &wire, at, Violation::InvalidCloseCode, 1002);
        }
    }
}

#[test]
fn unusual_close_codes_that_are_valid_are_accepted() {
    for from in BOTH {
        for code in [1012u16, 1013, 1014, 3000, 3999, 4000, 4999] {
            let wire = frame(from, CLOSE, &code.to_be_bytes());
            is_heard_as(from, &wire, &[Seen::Close(Some(code), String::new())]);
        }
    }
}

#[test]
fn a_close_reason_that_is_not_text_is_refused_at_the_byte_that_proves_it() {
    for from in BOTH {
        for (broken, at) in BROKEN {
            let body = [b"\x03\xe8why ", broken, b" and more"].concat();
            let at = payload_at(from) + 2 + 4 + at;
            fails_at(from, &frame(from, CLOSE, &body), at, Violation::CloseReasonNotUtf8, 1007);
        }
        let cut_short = frame(from, CLOSE, b"\x03\xe8\xf0\x9f\xa6");
        let at = payload_at(from) + 3;
        fails_at(from, &cut_short, at, Violation::CloseReasonNotUtf8, 1007);
    }
}

// Fragments.

#[test]
fn a_message_begun_inside_another_is_refused_at_its_first_byte() {
    for from in BOTH {
        let begun = frames(from, &[(TEXT_BEGINS, b"a"), (GOES_ON, b"b"), (PING, b"")]);
        for first in [TEXT, BINARY, TEXT_BEGINS, BINARY_BEGINS] {
            let wire = [&begun[..], &frame(from, first, b"c")].concat();
            fails_at(from, &wire, begun.len() + 1, Violation::InterleavedMessage, 1002);
        }
    }
}

#[test]
fn a_continuation_of_nothing_is_refused_at_its_first_byte() {
    for from in BOTH {
        let done = frames(from, &[(TEXT, b"whole"), (TEXT_BEGINS, b"a"), (ENDS, b"b")]);
        for first in [GOES_ON, ENDS] {
            fails_at(from, &frame(from, first, b"c"), 1, Violation::LoneContinuation, 1002);
            let wire = [&done[..], &frame(from, first, b"c")].concat();
            fails_at(from, &wire, done.len() + 1, Violation::LoneContinuation, 1002);
        }
    }
}

#[test]
fn control_frames_between_fragments_are_heard_at_once_and_change_nothing() {
    for from in BOTH {
        let parts: [(u8, &[u8]); 5] = [
            (TEXT_BEGINS, b"\xf0\x9f"),
            (PING, b"\xff"),
            (GOES_ON, b""),
            (PONG, b""),
            (ENDS, b"\xa6\x80"),
        ];
        let expected =
            [Seen::Ping(vec![0xff]), Seen::Pong(Vec::new()), Seen::Text("\u{1f980}".into())];
        is_heard_as(from, &frames(from, &parts), &expected);
    }
}

// Text.

/// What no text may hold, and the byte of it (counted from one) that proves it.
const BROKEN: [(&[u8], usize); 14] = [
    (b"\x80", 1),
    (b"\xc0\xaf", 1),
    (b"\xc1\xbf", 1),
    (b"\xe0\x80\xaf", 2),
    (b"\xe0\x9f\xbf", 2),
    (b"\xed\xa0\x80", 2), // the first surrogate
    (b"\xed\xbf\xbf", 2), // the last one
    (b"\xf0\x80\x80\xaf", 2),
    (b"\xf0\x8f\xbf\xbf", 2),
    (b"\xf4\x90\x80\x80", 2), // over U+10FFFF
    (b"\xf5\x80\x80\x80", 1),
    (b"\xff", 1),
    (b"\xe6\xb0 ", 3),
    (b"\xf0\x9f\xa6\xff", 4),
];

#[test]
fn text_that_is_none_is_refused_inside_the_frame_at_the_byte_that_proves_it() {
    // Behind as much text as kernels take in one step, and less and more.
    for from in BOTH {
        for before in [0, 1, 15, 63, 64, 100] {
            for (broken, at) in BROKEN {
                let payload = [&vec![b'a'; before], broken, b" and more"].concat();
                let at = payload_at(from) + before + at;
                fails_at(from, &frame(from, TEXT, &payload), at, Violation::TextNotUtf8, 1007);
            }
        }
    }
}

#[test]
fn text_that_is_none_is_refused_wherever_fragments_split_it() {
    for from in BOTH {
        for (broken, at) in BROKEN {
            let text = [b"ok ", broken, b" and more"].concat();
            for split in 0..text.len() {
                let parts = frames(from, &[(TEXT_BEGINS, &text[..split]), (ENDS, &text[split..])]);
                let fault = 3 + at;
                let headers = if fault > split { 2 } else { 1 } * payload_at(from);
                fails_at(from, &parts, headers + fault, Violation::TextNotUtf8, 1007);
            }
        }
    }
}

#[test]
fn a_character_split_over_fragments_at_every_place_is_one_character() {
    for from in BOTH {
        let text = "aж水🦀";
        for split in 0..=text.len() {
            let (first, last) = text.as_bytes().split_at(split);
            let wire = frames(from, &[(TEXT_BEGINS, first), (ENDS, last)]);
            is_heard_as(from, &wire, &[Seen::Text(text.into())]);
        }
    }
}

#[test]
fn a_split_character_that_an_empty_frame_ends_is_refused() {
    for from in BOTH {
        for begun in [&b"\xd0"[..], b"ok \xe6\xb0", b"\xf0\x9f\xa6"] {
            let before = frames(from, &[(TEXT_BEGINS, begun), (GOES_ON, b"")]);
            let wire = [&before[..], &frame(from, ENDS, b"")].concat();
            // Its length proves it.
            fails_at(from, &wire, before.len() + 2, Violation::TextNotUtf8, 1007);
        }
    }
}

// Messages that never end.

#[test]
fn a_byte_a_segment_gives_the_message() {
    let wire = frames(CLIENT, &[(TEXT_BEGINS, "κόσμε".as_bytes()), (PING, b"p"), (ENDS, b"!")]);
    let cuts: Vec<usize> = (1..wire.len()).collect();
    let expected = [Seen::Ping(b"p".to_vec()), Seen::Text("κόσμε!".into())];
    assert_eq!(server().hear_cut(&wire, &cuts), expected);
}

#[test]
fn frames_of_one_byte_gather_into_one_message_and_hold_no_more_than_twice_its_bytes() {
    let mut side = server();
    side.hear(&frame(CLIENT, BINARY_BEGINS, b"x"));
    for more in 2..10_000 {
        assert_eq!(side.hear(&frame(CLIENT, GOES_ON, b"x")), []);
        assert!(side.connection.held() <= 2 * more + OVERHEAD);
    }
    assert_eq!(side.hear(&frame(CLIENT, ENDS, b"")), [Seen::Binary(vec![b'x'; 9_999])]);
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
    let violation = Violation::TooManyFragments { max };
    assert_eq!(side.hear(&empty), [Seen::Fault(violation)]);
    assert_eq!(side.fail(&violation).0, 1009);
}

#[test]
fn a_message_without_end_stops_at_the_limit() {
    for first in [TEXT_BEGINS, BINARY_BEGINS] {
        let mut side = with(Limits::of_message(1 << 20));
        side.hear(&frame(CLIENT, first, b""));
        let more = frame(CLIENT, GOES_ON, &vec![b'a'; 1 << 16]);
        for _ in 0..16 {
            assert_eq!(side.hear(&more), []);
            assert!(side.connection.held() <= (1 << 20) + OVERHEAD);
        }
        assert!(side.connection.is_mid_message());
        let violation = Violation::MessageTooLong { max: 1 << 20 };
        assert_eq!(side.hear(&more), [Seen::Fault(violation)]);
        assert_eq!(side.connection.held(), 0, "a failed connection holds nothing");
        assert_eq!(side.fail(&violation).0, 1009);
    }
}

#[test]
fn memory_that_is_only_reserved_is_bounded_too() {
    // Growing by doubling would reserve up to twice as much as is allowed.
    let max = 100_000;
    for segment in [1, 999, 65_537, 99_999] {
        let mut side = with(Limits::of_message(max));
        side.hear(&header(CLIENT, BINARY, max));
        for piece in vec![7; max as usize - 1].chunks(segment) {
            assert_eq!(side.hear(piece), []);
            assert!(side.connection.held() <= max as usize + OVERHEAD, "segments of {segment}");
        }
        assert!(matches!(side.hear(&[7])[..], [Seen::Binary(_)]));
    }
}

#[test]
fn an_unfinished_message_that_would_pin_too_much_is_refused_as_soon_as_that_is_known() {
    let mut limits = Limits::default();
    limits.pinned_max = 1000;
    let violation = Violation::TooMuchPinned { max: 1000 };

    // Its frame will not come whole, so all of it would have to be held.
    let mut side = with(limits);
    assert_eq!(side.hear(&header(CLIENT, BINARY, 1001)), [Seen::Fault(violation)]);
    assert_eq!(side.fail(&violation).0, 1009);

    let mut side = with(limits);
    assert_eq!(side.hear(&frame(CLIENT, TEXT_BEGINS, &[b'a'; 600])), []);
    assert!(side.connection.held() <= 1000 + OVERHEAD);
    assert_eq!(side.hear(&header(CLIENT, GOES_ON, 401)), [Seen::Fault(violation)]);
    assert_eq!(side.connection.held(), 0);

    // What comes whole is not held.
    let whole = frame(CLIENT, BINARY, &[7; 1001]);
    assert_eq!(with(limits).hear(&whole), [Seen::Binary(vec![7; 1001])]);
    let in_pieces = frames(CLIENT, &[(BINARY_BEGINS, &[7; 600]), (ENDS, &[7; 400])]);
    assert_eq!(with(limits).hear_cut(&in_pieces, &[1, 500]), [Seen::Binary(vec![7; 1000])]);
}

#[test]
fn a_message_that_is_never_finished_is_told_apart_so_that_its_age_can_be_watched() {
    for wire in
        [frame(CLIENT, TEXT, b"Hello"), frames(CLIENT, &[(TEXT_BEGINS, b"He"), (ENDS, b"y")])]
    {
        let mut side = server();
        for byte in &wire[..wire.len() - 1] {
            assert!(side.hear(&[*byte]).is_empty() && side.connection.is_mid_message());
        }
        side.hear(&wire[wire.len() - 1..]);
        assert!(!side.connection.is_mid_message());
    }
}

// Heartbeats.

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
fn pongs_that_are_wrong_old_or_early_are_handed_on_as_they_are() {
    // Which of them answers what is for who knows the pings and the time.
    let mut side = server();
    side.connection.encode_ping(b"now", [0; 4], &mut BytesMut::new());
    let wire = frames(CLIENT, &[(PONG, b"old"), (PONG, b""), (PONG, b"now"), (PONG, b"now")]);
    let expected = [&b"old"[..], b"", b"now", b"now"].map(|payload| Seen::Pong(payload.to_vec()));
    assert_eq!(side.hear(&wire), expected);
}

// After the end.

#[test]
fn data_after_a_close_is_ignored_in_the_same_input_and_later() {
    let mut side = server();
    let wire = frames(CLIENT, &[(CLOSE, b"\x03\xe8"), (BINARY, b"late"), (CLOSE, b"\x03\xe9")]);
    assert_eq!(side.hear(&wire), [Seen::Close(Some(1000), String::new())]);
    assert_eq!(side.hear(&[0xff; 4096]), []);
    assert_eq!(side.connection.held(), 0);
}

#[test]
fn a_failed_connection_hears_and_says_nothing_more() {
    for role in BOTH {
        let (mut side, from) = (Side::new(role), other(role));
        let mut out = BytesMut::new();
        side.hear(&frame(from, PING, b"before"));
        assert_eq!(side.hear(&[0xff]), [Seen::Fault(Violation::ReservedBits)]);
        assert_eq!(side.hear(&frame(from, PING, b"after")), []);
        assert!(!side.connection.owes_pong());
        assert!(!side.connection.encode(Message::Text("no"), [0; 4], &mut out));
        assert!(!side.connection.encode_ping(b"", [0; 4], &mut out));
        assert!(out.is_empty());
        assert_eq!(side.fail(&Violation::ReservedBits).0, CloseCode::PROTOCOL_ERROR.get());
    }
}

#[test]
fn what_stands_behind_a_fault_in_the_same_input_is_not_looked_at() {
    for from in BOTH {
        let wire = frames(from, &[(TEXT, b"\xff"), (TEXT, b"after"), (CLOSE, b"")]);
        assert_eq!(Side::new(other(from)).hear(&wire), [Seen::Fault(Violation::TextNotUtf8)]);
    }
}
