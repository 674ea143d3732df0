//! The side that answers with pongs.

use super::ring::{self, About, Done, Ring, Wait};
use super::{PING, PONG, Share, Tally, attend, start};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::channel;

/// How many sockets are opened before they go into the table and give their descriptors back.
const OPENED_AT_ONCE: u32 = 64;

/// Connections from one address of the loopback: with more of them finding a free port is slow.
const A_SOURCE: u32 = 10_000;

/// How many pongs one send holds at most.
const PONGS_AT_ONCE: usize = 64;

/// Pongs in a row, for the rare case that several pings came at once.
static PONGS: [[u8; PONG.len()]; PONGS_AT_ONCE] = [PONG; PONGS_AT_ONCE];

/// Opens `connections` to the server on `rings`, then answers their pings until standard input
/// ends, and lines of that when all are open.
///
/// # Errors
/// Whatever the kernel refuses.
pub fn answer(server: SocketAddr, connections: u32, rings: u32) -> io::Result<()> {
    let (opened, all_opened) = channel();
    let tallies = start(rings, move |share, tally| {
        let mut client = Client::new(share.count(connections), tally)?;
        client.open(server, share, connections)?;
        opened.send(()).map_err(io::Error::other)?;
        client.run()
    })?;
    for _ in 0..rings {
        all_opened.recv().map_err(io::Error::other)?;
    }
    attend(&tallies)
}

struct Client {
    ring: Ring,
    /// Bytes of a ping that is not whole yet, by slot.
    partial: Vec<u8>,
    tally: Arc<Tally>,
}

impl Client {
    fn new(connections: u32, tally: Arc<Tally>) -> io::Result<Self> {
        let ring = Ring::new(connections, tally.clone())?;
        Ok(Self { ring, partial: vec![0; connections as usize], tally })
    }

    fn open(&mut self, server: SocketAddr, share: Share, connections: u32) -> io::Result<()> {
        let (mine, mut open) = (share.count(connections), 0);
        while open < mine {
            let some = OPENED_AT_ONCE.min(mine - open);
            let number = |slot| share.index + slot * share.of;
            let sockets = (open..open + some).map(|slot| connect(server, number(slot)));
            let sockets = sockets.collect::<io::Result<Vec<_>>>()?;
            let descriptors: Vec<_> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
            self.ring.adopt(&descriptors, open)?;
            for slot in open..open + some {
                self.ring.receive(slot)?;
            }
            open += some;
            self.tally.connections.add(some.into());
        }
        Ok(())
    }

    fn run(mut self) -> io::Result<()> {
        let mut done = Vec::new();
        loop {
            self.ring.enter(Wait::ForEver)?;
            self.ring.take(&mut done);
            for done in done.drain(..) {
                self.on_done(&done)?;
            }
        }
    }

    fn on_done(&mut self, done: &Done) -> io::Result<()> {
        let About::Receive(slot) = done.about else { return Ok(()) };
        if let Ok(taken) = usize::try_from(done.result) {
            self.answer(slot, taken)?;
        }
        self.ring.receive_on(slot, done)
    }

    fn answer(&mut self, slot: u32, taken: usize) -> io::Result<()> {
        let partial = &mut self.partial[slot as usize];
        let bytes = usize::from(*partial) + taken;
        *partial = (bytes % PING.len()) as u8;
        let mut pings = bytes / PING.len();
        self.tally.pings.add(pings as u64);
        self.tally.pongs.add(pings as u64);
        while pings > 0 {
            let some = pings.min(PONGS_AT_ONCE);
            self.ring.send(slot, PONGS[..some].as_flattened())?;
            pings -= some;
        }
        Ok(())
    }
}

/// Connection number `number` comes from the address whose turn it is.
fn connect(server: SocketAddr, number: u32) -> io::Result<Socket> {
    let source = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + number / A_SOURCE);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_tcp_nodelay(true)?;
    if number >= A_SOURCE {
        // Else the port is taken from all peers, and for a minute more than the connection lasts.
        ring::leave_port_to_connect(&socket)?;
        socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
    }
    socket.connect(&server.into())?;
    Ok(socket)
}
