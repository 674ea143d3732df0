//! What a shard does when there is no room, and when it is to end.

mod world;

use halfopen_driver::Cause;
use halfopen_proto::CloseCode;
use halfopen_server::{Config, Echo, End, Refusal};
use world::{MILLI, SECOND, Seen, World, config, request, unpinged};

#[test]
fn a_full_server_refuses_in_http_and_goes_on_when_a_place_is_free() {
    let mut world = World::with_room(config(), 2, Echo);
    let first = world.open();
    world.open();
    let refused = world.connect();
    world.send_raw(refused, &request());
    let answer = world.take_text(refused);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(world.clients[refused].closed, Some(Cause::Fin));
    assert_eq!(world.stats().refused[&Refusal::Full], 1);
    assert_eq!((world.stats().open, world.admission.open()), (2, 2));

    world.end(first, Cause::Reset);
    world.open();
    assert_eq!(world.admission.peak(), 2);
}

#[test]
fn those_that_wait_for_a_refusal_are_bounded() {
    let mut world = World::with_room(Config { refusals_max: 3, ..config() }, 1, Echo);
    world.open();
    let refused: Vec<_> = (0..3).map(|_| world.connect()).collect();
    assert!(!world.accepting, "no more than three wait");
    world.send_raw(refused[0], &request());
    assert!(world.accepting);
    world.connect();
    world.pass(SECOND + 50 * MILLI);
    assert_eq!(world.stats().ended(End::HandshakeTimeout), 3, "the mute ones had their time");
    assert!(world.accepting);
}

#[test]
fn those_that_wait_for_a_refusal_do_not_keep_a_free_place_shut() {
    let mut world = World::with_room(Config { refusals_max: 3, ..config() }, 1, Echo);
    let first = world.open();
    for _ in 0..3 {
        world.connect();
    }
    world.end(first, Cause::Fin);
    assert!(world.accepting, "there is a place");
    world.open();
    assert!(!world.accepting, "no more than three wait");
}

/// Another shard may take the place for which this one accepts.
#[test]
fn those_that_are_kept_and_those_that_wait_for_a_refusal_have_a_bound_together() {
    let config = Config { refusals_max: 3, connections_max: 2, ..config() };
    let mut world = World::with_room(config, 1, Echo);
    let mut last = world.open();
    for _ in 0..3 {
        world.connect();
    }
    world.end(last, Cause::Fin);
    last = world.open();
    world.connect_late();
    world.end(last, Cause::Fin);
    assert!(world.accepting, "four wait, and there is room for a fifth");
    world.open();
    world.connect_late();
    assert_eq!(world.clients.iter().filter(|client| client.closed.is_none()).count(), 6);
    let kept = world.clients.len() - 2;
    world.end(kept, Cause::Fin);
    assert!(!world.accepting, "five are there, and no more have room");
}

#[test]
fn a_shard_whose_table_is_full_leaves_connections_to_the_others() {
    let mut world = World::with_room(Config { connections_max: 2, ..config() }, 4, Echo);
    let first = world.open();
    assert!(world.accepting);
    world.open();
    assert!(!world.accepting, "another shard has room");
    world.end(first, Cause::Fin);
    assert!(world.accepting);
}

#[test]
fn a_drain_closes_each_with_1001_spread_over_the_window_and_stops() {
    let mut world = World::new(unpinged(), Echo);
    let peers: Vec<_> = (0..100).map(|_| world.open()).collect();
    let waiting = world.connect();
    world.handle.drain(20 * SECOND);
    world.wake();
    assert!(!world.accepting);
    for second in 1..=20 {
        world.pass(SECOND);
        for &peer in &peers {
            if world.seen(peer).contains(&Seen::Close(Some(1001))) {
                world.send_with(peer, |conn, out| {
                    conn.encode_close(Some(CloseCode::GOING_AWAY), "", [1; 4], out);
                });
            }
        }
        let gone = world.clients.iter().filter(|client| client.closed.is_some()).count();
        assert!(gone.abs_diff(5 * second) <= 2, "{gone} are gone after {second} s");
    }
    assert!(world.stopped);
    assert_eq!(world.stats().ended(End::Closed), 100);
    assert_eq!(world.stats().closed[&1001], 100);
    assert!(world.clients[waiting].closed.is_some());
}

#[test]
fn those_that_do_not_answer_a_drain_do_not_hold_it_up() {
    let mut world = World::new(config(), Echo);
    for _ in 0..50 {
        world.open();
    }
    world.handle.drain(2 * SECOND);
    world.wake();
    world.pass(6 * SECOND);
    assert!(!world.stopped);
    world.pass(SECOND + 50 * MILLI);
    assert!(world.stopped);
    assert_eq!(world.stats().ended(End::CloseTimeout), 50);
}

#[test]
fn a_server_without_connections_drains_at_once_and_a_stop_does_not_wait() {
    let mut empty = World::new(config(), Echo);
    empty.handle.drain(20 * SECOND);
    empty.wake();
    assert!(empty.stopped);

    let mut world = World::new(config(), Echo);
    world.open();
    world.handle.stop();
    world.handle.stop();
    world.wake();
    assert!(world.stopped);
}

#[test]
fn what_connects_during_a_drain_is_refused() {
    let mut world = World::new(config(), Echo);
    world.open();
    let late = world.connect();
    world.handle.drain(20 * SECOND);
    world.wake();
    world.send_raw(late, &request());
    assert!(world.take_text(late).starts_with("HTTP/1.1 503 "));
    assert_eq!(world.stats().refused[&Refusal::Draining], 1);
}

#[test]
fn a_seed_replays_a_shard_exactly() {
    let run = |seed| {
        let mut world = World::new(Config { seed, ..config() }, Echo);
        for _ in 0..20 {
            let peer = world.open();
            world.clients[peer].answers = peer.is_multiple_of(2);
            world.pass(SECOND / 3);
        }
        world.pass(30 * SECOND);
        let seen: Vec<_> = world.clients.iter().map(|client| client.seen.clone()).collect();
        (seen, halfopen_driver::Engine::deadline(&world.shard))
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
