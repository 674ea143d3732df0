//! The end of a shard, as an app and its operator see it.

use crate::play::stage;
use crate::world::{SECOND, Seen, unpinged};
use halfopen_driver::Cause;
use halfopen_proto::CloseCode;
use halfopen_server::End;
use std::time::Duration;

#[test]
fn the_app_has_a_last_word_and_the_report_tells_how_each_ended() {
    let mut world = stage(unpinged());
    let before = world.open();
    world.end(before, Cause::Reset);
    let peers: Vec<_> = (0..4).map(|_| world.open()).collect();
    let mute = world.connect();
    peers.iter().for_each(|&peer| world.say(peer, "join all"));
    world.handle.drain(SECOND);
    world.wake();
    assert_eq!(world.shard.app().told_to_drain, [SECOND]);
    assert_eq!(world.shard.drain_report(), None, "it is not over");
    peers.iter().for_each(|&peer| assert_eq!(world.texts(peer), ["last orders"]));

    world.end(peers[0], Cause::Reset);
    world.pass(SECOND);
    for &peer in &peers[1..3] {
        assert_eq!(world.seen(peer), [Seen::Close(Some(1001))]);
        world.send_with(peer, |conn, out| {
            conn.encode_close(Some(CloseCode::GOING_AWAY), "", [1; 4], out);
        });
    }
    assert!(world.clients[mute].closed.is_some());
    world.pass(10 * SECOND);
    assert!(world.stopped);
    let report = world.shard.drain_report().unwrap();
    assert_eq!(report.connections, 5);
    let ended = [(End::Closed, 2), (End::Reset, 1), (End::CloseTimeout, 1), (End::Drained, 1)];
    assert_eq!(report.ended, ended.into());
    assert_eq!((report.clean(), report.timed_out(), report.broken()), (3, 1, 1));
    assert_eq!(report.left(), 0);
    assert!(report.took >= 5 * SECOND && report.took <= 7 * SECOND, "{:?}", report.took);
}

#[test]
fn last_words_come_before_the_close_to_however_many() {
    let mut world = stage(unpinged());
    let peers: Vec<_> = (0..500).map(|_| world.open()).collect();
    peers.iter().for_each(|&peer| world.say(peer, "join all"));
    world.handle.drain(Duration::ZERO);
    world.wake();
    world.pass(SECOND);
    for peer in peers {
        let expected = [Seen::Text("last orders".into()), Seen::Close(Some(1001))];
        assert_eq!(world.seen(peer), expected, "peer {peer}");
    }
}

#[test]
fn a_drain_that_is_cut_short_says_how_many_are_left() {
    let mut world = stage(unpinged());
    for _ in 0..3 {
        world.open();
    }
    world.handle.drain(100 * SECOND);
    world.wake();
    world.handle.drain(200 * SECOND);
    world.wake();
    assert_eq!(world.shard.app().told_to_drain.len(), 1, "it is told once");
    world.handle.stop();
    world.wake();
    assert!(world.stopped);
    let report = world.shard.drain_report().unwrap();
    assert_eq!((report.connections, report.left()), (3, 3));
}

#[test]
fn who_only_stops_has_no_report() {
    let mut world = stage(unpinged());
    world.open();
    world.handle.stop();
    world.wake();
    assert_eq!(world.shard.drain_report(), None);
}
