//! How connections of a shard begin and end.

mod world;

use bytes::BytesMut;
use halfopen_driver::Cause;
use halfopen_proto::{CloseCode, Message};
use halfopen_server::{
    Accept, Ack, App, Config, ConnId, Context, Echo, End, Handshake, Peer, PeerId, Refusal,
    Rejection,
};
use proptest::prelude::*;
use world::{SECOND, Seen, World, config, request, unpinged};

const KEY: [u8; 4] = [9, 8, 7, 6];

#[test]
fn echo_sends_back_and_ack_says_ok() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    world.send(peer, Message::Text("grüß"));
    world.send(peer, Message::Binary(&[1, 2]));
    assert_eq!(world.seen(peer), [Seen::Text("grüß".into()), Seen::Binary(vec![1, 2])]);

    let mut world = World::new(config(), Ack);
    let peer = world.open();
    world.send(peer, Message::Binary(&[1, 2]));
    assert_eq!(world.seen(peer), [Seen::Text("ok".into())]);
}

#[test]
fn frames_glued_to_the_request_are_answered_behind_the_response() {
    let mut world = World::new(config(), Echo);
    let peer = world.connect();
    let mut bytes = BytesMut::from(&request()[..]);
    let client = &mut world.clients[peer].conn;
    bytes.extend_from_slice(&ping(b'!'));
    client.encode(Message::Text("early"), KEY, &mut bytes);
    world.send_raw(peer, &bytes);
    assert!(world.take_head(peer).starts_with("HTTP/1.1 101"));
    world.send(peer, Message::Text("late"));
    let texts = ["early", "late"].map(|text| Seen::Text(text.into()));
    assert_eq!(world.seen(peer), [&[Seen::Pong(b"!".into())], &texts[..]].concat());
}

/// A client's ping with a byte in it.
fn ping(payload: u8) -> [u8; 7] {
    [0x89, 0x81, 0, 0, 0, 0, payload]
}

proptest! {
    #[test]
    fn any_split_of_the_request_and_what_follows_gives_the_same_answers(
        mut cuts in prop::collection::vec(0usize..400, 0..8),
    ) {
        let mut world = World::new(config(), Echo);
        let peer = world.connect();
        let mut bytes = BytesMut::from(&request()[..]);
        let client = &mut world.clients[peer].conn;
        for (number, text) in (1..).zip(["one", "two", "three"]) {
            bytes.extend_from_slice(&ping(number));
            client.encode(Message::Text(text), KEY, &mut bytes);
        }
        cuts.retain(|cut| *cut < bytes.len());
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        for pair in cuts.windows(2).filter(|pair| pair[0] < pair[1]) {
            world.send_raw(peer, &bytes[pair[0]..pair[1]]);
        }
        prop_assert!(world.take_head(peer).starts_with("HTTP/1.1 101"));
        world.send(peer, Message::Text("four"));
        let said = ["one", "two", "three", "four"].map(|text| Seen::Text(text.into()));
        let is_pong = |seen: &Seen| matches!(seen, Seen::Pong(_));
        let (pongs, texts): (Vec<_>, Vec<_>) = world.seen(peer).into_iter().partition(is_pong);
        prop_assert_eq!(texts, said);
        prop_assert_eq!(pongs, [1, 2, 3].map(|number| Seen::Pong(vec![number])));
    }
}

#[test]
fn a_plain_get_is_told_to_upgrade_and_the_connection_ends() {
    let mut world = World::new(config(), Echo);
    let peer = world.connect();
    world.send_raw(peer, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let answer = world.take_text(peer);
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    assert_eq!(body.lines().count(), 1, "one line of help: {body:?}");
    assert_eq!(world.clients[peer].closed, Some(Cause::Fin));
    assert_eq!(world.stats().refused[&Refusal::Upgrade], 1);
    assert_eq!(world.stats().ended(End::Refused), 1);
}

#[test]
fn what_is_no_http_is_refused_at_its_first_bytes() {
    let mut world = World::new(config(), Echo);
    let peer = world.connect();
    world.send_raw(peer, &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
    let answer = world.take_text(peer);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn a_slow_request_has_the_handshake_timeout_and_no_more() {
    let mut world = World::new(config(), Echo);
    let (mute, slow) = (world.connect(), world.connect());
    for byte in &request()[..9] {
        world.send_raw(slow, &[*byte]);
        world.pass(SECOND);
    }
    assert_eq!(world.clients[slow].closed, None);
    world.pass(2 * SECOND);
    for peer in [mute, slow] {
        assert_eq!(world.clients[peer].closed, Some(Cause::Aborted));
    }
    assert_eq!(world.stats().ended(End::HandshakeTimeout), 2);
}

#[test]
fn a_head_without_an_end_is_refused_at_its_limit() {
    let mut world = World::new(config(), Echo);
    let peer = world.connect();
    world.send_raw(peer, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
    for _ in 0..20 {
        if world.clients[peer].closed.is_none() {
            world.send_raw(peer, &[b'x'; 1000]);
        }
    }
    assert!(world.take_text(peer).starts_with("HTTP/1.1 431 "));
    assert_eq!(world.clients[peer].closed, Some(Cause::Fin));
}

#[test]
fn the_server_answers_a_close_with_the_same_code_and_ends_tcp_first() {
    for code in [Some(CloseCode::NORMAL), CloseCode::new(4321), None] {
        let mut world = World::new(config(), Echo);
        let peer = world.open();
        world.send_with(peer, |conn, out| {
            conn.encode_close(code, "", KEY, out);
        });
        let number = code.map(CloseCode::get);
        assert_eq!(world.seen(peer), [Seen::Close(number), Seen::Fin]);
        assert_eq!(world.clients[peer].closed, Some(Cause::Fin));
        assert_eq!(world.stats().ended(End::Closed), 1);
        assert_eq!(world.stats().closed[&number.unwrap_or(1005)], 1);
    }
}

#[test]
fn a_peer_that_does_not_end_tcp_after_a_close_is_aborted() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    world.clients[peer].follows_fin = false;
    world.send_with(peer, |conn, out| {
        conn.encode_close(Some(CloseCode::NORMAL), "", KEY, out);
    });
    world.pass(4 * SECOND);
    assert_eq!(world.clients[peer].closed, None);
    world.pass(2 * SECOND);
    assert_eq!(world.clients[peer].closed, Some(Cause::Aborted));
    assert_eq!(world.stats().ended(End::Closed), 1, "both Close frames had passed");
}

/// Closes as soon as it hears a word, and writes down what it was told.
#[derive(Default)]
struct Curt {
    told: Vec<(ConnId, Option<End>)>,
}

impl App for Curt {
    type State = u32;

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<u32>, Rejection> {
        Ok(Accept::new(41))
    }

    fn on_open(&mut self, peer: &mut Peer<'_>, state: &mut u32) {
        *state += 1;
        self.told.push((peer.id().conn(), None));
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, _state: &mut u32, _message: Message<'_>) {
        peer.send(Message::Text("bye"));
        peer.close(CloseCode::POLICY, "that was all");
        peer.send(Message::Text("too late"));
        peer.close(CloseCode::NORMAL, "too late");
    }

    fn on_close(&mut self, _shard: &mut Context<'_>, id: PeerId, state: u32, end: End) {
        assert_eq!(state, 42, "what was kept of it");
        self.told.push((id.conn(), Some(end)));
    }
}

#[test]
fn the_app_closes_behind_what_it_sent_and_waits_for_the_answer() {
    let mut world = World::new(config(), Curt::default());
    let peer = world.open();
    world.send(peer, Message::Text("hello"));
    assert_eq!(world.seen(peer), [Seen::Text("bye".into()), Seen::Close(Some(1008))]);
    world.send_with(peer, |conn, out| {
        conn.encode_close(Some(CloseCode::POLICY), "", KEY, out);
    });
    assert_eq!(world.clients[peer].closed, Some(Cause::Fin));
    let id = world.clients[peer].id;
    assert_eq!(world.shard.app().told, [(id, None), (id, Some(End::Closed))]);
    assert_eq!(world.stats().closed[&1008], 1);
}

#[test]
fn a_peer_that_does_not_answer_a_close_is_aborted() {
    let mut world = World::new(config(), Curt::default());
    let peer = world.open();
    world.send(peer, Message::Text("hello"));
    world.pass(6 * SECOND);
    assert_eq!(world.clients[peer].closed, Some(Cause::Aborted));
    assert_eq!(world.stats().ended(End::CloseTimeout), 1);
}

#[test]
fn a_violation_is_told_at_once_and_ends_the_connection() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    world.send_raw(peer, &[0x81, 0x02, b'n', b'o']);
    assert_eq!(world.seen(peer), [Seen::Close(Some(1002)), Seen::Fin]);
    assert_eq!(world.stats().ended(End::Violation), 1);
    assert_eq!(world.stats().closed[&1002], 1);
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_header() {
    let limits = halfopen_proto::Limits::of_message(1000);
    let mut world = World::new(Config { limits, ..config() }, Echo);
    let peer = world.open();
    world.send_raw(peer, &[0x82, 0xfe, 0x03, 0xe9, 0, 0, 0, 0]);
    assert_eq!(world.seen(peer), [Seen::Close(Some(1009)), Seen::Fin]);
}

#[test]
fn a_large_message_goes_in_fragments_that_each_fit_a_chunk() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    let large: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
    world.send(peer, Message::Binary(&large));
    assert_eq!(world.seen(peer), [Seen::Binary(large)]);
    assert_eq!(world.clients[peer].chunks.len(), 1 + 16);
}

#[test]
fn small_answers_gather_in_one_chunk() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    let mut bytes = BytesMut::new();
    for _ in 0..100 {
        world.clients[peer].conn.encode(Message::Text("twenty bytes of text"), KEY, &mut bytes);
    }
    world.send_raw(peer, &bytes);
    assert_eq!(world.seen(peer).len(), 100);
    assert_eq!(world.clients[peer].chunks.len(), 2, "the response, and all answers");
}

#[test]
fn a_flood_of_pings_unread_costs_a_bounded_number_of_pongs_and_the_newest_is_among_them() {
    let mut world = World::new(unpinged(), Echo);
    let peer = world.open();
    world.clients[peer].reads = false;
    for n in 0..10_000u32 {
        world.send_with(peer, |conn, out| {
            conn.encode_ping(&n.to_be_bytes(), KEY, out);
        });
    }
    world.read_on(peer);
    let seen = world.seen(peer);
    assert!(seen.len() < 1_000, "{} pongs were kept", seen.len());
    assert_eq!(seen.first(), Some(&Seen::Pong(0u32.to_be_bytes().to_vec())));
    assert_eq!(seen.last(), Some(&Seen::Pong(9_999u32.to_be_bytes().to_vec())));
}

#[test]
fn pings_that_come_together_are_each_answered_and_their_pongs_jump_the_queue() {
    let mut world = World::new(unpinged(), Echo);
    let peer = world.open();
    world.send_with(peer, |conn, out| {
        conn.encode(Message::Text("one"), KEY, out);
        for n in 0..10 {
            conn.encode_ping(&[n], KEY, out);
        }
    });
    let mut expected: Vec<_> = (0..10).map(|n| Seen::Pong(vec![n])).collect();
    expected.push(Seen::Text("one".into()));
    assert_eq!(world.seen(peer), expected);
}

#[test]
fn what_was_said_before_a_violation_is_answered_before_the_close() {
    let mut world = World::new(unpinged(), Echo);
    let peer = world.open();
    world.clients[peer].reads = false;
    world.send(peer, Message::Text("in flight"));
    world.send_with(peer, |conn, out| {
        conn.encode(Message::Text("queued"), KEY, out);
        conn.encode_ping(b"?", KEY, out);
        out.extend_from_slice(&[0xc1, 0x80]);
    });
    world.read_on(peer);
    let [first, second] = ["in flight", "queued"].map(|text| Seen::Text(text.into()));
    let expected = [first, Seen::Pong(b"?".to_vec()), second, Seen::Close(Some(1002)), Seen::Fin];
    assert_eq!(world.seen(peer), expected);
}

#[test]
fn a_message_that_is_never_finished_has_its_time() {
    let mut world = World::new(Config { message_timeout: 30 * SECOND, ..unpinged() }, Echo);
    let (busy, peer) = (world.open(), world.open());
    for _ in 0..40 {
        // The busy one is always inside a message, but never long inside the same.
        world.send_raw(busy, &[0x82, 0x82, 0, 0, 0, 0, 7]);
        world.send_raw(busy, &[7]);
        if world.clients[peer].closed.is_none() {
            // A text begins, and its empty continuations have no end.
            let opcode = u8::from(world.now == world::START);
            world.send_raw(peer, &[opcode, 0x80, 0, 0, 0, 0]);
        }
        world.pass(SECOND);
    }
    assert_eq!(world.seen(peer).first(), Some(&Seen::Close(Some(1008))));
    assert_eq!(world.stats().ended(End::MessageTimeout), 1);
    assert_eq!(world.clients[busy].closed, None);
}

#[test]
fn an_idle_connection_is_closed_where_that_is_asked_for() {
    let mut world = World::new(Config { idle_timeout: Some(60 * SECOND), ..config() }, Echo);
    let (idle, busy) = (world.open(), world.open());
    for peer in [idle, busy] {
        world.clients[peer].answers = true;
    }
    for _ in 0..3 {
        world.pass(50 * SECOND);
        world.send(busy, Message::Text("hello"));
    }
    assert_eq!(world.stats().ended(End::Idle), 1);
    assert!(world.seen(idle).contains(&Seen::Close(Some(1001))));
    assert_eq!(world.clients[busy].closed, None);
}

#[test]
fn the_end_of_a_peer_is_counted_by_what_it_was() {
    let mut world = World::new(config(), Curt::default());
    let causes = [Cause::Fin, Cause::Reset, Cause::TimedOut, Cause::Os(5)];
    for cause in causes {
        let peer = world.open();
        world.end(peer, cause);
    }
    let stats = world.stats();
    for end in [End::Fin, End::Reset, End::TimedOut, End::Error] {
        assert_eq!(stats.ended(end), 1, "{end:?}");
    }
    assert_eq!((stats.open, stats.peak, world.admission.open()), (0, 1, 0));
    assert_eq!(world.shard.app().told.len(), 2 * causes.len());
}
