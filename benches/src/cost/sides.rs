//! One run of one side: two processes on a core each, and what they used in a window.

use super::admin::{Admin, Counts};
use crate::million::memory::tcp_sockets;
use crate::process::Process;
use anyhow::{Context, bail, ensure};
use halfopen_driver::ring::Options;
use halfopen_loadgen::plan::raise_descriptor_limit;
use serde::Serialize;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What is the same in every run.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Connections.
    pub connections: u32,
    /// Rings that each process spreads them over, a thread each.
    pub rings: u32,
    /// The time that counts.
    pub window: Duration,
    /// The time before it, when all are connected: the same at every rate. What follows an opening,
    /// such as a look at a handshake's deadline, is to be over, or to be in every run.
    pub settle: Duration,
    /// The cores of server and client.
    pub cores: [usize; 2],
}

impl Default for Setup {
    /// 10,000 connections on one ring a side, 3 s that count after 1 s that does not, cores 0 and 1.
    fn default() -> Self {
        let (window, settle) = (Duration::from_secs(3), Duration::from_secs(1));
        Self { connections: 10_000, rings: 1, window, settle, cores: [0, 1] }
    }
}

/// The rings that so many connections want, of which each holds fewer than the descriptor limit.
pub fn rings_for(connections: u32) -> u32 {
    let room = raise_descriptor_limit().saturating_sub(NO_CONNECTIONS).clamp(1, 1 << 20);
    u64::from(connections).div_ceil(room) as u32
}

/// Places in a ring's table that are kept free for refusals and the like, amply.
const NO_CONNECTIONS: u64 = 512;

/// What was used in a window.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// How long it was.
    pub window_s: f64,
    /// Heartbeats in it: pings that were answered.
    pub heartbeats: f64,
    /// CPU time of the server's process, µs.
    pub server_cpu_us: f64,
    /// CPU time of the client's process, µs.
    pub client_cpu_us: f64,
    /// System calls of both loops, where they are counted.
    pub syscalls: Option<u64>,
}

impl Setup {
    /// The time between two pings of a connection at so many heartbeats a second in all, in whole
    /// milliseconds.
    fn interval(&self, rate: u32) -> Option<Duration> {
        let ms = (f64::from(self.connections) * 1e3 / f64::from(rate)).round();
        (rate > 0).then(|| Duration::from_millis(ms as u64))
    }

    /// With time enough to settle at each of these rates. The driver has a receive armed all the time
    /// for who is heard often, and knows that after some heartbeats.
    pub fn settled_at(self, rates: &[u32]) -> Self {
        let intervals = rates.iter().filter_map(|&rate| self.interval(rate));
        let often = intervals.filter(|&interval| interval < Options::default().quiet);
        let settle = often.map(|interval| interval * KNOWN_AFTER).fold(self.settle, Duration::max);
        Self { settle, ..self }
    }
}

/// So many heartbeats a connection has had by then.
const KNOWN_AFTER: u32 = 5;

/// Whom to run.
#[derive(Clone, Debug)]
pub enum Side {
    /// `halfopen serve` and `halfopen load`.
    Halfopen {
        /// The program.
        program: PathBuf,
        /// The value of `--driver`.
        driver: String,
    },
    /// The two roles of the floor.
    Floor {
        /// The program.
        program: PathBuf,
    },
}

impl Side {
    /// Runs it at `rate` heartbeats a second.
    ///
    /// # Errors
    /// A process did not start, or ended early, or lost connections.
    pub fn run(&self, setup: &Setup, rate: u32) -> anyhow::Result<Point> {
        let before = tcp_sockets()?;
        let point = match self {
            Self::Halfopen { program, driver } => {
                run_halfopen(program, driver, setup, rate).context("halfopen")?
            }
            Self::Floor { program } => run_floor(program, setup, rate).context("the floor")?,
        };
        wait_until_gone(before, setup.connections)?;
        Ok(point)
    }
}

/// How fast the clients of `halfopen` connect.
const CONNECT_RATE: u32 = 20_000;

/// How often the server is asked for counts of one moment, when a shard was too busy to answer.
const ASKED_MAX: usize = 5;

fn run_floor(program: &PathBuf, setup: &Setup, rate: u32) -> anyhow::Result<Point> {
    let counts =
        [format!("--connections={}", setup.connections), format!("--rings={}", setup.rings)];
    let mut serve = Command::new(program);
    serve.arg("serve").args(&counts).arg(format!("--rate={rate}"));
    let mut server = Process::start(setup.cores[0], &mut serve)?;
    let line = server.line()?;
    let address = line.rsplit(' ').next().unwrap_or_default();
    let mut answer = Command::new(program);
    let mut client =
        Process::start(setup.cores[1], answer.args(["answer", address]).args(&counts))?;
    // The client answers its input when all are connected.
    client.ask()?;
    sleep(setup.settle);
    let (begun, before) = (Instant::now(), [server.ask()?, client.ask()?]);
    ensure!(before[0].connections == setup.connections, "not all have connected");
    sleep(setup.window);
    let (ended, after) = (Instant::now(), [server.ask()?, client.ask()?]);
    let [served, answered] = [0, 1].map(|role| after[role].since(&before[role]));
    Ok(Point {
        window_s: (ended - begun).as_secs_f64(),
        heartbeats: served.pongs as f64,
        server_cpu_us: served.cpu_ns as f64 / 1e3,
        client_cpu_us: answered.cpu_ns as f64 / 1e3,
        syscalls: Some(served.syscalls + answered.syscalls),
    })
}

fn run_halfopen(
    program: &PathBuf,
    driver: &str,
    setup: &Setup,
    rate: u32,
) -> anyhow::Result<Point> {
    let mut server = Process::start(setup.cores[0], &mut serve(program, driver, setup, rate))?;
    let line = server.line()?;
    let url = line.split(' ').find(|word| word.starts_with("ws://"));
    let url = url.with_context(|| format!("no address in {line:?}"))?;
    let client = Process::start(setup.cores[1], &mut load(program, url, setup))?;
    let admin = Admin::of(&line)?;
    if let Err(error) = wait_until_open(admin, setup.connections) {
        client.interrupt()?;
        let failed = client.report()?["connections"]["failed"].to_string();
        return Err(error.context(format!("of the client's connects failed {failed}")));
    }
    sleep(setup.settle);
    let before = Moment::now(&server, &client, admin)?;
    sleep(setup.window);
    let after = Moment::now(&server, &client, admin)?;
    for Counts { open, opened, .. } in [before.counts, after.counts] {
        let all = u64::from(setup.connections);
        ensure!((open, opened) == (all, all), "of {opened} connections {open} were open");
    }
    Ok(Point {
        window_s: (after.at - before.at).as_secs_f64(),
        heartbeats: (after.counts.pongs - before.counts.pongs) as f64,
        server_cpu_us: (after.server - before.server).as_secs_f64() * 1e6,
        client_cpu_us: (after.client - before.client).as_secs_f64() * 1e6,
        syscalls: None,
    })
}

/// What had been used and counted by some moment.
struct Moment {
    at: Instant,
    server: Duration,
    client: Duration,
    counts: Counts,
}

impl Moment {
    /// The counts always come behind the CPU, so that they are of a time as long. What asking for
    /// them costs the server is in the window once, at every rate alike, and so in no slope.
    fn now(server: &Process, client: &Process, admin: Admin) -> anyhow::Result<Self> {
        for _ in 0..ASKED_MAX {
            let (at, server, client) = (Instant::now(), server.cpu()?, client.cpu()?);
            let counts = admin.counts()?;
            if counts.complete {
                return Ok(Self { at, server, client, counts });
            }
        }
        bail!("the shards of the server are too busy to tell what they have counted")
    }
}

/// Waits until the sockets of a run have gone, beside the `before` that others had: when a process
/// ends, the kernel closes what was in its rings at its leisure. Others may have opened some
/// meanwhile, so it does not wait for ever.
fn wait_until_gone(before: u64, connections: u32) -> anyhow::Result<()> {
    let some = u64::from(connections / 100) + 100;
    let patience = Duration::from_secs(5 + u64::from(connections / 10_000));
    let until = Instant::now() + patience;
    while tcp_sockets()? > before + some && Instant::now() < until {
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Waits until so many have shaken hands with the server.
fn wait_until_open(admin: Admin, connections: u32) -> anyhow::Result<()> {
    let patience = 30.0 + 6.0 * f64::from(connections) / f64::from(CONNECT_RATE);
    let until = Instant::now() + Duration::from_secs_f64(patience);
    loop {
        let Counts { opened, .. } = admin.counts()?;
        if opened >= u64::from(connections) {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{opened} of {connections} were open after {patience} s");
        sleep(Duration::from_millis(100));
    }
}

fn serve(program: &PathBuf, driver: &str, setup: &Setup, rate: u32) -> Command {
    let interval =
        setup.interval(rate).map_or("off".into(), |time| format!("{}ms", time.as_millis()));
    let mut command = Command::new(program);
    command.args(["serve", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--ping-timeout=20s"]);
    command.arg(format!("--shards={}", setup.rings));
    command.arg(format!("--driver={driver}")).arg(format!("--ping-interval={interval}"));
    command.arg(format!("--max-connections={}", setup.connections));
    command
}

/// It is killed when it is not wanted any more.
fn load(program: &PathBuf, url: &str, setup: &Setup) -> Command {
    let mut command = Command::new(program);
    command.args(["load", url, "--json", "-q", "--duration=1h", "--no-hiccups"]);
    command.arg(format!("--shards={}", setup.rings));
    command.arg(format!("--connections={}", setup.connections));
    command.arg(format!("--connect-rate={CONNECT_RATE}/s"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_pinged_often_is_waited_for_until_the_driver_knows_it() {
        let settling = |connections, rate| {
            let setup = Setup { connections, ..Setup::default() };
            setup.settled_at(&[0, rate]).settle.as_millis()
        };
        assert_eq!([settling(1_000, 0), settling(1_000_000, 0)], [1_000; 2]);
        assert_eq!(settling(1_000, 20_000), 1_000);
        assert_eq!(settling(10_000, 20_000), 2_500);
        assert_eq!(settling(100_000, 20_000), 25_000);
        assert_eq!(settling(1_000_000, 20_000), 1_000, "nobody is heard often");
    }
}
