//! The side that sends pings.

use super::ring::{About, Done, Ring, Wait};
use super::{PING, PONG, Reading, attend};
use halfopen_wheel::{Instant, clock};
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Pings between two system calls: as many as a shard visits in one call of `on_deadline`.
const BATCH: u64 = 48;

/// How fast pings go, and in which steps.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Pings a second, over all connections; 0: none.
    pub rate: u32,
    /// Pings that are due go every so often, as a wheel's do.
    pub tick: Duration,
}

/// Takes `connections` from the listener, then pings them until standard input ends.
///
/// # Errors
/// Whatever the kernel refuses.
pub fn serve(listener: &TcpListener, connections: u32, pace: Pace) -> io::Result<Reading> {
    let mut server = Server::new(connections, pace)?;
    server.ring.accept(listener.as_raw_fd())?;
    server.ring.poll_input()?;
    let mut done = Vec::new();
    while server.goes_on {
        server.ring.enter(server.wait())?;
        server.ring.take(&mut done);
        for done in done.drain(..) {
            server.on_done(&done)?;
        }
        server.ping()?;
    }
    Ok(server.reading())
}

struct Server {
    ring: Ring,
    /// The slots, in the order of their pings.
    table: Vec<u32>,
    connections: u32,
    pace: Pace,
    began: Instant,
    next_tick: Option<Instant>,
    pings: u64,
    /// Pings that should have gone so far.
    due: u64,
    bytes_in: u64,
    goes_on: bool,
}

impl Server {
    fn new(connections: u32, pace: Pace) -> io::Result<Self> {
        Ok(Self {
            ring: Ring::new(connections)?,
            table: Vec::with_capacity(connections as usize),
            connections,
            pace,
            began: clock::now(),
            next_tick: None,
            pings: 0,
            due: 0,
            bytes_in: 0,
            goes_on: true,
        })
    }

    fn on_done(&mut self, done: &Done) -> io::Result<()> {
        match done.about {
            About::Accept => self.on_accept(done.result)?,
            About::Input => {
                self.goes_on = attend(self.reading())?;
                self.ring.poll_input()?;
            }
            About::Receive(slot) => {
                self.bytes_in += u64::try_from(done.result).unwrap_or(0);
                if !done.more && (done.result > 0 || done.result == -libc::ENOBUFS) {
                    self.ring.receive(slot)?;
                }
            }
            About::Send(_) => {}
        }
        Ok(())
    }

    fn on_accept(&mut self, result: i32) -> io::Result<()> {
        let slot = u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))?;
        self.table.push(slot);
        self.ring.receive(slot)?;
        if self.table.len() as u32 == self.connections && self.pace.rate > 0 {
            // Heartbeats with phases of their own follow no order that the kernel's memory knows.
            fastrand::Rng::with_seed(1).shuffle(&mut self.table);
            self.began = clock::now();
            self.next_tick = Some(self.began + self.pace.tick);
        }
        Ok(())
    }

    fn wait(&self) -> Wait {
        match self.next_tick {
            _ if self.pings < self.due => Wait::No,
            Some(tick) => Wait::AtMost(tick.saturating_since(clock::now())),
            None => Wait::ForEver,
        }
    }

    /// Sends a batch of what is due.
    fn ping(&mut self) -> io::Result<()> {
        let now = clock::now();
        if let Some(tick) = self.next_tick.filter(|&tick| tick <= now) {
            self.next_tick = Some(tick.max(now - self.pace.tick) + self.pace.tick);
            let elapsed = now.saturating_since(self.began).as_secs_f64();
            self.due = (elapsed * f64::from(self.pace.rate)) as u64;
        }
        let end = self.due.min(self.pings + BATCH);
        while self.pings < end {
            let slot = self.table[self.pings as usize % self.table.len()];
            self.ring.send(slot, &PING)?;
            self.pings += 1;
        }
        Ok(())
    }

    fn reading(&self) -> Reading {
        let pongs = self.bytes_in / PONG.len() as u64;
        Reading::now(self.table.len() as u32, self.pings, pongs, self.ring.enters)
    }
}
