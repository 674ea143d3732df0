//! The ways to die, as the server's end sees them.

use crate::world::{End, Script, World, asked};
use crate::{ms, pinging, secs};
use halfopen_loadgen::death::Death;
use halfopen_loadgen::plan::{Amount, Asked};

pub(crate) fn dying(connections: u32, death: Death, count: u32) -> Asked {
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
    for death in [Death::Freeze, Death::Mute, Death::Vanish, Death::Blackhole] {
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
            Death::Vanish | Death::Blackhole => "Sever",
            _ => "Abort",
        };
        assert_eq!(world.snapshot().ends_seen, 0, "{death:?}: who is asked has still to find it");
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
    let kills = Death::DEADLY.map(|death| (death, Amount::Count(5))).to_vec();
    let asked = Asked { kills, kill_over: secs(1), ..asked(35) };
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
    assert_eq!(announced.len(), 35);
    for death in Death::DEADLY {
        assert_eq!(tally.victims.iter().filter(|victim| victim.death == death).count(), 5);
    }
    let (first, last) = (tally.victims[0].killed, tally.victims[34].killed);
    let spread = last.saturating_since(first);
    assert!(spread > ms(950) && spread <= ms(975), "{spread:?}");
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
