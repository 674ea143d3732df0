//! What quiet connections feel of a flood, and whether the server grows by it.
//!
//! A server holds quiet connections, whose messages are echoed all the time. The flood comes from a
//! process of its own and goes; then the same again with the flood at a bare accept-and-close listener
//! beside the server: what the quiet ones feel of that, the machine does to them.

mod report;

pub use report::page;

use super::{Bystanders, Child, MemoryUse, MemoryWatch};
use crate::report::{Latency, Naps};
use anyhow::Context;
use halfopen_driver::CHUNK_MAX;
use halfopen_server::Stats;
use halfopen_wheel::clock;
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The `halfopen` program.
    pub halfopen: PathBuf,
    /// The `flood` program of these benches.
    pub flood: PathBuf,
    /// What runs the server.
    pub driver: String,
    /// The most bytes that the server queues for one that does not read.
    pub output_max: u64,
    /// Flags of `halfopen serve` besides.
    pub serve: Vec<String>,
    /// Flags of `flood at` besides the duration.
    pub waves: Vec<String>,
    /// How many quiet connections.
    pub quiet: u32,
    /// Their messages a second, all together.
    pub rate: f64,
    /// How long they are measured before the flood.
    pub before: Duration,
    /// How long the flood lasts.
    pub during: Duration,
    /// How long they are measured behind it.
    pub after: Duration,
}

/// Whom the flood is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The server that holds the quiet connections.
    Server,
    /// A listener beside it that takes connections and closes them.
    Sink,
}

/// One measurement.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// What ran the server.
    pub driver: String,
    /// Whom the flood was for.
    pub target: Target,
    /// Seconds of flood.
    pub flood_s: f64,
    /// What the flood did, wave by wave.
    pub waves: Value,
    /// Quiet connections.
    pub quiet: u32,
    /// Of them, those that were lost.
    pub lost: u64,
    /// Their latency before the flood.
    pub before: Latency,
    /// During the flood.
    pub during: Latency,
    /// While the flood's process ends, and the kernel closes all that it had open.
    pub ending: Latency,
    /// Behind it.
    pub after: Latency,
    /// The machine's own stops before the flood.
    pub hiccups_before: Latency,
    /// During the flood.
    pub hiccups_during: Latency,
    /// While the flood's process ends.
    pub hiccups_ending: Latency,
    /// The server's memory, from before the flood to the end.
    pub memory: MemoryUse,
    /// What the configured bounds allow the flood's connections to take.
    pub growth_max: u64,
    /// What the server counted.
    pub server: Counted,
}

/// What the server counted, as far as it belongs here.
#[derive(Debug, Serialize)]
pub struct Counted {
    /// Connections taken.
    pub accepted: u64,
    /// The most that were open at once.
    pub peak: u64,
    /// Refusals, by reason.
    pub refused: Value,
    /// Ends, by cause.
    pub ended: Value,
    /// Pings of peers.
    pub pings_received: u64,
    /// Messages of peers.
    pub messages_received: u64,
    /// Times that somebody was not read from because they did not read.
    pub pauses: u64,
    /// The longest turn of a shard.
    pub turn_ms_max: f64,
}

/// Measures once.
///
/// # Errors
/// A process did not start, or a connection could not be opened.
pub fn measure(setup: &Setup, target: Target) -> anyhow::Result<Measured> {
    let mut server = Child::start(&mut serve(setup)).context("the server")?;
    let address = server.listens().context("the server")?;
    let mut sink = match target {
        Target::Server => None,
        Target::Sink => Some(Child::start(Command::new(&setup.flood).arg("sink"))?),
    };
    let aim = sink.as_mut().map_or(Ok(address), Child::listens)?;
    let bystanders = Bystanders::open(address, setup.quiet, setup.rate)?;

    let memory = MemoryWatch::start(server.pid());
    let (opened, naps) = (clock::now(), Naps::start()?);
    sleep(setup.before);
    let (hiccups_before, begun) = (naps.finish(), clock::now());
    let naps = Naps::start()?;
    let flood = flood(setup, aim)?;
    sleep(setup.during);
    let (hiccups_during, ended) = (naps.finish(), clock::now());
    let naps = Naps::start()?;
    let waves: Value = serde_json::from_str(&flood.finish().context("the flood")?)?;
    sleep(ENDING);
    let (hiccups_ending, gone) = (naps.finish(), clock::now());
    sleep(setup.after);
    let left = clock::now();
    let memory = memory.finish().context("the server's memory cannot be read")?;
    let witnessed = bystanders.leave()?;
    let counted: Stats = serde_json::from_str(&server.finish()?).context("the server's account")?;
    Ok(Measured {
        driver: setup.driver.clone(),
        target,
        flood_s: setup.during.as_secs_f64(),
        growth_max: growth_max(&waves, setup.output_max),
        waves,
        quiet: setup.quiet,
        lost: witnessed.lost(),
        before: witnessed.between(opened, begun),
        during: witnessed.between(begun, ended),
        ending: witnessed.between(ended, gone),
        after: witnessed.between(gone, left),
        hiccups_before,
        hiccups_during,
        hiccups_ending,
        memory,
        server: Counted::of(&counted),
    })
}

fn serve(setup: &Setup) -> Command {
    let mut command = Command::new(&setup.halfopen);
    command.args(["-q", "serve", "--listen=127.0.0.1:0", "--with-stdin", "--stats-out=-"]);
    command.arg(format!("--driver={}", setup.driver));
    command.arg(format!("--output-max={}", setup.output_max)).args(&setup.serve);
    command
}

fn flood(setup: &Setup, aim: std::net::SocketAddr) -> anyhow::Result<Child> {
    let mut command = Command::new(&setup.flood);
    command.args(["at", &aim.to_string()]).args(&setup.waves);
    // It goes on a little, so that all of the time that counts is flood.
    command.arg(format!("--duration={}", (setup.during + LONGER).as_secs_f64()));
    Child::start(&mut command).context("the flood")
}

/// By how much the flood goes on beyond the time that counts.
const LONGER: Duration = Duration::from_millis(500);

/// How long the kernel has to close what the flood's process had open, behind its end.
const ENDING: Duration = Duration::from_secs(2);

/// A connection, without what it has in the way of buffers.
const CONNECTION: u64 = 512;

/// Twice the most bytes of a head: its buffer grows by doubling.
const HEAD: u64 = 2 * 16 * 1024;

/// Twice the chunk of pongs in flight and those that wait.
const PONGS: u64 = 2 * 2 * 4096;

/// What the program keeps for the next crowd, and the allocator besides.
const POOLS: u64 = 32 << 20;

/// The most that the connections of the waves may take, by the server's bounds: for somebody who does
/// not read, twice the queue, because buffers grow by doubling, and the chunk in flight, and what one
/// receive adds.
fn growth_max(waves: &Value, output_max: u64) -> u64 {
    let output = 2 * output_max + 2 * CHUNK_MAX as u64;
    let waves = waves.as_array().map_or(&[][..], Vec::as_slice);
    let of_wave = |wave: &Value| {
        let connections = wave["open_max"].as_u64().unwrap_or(0);
        let each = match wave["kind"].as_str() {
            Some("slow_head") => HEAD,
            Some("pinger") => PONGS,
            Some("deaf" | "busy") => output,
            _ => 0,
        };
        connections * (CONNECTION + each)
    };
    POOLS + waves.iter().map(of_wave).sum::<u64>()
}

impl Counted {
    fn of(stats: &Stats) -> Self {
        let value = |map| serde_json::to_value(map).expect("names and numbers become JSON");
        Self {
            accepted: stats.accepted,
            peak: stats.peak,
            refused: serde_json::to_value(&stats.refused).expect("names and numbers become JSON"),
            ended: value(&stats.ended),
            pings_received: stats.pings_received,
            messages_received: stats.messages_received,
            pauses: stats.pauses,
            turn_ms_max: stats.driver.turn_ns_max as f64 / 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_bound_is_of_those_who_were_there_and_follows_the_queue() {
        let wave = |kind, open_max| json!({ "kind": kind, "open_max": open_max });
        let waves = json!([wave("deaf", 1_000), wave("silent", 10)]);
        let of = |output_max| growth_max(&waves, output_max) - POOLS;
        let chunks = 2 * CHUNK_MAX as u64;
        assert_eq!(of(1 << 16), 1_000 * (512 + (1 << 17) + chunks) + 10 * 512);
        assert_eq!(of(1 << 20) - of(1 << 16), 1_000 * 2 * ((1 << 20) - (1 << 16)));
    }
}
