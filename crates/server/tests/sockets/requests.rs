//! Requests that no client should send, and what the app decides on those that are valid.

use crate::bad_requests::{asked, assert_refused, bad_requests, with};
use crate::rig::{
    DRIVERS, Frame, PING, PONG, Raw, TEXT, drained, frame, patient, read_head, request, start, tcp,
};
use halfopen_server::{
    Accept, App, Echo, End, Handshake, Message, Peer, Refusal, Rejection, Server,
};
use std::io::{Read, Write};

/// Sends a request, and reads the answer up to the server's FIN.
fn answer(server: &Server, request: &[u8]) -> String {
    let mut stream = tcp(server);
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("FIN, and no reset");
    answer
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
