//! One run of one side: two processes on a core each, and what they used in a window.

use crate::floor::Reading;
use anyhow::{Context, bail, ensure};
use halfopen_loadgen::sample::cpu;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// What is the same in every run.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Connections, all of them from one address.
    pub connections: u32,
    /// The time that counts.
    pub window: Duration,
    /// The time before it, when all are connected.
    pub settle: Duration,
    /// The cores of server and client.
    pub cores: [usize; 2],
}

impl Default for Setup {
    /// 10,000 connections, 5 s that count after 2 s that do not, cores 0 and 1.
    fn default() -> Self {
        let (window, settle) = (Duration::from_secs(5), Duration::from_secs(2));
        Self { connections: 10_000, window, settle, cores: [0, 1] }
    }
}

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

/// How fast the clients of `halfopen` connect.
const CONNECT_RATE: u32 = 10_000;

fn run_floor(program: &PathBuf, setup: &Setup, rate: u32) -> anyhow::Result<Point> {
    let connections = setup.connections.to_string();
    let mut server = Process::start(
        setup.cores[0],
        Command::new(program)
            .args(["serve", "--connections", &connections])
            .args(["--rate", &rate.to_string()]),
    )?;
    let line = server.line()?;
    let address = line.rsplit(' ').next().unwrap_or_default();
    let mut client = Process::start(
        setup.cores[1],
        Command::new(program).args(["answer", address, "--connections", &connections]),
    )?;
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
    let mut server = Process::start(setup.cores[0], &mut serve(program, driver, setup, &interval))?;
    let line = server.line()?;
    let url = line.split(' ').find(|word| word.starts_with("ws://"));
    let url = url.with_context(|| format!("no address in {line:?}"))?;
    let ramp = Duration::from_secs_f64(f64::from(setup.connections) / f64::from(CONNECT_RATE));
    let until_window = ramp + setup.settle;
    let all = until_window + setup.window + Duration::from_secs(1);
    let client = Process::start(setup.cores[1], &mut load(program, url, setup, all))?;
    sleep(until_window);
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

/// The interval at which so many connections are pinged so often in all.
fn interval(connections: u32, rate: u32) -> String {
    match rate {
        0 => "off".to_owned(),
        _ => format!("{}ms", (f64::from(connections) * 1e3 / f64::from(rate)).round()),
    }
}

fn serve(program: &PathBuf, driver: &str, setup: &Setup, interval: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["serve", "--listen=127.0.0.1:0", "--shards=1", "--ping-timeout=20s"]);
    command.arg(format!("--driver={driver}")).arg(format!("--ping-interval={interval}"));
    command.arg(format!("--max-connections={}", setup.connections));
    command
}

fn load(program: &PathBuf, url: &str, setup: &Setup, duration: Duration) -> Command {
    let mut command = Command::new(program);
    command.args(["load", url, "--json", "-q", "--shards=1"]);
    command.arg(format!("--connections={}", setup.connections));
    command.arg(format!("--connect-rate={CONNECT_RATE}/s"));
    command.arg(format!("--duration={}ms", duration.as_millis()));
    command
}

/// Heartbeats a second, by the client's own count of the time between two pings; its loss of a
/// connection spoils the run.
fn check(report: &serde_json::Value, setup: &Setup, rate: u32) -> anyhow::Result<f64> {
    let opened = report["connections"]["opened"].as_u64();
    ensure!(opened == Some(u64::from(setup.connections)), "{opened:?} connections were opened");
    let lost = &report["living"]["lost"];
    ensure!(lost["heartbeat"] == 0 && lost["reset"] == 0, "connections were lost: {lost}");
    if rate == 0 {
        return Ok(0.0);
    }
    let mean = &report["pings"]["server"]["interval_ms"]["mean"];
    let mean = mean.as_f64().with_context(|| format!("the mean interval is {mean}"))?;
    Ok(f64::from(setup.connections) * 1e3 / mean)
}

/// A child that is killed with its owner: it has told all that was asked of it.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it on one core, with all its threads: a child inherits the cores of its parent.
    fn start(core: usize, command: &mut Command) -> anyhow::Result<Self> {
        let mine = sched_getaffinity(None)?;
        let mut one = CpuSet::new();
        one.set(core);
        sched_setaffinity(None, &one).with_context(|| format!("pinning to core {core}"))?;
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        sched_setaffinity(None, &mine)?;
        let mut child = child.with_context(|| format!("starting {command:?}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("no pipes");
        };
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "it ended without a word");
        Ok(line.trim_end().to_owned())
    }

    fn ask(&mut self) -> anyhow::Result<Reading> {
        self.input.write_all(b"\n")?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::of_process(self.child.id()).context("it ended early")
    }

    /// What it prints before it ends by itself.
    fn report(mut self) -> anyhow::Result<serde_json::Value> {
        let report = serde_json::from_reader(&mut self.output).context("reading its report")?;
        let status = self.child.wait()?;
        ensure!(matches!(status.code(), Some(0 | 4)), "{status}");
        Ok(report)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
