//! What a swarm does, on a virtual clock against a server of memory.

mod support;

use halfopen_driver::CHUNK_MAX;
use halfopen_loadgen::death::Death;
use halfopen_loadgen::plan::{Amount, Asked, Expect, MessageKind, ServerPing, resolve};
use halfopen_loadgen::record::{Tag, Tally};
use halfopen_loadgen::swarm::Order;
use hdrhistogram::Histogram;
use std::time::Duration;
use support::{End, START, Script, WAY, World, asked};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn pinging(interval: Duration) -> Script {
    Script { pings: Some(interval), ..Script::default() }
}

fn assert_about(histogram: &Histogram<u64>, expected: Duration) {
    let (least, most) = (histogram.min(), histogram.max());
    let expected = expected.as_nanos() as f64;
    let near = |value: u64| (value as f64 - expected).abs() <= expected * 0.002;
    assert!(near(least) && near(most), "{least} to {most} ns, expected {expected}");
}

#[test]
fn the_ramp_opens_each_connection_at_its_time() {
    let asked = Asked { connect_rate: 100.0, ..asked(1_000) };
    let mut world = World::new(&asked, Script::default());
    world.run(ms(4_995));
    assert_eq!(world.snapshot().opened, 500);
    world.run(secs(6));
    assert_eq!(world.snapshot().opened, 1_000);
    let tally = world.leave();
    assert_eq!((tally.opened, tally.peak, tally.living_at_end), (1_000, 1_000, 1_000));
    assert!(tally.seconds[1..9].iter().all(|second| second.opened == 100), "{:?}", tally.seconds);
    assert_about(&tally.connect_ns, WAY);
    assert_about(&tally.handshake_ns, WAY * 2);
    let connects = tally.intervals.iter().filter(|interval| interval.tag == Tag::Connect);
    let counted = connects.flat_map(|interval| &interval.counts).map(|&(_, count)| count);
    assert_eq!(counted.sum::<u64>(), 1_000);
}

#[test]
fn connects_under_way_are_bounded() {
    let asked = Asked { connect_rate: 1e6, ..asked(5_000) };
    let mut world = World::new(&asked, Script { mute: true, ..Script::default() });
    world.run(secs(1));
    assert_eq!(world.seen().count(), 1_024);
}

#[test]
fn every_ping_is_answered_at_once_and_its_interval_is_known() {
    let mut world = World::new(&asked(50), pinging(secs(2)));
    world.run(secs(11));
    assert!(world.snapshot().all_answered());
    assert!(world.seen().all(|seen| seen.pongs.len() == 5));
    let tally = world.leave();
    assert_eq!((tally.pings_seen, tally.pings_answered), (250, 250));
    assert_eq!(tally.ping_interval_ns.len(), 200);
    assert_about(&tally.ping_interval_ns, secs(2));
    let in_slots: u32 = tally.pings_per_100ms.iter().sum();
    assert_eq!((in_slots, tally.pings_per_100ms[19]), (250, 0));
}

#[test]
fn input_that_comes_byte_by_byte_makes_no_difference() {
    let script = Script { piece: 1, ..pinging(secs(1)) };
    let mut world = World::new(&asked(5), script);
    world.run(ms(3_500));
    let tally = world.leave();
    assert_eq!((tally.opened, tally.pings_answered), (5, 15));
}

#[test]
fn own_pings_tell_the_round_trip() {
    let asked = Asked { client_ping: Some(secs(1)), ..asked(20) };
    let mut world = World::new(&asked, Script::default());
    world.run(ms(10_100));
    let tally = world.leave();
    assert!((190..=210).contains(&tally.client_pings_sent), "{}", tally.client_pings_sent);
    assert_eq!(tally.client_pings_answered, tally.client_pings_sent);
    assert_about(&tally.client_rtt_ns, WAY * 2);
}

fn talking(rate: f64, expect: Expect) -> Asked {
    Asked { message_rate: Some(rate), expect, ..asked(10) }
}

fn talk(world: &mut World, time: Duration) {
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

fn dying(connections: u32, death: Death, count: u32) -> Asked {
    Asked { kills: vec![(death, Amount::Count(count))], ..asked(connections) }
}

/// Kills 10 of 30 in one way; the world two seconds later.
fn after(death: Death, script: Script) -> World {
    let mut world = World::new(&dying(30, death, 10), script);
    world.run(ms(2_500));
    world.kill();
    world.run(secs(2));
    assert_eq!(world.snapshot().killed, 10);
    assert_eq!(world.snapshot().living(), 20);
    world
}

#[test]
fn the_polite_close_and_wait_for_the_answer() {
    for lets_the_client_close in [false, true] {
        let script = Script { lets_the_client_close, ..pinging(secs(1)) };
        let world = after(Death::Close, script);
        let closed =
            world.seen().filter(|seen| seen.close.is_some_and(|(_, code)| code == Some(1000)));
        assert_eq!(closed.count(), 10);
        assert_eq!(world.seen().filter(|seen| seen.fin.is_some()).count(), 10);
        assert_eq!(world.snapshot().ends_seen, 10);
        let tally = world.leave();
        assert!(tally.victims.iter().all(|victim| victim.client_saw.is_some()));
    }
}

#[test]
fn a_program_that_ends_sends_fin_without_a_close_frame() {
    let world = after(Death::Fin, pinging(secs(1)));
    assert_eq!(world.seen().filter(|seen| seen.fin.is_some()).count(), 10);
    assert!(world.seen().all(|seen| seen.close.is_none() && seen.reset.is_none()));
    assert_eq!(world.snapshot().ends_seen, 10);
}

#[test]
fn a_killed_program_sends_rst() {
    let world = after(Death::Reset, pinging(secs(1)));
    assert_eq!(world.seen().filter(|seen| seen.reset.is_some()).count(), 10);
    assert!(world.seen().all(|seen| seen.close.is_none() && seen.fin.is_none()));
}

#[test]
fn the_silent_dead_say_nothing_and_keep_their_sockets() {
    for death in [Death::Freeze, Death::Mute, Death::Blackhole] {
        let world = after(death, pinging(secs(1)));
        let silent: Vec<_> = world.seen().filter(|seen| seen.pongs.len() == 2).collect();
        assert_eq!(silent.len(), 10, "{death:?}");
        assert!(
            silent
                .iter()
                .all(|seen| seen.close.is_none() && seen.fin.is_none() && seen.reset.is_none())
        );
        assert_eq!(world.seen().filter(|seen| seen.pongs.len() == 4).count(), 20);
        let op = match death {
            Death::Freeze => "Pause",
            Death::Blackhole => "Sever",
            _ => "Abort",
        };
        let ops = world.log.iter().filter(|line| line.contains(op)).count();
        assert_eq!(ops, if death == Death::Mute { 0 } else { 10 }, "{death:?}");
        let tally = world.leave();
        assert_eq!((tally.victims.len(), tally.living_at_end), (10, 20));
        for victim in tally.victims {
            assert_eq!(victim.death, death);
            let since = victim.killed.saturating_since(victim.answered.unwrap());
            assert!(since > ms(400) && since < ms(600), "{since:?} after its last ping");
        }
    }
}

#[test]
fn a_victim_that_still_listens_knows_its_end() {
    for (death, knows) in [(Death::Mute, true), (Death::Freeze, true), (Death::Blackhole, false)] {
        let script = Script { ends_at_ping: Some((4, End::Reset)), ..pinging(secs(1)) };
        let mut world = World::new(&dying(30, death, 10), script);
        world.run(ms(2_500));
        world.kill();
        world.run(secs(2));
        assert_eq!(world.snapshot().ends_seen, if knows { 10 } else { 0 });
        let victims = world.leave().victims;
        assert_eq!(victims.len(), 10);
        assert!(victims.iter().all(|victim| victim.client_saw.is_some() == knows), "{death:?}");
    }
}

#[test]
fn victims_are_announced_before_they_die_and_each_dies_once() {
    let kills = Death::ALL.map(|death| (death, Amount::Count(5))).to_vec();
    let asked = Asked { kills, kill_over: secs(1), ..asked(30) };
    let mut world = World::new(&asked, pinging(ms(300)));
    world.run(secs(1));
    world.kill();
    for _ in 0..120 {
        let announced = world.watch.0.lock().unwrap().len() as u64;
        assert_eq!(world.snapshot().killed, announced);
        world.run(ms(10));
    }
    let mut announced = world.watch.0.lock().unwrap().clone();
    let tally = world.leave();
    let victims: Vec<_> = tally.victims.iter().map(|victim| victim.local).collect();
    assert_eq!(victims, announced);
    announced.sort_unstable();
    announced.dedup();
    assert_eq!(announced.len(), 30);
    for death in Death::ALL {
        assert_eq!(tally.victims.iter().filter(|victim| victim.death == death).count(), 5);
    }
    let (first, last) = (tally.victims[0].killed, tally.victims[29].killed);
    let spread = last.saturating_since(first);
    assert!(spread > ms(950) && spread <= ms(970), "{spread:?}");
}

#[test]
fn a_chosen_one_that_is_lost_before_its_time_is_missed() {
    let asked = Asked { kill_over: secs(10), ..dying(10, Death::Mute, 10) };
    let script = Script { ends_at_ping: Some((3, End::Fin)), ..pinging(secs(1)) };
    let mut world = World::new(&asked, script);
    world.run(secs(1));
    world.kill();
    world.run(secs(12));
    let snapshot = world.snapshot();
    assert_eq!(snapshot.killed + snapshot.kills_missed, 10);
    assert!(snapshot.killed >= 2 && snapshot.kills_missed >= 7, "{snapshot:?}");
}

fn losing(end: End) -> Tally {
    let script = Script { ends_at_ping: Some((3, end)), ..pinging(secs(1)) };
    let mut world = World::new(&asked(7), script);
    world.run(secs(8));
    assert_eq!(world.snapshot().lost, 7);
    let mut tally = world.leave();
    // One that lives on, so that it does not look like the server's own death.
    tally.living_at_end = 1;
    tally.sort_losses(Some(ServerPing { interval: Some(secs(1)), timeout: ms(900) }));
    tally
}

#[test]
fn the_living_who_are_lost_are_told_apart() {
    let tally = losing(End::Close(1011, "keepalive ping timeout"));
    assert_eq!((tally.lost_heartbeat, tally.lost_closed.len(), tally.lost_reset), (7, 0, 0));
    let tally = losing(End::Close(1001, "stopping"));
    assert_eq!((tally.lost_heartbeat, tally.lost_closed[&1001], tally.lost_reset), (0, 7, 0));
    // A second after the last ping, with a timeout of 900 ms.
    let tally = losing(End::Reset);
    assert_eq!((tally.lost_heartbeat, tally.lost_reset), (7, 0));
    let tally = losing(End::MaskedFrame);
    assert_eq!((tally.lost_heartbeat, tally.lost_closed[&1002]), (0, 7));
    assert!(tally.failure_example.is_some());
}

#[test]
fn a_close_of_the_server_is_answered() {
    let script = Script { ends_at_ping: Some((1, End::Close(1001, ""))), ..pinging(secs(1)) };
    let mut world = World::new(&asked(3), script);
    world.run(secs(2));
    assert!(world.seen().all(|seen| seen.close.is_some()));
}

#[test]
fn an_address_that_refuses_is_followed_by_the_next() {
    let mut plan = resolve(&asked(20)).unwrap();
    let second = "127.0.0.2:9001".parse().unwrap();
    plan.targets.push(second);
    let script = Script { refuses: Some(plan.targets[0]), ..Script::default() };
    let mut world = World::with_plan(plan, script);
    world.run(secs(1));
    assert_eq!(world.snapshot().opened, 20);
    let knocks = world.log.iter().filter(|line| line.contains("to: 127.0.0.1:9001")).count();
    assert!(knocks < 5, "the others need not knock there: {knocks}");
    assert_eq!(world.leave().failed.len(), 0);
}

#[test]
fn where_nobody_listens_it_says_so() {
    let script = Script { refuses: Some("127.0.0.1:9001".parse().unwrap()), ..Script::default() };
    let mut world = World::new(&asked(20), script);
    world.run(secs(1));
    assert_eq!(world.snapshot().failed, 20);
    assert_eq!(world.leave().failed["refused"], 20);
}

#[test]
fn a_server_that_is_no_websocket_server_is_quoted() {
    let refusals: [(&[&str], &str, &str); 3] = [
        (
            &["HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\n", "no such page\n"],
            "status_404",
            "404 Not Found: no such page",
        ),
        (&["HTTP/1.1 200 OK\r\n\r\n<html>"], "status_200", "200 OK: <html>"),
        (&["220 mail.example ESMTP\r\n"], "not_websocket", "HTTP/1.1"),
    ];
    for (said, reason, words) in refusals {
        let script = Script { answers_with: said.to_vec(), ..Script::default() };
        let mut world = World::new(&asked(20), script);
        world.run(secs(1));
        let tally = world.leave();
        assert_eq!(tally.failed[reason], 20);
        let example = tally.failure_example.unwrap();
        assert!(example.contains(words), "{example}");
    }
}

#[test]
fn a_server_that_never_answers_the_request_times_out() {
    let asked = Asked { connect_timeout: secs(2), ..asked(20) };
    let mut world = World::new(&asked, Script { mute: true, ..Script::default() });
    world.run(ms(1_900));
    assert_eq!(world.snapshot().failed, 0);
    world.run(secs(1));
    assert_eq!(world.leave().failed["handshake_timeout"], 20);
}

#[test]
fn the_living_say_goodbye_and_the_rest_is_aborted() {
    let mut world = World::new(&dying(30, Death::Freeze, 10), pinging(secs(1)));
    world.run(secs(2));
    world.kill();
    world.order(Order::Leave);
    world.run(secs(1));
    assert!(world.stopped);
    let (closed, reset) = (
        world.seen().filter(|seen| seen.close.is_some()).count(),
        world.seen().filter(|seen| seen.reset.is_some()).count(),
    );
    assert_eq!((closed, reset), (20, 10));
}

#[test]
fn a_server_that_does_not_answer_the_goodbye_holds_nobody_up() {
    let script = Script { lets_the_client_close: true, ..Script::default() };
    let mut world = World::new(&asked(30), script);
    world.run(secs(1));
    world.order(Order::Leave);
    world.run(ms(1_900));
    assert!(!world.stopped);
    world.run(ms(200));
    assert!(world.stopped);
    assert_eq!(world.seen().filter(|seen| seen.reset.is_some()).count(), 30);
}

#[test]
fn leaving_in_the_middle_of_the_ramp_opens_no_more() {
    let asked = Asked { connect_rate: 10.0, ..asked(100) };
    let mut world = World::new(&asked, Script::default());
    world.run(ms(2_950));
    let tally = world.leave();
    assert_eq!((tally.opened, tally.living_at_end, tally.failed.len()), (30, 30, 0));
}

#[test]
fn the_same_seed_gives_the_same_operations() {
    let log = |seed| {
        let kills = vec![(Death::Blackhole, Amount::Count(5)), (Death::Close, Amount::Count(5))];
        let asked =
            Asked { seed, kills, client_ping: Some(secs(1)), ..talking(200.0, Expect::Echo) };
        let mut world = World::new(&Asked { connections: 50, ..asked }, pinging(ms(700)));
        talk(&mut world, secs(2));
        world.kill();
        world.run(secs(2));
        world.log
    };
    assert_eq!(log(1), log(1));
    assert_ne!(log(1), log(2));
}
