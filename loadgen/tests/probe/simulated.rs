//! Probes of simulated servers: minutes of heartbeats in virtual time.

use crate::habit::{Habit, Host};
use crate::{assert_about, doubts, plan, settings};
use halfopen_driver::{Engine, WakeSource, Waker};
use halfopen_loadgen::probe::{
    Counts, Document, Findings, Link, Phase, Pings, Probe, Settings, json_schema,
};
use halfopen_server::{Admission, Config, Echo, Heartbeat, Policy, Shard};
use halfopen_sim::{Faults, Site, World};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const URL: &str = "ws://127.0.0.1:9001/";
const TICK: Duration = Duration::from_millis(8);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Probes `server` in virtual time, and is gone when it comes back.
fn probe_with(
    server: &mut dyn Engine,
    wake: Option<WakeSource>,
    settings: Settings,
    connections: u32,
) -> Findings {
    let (link, own_wake) = Link::new().unwrap();
    let max_wait = settings.max_wait;
    let mut probe = Probe::new(Arc::new(plan(URL, connections)), settings, 7, link);
    let mut world = World::new(3, Faults::none());
    let listener = Some("127.0.0.1:9001".parse().unwrap());
    world.add(server, Site { listener, connections_max: 100, wake, steady: true });
    let connections_max = connections + 1;
    let wake = Some(own_wake);
    world.add(&mut probe, Site { listener: None, connections_max, wake, steady: true });
    world.run_for(max_wait + secs(10));
    drop(world);
    probe.into_findings()
}

fn probe(habits: &[Habit]) -> Document {
    let mut host = Host::new(habits);
    let found = probe_with(&mut host, None, settings(secs(150)), 8);
    assert_eq!(host.lost, 0, "each is either ended by the server or takes its leave");
    assert!(host.goodbyes > 0 || found.diaries.iter().all(|diary| diary.end.is_some()));
    let document = found.document(None, SystemTime::UNIX_EPOCH);
    let schema = jsonschema::validator_for(&json_schema()).unwrap();
    assert!(schema.is_valid(&serde_json::to_value(&document).unwrap()), "{document:?}");
    document
}

/// What is known of a server with a heartbeat.
struct Beat {
    interval: Duration,
    timeout: Duration,
    tick: Duration,
    phase: Phase,
    ended_by: &'static str,
    suppresses: bool,
    /// It is over by then.
    within: Duration,
}

#[track_caller]
fn assert_beat(found: &Document, beat: &Beat) {
    assert_about("interval", &found.interval_ms, beat.interval, beat.tick);
    assert_about("timeout", &found.timeout_ms, beat.timeout, beat.tick);
    assert_eq!(found.phase, Some(beat.phase), "{found:?}");
    assert_eq!(found.ended_by.keys().collect::<Vec<_>>(), [beat.ended_by]);
    assert_eq!(found.traffic_suppresses, Some(beat.suppresses), "{found:?}");
    assert!(found.watched_s <= beat.within.as_secs_f64(), "{} s", found.watched_s);
    let (ms, tick) =
        (|time: Duration| time.as_secs_f64() * 1e3, 2.0 * 1e3 * beat.tick.as_secs_f64());
    let expected = [beat.timeout, beat.timeout + beat.interval / 2, beat.timeout + beat.interval];
    let window = [found.detection.min_ms, found.detection.p50_ms, found.detection.max_ms];
    for (found, expected) in window.into_iter().zip(expected) {
        let (found, expected) = (found.unwrap(), ms(expected));
        assert!((found - expected).abs() <= tick.max(expected * 0.05), "{found} {expected}");
    }
}

#[test]
fn servers_that_ping_are_known_by_interval_timeout_phase_and_end() {
    let keepalive = |interval, timeout| Habit::Keepalive { interval, timeout };
    let beat = |interval, timeout, phase, ended_by, within| Beat {
        interval,
        timeout,
        tick: Duration::ZERO,
        phase,
        ended_by,
        suppresses: false,
        within,
    };
    let table = [
        (vec![keepalive(secs(20), secs(20))], {
            beat(secs(20), secs(20), Phase::Opening, "Close 1011", secs(62))
        }),
        (vec![keepalive(secs(2), secs(1))], {
            beat(secs(2), secs(1), Phase::Opening, "Close 1011", secs(8))
        }),
        (vec![keepalive(Duration::from_millis(500), secs(5))], {
            beat(Duration::from_millis(500), secs(5), Phase::Opening, "Close 1011", secs(8))
        }),
        (vec![Habit::Sweep { interval: secs(30) }], {
            beat(secs(30), secs(30), Phase::Together, "RST", secs(92))
        }),
        (vec![Habit::Deadline { interval: secs(54), wait: secs(60) }], {
            beat(secs(54), secs(6), Phase::Opening, "FIN", secs(116))
        }),
        // A proxy that cuts after a minute, and pings that come often enough.
        (vec![keepalive(secs(50), secs(20)), Habit::Cut { after: secs(60) }], {
            beat(secs(50), secs(20), Phase::Opening, "Close 1011", secs(122))
        }),
    ];
    for (habits, beat) in table {
        let found = probe(&habits);
        assert_eq!(found.pings, Pings::Server, "{habits:?}");
        assert_beat(&found, &beat);
        assert!(found.complete && found.idle_limit_ms.is_none(), "{found:?}");
        assert_eq!(doubts(&found), [""; 0], "{habits:?}");
    }
}

#[test]
fn a_ping_after_silence_is_told_from_one_in_any_case() {
    let tick = secs(1);
    let found = probe(&[Habit::Quiet { after: secs(14), margin: secs(4), tick }]);
    let beat = Beat {
        interval: secs(14),
        timeout: secs(4),
        tick,
        phase: Phase::Together,
        ended_by: "RST",
        suppresses: true,
        within: secs(50),
    };
    assert_eq!(found.pings, Pings::Server);
    // All wait for the same tick of a coarse clock, or for two.
    assert_beat(&found, &Beat { phase: found.phase.unwrap(), ..beat });
}

#[test]
fn an_interval_that_is_seen_once_in_the_time_is_taken_from_the_age_with_a_doubt() {
    let (after, margin, tick) = (secs(104), secs(16), secs(4));
    let found = probe(&[Habit::Quiet { after, margin, tick }]);
    assert_about("interval", &found.interval_ms, after, tick);
    assert_about("timeout", &found.timeout_ms, margin, tick);
    assert_eq!((found.traffic_suppresses, found.complete), (Some(true), false));
    assert_eq!(doubts(&found), ["one_ping"]);
    assert_eq!(found.jitter_ms, None);
}

#[test]
fn where_nobody_pings_and_nobody_is_ended_nothing_is_claimed() {
    let found = probe(&[]);
    assert_eq!((found.pings, found.complete), (Pings::None, false));
    assert_eq!((found.interval_ms.count, found.timeout_ms.count), (0, 0));
    let unknown = (found.traffic_suppresses, found.idle_limit_ms, found.detection.max_ms);
    assert_eq!(unknown, (None, None, None));
    assert_eq!(doubts(&found), ["nothing_seen"]);
    assert!((150.0..151.0).contains(&found.watched_s));
}

#[test]
fn a_limit_for_the_idle_is_told_from_a_lifetime_and_from_a_want_of_messages() {
    let found = probe(&[Habit::Cut { after: secs(60) }]);
    assert_eq!((found.pings, found.complete), (Pings::Client, true));
    assert_eq!(found.idle_counts, Some(Counts::Bytes));
    assert!((59_900.0..60_200.0).contains(&found.idle_limit_ms.unwrap()));
    assert_eq!((found.detection.min_ms, found.detection.max_ms), (None, found.idle_limit_ms));

    let beat = Habit::Keepalive { interval: secs(4), timeout: secs(3) };
    let found = probe(&[beat, Habit::WantsMessages { after: secs(10) }]);
    assert_eq!(found.pings, Pings::Server);
    assert_eq!(found.idle_counts, Some(Counts::Messages));
    assert!((9_900.0..10_100.0).contains(&found.idle_limit_ms.unwrap()));
    assert_about("timeout", &found.timeout_ms, secs(3), Duration::ZERO);

    let found = probe(&[Habit::Lifetime { after: secs(30) }]);
    assert_eq!((found.pings, found.idle_limit_ms), (Pings::None, None));
    assert_eq!(doubts(&found), ["lifetime"]);
}

#[test]
fn pings_that_come_after_the_limit_are_told_to_come_too_late() {
    let beat = Habit::Keepalive { interval: secs(25), timeout: secs(5) };
    let found = probe(&[beat, Habit::Cut { after: secs(20) }]);
    assert_eq!(found.pings, Pings::Both);
    assert_about("interval", &found.interval_ms, secs(25), Duration::ZERO);
    assert!(doubts(&found).contains(&"pings_too_late"), "{found:?}");
    assert_eq!((found.timeout_ms.count, found.detection.min_ms), (0, None));
}

#[test]
fn a_server_that_pings_and_never_ends_the_dead_is_told_so() {
    let found = probe(&[Habit::Keepalive { interval: secs(10), timeout: secs(1_000_000) }]);
    assert_about("interval", &found.interval_ms, secs(10), Duration::ZERO);
    assert_eq!((found.timeout_ms.count, found.complete), (0, false));
    assert_eq!(doubts(&found), ["not_enforced"]);
}

#[test]
fn who_refuses_messages_or_beats_in_text_is_told_so() {
    let beat = Habit::Keepalive { interval: secs(2), timeout: secs(1) };
    let found = probe(&[beat, Habit::Refuses]);
    assert_eq!(doubts(&found), ["message_refused"]);
    assert_eq!(found.traffic_suppresses, Some(false), "by the client's pings");
    let found = probe(&[Habit::Speaks { interval: secs(25) }]);
    assert_eq!(doubts(&found), ["nothing_seen", "text_heartbeat"]);
}

#[test]
fn a_server_that_sends_everybody_away_at_once_has_turned_the_probe_away() {
    let mut host = Host::new(&[Habit::Lifetime { after: Duration::from_millis(20) }]);
    let found = probe_with(&mut host, None, settings(secs(150)), 8);
    assert!(found.turned_away().is_some());
    assert!(found.ended.saturating_since(found.begun) < secs(3));
}

/// Our own shard, pinging every 20 s with a timeout of 20 s.
fn probe_shard(policy: Policy, settings: Settings, connections: u32) -> Document {
    let (waker, wake) = Waker::new().unwrap();
    let heartbeat = Some(Heartbeat { policy, interval: secs(20), timeout: secs(20) });
    let config = Config { heartbeat, tick: TICK, connections_max: 100, ..Config::default() };
    let (mut shard, _handle) = Shard::new(config, Arc::new(Admission::new(100)), waker, Echo);
    probe_with(&mut shard, Some(wake), settings, connections).document(None, SystemTime::UNIX_EPOCH)
}

#[test]
fn our_own_periodic_heartbeat_is_known() {
    let found = probe_shard(Policy::Periodic, settings(secs(150)), 8);
    let (interval, timeout) = (secs(20), secs(20));
    let (phase, ended_by, within) = (Phase::Spread, "RST", secs(70));
    let beat = Beat { interval, timeout, tick: TICK, phase, ended_by, suppresses: false, within };
    assert_beat(&found, &beat);
    assert_eq!((found.pings, found.complete, doubts(&found).len()), (Pings::Server, true, 0));
}

#[test]
fn our_own_heartbeat_after_silence_is_known_with_the_jitter_that_it_has() {
    let found = probe_shard(Policy::Idle, settings(secs(150)), 8);
    // It waits 90 to 100 % of the interval, anew each time.
    assert_about("interval", &found.interval_ms, secs(19), secs(1));
    let longest = found.interval_ms.max.unwrap();
    assert!((19_600.0..=20_100.0).contains(&longest), "{found:?}");
    assert_about("timeout", &found.timeout_ms, secs(20), TICK);
    assert_eq!((found.traffic_suppresses, found.complete), (Some(true), true));
    assert!((500.0..=1_100.0).contains(&found.jitter_ms.unwrap()), "{found:?}");
}

#[test]
fn without_messages_the_clients_pings_tell_whether_traffic_suppresses() {
    for (policy, suppresses) in [(Policy::Periodic, false), (Policy::Idle, true)] {
        let quiet = Settings { max_wait: secs(150), message: None };
        let found = probe_shard(policy, quiet, 8);
        assert_eq!(found.traffic_suppresses, Some(suppresses));
    }
}

#[test]
fn one_connection_tells_the_interval_and_nothing_more() {
    let found = probe_shard(Policy::Periodic, settings(secs(150)), 1);
    assert_about("interval", &found.interval_ms, secs(20), TICK);
    assert_eq!((found.timeout_ms.count, found.traffic_suppresses), (0, None));
}
