//! Subscribe and publish.

use crate::play::stage;
use crate::world::{SECOND, Seen, unpinged};
use halfopen_driver::Cause;
use halfopen_server::{Config, End, Message, SendError, SlowConsumer, SubscribeError};
use std::time::Duration;

#[test]
fn what_is_published_comes_to_those_who_have_subscribed_and_not_left() {
    let mut world = stage(unpinged());
    let peers: Vec<_> = (0..4).map(|_| world.open()).collect();
    world.say(peers[0], "join a");
    world.say(peers[1], "join a");
    world.say(peers[1], "join a");
    world.say(peers[1], "join b");
    world.say(peers[2], "join b");
    world.say(peers[3], "say a to a");
    world.say(peers[0], "leave a");
    world.say(peers[0], "leave c");
    world.mailbox().publish("a", Message::Text("again")).now().unwrap();
    world.mailbox().publish("b", Message::Binary(b"b")).now().unwrap();
    world.mailbox().publish("nobody", Message::Text("heard")).now().unwrap();
    world.wake();
    let text = |text: &str| Seen::Text(text.into());
    assert_eq!(world.seen(peers[0]), [text("to a")]);
    assert_eq!(world.seen(peers[1]), [text("to a"), text("again"), Seen::Binary(b"b".into())]);
    assert_eq!(world.seen(peers[2]), [Seen::Binary(b"b".into())]);
    assert_eq!(world.seen(peers[3]), []);
}

#[test]
fn a_subscriber_gets_nothing_that_was_published_before() {
    let mut world = stage(unpinged());
    let (early, late) = (world.open(), world.open());
    world.say(early, "join a");
    let mailbox = world.mailbox();
    mailbox.publish("a", Message::Text("before")).now().unwrap();
    world.say(late, "join a");
    mailbox.publish("a", Message::Text("after")).now().unwrap();
    world.wake();
    assert_eq!(world.texts(early), ["before", "after"]);
    assert_eq!(world.texts(late), ["after"]);
}

#[test]
fn a_thousand_subscribers_are_served_a_few_at_a_time_each_once_and_in_order() {
    let mut world = stage(unpinged());
    let peers: Vec<_> = (0..1000).map(|_| world.open()).collect();
    peers.iter().for_each(|&peer| world.say(peer, "join a"));
    for text in ["1", "2", "3"] {
        world.mailbox().publish("a", Message::Text(text)).now().unwrap();
    }
    world.wake();
    let sent = world.stats().messages_sent;
    assert!((1..=100).contains(&sent), "{sent} in one call");
    // Some leave while it is under way.
    let gone = [3, 500, 999];
    gone.iter().for_each(|&peer| world.end(peer, Cause::Reset));
    world.pass(Duration::ZERO);
    for peer in peers {
        if !gone.contains(&peer) {
            assert_eq!(world.texts(peer), ["1", "2", "3"], "peer {peer}");
        }
    }
}

#[test]
fn one_encoding_serves_all_and_long_messages_go_in_fragments() {
    let mut world = stage(unpinged());
    let peers: Vec<_> = (0..3).map(|_| world.open()).collect();
    peers.iter().for_each(|&peer| world.say(peer, "join a"));
    let long = "ä".repeat(100_000);
    world.mailbox().publish("a", Message::Text(&long)).now().unwrap();
    world.mailbox().publish("a", Message::Text("short")).now().unwrap();
    world.wake();
    let places = |peer: usize| {
        let shared = world.clients[peer].shared.iter().map(|bytes| (bytes.as_ptr(), bytes.len()));
        shared.take(4).collect::<Vec<_>>()
    };
    let first = places(peers[0]);
    assert_eq!(first.iter().map(|(_, len)| len).sum::<usize>(), long.len() + 4 + 3 * 4);
    assert!(peers.iter().all(|&peer| places(peer) == first), "the same memory for each");
    for peer in peers {
        assert_eq!(world.texts(peer), [&long, "short"]);
    }
}

#[test]
fn short_messages_that_wait_for_a_slow_reader_gather() {
    let mut world = stage(unpinged());
    let peer = world.open();
    world.say(peer, "join a");
    world.clients[peer].reads = false;
    let before = world.clients[peer].chunks.len();
    world.say(peer, "flood a 40");
    world.pass(Duration::ZERO);
    world.read_on(peer);
    assert_eq!(world.texts(peer).len(), 40);
    let chunks = world.clients[peer].chunks.len() - before;
    assert!(chunks <= 3, "{chunks} sends");
}

#[test]
fn a_subscriber_that_does_not_read_costs_a_bounded_queue_whatever_the_policy() {
    const BOUND: usize = 50_000;
    for (policy, len) in SlowConsumer::ALL.into_iter().flat_map(|p| [(p, 100), (p, 20_000)]) {
        let mut world = stage(Config { slow_consumer: policy, output_max: BOUND, ..unpinged() });
        let (slow, quick) = (world.open(), world.open());
        world.say(slow, "join a");
        world.say(quick, "join a");
        world.clients[slow].reads = false;
        let text = "x".repeat(len);
        let count = 5 * BOUND / len;
        for _ in 0..count {
            world.mailbox().publish("a", Message::Text(&text)).now().unwrap();
            world.wake();
            world.pass(Duration::ZERO);
        }
        assert_eq!(world.texts(quick).len(), count, "{policy:?}: nobody waits for the slow one");
        world.read_on(slow);
        let came = world.seen(slow);
        let texts = came.iter().filter(|seen| matches!(seen, Seen::Text(_))).count();
        assert!(texts * len <= 3 * BOUND + 65_536, "{policy:?}: {texts} texts waited");
        match policy {
            SlowConsumer::Drop => {
                let dropped = (count - texts) as u64;
                assert_eq!(world.stats().messages_dropped, dropped);
                world.mailbox().publish("a", Message::Text("on")).now().unwrap();
                world.wake();
                assert_eq!(world.texts(slow), ["on"], "it goes on");
            }
            SlowConsumer::Close | SlowConsumer::Wait => {
                assert_eq!(came.last(), Some(&Seen::Close(Some(1008))), "{policy:?}");
                world.pass(6 * SECOND);
                assert_eq!(world.stats().ended(End::SlowConsumer), 1);
            }
        }
    }
}

#[test]
fn a_publish_without_room_is_refused_and_nobody_gets_it() {
    let mut world = stage(Config { mailbox_letters: 10, ..unpinged() });
    let peer = world.open();
    world.say(peer, "join a");
    world.say(peer, "flood a 12");
    let published = &world.shard.app().published;
    assert_eq!(published.iter().filter(|result| **result == Ok(())).count(), 10);
    assert_eq!(published[10..], [Err(SendError::Full); 2]);
    assert_eq!(world.texts(peer).len(), 10);
}

#[test]
fn subscriptions_are_bounded_and_end_with_the_connection() {
    let mut world = stage(Config { subscriptions_max: 2, ..unpinged() });
    let peer = world.open();
    for topic in ["join a", "join b", "join c", "leave a", "join c"] {
        world.say(peer, topic);
    }
    let expected = [Ok(()), Ok(()), Err(SubscribeError::TooMany), Ok(())];
    assert_eq!(world.shard.app().subscribed, expected);
    world.say(peer, "close");
    world.mailbox().publish("b", Message::Text("too late")).now().unwrap();
    world.wake();
    assert_eq!(world.seen(peer), [Seen::Close(Some(1000))]);
    world.pass(6 * SECOND);
    let other = world.open();
    world.mailbox().publish("b", Message::Text("nobody")).now().unwrap();
    world.wake();
    assert_eq!(world.texts(other), [""; 0]);
}
