//! Servers that send what no server should: our client refuses it with the right code, and says so.

use crate::{DRIVERS, asked};
use halfopen_driver::DriverKind;
use halfopen_loadgen::death::Unwatched;
use halfopen_loadgen::plan::{Asked, resolve};
use halfopen_loadgen::record::Ending;
use halfopen_loadgen::run::{Ended, Run};
use halfopen_proto::handshake::{HeadLimits, Request};
use halfopen_proto::{CloseCode, Connection, Incoming, Limits, Role, Scratch};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

const PROTOCOL: u16 = 1002;
const NOT_UTF8: u16 = 1007;
const TOO_BIG: u16 = 1009;

/// Longer than anything here takes; nothing is asserted about it.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server sends behind its handshake, and the code that our client answers with.
fn hostile() -> Vec<(&'static str, Vec<u8>, u16)> {
    let frame = |first: u8, payload: &[u8]| [&[first, payload.len() as u8], payload].concat();
    let announced = |first: u8, length: u64| [&[first, 127], &length.to_be_bytes()[..]].concat();
    vec![
        ("a mask", vec![0x81, 0x85, 1, 2, 3, 4, b'h', b'e', b'l', b'l', b'o'], PROTOCOL),
        ("a mask over nothing", vec![0x82, 0x80, 0, 0, 0, 0], PROTOCOL),
        ("a reserved bit", frame(0xc1, b"hello"), PROTOCOL),
        ("a reserved bit in a ping", frame(0xa9, b""), PROTOCOL),
        ("opcode 3", frame(0x83, b""), PROTOCOL),
        ("opcode 15", frame(0x8f, b""), PROTOCOL),
        ("a fragmented ping", frame(0x09, b""), PROTOCOL),
        ("a ping of 126 bytes", vec![0x89, 126], PROTOCOL),
        ("the top bit of a length", announced(0x82, 1 << 63), PROTOCOL),
        ("a length that could be shorter", announced(0x82, 65_535), PROTOCOL),
        ("5 in two bytes", vec![0x82, 126, 0, 5], PROTOCOL),
        ("2^63 - 1 bytes", announced(0x82, i64::MAX as u64), TOO_BIG),
        ("2^40 bytes", announced(0x81, 1 << 40), TOO_BIG),
        ("the continuation of nothing", frame(0x80, b""), PROTOCOL),
        ("text inside text", [frame(0x01, b"a"), frame(0x81, b"b")].concat(), PROTOCOL),
        ("half a close code", frame(0x88, &[3]), PROTOCOL),
        ("close code 1005", frame(0x88, &1005u16.to_be_bytes()), PROTOCOL),
        ("close code 5000", frame(0x88, &5000u16.to_be_bytes()), PROTOCOL),
        ("a reason not UTF-8", frame(0x88, b"\x03\xe8\xff"), NOT_UTF8),
        ("text not UTF-8", frame(0x81, b"\xed\xa0\x80"), NOT_UTF8),
        ("text not UTF-8 that goes on", vec![0x81, 100, 0xc0], NOT_UTF8),
        ("a character cut short", [frame(0x01, b"\xe2\x82"), frame(0x80, b"")].concat(), NOT_UTF8),
    ]
}

/// Shakes hands; how much is said behind the answer in the same write.
fn shake_hands(stream: &mut TcpStream, glued: &[u8]) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = Vec::new();
    let mut answer = loop {
        let mut bytes = [0; 1024];
        let length = stream.read(&mut bytes).unwrap();
        head.extend_from_slice(&bytes[..length]);
        if let Some((request, _)) = Request::parse(&head, &HeadLimits::default()).unwrap() {
            let mut answer = bytes::BytesMut::new();
            request.accept(None, &[], &mut answer).unwrap();
            break answer;
        }
    };
    answer.extend_from_slice(glued);
    stream.write_all(&answer).unwrap();
}

/// All that a client says up to its FIN, which has to be one Close frame, masked; its code.
fn close_code(stream: &mut TcpStream) -> Option<u16> {
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("FIN, and no reset");
    let mut ws = Connection::new(Role::Server);
    let (mut input, limits, mut scratch) = (&mut said[..], Limits::default(), Scratch::default());
    let incoming = ws.receive(&mut input, &limits, &mut scratch).expect("a lawful client");
    let Some(Incoming::Close(code, reason)) = incoming else { panic!("{incoming:?}") };
    assert!(!reason.is_empty(), "it says why");
    code.map(CloseCode::get)
}

/// Plays a server to one connection after the other, and stays with the last.
fn serve(listener: TcpListener, glued: bool) -> JoinHandle<TcpStream> {
    std::thread::spawn(move || {
        for (name, wire, code) in hostile() {
            let (mut stream, _) = listener.accept().unwrap();
            shake_hands(&mut stream, if glued { &wire } else { b"" });
            if !glued {
                stream.write_all(&wire).unwrap();
            }
            assert_eq!(close_code(&mut stream), Some(code), "{name}");
        }
        let (mut last, _) = listener.accept().unwrap();
        shake_hands(&mut last, b"");
        last
    })
}

#[test]
fn a_server_that_breaks_the_protocol_is_refused_with_the_right_code() {
    // Each waits most of its time, so they run side by side.
    std::thread::scope(|scope| {
        for driver in DRIVERS {
            scope.spawn(move || refuse_each(driver, false));
            scope.spawn(move || refuse_each(driver, true));
        }
    });
}

/// Meets every hostile server, which speaks in one write with its handshake's answer or after it.
fn refuse_each(driver: DriverKind, glued: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let serving = serve(listener, glued);
    let cases = hostile();
    let connections = cases.len() as u32 + 1;
    let duration = Duration::from_secs(600);
    let asked = Asked { connections, duration, server_ping: None, ..asked(&url) };
    let run = Run::start(resolve(&asked).unwrap(), driver, Arc::new(Unwatched)).unwrap();
    let last = serving.join().expect("each was refused as it should be");
    run.interrupt().interrupt();
    let outcome = run.join().unwrap();
    drop(last);
    assert_eq!(outcome.ended, Ended::Interrupted, "{}", driver.name());
    let losses = outcome.tally.losses.iter().map(|loss| match loss.ending {
        Ending::Violation(code) => code,
        other => panic!("{other:?}"),
    });
    let mut losses: Vec<_> = losses.collect();
    let mut expected: Vec<_> = cases.iter().map(|(_, _, code)| *code).collect();
    losses.sort();
    expected.sort();
    assert_eq!(losses, expected);
    assert!(outcome.tally.failure_example.is_some(), "it is told what was wrong");
}
