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
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// Once that is said, deadlines come up together, so often.
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
    gathering: Option<Gathering>,
}

/// When deadlines come up together.
#[derive(Clone)]
struct Gathering {
    every: Duration,
    /// The first of these moments (ns of the monotonic clock); until it is set they come up as they
    /// fall.
    first: Arc<AtomicU64>,
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
        Some(self.gathering.as_ref().map_or(due, |gathering| gathering.comes_up(due)))
    }
}

impl Gathering {
    fn new(every: Duration) -> Self {
        Self { every, first: Arc::default() }
    }

    fn begin(&self, first: Instant) {
        self.first.store(first.as_nanos(), Ordering::Relaxed);
    }

    /// What falls right behind such a moment is what it has left over: a second look, where the
    /// driver could not know yet who is silent. A server gives it at its next tick, and so it does not
    /// wait for the next of these moments.
    fn comes_up(&self, due: Instant) -> Instant {
        let first = Instant::from_nanos(self.first.load(Ordering::Relaxed));
        let every = self.every.as_nanos() as u64;
        let past = due.saturating_since(first).as_nanos() as u64;
        if first == NOT_YET || past % every <= every / 8 {
            return due.max(first);
        }
        first + Duration::from_nanos(past.next_multiple_of(every))
    }
}

const NOT_YET: Instant = Instant::from_nanos(0);

/// How often the number of those that are open is looked at.
const LOOK: Duration = Duration::from_millis(1);

/// Connections of one shard at the most, where the descriptor limit allows it.
const SHARD_MAX: u64 = 18_000;

struct Running {
    handle: ShardHandle,
    counters: Arc<Counters>,
}

/// Serves until its input ends. A line `open` is answered with how many are open, one that is a moment
/// (ns) with itself, and from then on deadlines come up together; any other with the [`Account`] as
/// JSON.
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
    let gathering = setup.gather.map(Gathering::new);
    let start = |shard| start(setup, shard, shards, &listener, &admission, gathering.clone());
    let running = (0..shards).map(start).collect::<anyhow::Result<Vec<_>>>()?;
    let open = watch(admission.clone());
    println!("listening on {}", listener.local_addr()?);

    for line in stdin().lock().lines() {
        let line = line?;
        if line == "open" {
            println!("{}", admission.open());
            continue;
        }
        if let (Ok(first), Some(gathering)) = (line.parse(), &gathering) {
            gathering.begin(Instant::from_nanos(first));
            println!("{first}");
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
    gathering: Option<Gathering>,
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
    let kind = setup.driver;
    std::thread::Builder::new()
        .spawn(move || {
            if let Err(error) = kind.run(&mut Gathered { shard, gathering }, driver) {
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
    use halfopen_driver::{ConnId, Opening};

    const EVERY: Duration = Duration::from_secs(9);
    const FIRST: Instant = Instant::from_nanos(1_000_000_000_000);

    fn gathering() -> Gathering {
        let gathering = Gathering::new(EVERY);
        gathering.begin(FIRST);
        gathering
    }

    #[test]
    fn a_deadline_comes_up_with_the_others_unless_it_is_left_over_from_them() {
        let comes_up = |ms| {
            let up = gathering().comes_up(FIRST + Duration::from_millis(ms));
            up.saturating_since(FIRST).as_millis() as u64
        };
        let table =
            [(0, 0), (8, 8), (1_000, 1_000), (2_000, 9_000), (8_999, 9_000), (9_008, 9_008)];
        for (due, up) in table {
            assert_eq!(comes_up(due), up, "{due}");
        }
        let before = Instant::from_nanos(FIRST.as_nanos() - 1);
        assert_eq!(gathering().comes_up(before), FIRST);
        assert_eq!(Gathering::new(EVERY).comes_up(before), before);
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    /// A shard with peers who answer, or not. Every send leaves at once.
    struct Play {
        engine: Gathered,
        answers: bool,
        aborted: u32,
    }

    impl Play {
        /// What the peers answer is told, too.
        fn tell(&mut self, now: Instant, event: Event<'_>) {
            let mut ops = Vec::new();
            self.engine.on_event(now, event, &mut ops);
            self.carry_out(now, ops);
        }

        fn carry_out(&mut self, now: Instant, ops: Vec<Op>) {
            for op in ops {
                match op {
                    Op::Send { id, chunk } => {
                        let pong = pong(chunk.as_bytes()).filter(|_| self.answers);
                        self.tell(now, Event::Sent { id, chunk, at: now });
                        if let Some(mut bytes) = pong {
                            self.tell(now, Event::Received { id, bytes: &mut bytes });
                        }
                    }
                    Op::Abort { .. } => self.aborted += 1,
                    _ => {}
                }
            }
        }

        /// Lets time pass until then, in which the driver listens.
        fn pass(&mut self, end: Instant) {
            while let Some(due) = self.engine.deadline().filter(|&due| due <= end) {
                self.look(due, due);
            }
        }

        /// Looks at all that is due.
        fn look(&mut self, now: Instant, until: Instant) {
            while self.engine.deadline().is_some_and(|due| due <= now) {
                let mut ops = Vec::new();
                self.engine.on_deadline(now, Heard { until, busy_since: None }, &mut ops);
                self.carry_out(now, ops);
            }
        }
    }

    /// The answer, if it is a ping.
    fn pong(bytes: &[u8]) -> Option<Vec<u8>> {
        let stamp = bytes.strip_prefix(&[0x89, 4])?;
        Some([&[0x8a, 0x84, 0, 0, 0, 0], stamp].concat())
    }

    fn play(peers: u32, start: Instant) -> Play {
        let heartbeat = Heartbeat {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(3),
            ..Heartbeat::default()
        };
        let config = Config { heartbeat: Some(heartbeat), ..Config::default() };
        let (waker, _wake) = Waker::new().unwrap();
        let (shard, _handle) = Shard::new(config, Arc::new(Admission::new(1_000)), waker, Echo);
        let engine = Gathered { shard, gathering: Some(gathering()) };
        let mut play = Play { engine, answers: true, aborted: 0 };
        play.tell(start, Event::Started);
        for index in 0..peers {
            let id = ConnId { index, generation: 1 };
            play.tell(start, Event::Opened { id, by: Opening::Accepted });
            play.tell(start, Event::Received { id, bytes: &mut REQUEST.to_vec() });
        }
        play
    }

    /// The driver wakes after a long sleep, and bytes wait: who is silent it knows a moment later.
    #[test]
    fn who_cannot_be_judged_in_the_common_tick_is_judged_in_the_next_one() {
        let mut play = play(100, Instant::from_nanos(FIRST.as_nanos() - 6_000_000_000));
        let [second, third] = [FIRST + EVERY, FIRST + 2 * EVERY];
        play.pass(FIRST);
        assert_eq!(play.engine.shard.stats().pings_sent, 100);
        play.answers = false;
        play.pass(second);
        assert_eq!(play.engine.shard.stats().pings_sent, 200);

        assert_eq!(play.engine.deadline(), Some(third));
        play.look(third, second + Duration::from_secs(1));
        assert_eq!(play.aborted, 0);
        let again = play.engine.deadline().unwrap();
        assert!(again <= third + Config::default().tick, "{:?}", again.saturating_since(third));
        play.look(again, again);
        assert_eq!(play.aborted, 100);
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
