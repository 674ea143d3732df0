//! The programs that do the work, started and listened to.

use super::echo::{self, Load};
use anyhow::{Context, ensure};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::Serialize;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// How much is done.
#[derive(Clone, Debug, Serialize)]
pub struct Work {
    /// How often echo and lab are done on each driver.
    pub rounds: usize,
    /// What is echoed.
    pub loads: Vec<Load>,
    /// Seconds of each echo that count.
    pub window_s: f64,
    /// Seconds before them.
    pub settle_s: f64,
    /// The cores of server and client.
    pub cores: [usize; 2],
    /// Flags of `halfopen lab`.
    pub lab: Vec<String>,
    /// Flags of `heartbeat-cost`; none leaves it out.
    pub heartbeat: Option<Vec<String>>,
}

impl Default for Work {
    /// Four rounds; 200 connections with 20 B and 1 KiB; the usual lab and five pairs of
    /// heartbeats.
    fn default() -> Self {
        let load = |bytes| Load { connections: 200, bytes };
        Self {
            rounds: 4,
            loads: vec![load(20), load(1024)],
            window_s: 3.0,
            settle_s: 1.0,
            cores: [0, 1],
            lab: Vec::new(),
            heartbeat: Some(vec!["--connections=10k".to_owned(), "--pairs=5".to_owned()]),
        }
    }
}

/// Where they are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `halfopen`.
    pub halfopen: PathBuf,
    /// `heartbeat-cost`.
    pub heartbeat_cost: PathBuf,
}

impl Programs {
    /// One echo of one size.
    pub(super) fn echo(
        &self,
        work: &Work,
        driver: &str,
        load: &Load,
    ) -> anyhow::Result<echo::Outcome> {
        let server = Server::start(&self.halfopen, driver, work.cores[0])?;
        let (address, pid, load, core) = (server.address, server.child.id(), *load, work.cores[1]);
        let [settle, window] = [work.settle_s, work.window_s].map(Duration::from_secs_f64);
        let client = std::thread::spawn(move || {
            let mut one = CpuSet::new();
            one.set(core);
            sched_setaffinity(None, &one).with_context(|| format!("pinning to core {core}"))?;
            echo::run(address, pid, load, settle, window)
        });
        let outcome = client.join().expect("it does not panic");
        outcome.with_context(|| format!("echo of {} B on {driver}", load.bytes))
    }

    /// The report of one lab.
    pub(super) fn lab(&self, work: &Work, driver: &str) -> anyhow::Result<Value> {
        let folder = std::env::temp_dir().join(format!("drivers-table-{}", std::process::id()));
        let mut command = Command::new(&self.halfopen);
        command.args(["lab", "--json", "--quiet", "--driver", driver, "--out"]).arg(&folder);
        let output = command.args(&work.lab).output().context("starting halfopen lab");
        // The report is on stdout, too.
        let _ = std::fs::remove_dir_all(&folder);
        // 4: it has doubts, which stand in the report.
        let report = document(output?, &[0, 4]).with_context(|| format!("lab on {driver}"))?;
        let used = &report["plan"]["server_driver"];
        ensure!(used == driver, "the lab ran on {used}, not on {driver}");
        Ok(report)
    }

    /// What `heartbeat-cost` says, if it is asked.
    pub(super) fn heartbeat(&self, work: &Work, driver: &str) -> anyhow::Result<Option<Value>> {
        let Some(flags) = &work.heartbeat else { return Ok(None) };
        let mut command = Command::new(&self.heartbeat_cost);
        command.args(["--json", "--driver", driver]).arg("--halfopen").arg(&self.halfopen);
        let output = command.args(flags).stderr(Stdio::inherit()).output();
        let output =
            output.with_context(|| format!("starting {}", self.heartbeat_cost.display()))?;
        let mut report =
            document(output, &[0]).with_context(|| format!("heartbeat-cost on {driver}"))?;
        let steps = report["runs"].as_array_mut().context("no steps in its document")?;
        for step in steps.iter_mut().filter_map(Value::as_object_mut) {
            step.remove("runs");
        }
        Ok(Some(report))
    }
}

fn document(output: Output, allowed: &[i32]) -> anyhow::Result<Value> {
    let status = output.status;
    let good = status.code().is_some_and(|code| allowed.contains(&code));
    ensure!(good, "{status}: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    serde_json::from_slice(&output.stdout).context("reading its document")
}

/// `halfopen serve`, killed with its owner.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(halfopen: &PathBuf, driver: &str, core: usize) -> anyhow::Result<Self> {
        let mut child = Command::new(halfopen)
            .args(["serve", "--listen=127.0.0.1:0", "--ping-interval=off", "--shards=1"])
            .args(["--driver", driver, "--cpu", &core.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", halfopen.display()))?;
        let output = child.stdout.take();
        // Made before the line is looked at, so that the child ends whatever it says.
        let mut server = Self { child, address: ([0, 0, 0, 0], 0).into() };
        let mut line = String::new();
        BufReader::new(output.context("no pipe")?).read_line(&mut line)?;
        let wanted = format!("driver={driver}");
        ensure!(line.split(' ').any(|word| word == wanted), "not on {driver}: {line:?}");
        let address = line.split(' ').find_map(|word| word.strip_prefix("ws://"));
        server.address = address.with_context(|| format!("no address in {line:?}"))?.parse()?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
