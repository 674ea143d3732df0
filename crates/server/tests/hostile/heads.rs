//! Requests that come as slowly as can be, never end, or ask for what they must not get.

use crate::at_once::on_all_drivers_at_once;
use crate::bad_requests::{assert_refused, bad_requests};
use crate::rig::{DRIVERS, PATIENCE, Raw, TEXT, frame, patient, read_head, request, tcp};
use crate::scene::{Abuse, ROUNDS, alone, survive, survive_with};
use halfopen_server::{Accept, App, Config, End, Handshake, Message, Peer, Rejection, Server};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

const CROWD: usize = 100;

/// Twice what a head may have, because its buffer grows by doubling; and what goes with it.
const HEAD_MAX: usize = 2 * 16 * 1024 + 4096;

/// Sends a byte to each in turn, until the server has let go of all of them.
fn trickle(crowd: &[TcpStream], bytes: &[u8]) {
    let end = Instant::now() + PATIENCE;
    let mut left: Vec<_> = crowd.iter().collect();
    for byte in bytes.iter().cycle() {
        left.retain_mut(|stream| stream.write_all(&[*byte]).is_ok());
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "{} are still there", left.len());
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_byte_now_and_then_does_not_make_the_handshake_timeout_longer() {
    let _turn = alone();
    on_all_drivers_at_once(|driver| {
        let config = Config { handshake_timeout: Duration::from_millis(250), ..patient() };
        let act = |server: &Server| -> Vec<TcpStream> {
            let crowd: Vec<_> = (0..CROWD).map(|_| tcp(server)).collect();
            trickle(&crowd, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: aaaaaaaaaaaaaaaaaaaa");
            crowd
        };
        let abuse = Abuse { crowd: CROWD as u64, each_max: HEAD_MAX, act };
        let stats = survive(driver, config, abuse);
        assert_eq!(stats.ended(End::HandshakeTimeout), ROUNDS * CROWD as u64, "{}", driver.name());
    });
}

#[test]
fn heads_without_an_end_are_held_in_bounds_and_refused() {
    let _turn = alone();
    let endless = ["GET / HTTP/1.1\r\nX: ", &"a".repeat(60_000)].concat();
    let fields = ["GET / HTTP/1.1\r\n", &"X: a\r\n".repeat(10_000)].concat();
    for driver in DRIVERS {
        let act = |server: &Server| -> Vec<TcpStream> {
            let mut crowd: Vec<_> = (0..CROWD).map(|_| tcp(server)).collect();
            for (at, stream) in crowd.iter_mut().enumerate() {
                let wire = if at % 2 == 0 { &endless } else { &fields };
                // It may be refused before it has said all.
                let _ = stream.write_all(wire.as_bytes());
            }
            for stream in &mut crowd {
                let mut answer = String::new();
                stream.read_to_string(&mut answer).expect("FIN, and no reset");
                assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
                let _ = stream.shutdown(Shutdown::Write);
            }
            crowd
        };
        let abuse = Abuse { crowd: CROWD as u64, each_max: HEAD_MAX, act };
        let stats = survive(driver, patient(), abuse);
        assert_eq!(stats.ended(End::Refused), ROUNDS * CROWD as u64, "{}", driver.name());
    }
}

/// Speaks the first subprotocol that is offered, whatever it is.
struct Agreeable;

impl App for Agreeable {
    type State = ();

    fn on_request(&mut self, request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()).subprotocol(request.subprotocols().next()))
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, _state: &mut (), message: Message<'_>) {
        peer.send(message);
    }
}

/// A request with one field more, as it stands.
fn with_field(field: &str) -> Vec<u8> {
    let mut wire = request(|_| {});
    let end = wire.len() - 2;
    wire.splice(end..end, format!("{field}\r\n").into_bytes());
    wire
}

/// The head of what the server answers.
fn head_of_answer(server: &Server, wire: &[u8]) -> String {
    let mut stream = tcp(server);
    stream.write_all(wire).unwrap();
    read_head(&mut stream)
}

const LINE_ENDS: [&str; 9] =
    ["\r\n ", "\r\n\t", "\r", "\n", "\n ", "\r\r\n", "\0", "%0d%0a", "\\r\\n"];

#[test]
fn no_line_end_in_an_echoed_subprotocol_reaches_the_response() {
    let _turn = alone();
    let injected = "X-Injected: yes";
    for driver in DRIVERS {
        let act = |server: &Server| -> Vec<TcpStream> {
            for line_end in LINE_ENDS {
                let field = format!("Sec-WebSocket-Protocol: chat{line_end}{injected}");
                let head = head_of_answer(server, &with_field(&field));
                let name = format!("{} {line_end:?}: {head}", driver.name());
                assert!(head.starts_with("HTTP/1.1 400 "), "{name}");
                assert!(!head.lines().any(|line| line.trim() == injected), "{name}");
            }
            let head = head_of_answer(server, &with_field("Sec-WebSocket-Protocol: chat"));
            assert!(head.contains("\r\nSec-WebSocket-Protocol: chat\r\n"), "{head}");
            Vec::new()
        };
        let crowd = LINE_ENDS.len() as u64 + 1;
        let abuse = Abuse { crowd, each_max: HEAD_MAX, act };
        let stats = survive_with(driver, patient(), || Agreeable, abuse);
        assert_eq!(stats.ended(End::Refused), ROUNDS * (crowd - 1), "{}", driver.name());
        assert_eq!(stats.opened, ROUNDS + 1, "the living one is among them");
    }
}

/// Is there for the pages of one origin.
struct Choosy;

impl App for Choosy {
    type State = ();

    fn on_request(&mut self, request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        request.check_origin(&["https://example.org"])?;
        Ok(Accept::new(()))
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, _state: &mut (), message: Message<'_>) {
        peer.send(message);
    }
}

#[test]
fn a_crowd_of_bad_requests_is_refused_each_with_its_status() {
    let _turn = alone();
    let mut requests = bad_requests();
    for origin in ["Origin: https://example.org.evil.test", "Origin: null"] {
        requests.push((origin, with_field(origin), 403));
    }
    let requests = vec![requests; 4].concat();
    for driver in DRIVERS {
        let act = |server: &Server| -> Vec<TcpStream> {
            let mut crowd: Vec<_> = requests.iter().map(|_| tcp(server)).collect();
            for (stream, (_, request, _)) in crowd.iter_mut().zip(&requests) {
                stream.write_all(request).unwrap();
            }
            for (stream, (name, _, status)) in crowd.iter_mut().zip(&requests) {
                let mut answer = String::new();
                stream.read_to_string(&mut answer).expect("FIN, and no reset");
                assert_refused(&answer, *status, &format!("{} {name}", driver.name()));
                let _ = stream.shutdown(Shutdown::Write);
            }
            crowd
        };
        let abuse = Abuse { crowd: requests.len() as u64, each_max: HEAD_MAX, act };
        let stats = survive_with(driver, patient(), || Choosy, abuse);
        let refused = stats.ended(End::Refused);
        assert_eq!(refused, ROUNDS * requests.len() as u64, "{}", driver.name());
        assert_eq!(stats.opened, 1, "the living one");
    }
}

const OFFERS: [&str; 4] = [
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=7; client_max_window_bits=16",
    "x-webkit-deflate-frame, permessage-deflate; server_no_context_takeover",
];

/// Offers to compress, is declined, and does it all the same.
fn compress(server: &Server, offer: &str) {
    let mut stream = tcp(server);
    stream.write_all(&with_field(&format!("Sec-WebSocket-Extensions: {offer}"))).unwrap();
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "{offer}: {head}");
    assert!(!head.to_lowercase().contains("sec-websocket-extensions"), "{offer}: {head}");

    let mut client = Raw { stream };
    client.send(&frame(TEXT, b"plain"));
    assert_eq!(client.frame().payload, b"plain");
    // "hello" by raw deflate, without its last four bytes (RFC 7692 §7.2.1).
    client.send(&frame(TEXT | 0x40, b"\xca\x48\xcd\xc9\xc9\x07\x00"));
    let [close] = &client.until_the_end()[..] else { panic!("one frame, and the end") };
    assert_eq!(close.close_code(), Some(1002), "{offer}");
}

#[test]
fn an_offer_to_compress_is_declined_and_what_is_compressed_all_the_same_is_refused() {
    let _turn = alone();
    const TIMES: u64 = 20;
    let empty = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=";
    for driver in DRIVERS {
        let act = |server: &Server| -> Vec<TcpStream> {
            for _ in 0..TIMES {
                let head = head_of_answer(server, &with_field(empty));
                assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
                OFFERS.iter().for_each(|offer| compress(server, offer));
            }
            Vec::new()
        };
        let crowd = TIMES * (OFFERS.len() as u64 + 1);
        let stats = survive(driver, patient(), Abuse { crowd, each_max: 4096, act });
        let violations = ROUNDS * TIMES * OFFERS.len() as u64;
        assert_eq!(stats.ended(End::Violation), violations, "{}", driver.name());
        assert_eq!(stats.ended(End::Refused), ROUNDS * TIMES);
    }
}
