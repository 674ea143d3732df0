//! The side that answers with pongs.

use super::ring::{About, Done, Ring, Wait};
use super::{PING, PONG, Reading, attend};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

/// How many sockets are opened before they go into the table and give their descriptors back.
const OPENED_AT_ONCE: u32 = 256;

/// How many pongs one send holds at most.
const PONGS_AT_ONCE: usize = 64;

/// Pongs in a row, for the rare case that several pings came at once.
static PONGS: [[u8; PONG.len()]; PONGS_AT_ONCE] = [PONG; PONGS_AT_ONCE];

/// Opens `connections` to the server, then answers their pings until standard input ends.
///
/// # Errors
/// Whatever the kernel refuses.
pub fn answer(server: SocketAddr, connections: u32) -> io::Result<Reading> {
    let mut client = Client::new(connections)?;
    client.open(server, connections)?;
    client.ring.poll_input()?;
    let mut done = Vec::new();
    while client.goes_on {
        client.ring.enter(Wait::ForEver)?;
        client.ring.take(&mut done);
        for done in done.drain(..) {
            client.on_done(&done)?;
        }
    }
    Ok(client.reading())
}

struct Client {
    ring: Ring,
    /// Bytes of a ping that is not whole yet, by slot.
    partial: Vec<u8>,
    connections: u32,
    pings: u64,
    goes_on: bool,
}

impl Client {
    fn new(connections: u32) -> io::Result<Self> {
        let ring = Ring::new(connections)?;
        let partial = vec![0; connections as usize];
        Ok(Self { ring, partial, connections: 0, pings: 0, goes_on: true })
    }

    fn open(&mut self, server: SocketAddr, connections: u32) -> io::Result<()> {
        while self.connections < connections {
            let some = OPENED_AT_ONCE.min(connections - self.connections);
            let sockets = (0..some).map(|_| connect(server)).collect::<io::Result<Vec<_>>>()?;
            let descriptors: Vec<_> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
            self.ring.adopt(&descriptors, self.connections)?;
            for slot in self.connections..self.connections + some {
                self.ring.receive(slot)?;
            }
            self.connections += some;
        }
        Ok(())
    }

    fn on_done(&mut self, done: &Done) -> io::Result<()> {
        match done.about {
            About::Input => {
                self.goes_on = attend(self.reading())?;
                self.ring.poll_input()?;
            }
            About::Receive(slot) => {
                if let Ok(taken) = usize::try_from(done.result) {
                    self.answer(slot, taken)?;
                }
                if !done.more && (done.result > 0 || done.result == -libc::ENOBUFS) {
                    self.ring.receive(slot)?;
                }
            }
            About::Send(_) | About::Accept => {}
        }
        Ok(())
    }

    fn answer(&mut self, slot: u32, taken: usize) -> io::Result<()> {
        let partial = &mut self.partial[slot as usize];
        let bytes = usize::from(*partial) + taken;
        *partial = (bytes % PING.len()) as u8;
        let mut pings = bytes / PING.len();
        self.pings += pings as u64;
        while pings > 0 {
            let some = pings.min(PONGS_AT_ONCE);
            self.ring.send(slot, PONGS[..some].as_flattened())?;
            pings -= some;
        }
        Ok(())
    }

    fn reading(&self) -> Reading {
        Reading::now(self.connections, self.pings, self.pings, self.ring.enters)
    }
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(server)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}
