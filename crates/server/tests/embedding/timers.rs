//! Timers of connections and of the app.

use crate::play::stage;
use crate::world::{MILLI, SECOND, Seen, unpinged};
use halfopen_driver::Cause;

/// The shard's tick.
const TICK: std::time::Duration = std::time::Duration::from_millis(8);

#[test]
fn a_timer_fires_once_at_its_time_or_a_tick_later() {
    let mut world = stage(unpinged());
    let peer = world.open();
    world.say(peer, "timer 7 300");
    world.say(peer, "timer 8 90000");
    world.pass(299 * MILLI);
    assert_eq!(world.texts(peer), [""; 0]);
    world.pass(MILLI + TICK);
    assert_eq!(world.texts(peer), ["timer 7"]);
    world.pass(89 * SECOND);
    assert_eq!(world.texts(peer), [""; 0]);
    world.pass(SECOND);
    assert_eq!(world.texts(peer), ["timer 8"]);
    world.pass(1000 * SECOND);
    assert_eq!(world.texts(peer), [""; 0]);
}

#[test]
fn a_timer_that_is_set_anew_or_taken_back_does_not_fire_before() {
    let mut world = stage(unpinged());
    let peer = world.open();
    for order in ["timer 1 100", "timer 1 500", "timer 2 500", "timer 2 100", "timer 3 100"] {
        world.say(peer, order);
    }
    world.say(peer, "untimer 3");
    world.pass(200 * MILLI);
    assert_eq!(world.texts(peer), ["timer 2"]);
    world.pass(400 * MILLI);
    assert_eq!(world.texts(peer), ["timer 1"]);
}

#[test]
fn the_timers_of_a_connection_end_with_it() {
    let mut world = stage(unpinged());
    let (gone, closing) = (world.open(), world.open());
    world.say(gone, "timer 1 100");
    world.say(closing, "timer 1 100");
    world.end(gone, Cause::Fin);
    world.say(closing, "close");
    world.pass(SECOND);
    assert_eq!(world.seen(closing), [Seen::Close(Some(1000))]);
    assert_eq!(world.stats().messages_sent, 0);
}

#[test]
fn the_app_has_timers_of_its_own_which_outlive_connections() {
    let mut world = stage(unpinged());
    let (setter, listener) = (world.open(), world.open());
    world.say(listener, "join timers");
    world.say(setter, "all-timer 4000000000 250");
    world.end(setter, Cause::Reset);
    world.pass(250 * MILLI + TICK);
    assert_eq!(world.shard.app().rang, [4_000_000_000]);
    assert_eq!(world.texts(listener), ["timer 4000000000"]);
}

#[test]
fn a_crowd_of_timers_at_one_moment_all_fire_a_few_in_each_call() {
    let mut world = stage(unpinged());
    let peers: Vec<_> = (0..500).map(|_| world.open()).collect();
    peers.iter().for_each(|&peer| world.say(peer, "timer 0 1000"));
    world.now = world.now + SECOND + TICK;
    world.look();
    let sent = world.stats().messages_sent;
    assert!((1..=100).contains(&sent), "{sent} in one call");
    world.pass(TICK);
    for peer in peers {
        assert_eq!(world.texts(peer), ["timer 0"]);
    }
}
