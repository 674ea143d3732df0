//! Requests that no client should send, and what the app decides on those that are valid.

use crate::rig::{
    DRIVERS, Frame, PING, PONG, Raw, TEXT, drained, frame, patient, read_head, request, start, tcp,
};
use halfopen_server::{
    Accept, App, Echo, End, Handshake, Message, Peer, Refusal, Rejection, Server,
};
use std::io::{Read, Write};

/// A request with `line`, and with the fields of a valid one but those that `instead` names: a
/// field with a value takes their place, `-Name` only leaves them out.
fn asked(line: &str, instead: &[&str]) -> Vec<u8> {
    let valid = [
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let name = |field: &&str| field.trim_start_matches('-').split(':').next().map(str::to_owned);
    let kept = valid.iter().filter(|field| instead.iter().all(|other| name(other) != name(field)));
    let fields = kept.chain(instead.iter().filter(|field| !field.starts_with('-')));
    let fields: String = fields.map(|field| format!("{field}\r\n")).collect();
    format!("{line}\r\n{fields}\r\n").into_bytes()
}

fn with(instead: &[&str]) -> Vec<u8> {
    asked("GET /chat HTTP/1.1", instead)
}

/// Requests, and the status that each is refused with.
fn bad_requests() -> Vec<(&'static str, Vec<u8>, u16)> {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let long = format!("X-Long: {}", "a".repeat(20_000));
    let many: Vec<String> = (0..10_000).map(|n| format!("X-{n}: a")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    vec![
        ("another method", asked("POST /chat HTTP/1.1", &[]), 405),
        ("HTTP/1.0", asked("GET /chat HTTP/1.0", &[]), 400),
        ("a target that is no path", asked("GET chat HTTP/1.1", &[]), 400),
        ("a target with a fragment", asked("GET /chat#one HTTP/1.1", &[]), 400),
        ("no Host", with(&["-Host"]), 400),
        ("an empty Host", with(&["Host: "]), 400),
        ("two Hosts", with(&["Host: one", "Host: two"]), 400),
        ("no Upgrade", with(&["-Upgrade"]), 426),
        ("an Upgrade to something else", with(&["Upgrade: h2c"]), 426),
        ("no Connection", with(&["-Connection"]), 400),
        ("a Connection without Upgrade", with(&["Connection: keep-alive"]), 400),
        ("no version", with(&["-Sec-WebSocket-Version"]), 400),
        ("version 12", with(&["Sec-WebSocket-Version: 12"]), 426),
        ("two versions", with(&["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"]), 400),
        ("no key", with(&["-Sec-WebSocket-Key"]), 400),
        ("an empty key", with(&["Sec-WebSocket-Key: "]), 400),
        ("a key that is too short", with(&["Sec-WebSocket-Key: dGhlIHNhbXBs"]), 400),
        ("a key that is not base64", with(&["Sec-WebSocket-Key: !!!!IHNhbXBsZSBub25jZQ=="]), 400),
        ("two keys", with(&[key, key]), 400),
        ("a body", with(&["Content-Length: 5"]), 400),
        ("a length that is none", with(&["Content-Length: many"]), 400),
        ("a body in chunks", with(&["Transfer-Encoding: chunked"]), 400),
        ("a subprotocol that is no token", with(&["Sec-WebSocket-Protocol: a b"]), 400),
        ("a name with a blank", with(&["X Y: a"]), 400),
        ("a value with a NUL", with(&["X: a\0b"]), 400),
        ("a folded line", with(&["X: a\r\n b"]), 400),
        ("a line without a colon", with(&["X"]), 400),
        ("a head of 20,000 bytes", with(&[&long]), 431),
        ("10,000 fields", with(&many), 431),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400),
        ("frames without a handshake", frame(TEXT, b"hello"), 400),
        ("nothing of HTTP", b"\x00\x01\x02\x03 hello\r\n\r\n".to_vec(), 400),
    ]
}

/// Sends a request, and reads the answer up to the server's FIN.
fn answer(server: &Server, request: &[u8]) -> String {
    let mut stream = tcp(server);
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("FIN, and no reset");
    answer
}

/// The status, and a body of one line that is as long as it is told to be.
fn assert_refused(answer: &str, status: u16, name: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{name}: {answer}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer}");
    assert!(body.len() > 10 && body.lines().count() == 1, "{name}: {answer}");
    assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{name}: {answer}");
    assert!(head.contains("\r\nConnection: close"), "{name}: {answer}");
}

#[test]
fn a_bad_request_is_refused_with_its_status_and_a_line_that_says_why() {
    for driver in DRIVERS {
        let server = start(driver, patient(), || Echo);
        let requests = bad_requests();
        for (name, request, status) in &requests {
            let answer = answer(&server, request);
            assert_refused(&answer, *status, &format!("{} {name}", driver.name()));
            let is_told = |field: &str| answer.contains(field);
            assert_eq!(*status == 426, is_told("\r\nSec-WebSocket-Version: 13\r\n"), "{answer}");
            assert_eq!(*status == 405, is_told("\r\nAllow: GET\r\n"), "{answer}");
        }
        let stats = drained(server);
        assert_eq!((stats.opened, stats.ended(End::Refused)), (0, requests.len() as u64));
    }
}

#[test]
fn a_refusal_reaches_a_client_that_has_sent_more() {
    for driver in DRIVERS {
        let server = start(driver, patient(), || Echo);
        for (name, request, status) in bad_requests() {
            let more = [request, vec![b'a'; 100_000]].concat();
            assert_refused(&answer(&server, &more), status, &format!("{} {name}", driver.name()));
        }
        drained(server);
    }
}

#[test]
fn frames_glued_to_the_request_and_a_request_in_pieces_are_served() {
    for driver in DRIVERS {
        let server = start(driver, patient(), || Echo);
        let glued = [frame(PING, b"!"), frame(TEXT, b"early")].concat();
        let wire = [with(&["X: é", "Origin: null"]), glued].concat();
        for size in [wire.len(), 7, 1] {
            let mut stream = tcp(&server);
            wire.chunks(size).for_each(|piece| stream.write_all(piece).unwrap());
            let head = read_head(&mut stream);
            assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
            let mut client = Raw { stream };
            assert_eq!(client.frame(), Frame::new(PONG, b"!"), "{}", driver.name());
            assert_eq!(client.frame(), Frame::new(TEXT, b"early"));
        }
        drained(server);
    }
}

/// Speaks `chat.v2` with those who know it, to pages of one origin, in one room.
struct Picky;

impl App for Picky {
    type State = ();

    fn on_request(&mut self, request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        if request.path() != "/room" {
            return Err(Rejection::new(404, "there is one room, and it is /room"));
        }
        request.check_origin(&["https://example.org"])?;
        if request.header("Authorization").is_none() {
            return Err(Rejection::unauthorized("Bearer", "say who you are").unwrap());
        }
        Ok(Accept::new(()).subprotocol(request.subprotocol_among(&["chat.v2"])))
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, _state: &mut (), message: Message<'_>) {
        peer.send(message);
    }
}

#[test]
fn the_app_decides_on_path_origin_and_subprotocol() {
    let (page, known) = ("Origin: https://example.org", "Authorization: Basic eA==");
    let elsewhere = asked("GET /attic HTTP/1.1", &[page, known]);
    let room = |fields: &[&str]| asked("GET /room HTTP/1.1", fields);
    let refused = [
        ("another path", elsewhere, 404),
        ("a foreign origin", room(&["Origin: https://example.org.evil.test", known]), 403),
        ("a page in a file", room(&["Origin: null", known]), 403),
        ("a stranger", room(&[page]), 401),
    ];
    for driver in DRIVERS {
        let server = start(driver, patient(), || Picky);
        for (name, request, status) in &refused {
            assert_refused(&answer(&server, request), *status, name);
        }
        let offers = [
            (vec![page, known], None),
            (vec![known, "Sec-WebSocket-Protocol: chat.v1, chat.v2"], Some("chat.v2")),
            (
                vec![known, "Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: chat.v2"],
                Some("chat.v2"),
            ),
            (vec![known, "Sec-WebSocket-Protocol: chat.v1"], None),
        ];
        for (fields, chosen) in offers {
            let mut stream = tcp(&server);
            stream.write_all(&room(&fields)).unwrap();
            let head = read_head(&mut stream);
            assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
            let told = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
            assert_eq!(told, chosen, "{}: {fields:?}", driver.name());
        }
        let stats = drained(server);
        assert_eq!((stats.opened, stats.refused[&Refusal::Declined]), (4, refused.len() as u64));
    }
}

#[test]
fn an_app_that_decides_nothing_speaks_no_subprotocol() {
    for driver in DRIVERS {
        let server = start(driver, patient(), || Echo);
        let mut stream = tcp(&server);
        let offer = request(|request| request.subprotocols = &["chat", "superchat"]);
        stream.write_all(&offer).unwrap();
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101 ") && !head.contains("Protocol:"), "{head}");
        drop(stream);
        drained(server);
    }
}
