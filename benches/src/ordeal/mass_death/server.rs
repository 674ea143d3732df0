//! The server whose peers die: the library's shards, and a thread that sees how many are open.

use anyhow::Context;
use halfopen_driver::ring::Features;
use halfopen_driver::{Counters, DriverKind, Engine, Event, Heard, Op, Waker};
use halfopen_server::{
    Admission, Config, DriverStats, Echo, Heartbeat, Shard, ShardHandle, Stats, TcpWatch, listen,
};
use halfopen_wheel::{Instant, clock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, stdin};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How the server is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The most connections.
    pub connections: u32,
    /// The heartbeat.
    pub heartbeat: Heartbeat,
    /// What runs it.
    pub driver: DriverKind,
    /// Deadlines come up together, at the multiples of this time.
    pub gather: Option<Duration>,
}

/// What the server knows when all is over.
#[derive(Debug, Serialize, Deserialize)]
pub struct Account {
    /// How many shards it has.
    pub shards: usize,
    /// What they have counted.
    pub stats: Stats,
    /// How many were open, in the order of time (ns of the monotonic clock): each change.
    pub open: Vec<(u64, u64)>,
}

impl Account {
    /// When the first connection was let go of after `moment`, and when the last.
    pub fn falls_after(&self, moment: Instant) -> Option<(Instant, Instant)> {
        let pairs = self.open.iter().zip(self.open.iter().skip(1));
        let falls = pairs.filter(|(before, after)| after.1 < before.1);
        let falls = falls.map(|(_, after)| Instant::from_nanos(after.0));
        let mut falls = falls.filter(|&at| at >= moment);
        let first = falls.next()?;
        Some((first, falls.next_back().unwrap_or(first)))
    }
}

/// An engine whose deadlines come up together.
struct Gathered {
    shard: Shard<Echo>,
    every: Option<Duration>,
}

impl Engine for Gathered {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        self.shard.on_event(now, event, ops);
    }

    fn on_deadline(&mut self, now: Instant, heard: Heard, ops: &mut Vec<Op>) {
        self.shard.on_deadline(now, heard, ops);
    }

    fn deadline(&self) -> Option<Instant> {
        let due = self.shard.deadline()?;
        Some(self.every.map_or(due, |every| round_up(due, every)))
    }
}

fn round_up(at: Instant, every: Duration) -> Instant {
    Instant::from_nanos(at.as_nanos().next_multiple_of(every.as_nanos() as u64))
}

/// How often the number of those that are open is looked at.
const LOOK: Duration = Duration::from_millis(1);

/// Connections of one shard at the most, where the descriptor limit allows it.
const SHARD_MAX: u64 = 18_000;

struct Running {
    handle: ShardHandle,
    counters: Arc<Counters>,
}

/// Serves until its input ends. A line `open` is answered with how many are open, and any other with
/// the [`Account`] as JSON.
///
/// # Errors
/// A shard could not be started.
pub fn serve(setup: &Setup) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let room = limit.maximum.unwrap_or(u64::MAX).min(SHARD_MAX + 2_000) - 2_000;
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let listener = Arc::new(listen(SocketAddr::from(([127, 0, 0, 1], 0)), &TcpWatch::default())?);
    let admission = Arc::new(Admission::new(setup.connections.into()));
    let shards = u64::from(setup.connections).div_ceil(room).max(2);
    let running: anyhow::Result<Vec<_>> =
        (0..shards).map(|shard| start(setup, shard, shards, &listener, &admission)).collect();
    let running = running?;
    let open = watch(admission.clone());
    println!("listening on {}", listener.local_addr()?);

    for line in stdin().lock().lines() {
        if line? == "open" {
            println!("{}", admission.open());
            continue;
        }
        let open = open.lock().expect("watching does not panic").clone();
        let account = Account { shards: running.len(), stats: stats(&running), open };
        println!("{}", serde_json::to_string(&account)?);
    }
    Ok(())
}

fn start(
    setup: &Setup,
    shard: u64,
    shards: u64,
    listener: &Arc<TcpListener>,
    admission: &Arc<Admission>,
) -> anyhow::Result<Running> {
    let (waker, wake) = Waker::new()?;
    let config = Config {
        heartbeat: Some(setup.heartbeat),
        connections_max: u64::from(setup.connections).div_ceil(shards) as u32,
        seed: shard,
        ..Config::default()
    };
    let (shard, handle) = Shard::new(config, admission.clone(), waker, Echo);
    let counters = Arc::new(Counters::default());
    let driver = halfopen_driver::Config {
        listener: Some(listener.clone()),
        listener_shared: true,
        wake,
        connections_max: config.connections_max + config.refusals_max,
        counters: counters.clone(),
        without: Features::NONE,
    };
    let (kind, every) = (setup.driver, setup.gather);
    std::thread::Builder::new()
        .spawn(move || {
            if let Err(error) = kind.run(&mut Gathered { shard, every }, driver) {
                eprintln!("a shard: {error}");
                std::process::exit(1);
            }
        })
        .context("starting a shard")?;
    Ok(Running { handle, counters })
}

fn stats(running: &[Running]) -> Stats {
    let mut all = Stats::default();
    for shard in running {
        if let Some(stats) = shard.handle.snapshot(Duration::from_secs(20)) {
            all.add(&Stats { driver: DriverStats::from(&*shard.counters), ..stats });
        }
    }
    all
}

/// Notes each change of the number of those that are open.
fn watch(admission: Arc<Admission>) -> Arc<Mutex<Vec<(u64, u64)>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    std::thread::spawn(move || {
        let mut last = u64::MAX;
        loop {
            let open = admission.open();
            if std::mem::replace(&mut last, open) != open {
                noted.lock().expect("nobody panics with it").push((clock::now().as_nanos(), open));
            }
            std::thread::sleep(LOOK);
        }
    });
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_comes_up_at_the_next_multiple() {
        let second = Duration::from_secs(1);
        let table = [(0, 0), (1, 1), (999_999_999, 1), (1_000_000_000, 1), (1_000_000_001, 2)];
        for (at, seconds) in table {
            let up = round_up(Instant::from_nanos(at), second);
            assert_eq!(up, Instant::from_nanos(0) + seconds * second, "{at}");
        }
    }

    #[test]
    fn the_first_and_the_last_fall_are_found() {
        let open = vec![(10, 0), (20, 5), (30, 4), (40, 6), (50, 3), (60, 1), (70, 2)];
        let account = Account { shards: 1, stats: Stats::default(), open };
        let at = Instant::from_nanos;
        assert_eq!(account.falls_after(at(0)), Some((at(30), at(60))));
        assert_eq!(account.falls_after(at(55)), Some((at(60), at(60))));
        assert_eq!(account.falls_after(at(61)), None);
    }
}
