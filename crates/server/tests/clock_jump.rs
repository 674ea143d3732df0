//! The machine stands still for an hour, as one that was suspended: the clock has jumped, and what
//! peers have said meanwhile waits in the sockets.

mod world;

use halfopen_driver::Heard;
use halfopen_proto::Message;
use halfopen_server::{Echo, End};
use world::{MILLI, SECOND, Seen, World, config, request};

/// The clock jumps, and the shard looks again and again before it has heard anything.
fn jump_an_hour(world: &mut World<Echo>) {
    world.heard = Some(Heard { until: world.now, busy_since: None });
    world.now = world.now + 3600 * SECOND;
    for _ in 0..100 {
        world.look();
        world.now = world.now + 8 * MILLI;
    }
}

#[test]
fn a_clock_that_jumps_an_hour_ends_nobody_whose_word_waits_in_the_socket() {
    let mut world = World::new(config(), Echo);
    let asked = world.open();
    while world.stats().pings_sent == 0 {
        world.pass(MILLI);
    }
    let amid_a_message = world.open();
    world.send_raw(amid_a_message, b"\x01\x82\0\0\0\0he");
    let amid_a_request = world.connect();
    let (begin, rest) = (request()[..20].to_vec(), request()[20..].to_vec());
    world.send_raw(amid_a_request, &begin);

    jump_an_hour(&mut world);
    let ended = &world.stats().ended;
    assert!(ended.is_empty(), "{ended:?} before anything was heard");

    world.send(asked, Message::Text("here"));
    world.send_raw(amid_a_message, b"\x80\x83\0\0\0\0llo");
    assert!(world.seen(amid_a_message).contains(&Seen::Text("hello".into())));
    world.send_raw(amid_a_request, &rest);
    assert!(world.take_head(amid_a_request).starts_with("HTTP/1.1 101 "));
    world.clients.iter_mut().for_each(|client| client.answers = true);
    world.heard = None;
    world.pass(60 * SECOND);
    assert_eq!((world.stats().open, world.stats().ended.len()), (3, 0));
}

#[test]
fn after_a_jump_the_dead_are_found_when_they_have_been_listened_for() {
    let mut world = World::new(config(), Echo);
    let [_asked, amid_a_request] = [world.open(), world.connect()];
    world.send_raw(amid_a_request, b"GET / HT");
    while world.stats().pings_sent == 0 {
        world.pass(MILLI);
    }
    jump_an_hour(&mut world);
    assert_eq!(world.stats().open, 2);
    // Nothing waited in their sockets.
    world.heard = None;
    world.pass(SECOND);
    let stats = world.stats();
    assert_eq!((stats.ended(End::Silent), stats.ended(End::HandshakeTimeout)), (1, 1));
}
