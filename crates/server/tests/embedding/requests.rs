//! What an app answers to requests.

use crate::world::{Locating, SECOND, World, ends, request, unpinged};
use halfopen_driver::{Cause, ConnId};
use halfopen_server::{
    Accept, Answer, App, End, Handshake, Message, Peer, PlainRequest, Refusal, Rejection,
};
use std::time::Duration;

/// Knows everyone by their address, and has a page.
struct Porter;

impl App for Porter {
    type State = String;

    const WANTS_PEER_ADDR: bool = true;

    fn on_request(&mut self, request: &Handshake<'_>) -> Result<Accept<String>, Rejection> {
        let addr = request.peer_addr().expect("it was asked for");
        match request.path() {
            "/broken" => return Ok(Accept::new(String::new()).header("X", "a\r\nb")),
            "/long" => return Ok(Accept::new(String::new()).header("X", &"y".repeat(70_000))),
            "/private" => {
                let page = Rejection::new(403, "<p>Not you".repeat(20_000));
                return Err(page.with_header("Content-Type", "text/html").unwrap());
            }
            _ => {}
        }
        let name = request.cookie("name").map(String::from_utf8_lossy).unwrap_or_default();
        Ok(Accept::new(format!("{name}@{addr}")).header("Set-Cookie", "seen=1"))
    }

    fn on_http(&mut self, request: &PlainRequest<'_>) -> Option<Answer> {
        match (request.path(), request.query()) {
            ("/health", None) => Some(Answer::new(200, "fine\n")),
            ("/large", Some(query)) => {
                let body = vec![b'x'; query.parse().ok()?];
                Answer::new(200, body).with_header("Content-Type", "text/x").ok()
            }
            _ => None,
        }
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, name: &mut String, _message: Message<'_>) {
        peer.send(Message::Text(name));
    }
}

fn asked(path: &str, field: &str) -> Vec<u8> {
    let request = String::from_utf8(request()).unwrap();
    let line = request.replacen("GET / ", &format!("GET {path} "), 1);
    line.replacen("\r\n\r\n", &format!("\r\n{field}\r\n\r\n"), 1).into_bytes()
}

fn plain(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()
}

/// A text `?` with the key zero.
const QUESTION: [u8; 7] = [0x81, 0x81, 0, 0, 0, 0, b'?'];

/// A ping `!` with the key zero.
const PING: [u8; 7] = [0x89, 0x81, 0, 0, 0, 0, b'!'];

#[test]
fn an_app_that_wants_the_address_gets_it_however_the_request_is_cut() {
    let wire = [asked("/", "Cookie: a=b; name=eve"), QUESTION.to_vec()].concat();
    for size in [wire.len(), 50, 1] {
        let mut world = World::new(unpinged(), Porter);
        let peer = world.connect();
        wire.chunks(size).for_each(|piece| world.send_raw(peer, piece));
        let head = world.take_head(peer);
        assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("\r\nSet-Cookie: seen=1\r\n"));
        world.send_raw(peer, &QUESTION);
        let addr = ends(ConnId { index: 0, generation: 7 }).peer;
        let name = format!("eve@{addr}");
        let expected = [name.as_str(); 2].map(|name| crate::world::Seen::Text(name.into()));
        assert_eq!(world.seen(peer), expected);
    }
}

/// RFC 6455 §4.2.2: first the response, then frames.
#[test]
fn a_ping_that_came_before_we_knew_the_address_is_answered_behind_the_response() {
    let mut world = World::new(unpinged(), Porter);
    world.locating = Locating::Held;
    let peer = world.connect();
    world.send_raw(peer, &request());
    world.send_raw(peer, &PING);
    world.locate(world.clients[peer].id);
    world.wake();
    let head = world.take_head(peer);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    world.send_raw(peer, &PING);
    assert_eq!(world.seen(peer), [b"!"; 2].map(|pong| crate::world::Seen::Pong(pong.into())));
}

#[test]
fn an_app_that_asks_for_no_address_costs_no_question() {
    let mut world = World::new(unpinged(), halfopen_server::Echo);
    world.locating = Locating::Forbidden;
    world.open();
}

#[test]
fn who_sends_without_end_while_the_kernel_is_asked_is_refused() {
    let mut world = World::new(unpinged(), Porter);
    world.locating = Locating::Held;
    let peer = world.connect();
    world.send_raw(peer, &request());
    (0..40).for_each(|_| world.send_raw(peer, &[0x81; 4096]));
    let answer = world.take_text(peer);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(world.clients[peer].closed, Some(Cause::Fin));
}

#[test]
fn an_address_that_does_not_come_or_comes_too_late_opens_nothing() {
    let mut world = World::new(unpinged(), Porter);
    world.locating = Locating::Held;
    let (mute, refused) = (world.connect(), world.connect());
    world.send_raw(mute, &request());
    world.pass(11 * SECOND);
    assert_eq!(world.clients[mute].closed, Some(Cause::Aborted));
    assert_eq!(world.stats().ended(End::HandshakeTimeout), 2);
    assert!(world.clients[refused].closed.is_some());

    let late = world.connect();
    world.clients[late].follows_fin = false;
    world.send_raw(late, &request());
    world.handle.drain(Duration::ZERO);
    world.wake();
    world.pass(SECOND);
    assert!(world.take_text(late).starts_with("HTTP/1.1 503 "));
    world.locate(world.clients[late].id);
    world.wake();
    assert_eq!((world.take_text(late).as_str(), world.stats().opened), ("", 0));
}

#[test]
fn a_refusal_has_status_fields_and_a_body_of_any_length() {
    let mut world = World::new(unpinged(), Porter);
    let peer = world.connect();
    world.send_raw(peer, &asked("/private", "X: y"));
    let answer = world.take_text(peer);
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("Content-Type: text/html\r\n"));
    assert!(answer.ends_with("<p>Not you\n") && answer.len() > 200_000);
    assert_eq!(world.clients[peer].closed, Some(Cause::Fin));
    assert_eq!(world.stats().refused[&Refusal::Declined], 1);
}

#[test]
fn an_answer_that_cannot_be_sent_becomes_a_500() {
    let mut world = World::new(unpinged(), Porter);
    for path in ["/broken", "/long"] {
        let peer = world.connect();
        world.send_raw(peer, &asked(path, "X: y"));
        let answer = world.take_text(peer);
        assert!(answer.starts_with("HTTP/1.1 500 "), "{path}: {answer}");
    }
    assert_eq!(world.stats().refused[&Refusal::Fault], 2);
}

#[test]
fn plain_http_is_answered_by_the_app_or_told_to_upgrade() {
    let mut world = World::new(unpinged(), Porter);
    let get = |world: &mut World<Porter>, request: &[u8]| {
        let peer = world.connect();
        world.send_raw(peer, request);
        assert_eq!(world.clients[peer].closed, Some(Cause::Fin));
        world.take_text(peer)
    };
    let healthy = get(&mut world, &plain("/health"));
    assert!(healthy.starts_with("HTTP/1.1 200 OK\r\n") && healthy.ends_with("\r\n\r\nfine\n"));
    let large = get(&mut world, &plain("/large?300000"));
    assert!(large.contains("\r\nContent-Length: 300000\r\n") && large.ends_with("xxx"));
    assert_eq!(large.split("\r\n\r\n").nth(1).unwrap().len(), 300_000);
    assert!(get(&mut world, &plain("/other")).starts_with("HTTP/1.1 426 "));
    let other_version = String::from_utf8(asked("/health", "X: y")).unwrap();
    let other_version = other_version.replace("Version: 13", "Version: 12").into_bytes();
    assert!(get(&mut world, &other_version).starts_with("HTTP/1.1 426 "));

    let stats = world.stats();
    assert_eq!((stats.http_answers, stats.ended(End::Answered)), (2, 2));
    assert_eq!((stats.refused[&Refusal::Upgrade], stats.ended(End::Refused)), (2, 2));
}
