//! Frames that no client should send: each is refused by a Close frame with the right code, which
//! the client can read, whatever else it was just sending. And some that look odd and are allowed.

use crate::rig::{
    BINARY, CLOSE, DRIVERS, Frame, PING, PONG, Raw, TEXT, drained, frame, frame_of, patient, start,
};
use halfopen_server::{Config, Echo, End};
use std::io::Write;

const PROTOCOL: u16 = 1002;
const NOT_UTF8: u16 = 1007;
const TOO_BIG: u16 = 1009;

const GOES_ON: u8 = 0x00;
const TEXT_BEGINS: u8 = 0x01;
const BINARY_BEGINS: u8 = 0x02;
const ENDS: u8 = 0x80;

const MESSAGE_MAX: u64 = 100_000;
const FRAGMENTS_MAX: u32 = 1_000;

/// What a client sends, and the code that it is refused with.
type Case = (String, Vec<u8>, u16);

fn case(name: impl Into<String>, wire: Vec<u8>, code: u16) -> Case {
    (name.into(), wire, code)
}

/// The head of a frame whose length takes eight bytes, and a few bytes of its payload.
fn announced(first: u8, length: u64) -> Vec<u8> {
    let length = length.to_be_bytes();
    frame_of(first, &[&[127], &length[..]].concat(), b"start")
}

fn lengths() -> Vec<Case> {
    let two = |first, length: u16, payload| {
        frame_of(first, &[&[126], &length.to_be_bytes()[..]].concat(), payload)
    };
    vec![
        case("the top bit of a length", announced(BINARY, 1 << 63), PROTOCOL),
        case("all bits of a length", announced(TEXT, u64::MAX), PROTOCOL),
        case("2^63 - 1 bytes", announced(BINARY, i64::MAX as u64), TOO_BIG),
        case("2^40 bytes", announced(BINARY, 1 << 40), TOO_BIG),
        case("a length that is 5 in 32 bits", announced(BINARY, (1 << 32) + 5), TOO_BIG),
        case("a byte more than a message may have", announced(TEXT, MESSAGE_MAX + 1), TOO_BIG),
        case("5 in two bytes", two(BINARY, 5, b"start"), PROTOCOL),
        case("125 in two bytes", two(TEXT, 125, &[b'a'; 125]), PROTOCOL),
        case("nothing in two bytes", two(BINARY, 0, b""), PROTOCOL),
        case("5 in eight bytes", announced(BINARY, 5), PROTOCOL),
        case("65535 in eight bytes", announced(BINARY, 0xffff), PROTOCOL),
        case("a pong whose 5 is in two bytes", two(PONG, 5, b"start"), PROTOCOL),
    ]
}

fn masks_and_first_bytes() -> Vec<Case> {
    let mut cases = Vec::new();
    for first in [TEXT, BINARY, CLOSE, PING, PONG, TEXT_BEGINS] {
        let wire = [&[first, 5], &b"hello"[..]].concat();
        cases.push(case(format!("{first:#x} not masked"), wire, PROTOCOL));
        cases.push(case(format!("{first:#x} empty, not masked"), vec![first, 0], PROTOCOL));
    }
    for rsv in [0x40, 0x20, 0x10, 0x70] {
        for first in [TEXT, BINARY, CLOSE, PING, PONG] {
            let first = first | rsv;
            cases.push(case(format!("reserved bits in {first:#x}"), frame(first, b""), PROTOCOL));
        }
        let wire = [frame(TEXT_BEGINS, b"a"), frame(ENDS | rsv, b"b")].concat();
        cases.push(case(format!("{rsv:#x} in a continuation"), wire, PROTOCOL));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let name = format!("opcode {opcode}");
        cases.push(case(&name, frame(0x80 | opcode, b"hello"), PROTOCOL));
        cases.push(case(name + " begins", frame(opcode, b""), PROTOCOL));
    }
    cases
}

fn controls() -> Vec<Case> {
    let mut cases = Vec::new();
    for first in [CLOSE, PING, PONG] {
        let name = format!("{first:#x}");
        cases.push(case(format!("{name} fragmented"), frame(first & 0x0f, b""), PROTOCOL));
        // Only the head comes: that is enough.
        let long = [0xfe, 0, 126, 0, 0, 0, 0];
        let wire = [&[first][..], &long[..]].concat();
        cases.push(case(format!("{name} of 126 bytes"), wire, PROTOCOL));
        cases.push(case(format!("{name} by its second byte"), vec![first, 0xff], PROTOCOL));
    }
    cases.push(case("half a code", frame(CLOSE, &[3]), PROTOCOL));
    for code in [0u16, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 0xffff] {
        let wire = frame(CLOSE, &code.to_be_bytes());
        cases.push(case(format!("close code {code}"), wire, PROTOCOL));
    }
    cases.push(case("a reason not UTF-8", frame(CLOSE, b"\x03\xe8ok \xff"), NOT_UTF8));
    cases.push(case("a reason cut short", frame(CLOSE, b"\x03\xe8ok \xc3"), NOT_UTF8));
    cases
}

fn fragments() -> Vec<Case> {
    let begun = |then: Vec<u8>| [frame(TEXT_BEGINS, b"a"), then].concat();
    let endless = |first: Vec<u8>, then: &[u8], times: usize| {
        [first, frame(GOES_ON, then).repeat(times)].concat()
    };
    let too_many = FRAGMENTS_MAX as usize;
    let too_much = MESSAGE_MAX as usize / 100;
    vec![
        case("text inside text", begun(frame(TEXT, b"b")), PROTOCOL),
        case("binary inside text", begun(frame(BINARY_BEGINS, b"b")), PROTOCOL),
        case("the end of nothing", frame(ENDS, b"b"), PROTOCOL),
        case("the continuation of nothing", frame(GOES_ON, b""), PROTOCOL),
        case("endless empty fragments", endless(begun(vec![]), b"", too_many), TOO_BIG),
        case(
            "endless fragments",
            endless(frame(BINARY_BEGINS, &[0; 100]), &[0; 100], too_much),
            TOO_BIG,
        ),
    ]
}

/// Text that is wrong in each way, whole, in a frame that goes on, and cut by a frame's end.
fn texts() -> Vec<Case> {
    let mut cases = Vec::new();
    let bad: [(&str, &[u8]); 11] = [
        ("a lone continuation byte", b"\x80"),
        ("an overlong slash", b"\xc0\xaf"),
        ("an overlong nothing", b"\xe0\x80\x80"),
        ("an overlong U+FFFF", b"\xf0\x8f\xbf\xbf"),
        ("a high surrogate", b"\xed\xa0\x80"),
        ("a low surrogate", b"\xed\xbf\xbf"),
        ("above U+10FFFF", b"\xf4\x90\x80\x80"),
        ("a byte that leads nothing", b"\xf5"),
        ("0xff", b"\xff"),
        ("a letter inside a character", b"\xe2\x82A"),
        ("a character begun anew", b"\xc3\xc3"),
    ];
    for (name, bytes) in bad {
        let text = [b"good ", bytes].concat();
        cases.push(case(name, frame(TEXT, &text), NOT_UTF8));
        // The frame is to go on for a hundred bytes that never come.
        let mut unfinished = frame_of(TEXT, &[105], &text);
        unfinished.truncate(6 + text.len());
        cases.push(case(format!("{name}, at once"), unfinished, NOT_UTF8));
        for split in 1..text.len() {
            let (begin, end) = text.split_at(split);
            let wire = [frame(TEXT_BEGINS, begin), frame(ENDS, end)].concat();
            cases.push(case(format!("{name}, cut at {split}"), wire, NOT_UTF8));
        }
    }
    for cut in ["ä", "€", "😀"] {
        for left in 1..cut.len() {
            let name = format!("{left} bytes of {cut}");
            let start = &cut.as_bytes()[..left];
            cases.push(case(&name, frame(TEXT, start), NOT_UTF8));
            let wire = [frame(TEXT_BEGINS, start), frame(GOES_ON, b""), frame(ENDS, b"")].concat();
            cases.push(case(name + ", then empty frames", wire, NOT_UTF8));
        }
    }
    cases
}

fn hostile() -> Vec<Case> {
    [lengths(), masks_and_first_bytes(), controls(), fragments(), texts()].concat()
}

fn config() -> Config {
    let mut config = patient();
    config.limits.frame_max = MESSAGE_MAX;
    config.limits.message_max = MESSAGE_MAX;
    config.limits.fragments_max = FRAGMENTS_MAX;
    config
}

/// Exactly one Close frame with that code, and then FIN.
fn assert_refused(frames: &[Frame], code: u16, name: &str) {
    let [close] = frames else { panic!("{name}: {frames:?}") };
    assert_eq!(close.close_code(), Some(code), "{name}: {close:?}");
    assert!(close.payload.len() > 2, "{name}: it is told why");
}

#[test]
fn none_of_the_hostile_inputs_is_accepted_and_each_is_refused_with_the_right_code() {
    for driver in DRIVERS {
        let server = start(driver, config(), || Echo);
        let cases = hostile();
        for (name, wire, code) in &cases {
            let mut client = Raw::open(&server);
            client.send(wire);
            assert_refused(&client.until_the_end(), *code, &format!("{} {name}", driver.name()));
        }
        let stats = drained(server);
        assert_eq!(stats.ended(End::Violation), cases.len() as u64);
        assert_eq!((stats.messages_received, stats.pings_received), (0, 0));
    }
}

#[test]
fn a_byte_a_segment_is_refused_the_same() {
    for driver in DRIVERS {
        let server = start(driver, config(), || Echo);
        for (name, wire, code) in hostile().iter().filter(|(_, wire, _)| wire.len() < 200) {
            let mut client = Raw::open(&server);
            for byte in wire {
                client.send(&[*byte]);
            }
            assert_refused(&client.until_the_end(), *code, &format!("{} {name}", driver.name()));
        }
        drained(server);
    }
}

#[test]
fn the_close_frame_reaches_a_client_that_goes_on_sending() {
    for driver in DRIVERS {
        let server = start(driver, config(), || Echo);
        for (name, wire, code) in hostile().into_iter().step_by(7) {
            let client = Raw::open(&server);
            let mut sending = client.stream.try_clone().unwrap();
            // More than the kernel holds for a peer that does not read.
            let more = vec![0x5a; 8 << 20];
            let sender = std::thread::spawn(move || {
                sending.write_all(&wire).unwrap();
                sending.write_all(&more)
            });
            assert_refused(&client.until_the_end(), code, &format!("{} {name}", driver.name()));
            // It may have been stopped by our own end of the connection.
            let _ = sender.join().unwrap();
        }
        drained(server);
    }
}

#[test]
fn what_came_before_the_fault_is_answered_before_the_close() {
    for driver in DRIVERS {
        let server = start(driver, config(), || Echo);
        for (name, wire, code) in hostile() {
            let mut client = Raw::open(&server);
            client.send(&[frame(TEXT, b"hello"), frame(PING, b"?"), wire].concat());
            let mut frames = client.until_the_end();
            let close = frames.pop().unwrap_or_else(|| panic!("{name}: nothing came"));
            assert_refused(&[close], code, &format!("{} {name}", driver.name()));
            let (echo, pong) = (Frame::new(TEXT, b"hello"), Frame::new(PONG, b"?"));
            assert!(frames == [pong.clone(), echo.clone()] || frames == [echo, pong], "{frames:?}");
        }
        drained(server);
    }
}

#[test]
fn what_looks_odd_and_is_allowed_is_taken() {
    for driver in DRIVERS {
        let mut config = config();
        config.limits.message_max = 4 << 20;
        config.limits.fragments_max = 1 << 16;
        let server = start(driver, config, || Echo);
        let mut client = Raw::open(&server);

        let zero_key = [TEXT, 0x82, 0, 0, 0, 0, b'o', b'k'];
        client.send(&zero_key);
        assert_eq!(client.frame(), Frame::new(TEXT, b"ok"), "a key of zeros");

        client.send(&[frame(PONG, b"nobody asked"), frame(PONG, b"")].concat());
        let torn = [
            frame(TEXT_BEGINS, b"\xf0\x9f"),
            frame(PING, b"between"),
            frame(GOES_ON, b""),
            frame(GOES_ON, b"\x98"),
            frame(PONG, b"unasked"),
            frame(ENDS, b"\x80"),
        ];
        client.send(&torn.concat());
        assert_eq!(client.frame(), Frame::new(PONG, b"between"));
        assert_eq!(client.frame(), Frame::new(TEXT, "😀".as_bytes()));

        // 65,536 fragments of 64 bytes.
        client.send(&frame(BINARY_BEGINS, &[1; 64]));
        client.send(&frame(GOES_ON, &[1; 64]).repeat((1 << 16) - 2));
        client.send(&frame(ENDS, &[1; 64]));
        let mut length = 0;
        while length < 4 << 20 {
            length += client.frame().payload.len();
        }
        assert_eq!(length, 4 << 20);
        drop(client);
        let stats = drained(server);
        assert_eq!((stats.messages_received, stats.pongs_unsolicited), (3, 3));
    }
}

#[test]
fn every_code_that_may_be_sent_is_echoed_and_nothing_behind_it_is_heard() {
    for driver in DRIVERS {
        let server = start(driver, config(), || Echo);
        let codes = (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4999]);
        let bodies = codes.map(|code: u16| [&code.to_be_bytes()[..], "größer".as_bytes()].concat());
        for body in bodies.chain([vec![]]) {
            let mut client = Raw::open(&server);
            client.send(&[frame(CLOSE, &body), frame(TEXT, b"late"), vec![0xff; 9]].concat());
            let code = &body[..body.len().min(2)];
            assert_eq!(client.until_the_end(), [Frame::new(CLOSE, code)], "{}", driver.name());
        }
        let stats = drained(server);
        assert_eq!((stats.ended(End::Closed), stats.messages_received), (17, 0));
    }
}
