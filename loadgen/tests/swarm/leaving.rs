//! The end of a run, and that it can be replayed.

use crate::deaths::dying;
use crate::traffic::{talk, talking};
use crate::world::{Script, World, asked};
use crate::{ms, pinging, secs};
use halfopen_loadgen::death::Death;
use halfopen_loadgen::plan::{Amount, Asked, Expect};
use halfopen_loadgen::swarm::Order;

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
