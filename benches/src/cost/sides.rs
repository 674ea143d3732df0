//! One run of one side: two processes on a core each, and what they used in a window.

use crate::million::memory::tcp_sockets;
use crate::process::Process;
use anyhow::{Context, ensure};
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
    /// The time before it, when all are connected.
    pub settle: Duration,
    /// The cores of server and client.
    pub cores: [usize; 2],
}

impl Default for Setup {
    /// 10,000 connections on one ring a side, 5 s that count after 2 s that do not, cores 0 and 1.
    fn default() -> Self {
        let (window, settle) = (Duration::from_secs(5), Duration::from_secs(2));
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
        match self {
            Self::Halfopen { program, driver } => {
                run_halfopen(program, driver, setup, rate).context("halfopen")
            }
            Self::Floor { program } => run_floor(program, setup, rate).context("the floor"),
        }
    }
}

/// How late a ping is in the mean: half a tick of the wheel.
const LATENESS_MS: f64 = 4.0;

/// How fast the clients of `halfopen` connect.
const CONNECT_RATE: u32 = 10_000;

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
    let before = [server.ask()?, client.ask()?];
    ensure!(before[0].connections == setup.connections, "not all have connected");
    sleep(setup.window);
    let after = [server.ask()?, client.ask()?];
    let [served, answered] = [0, 1].map(|role| after[role].since(&before[role]));
    Ok(Point {
        window_s: setup.window.as_secs_f64(),
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
    let interval = interval(setup.connections, rate);
    let others = sockets_of_others()?;
    let mut server = Process::start(setup.cores[0], &mut serve(program, driver, setup, &interval))?;
    let line = server.line()?;
    let url = line.split(' ').find(|word| word.starts_with("ws://"));
    let url = url.with_context(|| format!("no address in {line:?}"))?;
    let client = Process::start(setup.cores[1], &mut load(program, url, setup))?;
    wait_for_sockets(others + 2 * u64::from(setup.connections))?;
    sleep(setup.settle);
    let before = [server.cpu()?, client.cpu()?];
    sleep(setup.window);
    let after = [server.cpu()?, client.cpu()?];
    let report = client.report()?;
    let heard = check(&report, setup, rate)?;
    Ok(Point {
        window_s: setup.window.as_secs_f64(),
        heartbeats: heard * setup.window.as_secs_f64(),
        server_cpu_us: (after[0] - before[0]).as_secs_f64() * 1e6,
        client_cpu_us: (after[1] - before[1]).as_secs_f64() * 1e6,
        syscalls: None,
    })
}

/// TCP sockets that are open when those of the last run have gone: two looks find as many.
fn sockets_of_others() -> anyhow::Result<u64> {
    let mut before = u64::MAX;
    loop {
        let now = tcp_sockets()?;
        if now >= before {
            return Ok(now.min(before));
        }
        before = now;
        sleep(Duration::from_millis(200));
    }
}

/// Waits until so many TCP sockets are open on this machine, of both ends.
fn wait_for_sockets(count: u64) -> anyhow::Result<()> {
    let patience = Duration::from_secs_f64(30.0 + 3.0 * count as f64 / f64::from(CONNECT_RATE));
    let until = Instant::now() + patience;
    loop {
        let open = tcp_sockets()?;
        if open >= count {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{open} of {count} sockets were open after {patience:?}");
        sleep(Duration::from_millis(20));
    }
}

/// The interval at which so many connections are pinged so often in all.
fn interval(connections: u32, rate: u32) -> String {
    match rate {
        0 => "off".to_owned(),
        _ => format!("{}ms", (f64::from(connections) * 1e3 / f64::from(rate)).round()),
    }
}

fn serve(program: &PathBuf, driver: &str, setup: &Setup, interval: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["serve", "--listen=127.0.0.1:0", "--ping-timeout=20s"]);
    command.arg(format!("--shards={}", setup.rings));
    command.arg(format!("--driver={driver}")).arg(format!("--ping-interval={interval}"));
    command.arg(format!("--max-connections={}", setup.connections));
    command
}

fn load(program: &PathBuf, url: &str, setup: &Setup) -> Command {
    // The last handshakes may be under way when the time of settling begins.
    let duration = setup.settle + setup.window + Duration::from_secs(2);
    let mut command = Command::new(program);
    command.args(["load", url, "--json", "-q"]).arg(format!("--shards={}", setup.rings));
    command.arg(format!("--connections={}", setup.connections));
    command.arg(format!("--connect-rate={CONNECT_RATE}/s"));
    command.arg(format!("--duration={}ms", duration.as_millis()));
    command
}

/// Heartbeats a second, by the client's own count of the time between two pings, or where the run
/// was too short for two by the interval that was asked for; its loss of a connection spoils the
/// run.
fn check(report: &serde_json::Value, setup: &Setup, rate: u32) -> anyhow::Result<f64> {
    let opened = report["connections"]["opened"].as_u64();
    ensure!(opened == Some(u64::from(setup.connections)), "{opened:?} connections were opened");
    let lost = &report["living"]["lost"];
    ensure!(lost["heartbeat"] == 0 && lost["reset"] == 0, "connections were lost: {lost}");
    if rate == 0 {
        return Ok(0.0);
    }
    let nominal = f64::from(setup.connections) * 1e3 / f64::from(rate);
    let mean = report["pings"]["server"]["interval_ms"]["mean"].as_f64();
    let long = nominal / 1e3 > (setup.settle + setup.window).as_secs_f64() / 2.0;
    let mean = if long { nominal + LATENESS_MS } else { mean.context("no pings were seen")? };
    Ok(f64::from(setup.connections) * 1e3 / mean)
}
