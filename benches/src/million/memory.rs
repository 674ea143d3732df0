//! How the memory of server and generator grows with connections, seen from outside.

use anyhow::Context;
use halfopen_loadgen::sample::cpu::Tree;
use halfopen_loadgen::sample::proc::{kernel_memory, memory};
use serde::Serialize;
use std::time::{Duration, Instant};

/// What was seen at one moment.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Sample {
    /// Seconds since the start.
    pub at_s: f64,
    /// Connections: half of the TCP sockets that came since the start.
    pub connections: u64,
    /// RssAnon of the server, bytes.
    pub server_anon: u64,
    /// RssAnon of the generator, bytes.
    pub client_anon: u64,
    /// Slab and TCP's queues, bytes.
    pub kernel: u64,
    /// The server's shards.
    pub shards: u32,
}

/// Looks at `halfopen lab`, which is the generator and has the server as its child.
#[derive(Debug)]
pub struct Looker {
    lab: u32,
    begun: Instant,
    sockets_before: u64,
}

impl Looker {
    /// Begins before the lab of that process has opened anything.
    ///
    /// # Errors
    /// /proc does not tell how many sockets there are.
    pub fn new(lab: u32) -> anyhow::Result<Self> {
        Ok(Self { lab, begun: Instant::now(), sockets_before: tcp_sockets()? })
    }

    /// What is to be seen now; none while there is no server, or not any more.
    pub fn look(&self) -> Option<Sample> {
        let family = Tree::new(vec![self.lab]).living();
        let server = family.into_iter().find(|&pid| pid != self.lab)?;
        Some(Sample {
            at_s: self.begun.elapsed().as_secs_f64(),
            connections: tcp_sockets().ok()?.saturating_sub(self.sockets_before) / 2,
            server_anon: memory(server)?.anon,
            client_anon: memory(self.lab)?.anon,
            kernel: kernel_memory()?,
            shards: shards(server),
        })
    }
}

/// TCP sockets in use, in any state but TIME-WAIT.
///
/// # Errors
/// /proc does not tell.
pub fn tcp_sockets() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/net/sockstat")?;
    let count = text.lines().find_map(|line| line.strip_prefix("TCP: inuse ")).unwrap_or_default();
    let count = count.split(' ').next().unwrap_or_default();
    count.parse().context("/proc/net/sockstat tells no count of TCP sockets")
}

/// The server names its threads.
fn shards(pid: u32) -> u32 {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let names = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("comm")));
    names.flatten().filter(|name| name.starts_with("shard-")).count() as u32
}

/// How memory grew from a tenth of all connections to all of them.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Growth {
    /// Connections at its beginning, and at its end.
    pub connections: [u64; 2],
    /// The server's RssAnon there, bytes. At the end it is the most of the time in which all were
    /// open.
    pub server_anon: [u64; 2],
    /// Bytes a connection.
    pub server_slope: f64,
    /// What is left at no connections, a shard, bytes.
    pub server_fixed_a_shard: f64,
    /// Bytes a connection of the generator, of the median while all are connected.
    pub client_slope: f64,
    /// Bytes a connection of the kernel, both ends.
    pub kernel_slope: f64,
    /// The server's shards.
    pub shards: u32,
}

impl Growth {
    /// Of a run to `all` connections, from the samples of its ramp and of the time after it; none if
    /// it did not come so far.
    pub fn of(samples: &[Sample], all: u64) -> Option<Self> {
        let first = samples.iter().find(|sample| sample.connections * 10 >= all)?;
        // Other programs' sockets come and go meanwhile.
        let full = |sample: &&Sample| sample.connections * 1_000 >= all * 999;
        let last = samples.iter().filter(full).max_by_key(|sample| sample.server_anon)?;
        let over = (last.connections - first.connections).max(1) as f64;
        let growth = |to: u64, from: u64| (to as f64 - from as f64) / over;
        let slope = |of: fn(&Sample) -> u64| growth(of(last), of(first));
        let server_slope = slope(|sample| sample.server_anon);
        // What it takes to look at a million sockets comes and goes.
        let mut client: Vec<_> = samples.iter().filter(full).map(|s| s.client_anon).collect();
        client.sort_unstable();
        let fixed = first.server_anon as f64 - server_slope * first.connections as f64;
        Some(Self {
            connections: [first.connections, last.connections],
            server_anon: [first.server_anon, last.server_anon],
            server_slope,
            server_fixed_a_shard: fixed / f64::from(last.shards.max(1)),
            client_slope: growth(client[client.len() / 2], first.client_anon),
            kernel_slope: slope(|sample| sample.kernel),
            shards: last.shards,
        })
    }
}

/// How often one looks.
pub const EVERY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_slope_is_found_again() {
        let sample = |thousands: u64| Sample {
            connections: thousands * 1_000,
            server_anon: 2 * 500_000 + thousands * 150_000,
            client_anon: 7 + thousands * 300_000,
            kernel: 1 << 30,
            shards: 2,
            ..Sample::default()
        };
        let mut samples: Vec<_> = [0, 5, 10, 50, 100, 100, 100].map(sample).to_vec();
        // What the generator takes for a moment, while the server takes most, is not its growth.
        samples[6].client_anon *= 2;
        let growth = Growth::of(&samples, 100_000).unwrap();
        assert_eq!(growth.connections, [10_000, 100_000]);
        assert!((growth.server_slope - 150.0).abs() < 1e-6);
        assert!((growth.server_fixed_a_shard - 500_000.0).abs() < 1e-3);
        assert!((growth.client_slope - 300.0).abs() < 1e-6);
        assert!(Growth::of(&samples[..4], 100_000).is_none());
    }
}
