//! The side that sends pings.

use super::ring::{About, Done, Ring, Wait};
use super::{PING, PONG, Share, Tally, attend, start};
use halfopen_wheel::{Instant, clock};
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

/// Pings between two system calls: as many as a shard visits in one call of `on_deadline`.
const BATCH: u64 = 48;

/// How many connections are taken before they go into the table and give their descriptors back.
const TAKEN_AT_ONCE: usize = 64;

/// How fast pings go, and in which steps.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Pings a second, over all connections; 0: none.
    pub rate: u32,
    /// Pings that are due go every so often, as a wheel's do.
    pub tick: Duration,
}

/// Takes `connections` from the listener, shared among `rings`, then pings them until standard
/// input ends.
///
/// # Errors
/// Whatever the kernel refuses.
pub fn serve(listener: TcpListener, connections: u32, rings: u32, pace: Pace) -> io::Result<()> {
    let listener = Arc::new(listener);
    let tallies = start(rings, move |share, tally| {
        let mut server = Server::new(share, connections, pace, tally)?;
        server.take_connections(&listener, share.count(connections) as usize)?;
        server.run()
    })?;
    attend(&tallies)
}

struct Server {
    ring: Ring,
    /// The slots, in the order of their pings.
    table: Vec<u32>,
    /// Pings a second.
    rate: f64,
    tick: Duration,
    began: Instant,
    next_tick: Option<Instant>,
    pings: u64,
    /// Pings that should have gone so far.
    due: u64,
    bytes_in: u64,
    tally: Arc<Tally>,
}

impl Server {
    fn new(share: Share, connections: u32, pace: Pace, tally: Arc<Tally>) -> io::Result<Self> {
        let mine = share.count(connections);
        Ok(Self {
            ring: Ring::new(mine, tally.clone())?,
            table: (0..mine).collect(),
            rate: f64::from(pace.rate) * f64::from(mine) / f64::from(connections),
            tick: pace.tick,
            began: clock::now(),
            next_tick: None,
            pings: 0,
            due: 0,
            bytes_in: 0,
            tally,
        })
    }

    fn take_connections(&mut self, listener: &TcpListener, count: usize) -> io::Result<()> {
        let mut taken = 0;
        while taken < count {
            let some = TAKEN_AT_ONCE.min(count - taken);
            let accepted = (0..some).map(|_| listener.accept().map(|(socket, _)| socket));
            let sockets = accepted.collect::<io::Result<Vec<_>>>()?;
            let descriptors: Vec<_> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
            self.ring.adopt(&descriptors, taken as u32)?;
            for slot in taken..taken + some {
                self.ring.receive(slot as u32)?;
            }
            taken += some;
            self.tally.connections.add(some as u64);
        }
        Ok(())
    }

    fn run(mut self) -> io::Result<()> {
        if self.rate > 0.0 {
            // Heartbeats with phases of their own follow no order that the kernel's memory knows.
            fastrand::Rng::with_seed(1).shuffle(&mut self.table);
            self.began = clock::now();
            self.next_tick = Some(self.began + self.tick);
        }
        let mut done = Vec::new();
        loop {
            self.ring.enter(self.wait())?;
            self.ring.take(&mut done);
            for done in done.drain(..) {
                self.on_done(&done)?;
            }
            self.tally.pongs.raise(self.bytes_in / PONG.len() as u64);
            self.ping()?;
        }
    }

    fn on_done(&mut self, done: &Done) -> io::Result<()> {
        let About::Receive(slot) = done.about else { return Ok(()) };
        let taken = u64::try_from(done.result).unwrap_or(0);
        self.bytes_in += taken;
        self.ring.receive_on(slot, done)
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
            self.next_tick = Some(tick.max(now - self.tick) + self.tick);
            let elapsed = now.saturating_since(self.began).as_secs_f64();
            self.due = (elapsed * self.rate) as u64;
        }
        let end = self.due.min(self.pings + BATCH);
        while self.pings < end {
            let slot = self.table[self.pings as usize % self.table.len()];
            self.ring.send(slot, &PING)?;
            self.pings += 1;
        }
        self.tally.pings.raise(self.pings);
        Ok(())
    }
}
