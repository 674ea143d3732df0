//! Whole runs over real sockets: against a server by other hands, against our own, and against
//! bytes that no server should send.

mod foreign;
mod misbehaving;
mod own;

use foreign::{INTERVAL, Server, TIMEOUT, http_server};
use halfopen_driver::DriverKind;
use halfopen_loadgen::death::{Death, Unwatched};
use halfopen_loadgen::observer::Observer;
use halfopen_loadgen::plan::{Amount, Asked, Expect, ServerPing, Watch, resolve};
use halfopen_loadgen::run::{Ended, Outcome, Phase, Run};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

const DRIVERS: [DriverKind; 3] = DriverKind::ALL;

/// On all drivers at once: most of it is to wait for heartbeats.
fn on_each_driver(look: fn(DriverKind)) {
    std::thread::scope(|scope| DRIVERS.map(|driver| drop(scope.spawn(move || look(driver)))));
}

fn asked(url: &str) -> Asked {
    Asked {
        connections: 60,
        connect_rate: 600.0,
        duration: Duration::from_millis(500),
        server_ping: Some(ServerPing { interval: Some(INTERVAL), timeout: TIMEOUT }),
        ..Asked::new(url)
    }
}

fn run(asked: &Asked, driver: DriverKind) -> Outcome {
    let plan = resolve(asked).unwrap();
    Run::start(plan, driver, Arc::new(Unwatched)).unwrap().join().unwrap()
}

#[test]
fn a_foreign_server_is_loaded_and_its_pings_are_answered() {
    for driver in DRIVERS {
        let server = Server::start();
        let outcome = run(
            &Asked {
                message_rate: Some(500.0.into()),
                expect: Expect::Echo,
                client_ping: Some(Duration::from_millis(100)),
                shards: Some(3),
                ..asked(&server.url())
            },
            driver,
        );
        let tally = outcome.tally;
        assert_eq!(outcome.ended, Ended::Complete);
        assert_eq!((tally.opened, tally.living_at_end, tally.failed.len()), (60, 60, 0));
        assert!(tally.messages_sent >= 240, "{}", tally.messages_sent);
        assert_eq!((tally.messages_received, tally.messages_unasked), (tally.messages_sent, 0));
        assert_eq!(tally.latency_ns.len(), tally.messages_sent);
        assert!(tally.pings_seen > 60 && tally.pings_answered == tally.pings_seen);
        assert!(tally.client_pings_answered > 60);
        assert!(outcome.driver.bytes_in > 0 && outcome.driver.syscalls > 0);
        let phases: Vec<_> = outcome.phases.iter().map(|span| span.phase).collect();
        assert_eq!(phases, [Phase::Ramp, Phase::Steady, Phase::End]);
    }
}

#[test]
fn every_kind_of_victim_is_found_at_a_foreign_server() {
    on_each_driver(|driver| {
        let server = Server::start();
        let observer = Arc::new(Observer::start(server.address.port()).unwrap());
        let kills: Vec<_> =
            Death::possible().into_iter().map(|death| (death, Amount::Count(4))).collect();
        let killed = kills.len() * 4;
        let watch = Watch::AtMost(Duration::from_secs(4));
        let asked = Asked { kills, watch, duration: Duration::ZERO, ..asked(&server.url()) };
        let plan = resolve(&asked).unwrap();
        let outcome = Run::start(plan, driver, observer.clone()).unwrap().join().unwrap();
        assert_eq!(outcome.ended, Ended::Complete);
        assert!(outcome.unmapped.is_none());
        let tally = outcome.tally;
        assert_eq!((tally.victims.len(), tally.kills_missed), (killed, 0));
        assert_eq!(tally.living_at_end, 60 - killed as u64);
        assert_eq!((tally.lost_heartbeat, tally.losses.len()), (0, 0));

        let sightings = Arc::into_inner(observer).expect("the run is over").finish().unwrap();
        assert_eq!(sightings.len(), killed);
        for victim in &tally.victims {
            assert!(victim.answered.is_some());
            let sighting = sightings.iter().find(|seen| seen.client == victim.local).unwrap();
            assert!(sighting.observable, "{victim:?}");
            let detected = sighting.detected.unwrap_or_else(|| panic!("{victim:?} {sighting:?}"));
            if victim.death.is_left_to_the_timeout() {
                assert!(detected > victim.answered.unwrap() + TIMEOUT, "{victim:?} {sighting:?}");
            }
        }
    });
}

#[test]
fn a_server_that_dies_ends_the_run() {
    for driver in DRIVERS {
        let mut server = Server::start();
        let asked = Asked { duration: Duration::from_secs(600), ..asked(&server.url()) };
        let run = Run::start(resolve(&asked).unwrap(), driver, Arc::new(Unwatched)).unwrap();
        let progress = run.progress();
        while progress.phase() == Phase::Ramp || progress.snapshot().pings_answered < 100 {
            std::thread::yield_now();
        }
        server.die();
        let outcome = run.join().unwrap();
        assert_eq!(outcome.ended, Ended::ServerLost);
        let tally = outcome.tally;
        assert_eq!((tally.losses.len(), tally.lost_heartbeat, tally.living_at_end), (60, 0, 0));
        assert!(tally.pings_answered >= 100, "what was measured is kept");
    }
}

#[test]
fn an_interrupt_ends_the_run_and_keeps_what_was_measured() {
    for driver in DRIVERS {
        let server = Server::start();
        let asked = Asked { duration: Duration::from_secs(600), ..asked(&server.url()) };
        let run = Run::start(resolve(&asked).unwrap(), driver, Arc::new(Unwatched)).unwrap();
        let progress = run.progress();
        while progress.snapshot().opened < 60 {
            std::thread::yield_now();
        }
        run.interrupt().interrupt();
        let outcome = run.join().unwrap();
        assert_eq!(outcome.ended, Ended::Interrupted);
        assert_eq!((outcome.tally.opened, outcome.tally.living_at_end), (60, 60));
    }
}

#[test]
fn where_nobody_listens_the_run_says_so() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for driver in DRIVERS {
        let outcome = run(&asked(&format!("ws://{free}/")), driver);
        assert_eq!(outcome.ended, Ended::NoneOpened);
        assert_eq!(outcome.tally.failed["refused"], 60);
    }
}

#[test]
fn a_server_of_plain_http_is_quoted() {
    let address = http_server("HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\n\r\nno entry");
    for driver in DRIVERS {
        let outcome = run(&asked(&format!("ws://{address}/")), driver);
        assert_eq!(outcome.ended, Ended::NoneOpened);
        assert_eq!(outcome.tally.failed["status_403"], 60);
        let example = outcome.tally.failure_example.unwrap();
        assert!(example.contains("403 Forbidden: no entry"), "{example}");
    }
}
