//! The floor: heartbeats without WebSocket, without a wheel, without a session.
//!
//! Two processes on two rings, set up as the `ring` driver sets up its own. One sends the bytes of
//! a ping to its connections, in an order drawn once and at an even pace; the other answers
//! each with the bytes of a pong. What a heartbeat costs here, the kernel takes; what it costs more
//! in the `halfopen` program is ours.
//!
//! Each role reads lines from its standard input and answers each with one line of JSON, a
//! [`Reading`]; it ends with its input.

mod answer;
mod ring;
mod serve;

pub use answer::answer;
pub use serve::{Pace, serve};

use rustix::event::PollFlags;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

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
    fn now(connections: u32, pings: u64, pongs: u64, syscalls: u64) -> Self {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let cpu_ns = time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
        Self { connections, pings, pongs, syscalls, cpu_ns }
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

/// Answers what came on standard input. Whether it goes on.
fn attend(reading: Reading) -> io::Result<bool> {
    let mut line = [0; 64];
    let taken = io::stdin().lock().read(&mut line)?;
    for _ in line[..taken].iter().filter(|&&byte| byte == b'\n') {
        let line = serde_json::to_string(&reading).map_err(io::Error::other)?;
        println!("{line}");
    }
    io::stdout().flush()?;
    Ok(taken > 0)
}

const STDIN_READABLE: u32 = PollFlags::IN.bits() as u32;
