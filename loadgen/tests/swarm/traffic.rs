//! Messages, and what their latency counts from.

use crate::world::{START, Script, WAY, World, asked};
use crate::{assert_about, ms, pinging, secs};
use halfopen_driver::CHUNK_MAX;
use halfopen_loadgen::plan::{Asked, Expect, MessageKind};
use halfopen_loadgen::swarm::Order;
use std::time::Duration;

pub(crate) fn talking(rate: f64, expect: Expect) -> Asked {
    Asked { message_rate: Some(rate), expect, ..asked(10) }
}

pub(crate) fn talk(world: &mut World, time: Duration) {
    world.run(secs(1));
    world.order(Order::Traffic { from: world.now });
    world.run(time);
    world.order(Order::Hush);
}

#[test]
fn messages_go_out_at_the_planned_rate_to_all_in_turn_and_come_back() {
    let mut world = World::new(&talking(1_000.0, Expect::Echo), Script::default());
    talk(&mut world, ms(1_999));
    world.run(secs(1));
    assert!(world.seen().all(|seen| seen.messages.len() == 200));
    let tally = world.leave();
    assert_eq!((tally.messages_sent, tally.messages_received), (2_000, 2_000));
    assert_eq!(
        (tally.messages_unasked, tally.messages_unanswered, tally.messages_skipped),
        (0, 0, 0)
    );
    assert_about(&tally.latency_ns, WAY * 2);
    assert_about(&tally.service_ns, WAY * 2);
}

#[test]
fn latency_counts_from_the_intended_send_when_the_generator_stalls() {
    let mut world = World::new(&talking(1_000.0, Expect::Any), Script::default());
    talk(&mut world, ms(500));
    world.run(ms(10));
    world.order(Order::Traffic { from: world.now });
    world.stall(secs(1));
    world.run(ms(100));
    let tally = world.leave();
    // The thousand that were due meanwhile waited half a second on average.
    assert!((tally.latency_ns.max() as f64 / 1e9 - 1.0).abs() < 0.01);
    let late = tally.latency_ns.len() - tally.latency_ns.count_between(0, 500_000_000);
    assert!((490..=510).contains(&late), "{late} later than half a second");
    assert_about(&tally.service_ns, WAY * 2);
    assert!(tally.send_late_ns.max() > 990_000_000);
}

#[test]
fn latency_shows_a_stalled_server() {
    let mut world = World::new(&talking(1_000.0, Expect::Any), Script::default());
    world.run(secs(1));
    world.script.stalled_until = START + secs(3);
    talk(&mut world, ms(2_000));
    world.run(secs(1));
    let tally = world.leave();
    assert_eq!(tally.messages_received, tally.messages_sent);
    assert!((tally.latency_ns.max() as f64 / 1e9 - 1.0).abs() < 0.01);
    assert!((tally.latency_ns.mean() / 1e9 - 0.25).abs() < 0.02, "{}", tally.latency_ns.mean());
}

#[test]
fn a_server_that_does_not_answer_leaves_messages_unanswered() {
    let script = Script { echoes: false, ..Script::default() };
    let mut world = World::new(&talking(100.0, Expect::Any), script.clone());
    talk(&mut world, ms(999));
    let tally = world.leave();
    assert_eq!((tally.messages_sent, tally.messages_unanswered), (100, 100));
    assert_eq!(tally.latency_ns.len(), 0);

    let mut world = World::new(&talking(100.0, Expect::None), script);
    talk(&mut world, ms(999));
    let tally = world.leave();
    assert_eq!((tally.messages_sent, tally.messages_unanswered), (100, 0));
}

#[test]
fn a_message_longer_than_a_chunk_goes_in_fragments_with_pongs_between() {
    let asked = Asked {
        size: 3 * CHUNK_MAX + 5,
        kind: MessageKind::Binary,
        ..talking(100.0, Expect::Echo)
    };
    let mut world = World::new(&asked, pinging(ms(100)));
    talk(&mut world, secs(1));
    world.run(secs(1));
    let tally = world.leave();
    assert_eq!(tally.messages_received, tally.messages_sent);
    assert_eq!((tally.messages_unasked, tally.pings_answered), (0, tally.pings_seen));
    assert!(tally.messages_sent >= 100);
}

#[test]
fn a_message_of_any_size_is_echoed() {
    for size in [0, 1, 15, 16, 17, 125, 126, CHUNK_MAX - 14, CHUNK_MAX] {
        let asked = Asked { size, ..talking(500.0, Expect::Echo) };
        let mut world = World::new(&asked, Script::default());
        talk(&mut world, ms(199));
        world.run(secs(1));
        assert!(world.seen().flat_map(|seen| &seen.messages).all(|(_, bytes)| bytes.len() == size));
        let tally = world.leave();
        assert_eq!((tally.messages_received, tally.messages_unasked), (100, 0), "{size} bytes");
    }
}
