//! The floor: heartbeats without WebSocket, without a wheel, without a session. And beside it the
//! floor of an echo, in `echo`, with the client in `ask` that asks it and a WebSocket server alike.
//!
//! Two processes on rings of their own, set up as the `ring` driver sets up its own: one each, or
//! as many as the `halfopen` program takes for so many connections, with a thread for each. One
//! process sends the bytes of a ping to its connections, in an order drawn once and at an even pace;
//! the other answers each with the bytes of a pong. What a heartbeat costs here, the kernel takes;
//! what it costs more in the `halfopen` program is ours.
//!
//! Each role reads lines from its standard input and answers each with one line of JSON, a
//! [`Reading`]; it ends with its input.

mod answer;
mod ask;
mod echo;
mod ring;
mod serve;

pub use answer::answer;
pub use ask::{Script, ask};
pub use echo::echo;
pub use serve::{Pace, serve};

use halfopen_driver::Counter;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Write};
use std::sync::Arc;

/// A server's ping on the wire: unmasked, with the four bytes of a stamp.
pub const PING: [u8; 6] = [0x89, 4, 1, 2, 3, 4];

/// A client's pong on the wire: masked, with the same four bytes.
pub const PONG: [u8; 10] = [0x8a, 0x84, 9, 8, 7, 6, 1 ^ 9, 2 ^ 8, 3 ^ 7, 4 ^ 6];

/// What a role has done and used since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Connections that are open.
    pub connections: u32,
    /// Pings sent by the server, answered by the client.
    pub pings: u64,
    /// Pongs received by the server, sent by the client.
    pub pongs: u64,
    /// System calls of the loop.
    pub syscalls: u64,
    /// CPU time of the process, ns.
    pub cpu_ns: u64,
}

impl Reading {
    fn of(tallies: &[Arc<Tally>]) -> Self {
        let sum = |of: fn(&Tally) -> &Counter| tallies.iter().map(|tally| of(tally).value()).sum();
        let connections: u64 = sum(|tally| &tally.connections);
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Self {
            connections: connections as u32,
            pings: sum(|tally| &tally.pings),
            pongs: sum(|tally| &tally.pongs),
            syscalls: sum(|tally| &tally.syscalls),
            cpu_ns: time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64,
        }
    }

    /// What was done and used since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            connections: self.connections,
            pings: self.pings - earlier.pings,
            pongs: self.pongs - earlier.pongs,
            syscalls: self.syscalls - earlier.syscalls,
            cpu_ns: self.cpu_ns - earlier.cpu_ns,
        }
    }
}

/// What one ring has done, written by its thread.
#[derive(Debug, Default)]
struct Tally {
    connections: Counter,
    pings: Counter,
    pongs: Counter,
    syscalls: Counter,
}

/// One of several rings among which the connections are divided.
#[derive(Clone, Copy, Debug)]
struct Share {
    index: u32,
    of: u32,
}

impl Share {
    /// How many of `total` are this one's.
    fn count(self, total: u32) -> u32 {
        total / self.of + u32::from(self.index < total % self.of)
    }
}

/// Does `work` on a thread for each of `rings` rings, until the process ends. A ring that fails ends
/// the process.
fn start(
    rings: u32,
    work: impl Fn(Share, Arc<Tally>) -> io::Result<()> + Send + Clone + 'static,
) -> io::Result<Vec<Arc<Tally>>> {
    let one = |index| {
        let (tally, work) = (Arc::<Tally>::default(), work.clone());
        let told = tally.clone();
        let run = move || {
            if let Err(error) = work(Share { index, of: rings }, told) {
                eprintln!("a ring of the floor: {error}");
                std::process::exit(1);
            }
        };
        std::thread::Builder::new().name(format!("ring-{index}")).spawn(run)?;
        Ok(tally)
    };
    (0..rings).map(one).collect()
}

/// Answers each line of standard input, until it ends.
fn attend(tallies: &[Arc<Tally>]) -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        line?;
        println!("{}", serde_json::to_string(&Reading::of(tallies)).map_err(io::Error::other)?);
        io::stdout().flush()?;
    }
    Ok(())
}
