//! Probes of our own server over real sockets, and of nobody.

use crate::{assert_about, doubts, plan, settings};
use halfopen_driver::DriverKind;
use halfopen_loadgen::probe::{Document, Pings, Running};
use halfopen_server::{Config, Echo, Heartbeat, Policy, Server, ServerConfig};
use halfopen_sim::skipped;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant, SystemTime};

const MAX_WAIT: Duration = Duration::from_secs(20);

fn server(policy: Policy) -> Server {
    let (interval, timeout) = (Duration::from_millis(900), Duration::from_millis(600));
    let config = ServerConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        shards: Some(1),
        connections_max: Some(64),
        shard: Config {
            heartbeat: Some(Heartbeat { policy, interval, timeout }),
            ..Config::default()
        },
        ..ServerConfig::default()
    };
    Server::start(&config, |_| Echo).unwrap()
}

fn probe(server: &Server, driver: DriverKind) -> Document {
    let url = format!("ws://{}/", server.local_addr());
    let running = Running::start(plan(&url, 8), settings(MAX_WAIT), driver).unwrap();
    running.join().unwrap().document(None, SystemTime::UNIX_EPOCH)
}

/// A busy machine spoils milliseconds, and says so.
fn is_spoilt(found: &Document) -> bool {
    doubts(found).contains(&"machine_late")
}

#[test]
fn our_own_server_is_known_on_each_driver_and_everybody_leaves_politely() {
    let look = |driver| {
        let server = server(Policy::Periodic);
        let found = probe(&server, driver);
        server.handle().stop();
        let stats = server.join().stats;
        assert_eq!(stats.ended(halfopen_server::End::Silent), 3, "the mutes: {stats:?}");
        assert_eq!(stats.ended(halfopen_server::End::Reset), 0, "{stats:?}");
        if is_spoilt(&found) {
            return skipped(&format!("others take this machine: {:?}", found.doubts));
        }
        let tick = Duration::from_millis(8);
        assert_about("interval", &found.interval_ms, Duration::from_millis(900), tick);
        assert_about("timeout", &found.timeout_ms, Duration::from_millis(600), tick);
        assert_eq!((found.pings, found.traffic_suppresses), (Pings::Server, Some(false)));
        assert!(found.complete && found.watched_s < 15.0, "{found:?}");
    };
    std::thread::scope(|scope| {
        for driver in DriverKind::ALL {
            scope.spawn(move || look(driver));
        }
    });
}

#[test]
fn traffic_is_seen_to_suppress_pings() {
    let server = server(Policy::Idle);
    let found = probe(&server, DriverKind::Auto);
    server.handle().stop();
    server.join();
    if !is_spoilt(&found) {
        assert_eq!(found.traffic_suppresses, Some(true), "{found:?}");
    }
}

#[test]
fn an_interrupt_ends_it_and_keeps_what_was_seen() {
    let server = server(Policy::Periodic);
    let url = format!("ws://{}/", server.local_addr());
    let running = Running::start(plan(&url, 8), settings(MAX_WAIT), DriverKind::Auto).unwrap();
    let begun = Instant::now();
    while running.progress().pings < 3 {
        assert!(begun.elapsed() < MAX_WAIT, "no pings come");
        std::thread::sleep(Duration::from_millis(10));
    }
    running.interrupt();
    let found = running.join().unwrap();
    assert!(found.interrupted);
    assert_eq!(found.document(None, SystemTime::UNIX_EPOCH).pings, Pings::Server);
    server.handle().stop();
    server.join();
}

#[test]
fn where_nobody_listens_it_says_why() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("ws://{free}/");
    let found = Running::start(plan(&url, 3), settings(MAX_WAIT), DriverKind::Auto).unwrap();
    let found = found.join().unwrap();
    assert_eq!((found.opened(), found.failed["refused"]), (0, 3));
}
