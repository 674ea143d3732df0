//! Connections that are ended by the plan and come back.

use crate::deaths::dying;
use crate::traffic::{talk, talking};
use crate::world::{Script, World, asked};
use crate::{ms, pinging, secs};
use halfopen_loadgen::death::Death;
use halfopen_loadgen::plan::{Asked, Backoff, Expect, Herd};
use halfopen_loadgen::record::Tally;
use halfopen_loadgen::swarm::Order;
use std::time::Duration;

fn go(asked: &Asked, script: Script, time: Duration) -> (World, Tally) {
    let mut world = World::new(asked, script.clone());
    world.run(secs(1));
    world.order(Order::Traffic { from: world.now });
    world.run(time);
    let living = world.snapshot().living();
    let mut again = World::new(asked, script);
    again.run(secs(1));
    again.order(Order::Traffic { from: again.now });
    again.run(time);
    assert_eq!(again.log, world.log, "the same seed does the same");
    let tally = again.leave();
    assert_eq!(tally.living_at_end, living);
    (world, tally)
}

fn herd(share: f64, backoff: Option<(u64, u64)>) -> Option<Herd> {
    let backoff = backoff.map(|(least, most)| Backoff { least: secs(least), most: secs(most) });
    Some(Herd { share, at: secs(1), backoff })
}

#[test]
fn churn_closes_politely_and_opens_anew_under_the_same_number_and_loses_nobody() {
    let asked = Asked { churn: Some(50.0), ..asked(20) };
    let asked = Asked { url: "ws://127.0.0.1:9001/{n}".into(), ..asked };
    let (world, tally) = go(&asked, pinging(secs(1)), ms(3_990));
    assert_eq!((tally.churn.left, tally.churn.back), (200, 200));
    assert_eq!((tally.opened, tally.losses.len(), tally.peak), (20, 0, 20));
    assert_eq!((tally.connect_ns.len(), tally.churn.back_ns.len()), (20, 200));
    assert_eq!(world.seen().filter(|seen| seen.close.is_some()).count(), 200);
    let mut targets: Vec<_> = world.seen().map(|seen| seen.target.clone()).collect();
    assert_eq!(targets.len(), 220);
    targets.sort();
    targets.dedup();
    assert_eq!(targets.len(), 20);
}

#[test]
fn churn_takes_nobody_who_is_to_die() {
    let dying = Asked { churn: Some(100.0), ..dying(30, Death::Blackhole, 20) };
    let mut world = World::new(&dying, pinging(secs(1)));
    world.run(ms(2_500));
    world.order(Order::Traffic { from: world.now });
    world.order(Order::Choose);
    world.run(secs(2));
    world.order(Order::Kill { from: world.now });
    world.run(secs(1));
    let snapshot = world.snapshot();
    assert_eq!((snapshot.killed, snapshot.kills_missed), (20, 0));
    assert!(world.leave().churn.left > 250);
}

#[test]
fn churn_ends_with_the_messages_and_answers_count_on() {
    let asked = Asked { churn: Some(20.0), ..talking(100.0, Expect::Echo) };
    let mut world = World::new(&asked, Script::default());
    talk(&mut world, secs(2));
    let churned = world.seen().count();
    world.run(secs(2));
    assert_eq!(world.seen().count(), churned);
    let tally = world.leave();
    assert_eq!((tally.messages_unasked, tally.messages_skipped), (0, 0));
    // Who is closed with a message under way leaves it unanswered.
    let answered = tally.messages_received + tally.messages_unanswered;
    assert!((199..=202).contains(&answered) && tally.churn.left >= 40, "{answered}");
}

#[test]
fn a_server_that_ends_no_connection_is_left_by_rst_and_visited_anew() {
    let script = Script { lets_the_client_close: true, ..Script::default() };
    let (_, tally) = go(&Asked { churn: Some(1.0), ..asked(10) }, script, ms(5_500));
    assert_eq!((tally.churn.left, tally.churn.back, tally.losses.len()), (6, 4, 0));
}

#[test]
fn a_herd_is_dropped_at_once_and_comes_back_at_the_connect_rate() {
    let asked = Asked { herd: herd(0.5, None), connect_rate: 100.0, ..asked(60) };
    let (world, tally) = go(&asked, Script::default(), secs(3));
    assert_eq!((tally.herd.left, tally.herd.back, tally.losses.len()), (30, 30, 0));
    assert_eq!(tally.living_at_end, 60);
    let reset: Vec<_> = world.seen().filter_map(|seen| seen.reset).collect();
    assert_eq!(reset.len(), 30);
    assert!(reset.iter().all(|at| *at == reset[0]), "at once");
    // The thirtieth 290 ms after the first.
    let all = tally.herd.back_after(1.0).unwrap() as f64 / 1e6;
    let half = tally.herd.back_after(0.5).unwrap() as f64 / 1e6;
    assert!((291.0..294.0).contains(&all) && (141.0..144.0).contains(&half), "{half} {all}");
}

#[test]
fn a_backoff_spreads_the_herd_and_who_is_still_away_at_the_end_is_not_back() {
    let asked = Asked { herd: herd(1.0, Some((1, 5))), ..asked(100) };
    let (_, tally) = go(&asked, Script::default(), secs(4));
    assert_eq!(tally.herd.left, 100);
    // Three of one to five seconds have passed.
    assert!((35..65).contains(&tally.herd.back), "{}", tally.herd.back);
    assert!(tally.herd.back_ns.min() >= 1_000_000_000);
    assert_eq!(tally.herd.back_after(1.0), None);
}

#[test]
fn who_is_refused_tries_again_until_the_server_is_there() {
    let asked = Asked { herd: herd(1.0, None), ..asked(10) };
    let mut world = World::new(&asked, Script::default());
    world.run(secs(1));
    world.order(Order::Traffic { from: world.now });
    world.script.refuses = Some("127.0.0.1:9001".parse().unwrap());
    world.run(ms(2_500));
    world.script.refuses = None;
    assert_eq!(world.snapshot().living(), 0);
    world.run(secs(1));
    assert_eq!((world.snapshot().living(), world.snapshot().failed), (10, 0));
    let tally = world.leave();
    assert_eq!((tally.herd.back, tally.herd.failed["refused"]), (10, 20));
    assert!(tally.failed.is_empty() && tally.herd.back_after(0.5).unwrap() > 2_000_000_000);
}
