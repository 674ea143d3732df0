//! Whole runs against our own server.

use crate::on_each_driver;
use halfopen_driver::DriverKind;
use halfopen_loadgen::death::Death;
use halfopen_loadgen::observer::{Observer, Sighting};
use halfopen_loadgen::plan::{Amount, Asked, ServerPing, resolve};
use halfopen_loadgen::record::Victim;
use halfopen_loadgen::run::{Ended, Outcome, Run};
use halfopen_server::{Config, Echo, Heartbeat, Policy, Server, ServerConfig};
use std::sync::Arc;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(2);

/// A run against a server of the same driver, and what the observer has seen.
fn run(driver: DriverKind, asked: Asked) -> (Outcome, Vec<Sighting>) {
    let heartbeat = Heartbeat { policy: Policy::Periodic, interval: INTERVAL, timeout: TIMEOUT };
    let config = ServerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        driver,
        shards: Some(1),
        connections_max: Some(1_000),
        shard: Config { heartbeat: Some(heartbeat), ..Config::default() },
        ..ServerConfig::default()
    };
    let server = Server::start(&config, |_| Echo).unwrap();
    let observer = Arc::new(Observer::start(server.local_addr().port()).unwrap());
    let url = format!("ws://{}/", server.local_addr());
    let server_ping = Some(ServerPing { interval: Some(INTERVAL), timeout: TIMEOUT });
    let asked = Asked { url, server_ping, duration: Duration::ZERO, ..asked };
    let run = Run::start(resolve(&asked).unwrap(), driver, observer.clone()).unwrap();
    let outcome = run.join().unwrap();
    let sightings = Arc::into_inner(observer).expect("the run is over").finish().unwrap();
    server.handle().stop();
    assert!(server.join().error.is_none());
    (outcome, sightings)
}

#[test]
fn all_of_the_silent_dead_are_detected_and_reclaimed_and_none_of_the_living_is_lost() {
    on_each_driver(|driver| {
        let silent = [Death::Freeze, Death::Mute, Death::Blackhole];
        let kills = silent.map(|death| (death, Amount::Count(30))).to_vec();
        let asked = Asked { connections: 300, shards: Some(2), kills, ..Asked::new("") };
        let (outcome, sightings) = run(driver, asked);
        assert_eq!(outcome.ended, Ended::Complete);
        let tally = outcome.tally;
        assert_eq!((tally.opened, tally.living_at_end, tally.victims.len()), (300, 210, 90));
        assert_eq!((tally.losses.len(), tally.kills_missed), (0, 0));
        for victim in &tally.victims {
            assert_found_in_time(victim, &sightings);
        }
    });
}

/// Not before its time; how soon after it is a matter of the machine.
fn assert_found_in_time(victim: &Victim, sightings: &[Sighting]) {
    let seen = sightings.iter().find(|seen| seen.client == victim.local).unwrap();
    let (Some(detected), Some(_)) = (seen.detected, seen.reclaimed) else {
        panic!("{victim:?} {seen:?}");
    };
    let earliest = victim.answered.unwrap() + TIMEOUT;
    assert!(detected > earliest, "{victim:?} {seen:?}");
    assert!(detected > victim.killed, "{victim:?} {seen:?}");
}

/// The host answers the next ping with RST.
#[test]
fn the_vanished_are_found_by_the_ping_and_not_by_the_timeout() {
    if !halfopen_driver::may_vanish() {
        return eprintln!("SKIPPED: nothing vanishes without CAP_NET_ADMIN");
    }
    on_each_driver(|driver| {
        let kills = vec![(Death::Vanish, Amount::Count(30))];
        let asked = Asked { connections: 60, kills, ..Asked::new("") };
        let (outcome, sightings) = run(driver, asked);
        assert_eq!(outcome.ended, Ended::Complete);
        let tally = outcome.tally;
        assert_eq!((tally.living_at_end, tally.victims.len(), tally.losses.len()), (30, 30, 0));
        let mut soon = 0;
        for victim in &tally.victims {
            let seen = sightings.iter().find(|seen| seen.client == victim.local).unwrap();
            let detected = seen.detected.unwrap_or_else(|| panic!("{victim:?} {seen:?}"));
            // No RST came out of the death itself: the next ping is due an interval after the last.
            assert!(detected > victim.answered.unwrap() + INTERVAL / 2, "{victim:?} {seen:?}");
            soon += u32::from(detected < victim.answered.unwrap() + TIMEOUT);
            assert!(seen.reclaimed.is_some(), "{seen:?}");
        }
        assert!(soon >= 25, "{soon} of 30 were found before a timeout could have passed");
    });
}
