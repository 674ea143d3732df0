//! A made-up run, for the tests of everything that is made of one.

use super::input::{Ending, Input, Observed, Phase, ServerSide};
use super::schema::{ObserverKind, Report};
use super::{Histograms, build};
use crate::death::Death;
use crate::observer::{RESOLUTION, Sighting};
use crate::pacing::{Arrivals, Share};
use crate::plan::{
    Between, Expect, Fault, Kill, KillAt, KillTimes, MessageKind, Plan, Script, ServerPing, Watch,
};
use crate::record::{Tally, Victim};
use crate::sample::proc::{Carried, MachineTicks, Memory, TcpCounters};
use crate::sample::{Gauges, Point, Samples};
use halfopen_wheel::Instant;
use hdrhistogram::Histogram;
use std::net::SocketAddr;
use std::time::Duration;

/// The parts of a run, to be changed before they are made a report.
pub(crate) struct Run {
    pub(crate) plan: Plan,
    pub(crate) tally: Tally,
    pub(crate) samples: Samples,
    pub(crate) sightings: Vec<Sighting>,
    pub(crate) server: Option<ServerSide>,
}

/// The report of a run in which everything went as it should.
pub(crate) fn sample() -> (Report, Histograms) {
    let run = Run::new();
    build(&run.input())
}

const SECOND: u64 = 1_000_000_000;
const BEGAN: u64 = 50 * SECOND;

/// So many seconds after the begin.
fn at(seconds: f64) -> Instant {
    Instant::from_nanos(BEGAN + (seconds * SECOND as f64) as u64)
}

impl Run {
    pub(crate) fn new() -> Self {
        let plan = plan();
        let mut random = fastrand::Rng::with_seed(7);
        let (mut victims, mut sightings) = (Vec::new(), Vec::new());
        for kill in &plan.kills {
            for _ in 0..kill.count {
                let port = 20_000 + victims.len() as u16;
                let (victim, seen) = dead(kill.death, port, &mut random);
                victims.push(victim);
                sightings.push(seen);
            }
        }
        let server = ServerSide {
            lateness_ns: histogram(2000, |_| random.f64() * 8e6),
            rtt_ns: histogram(40_000, |_| 60e3 + 30e3 * -random.f64().ln() * 3.0),
            pings_sent: 40_000,
        };
        Self { plan, tally: tally(victims), samples: samples(), sightings, server: Some(server) }
    }

    pub(crate) fn input(&self) -> Input<'_> {
        let argv = ["halfopen", "lab", "--name", "a made-up run"];
        let phase =
            |name: &str, start, end| Phase { name: name.into(), start: at(start), end: at(end) };
        Input {
            argv: argv.map(String::from).to_vec(),
            git: Some("0123abc".into()),
            plan: &self.plan,
            settings: serde_json::Map::from_iter([("ping_policy".into(), "periodic".into())]),
            pings_only_the_silent: false,
            began: at(0.0),
            started: "2026-11-20T10:00:00Z".parse().unwrap(),
            phases: vec![
                phase(Phase::RAMP, 0.5, 1.5),
                phase(Phase::STEADY, 1.5, 11.5),
                phase(Phase::DEATHS, 11.5, 21.0),
            ],
            tally: &self.tally,
            observed: Observed {
                by: Some(ObserverKind::SockDiag),
                sightings: self.sightings.clone(),
                gaps: 0,
                resolution: RESOLUTION,
                until: at(21.0),
            },
            samples: &self.samples,
            server: self.server.clone(),
            server_cpus: vec![0],
            intervals: Vec::new(),
            ending: Ending::Complete,
            thresholds: &[],
            doubts: Vec::new(),
        }
    }

    /// The server does not ping: nobody who died without a word is found.
    pub(crate) fn without_pings(mut self) -> Self {
        self.plan.server_ping.as_mut().unwrap().interval = None;
        (self.tally.pings_seen, self.tally.pings_answered) = (0, 0);
        self.tally.pings_per_100ms.clear();
        self.tally.ping_interval_ns.reset();
        for victim in &mut self.tally.victims {
            victim.answered = None;
        }
        let silent = |port: u16| (20_000..22_000).contains(&port);
        for seen in self.sightings.iter_mut().filter(|seen| silent(seen.client.port())) {
            (seen.detected, seen.reclaimed) = (None, None);
        }
        let none = Histogram::new(3).unwrap();
        self.server = Some(ServerSide { lateness_ns: none.clone(), rtt_ns: none, pings_sent: 0 });
        self
    }
}

fn plan() -> Plan {
    let kill = |death, count| Kill { death, count };
    Plan {
        url: "ws://127.0.0.1:9001/".into(),
        targets: vec!["127.0.0.1:9001".parse().unwrap()],
        tls: None,
        host: "127.0.0.1:9001".into(),
        path: "/".into(),
        subprotocols: Vec::new(),
        origin: None,
        headers: Vec::new(),
        sources: Vec::new(),
        connections: 10_000,
        connect_rate: 20_000.0,
        connect_timeout: Duration::from_secs(10),
        duration: Duration::from_secs(30),
        message_rate: None,
        arrivals: Arrivals::Constant,
        window: None,
        size: 64.into(),
        kind: MessageKind::Binary,
        expect: Expect::Any,
        client_ping: None,
        script: Script::default(),
        churn: None,
        herd: None,
        kills: vec![
            kill(Death::Blackhole, 1000),
            kill(Death::Freeze, 1000),
            kill(Death::Fin, 100),
            kill(Death::Reset, 100),
            kill(Death::Close, 100),
        ],
        kill_at: KillAt::Auto,
        kill_over: Duration::ZERO,
        kill_times: KillTimes::Even,
        pong_delay: Between::always(Duration::from_millis(500)),
        flap_for: Duration::from_secs(4),
        revive: None,
        watch: Watch::Auto,
        server_ping: Some(ServerPing {
            interval: Some(Duration::from_secs(5)),
            timeout: Duration::from_secs(3),
        }),
        slice: Share::WHOLE,
        shards: 1,
        cpus: vec![1],
        seed: 1,
        fault: Fault::NONE,
    }
}

/// A victim of second 11.5, found as a heartbeat of 5 s and 3 s finds it.
fn dead(death: Death, port: u16, random: &mut fastrand::Rng) -> (Victim, Sighting) {
    let killed = at(11.5);
    let age = Duration::from_secs_f64(5.0 * random.f64());
    let late = Duration::from_secs_f64(0.008 * random.f64());
    let found = if death.is_left_to_the_timeout() {
        killed + Duration::from_secs(8) - age + late
    } else {
        killed + late
    };
    let client = SocketAddr::from(([127, 0, 0, 1], port));
    let server = "127.0.0.1:9001".parse().unwrap();
    let answered = Some(killed - age);
    let victim = Victim {
        death,
        local: client,
        peer: server,
        killed,
        answered,
        client_saw: None,
        sight: None,
        back: None,
        owed: None,
    };
    let seen = Sighting {
        client,
        server,
        detected: Some(found),
        reclaimed: Some(found + Duration::from_micros(30)),
        doubtful: false,
        observable: true,
    };
    (victim, seen)
}

fn histogram(count: u32, mut value: impl FnMut(u32) -> f64) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1000, 60 * SECOND, 3).unwrap();
    for i in 0..count {
        histogram.saturating_record(value(i) as u64);
    }
    histogram
}

fn tally(victims: Vec<Victim>) -> Tally {
    Tally {
        opened: 10_000,
        peak: 10_000,
        living_at_end: 7700,
        connect_ns: histogram(10_000, |i| 40e3 + f64::from(i) * 10.0),
        handshake_ns: histogram(10_000, |i| 90e3 + f64::from(i) * 25.0),
        pings_seen: 40_000,
        pings_answered: 40_000,
        ping_interval_ns: histogram(30_000, |i| 5e9 + f64::from(i % 800) * 1e4),
        pings_per_100ms: (0..200).map(|i| 195 + i % 11).collect(),
        victims,
        ..Tally::default()
    }
}

fn samples() -> Samples {
    let points = (0..=42).map(|half| point(f64::from(half) / 2.0));
    Samples {
        points: points.collect(),
        hiccups_ns: histogram(40_000, |i| 20e3 + f64::from(i) * 8.0),
    }
}

fn point(seconds: f64) -> Point {
    let opened = ((seconds - 0.5) * 10_000.0).clamp(0.0, 10_000.0);
    let connections = if seconds >= 12.0 { 7700.0 } else { opened };
    let beats = (seconds - 1.0).max(0.0) * 2000.0 + (seconds * 7.0).sin() * 20.0;
    // Opening costs 20 µs, a heartbeat 10 µs, living 5 ms a second.
    let cpu = |share: f64| {
        Duration::from_secs_f64(share * (opened * 20e-6 + beats * 10e-6 + seconds * 5e-3))
    };
    let first = if opened > 0.0 { 3_000_000.0 } else { 0.0 };
    let memory = |each: f64| Memory {
        rss: (9_000_000.0 + first + opened * each) as u64,
        anon: (first + opened * each) as u64,
    };
    let packets = (opened * 8.0 + beats * 4.0) as u64;
    Point {
        at: at(seconds),
        gauges: Gauges {
            connections: connections as u64,
            heartbeats: beats as u64,
            watching: Duration::ZERO,
        },
        client_cpu: cpu(1.0),
        watching_cpu: Duration::ZERO,
        server_cpu: Some(cpu(0.9)),
        server_memory: Some(memory(200.0)),
        client_memory: Some(memory(300.0)),
        machine: Some(MachineTicks {
            cores: 2,
            idle: (seconds * 200.0 - cpu(2.0).as_secs_f64() * 100.0) as u64,
            steal: 0,
        }),
        kernel_memory: Some(100_000_000 + (opened * 9600.0) as u64),
        loopback: Some(Carried { packets, bytes: packets * 54 }),
        tcp: Some(TcpCounters { sent: packets, retransmitted: 0, ttl_dropped: beats as u64 / 40 }),
    }
}
