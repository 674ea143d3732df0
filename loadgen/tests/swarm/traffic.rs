//! Messages, and what their latency counts from.

use crate::world::{START, Script, WAY, World, asked};
use crate::{assert_about, ms, pinging, secs};
use halfopen_driver::CHUNK_MAX;
use halfopen_loadgen::pacing::{Arrivals, Rate};
use halfopen_loadgen::plan::{Asked, Expect, MessageKind, Size};
use halfopen_loadgen::swarm::Order;
use std::time::Duration;

pub(crate) fn talking(rate: f64, expect: Expect) -> Asked {
    Asked { message_rate: Some(rate.into()), expect, ..asked(10) }
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
        size: (3 * CHUNK_MAX + 5).into(),
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
        let asked = Asked { size: size.into(), ..talking(500.0, Expect::Echo) };
        let mut world = World::new(&asked, Script::default());
        talk(&mut world, ms(199));
        world.run(secs(1));
        assert!(world.seen().flat_map(|seen| &seen.messages).all(|(_, bytes)| bytes.len() == size));
        let tally = world.leave();
        assert_eq!((tally.messages_received, tally.messages_unasked), (100, 0), "{size} bytes");
    }
}

#[test]
fn messages_of_mixed_sizes_are_echoed_and_none_is_taken_for_another() {
    for kind in [MessageKind::Text, MessageKind::Binary] {
        let size = Size::Uniform { min: 0, max: 2 * CHUNK_MAX };
        let mut world =
            World::new(&Asked { size, kind, ..talking(500.0, Expect::Echo) }, Script::default());
        talk(&mut world, ms(399));
        world.run(secs(1));
        let mut lengths: Vec<_> =
            world.seen().flat_map(|seen| &seen.messages).map(|(_, bytes)| bytes.len()).collect();
        lengths.sort_unstable();
        lengths.dedup();
        assert!(lengths.len() > 190 && lengths[0] < CHUNK_MAX / 4);
        let tally = world.leave();
        assert_eq!((tally.messages_received, tally.messages_unasked), (200, 0));
    }
}

#[test]
fn a_ramp_sends_more_and_more_and_goes_on_at_its_last_rate() {
    let rate = Rate::Ramp { from: 100.0, to: 300.0 };
    let asked = Asked { message_rate: Some(rate), duration: secs(2), ..talking(1.0, Expect::Any) };
    let mut world = World::new(&asked, Script::default());
    talk(&mut world, ms(3_999));
    let tally = world.leave();
    let sent: Vec<u64> = tally.seconds.iter().map(|second| second.messages_sent).collect();
    assert_eq!(sent[1..5], [150, 250, 300, 300], "{sent:?}");
}

#[test]
fn random_arrivals_are_sent_when_they_come() {
    let asked = Asked { arrivals: Arrivals::Poisson, ..talking(500.0, Expect::Echo) };
    let mut world = World::new(&asked, Script::default());
    talk(&mut world, secs(4));
    world.run(secs(1));
    let mut times: Vec<_> =
        world.seen().flat_map(|seen| &seen.messages).map(|&(at, _)| at).collect();
    times.sort_unstable();
    let apart = times.windows(2).map(|pair| pair[1].saturating_since(pair[0]));
    // Of exponential distances with a mean of 2 ms one in e is longer than that.
    let long = apart.filter(|&apart| apart > ms(2)).count() as f64 / times.len() as f64;
    assert!((1_800..2_200).contains(&times.len()) && (long - 0.368).abs() < 0.05, "{long}");
    let tally = world.leave();
    assert_eq!((tally.messages_unasked, tally.messages_unanswered), (0, 0));
    assert!(tally.send_late_ns.max() < 1_000);
}

#[test]
fn a_closed_loop_keeps_its_window_and_tells_service_times_only() {
    for window in [1, 3] {
        let asked =
            Asked { window: Some(window), message_rate: None, ..talking(1.0, Expect::Echo) };
        let mut world = World::new(&asked, Script::default());
        talk(&mut world, secs(1));
        // A round trip is 1 ms, and each connection has `window` messages in each.
        let sent = u64::from(window) * 10 * 1_000;
        world.run(secs(1));
        let tally = world.leave();
        assert!(
            tally.messages_sent.abs_diff(sent) <= sent / 20,
            "{} of {sent}",
            tally.messages_sent
        );
        assert_eq!((tally.messages_unanswered, tally.messages_unasked), (0, 0));
        assert_eq!((tally.latency_ns.len(), tally.service_ns.len()), (0, tally.messages_sent));
        assert_about(&tally.service_ns, WAY * 2);
    }
}

#[test]
fn a_closed_loop_waits_for_a_server_that_stalls() {
    let asked = Asked { window: Some(1), message_rate: None, ..talking(1.0, Expect::Any) };
    let mut world = World::new(&asked, Script::default());
    world.run(secs(1));
    world.script.stalled_until = START + secs(3);
    talk(&mut world, ms(500));
    let tally = world.leave();
    assert_eq!(tally.messages_sent, 10, "one on each connection");
}
