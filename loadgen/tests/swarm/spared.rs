//! Those who are not dead, or come back: what becomes of them.

use crate::deaths::dying;
use crate::world::{End, Script, World};
use crate::{ms, pinging, secs};
use halfopen_loadgen::death::Death;
use halfopen_loadgen::plan::{Asked, Between};
use halfopen_loadgen::record::{Sight, Victim};
use std::time::Duration;

/// Kills 10 of 20 after 2.5 s, between two pings; the world `later`.
fn tried(asked: Asked, script: Script, later: Duration) -> World {
    let mut world = World::new(&asked, script);
    world.run(ms(2_500));
    world.kill();
    world.run(later);
    world
}

fn ending_at_the_fourth_ping(end: End) -> Script {
    Script { ends_at_ping: Some((4, end)), ..pinging(secs(1)) }
}

fn victims(world: World) -> Vec<Victim> {
    let victims = world.leave().victims;
    assert_eq!(victims.len(), 10);
    victims
}

#[test]
fn the_slow_answer_every_ping_late_by_a_time_that_is_drawn() {
    let pong_delay = Between { from: ms(200), to: ms(400) };
    let asked = Asked { pong_delay, ..dying(20, Death::Slow, 10) };
    let world = tried(asked, pinging(secs(1)), ms(5_300));
    let mut delays = Vec::new();
    for seen in world.seen() {
        assert_eq!(seen.pongs.len(), 7, "none is left out");
        // Two pongs came at once; each later one is as late against them as it was drawn.
        let late = |n: u64| seen.pongs[n as usize].saturating_since(seen.pongs[0] + secs(n));
        delays.extend((2..7).map(late).filter(|late| !late.is_zero()));
    }
    assert_eq!(delays.len(), 50, "five pongs each of ten");
    assert!(delays.iter().all(|late| (ms(199)..=ms(415)).contains(late)), "{delays:?}");
    let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
    assert!(*most - *least > ms(100), "drawn anew: {least:?} to {most:?}");
    for victim in victims(world) {
        assert_eq!((victim.client_saw, victim.sight, victim.owed), (None, None, None));
    }
}

#[test]
fn of_a_slow_one_that_is_ended_the_delay_is_known_for_which_it_was() {
    let end = End::Close(1011, "keepalive ping timeout");
    for (delay, owed) in [(secs(5), Some(secs(5))), (ms(100), None)] {
        let pong_delay = Between::always(delay);
        let asked = Asked { pong_delay, ..dying(20, Death::Slow, 10) };
        let world = tried(asked, ending_at_the_fourth_ping(end), secs(2));
        assert_eq!(world.snapshot().ends_seen, 10);
        for victim in victims(world) {
            assert_eq!((victim.sight, victim.owed), (Some(Sight::Closed(1011)), owed));
        }
    }
}

#[test]
fn a_flap_that_was_not_given_up_is_answered_and_answers_again() {
    let asked = Asked { flap_for: ms(1_700), ..dying(20, Death::Flap, 10) };
    let world = tried(asked, pinging(secs(1)), ms(4_400));
    let pongs = |count| world.seen().filter(|seen| seen.pongs.len() == count).count();
    // Two pings came to nobody; in this world nothing is sent again.
    assert_eq!((pongs(6), pongs(4)), (10, 10));
    for victim in victims(world) {
        let back = victim.back.unwrap();
        let away = back.at.saturating_since(victim.killed);
        assert!((ms(1_700)..ms(1_720)).contains(&away), "a tick of the wheel late: {away:?}");
        assert!(back.alive.is_some() && victim.client_saw.is_none(), "{victim:?}");
    }
}

#[test]
fn a_flap_that_was_given_up_meanwhile_learns_it_when_it_is_back() {
    let asked = Asked { flap_for: secs(2), ..dying(20, Death::Flap, 10) };
    let world = tried(asked, ending_at_the_fourth_ping(End::Reset), secs(4));
    assert_eq!(world.snapshot().ends_seen, 10);
    for victim in victims(world) {
        assert_eq!((victim.sight, victim.back.unwrap().alive), (Some(Sight::Reset), None));
        assert!(victim.client_saw > Some(victim.killed + secs(2)));
    }
}

#[test]
fn the_revived_come_back_at_ages_of_their_own_and_tell_which_were_found_by_then() {
    let revive = Some(Between { from: ms(400), to: ms(3_400) });
    let asked = Asked { revive, ..dying(20, Death::Blackhole, 10) };
    // All are ended 1.5 s after the deaths, give or take the ramp.
    let world = tried(asked, ending_at_the_fourth_ping(End::Reset), secs(5));
    let mut ages = Vec::new();
    for victim in victims(world) {
        let back = victim.back.unwrap();
        let age = back.at.saturating_since(victim.killed);
        assert_eq!(back.alive.is_some(), age < ms(1_550), "{age:?}");
        assert!(!(ms(1_450)..ms(1_650)).contains(&age), "too near to tell: {age:?}");
        ages.push(age);
    }
    ages.sort_unstable();
    assert!(ages[0] < secs(1) && ages[9] > secs(3), "{ages:?}");
    assert!(ages.windows(2).all(|pair| pair[1] - pair[0] < ms(600)), "{ages:?}");
}

#[test]
fn without_a_revival_the_blackholed_stay_away() {
    let world = tried(dying(20, Death::Blackhole, 10), pinging(secs(1)), secs(60));
    assert!(victims(world).iter().all(|victim| victim.back.is_none()));
}
