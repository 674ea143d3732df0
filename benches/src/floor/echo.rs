//! The floor under an echo: bytes go back as they came, out of the buffer that they came in.

use super::ring::{About, Done, Ring, Wait};
use super::{Tally, attend, start};
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// Takes `connections` from the listener, then sends back what they send, on one ring, until
/// standard input ends.
///
/// # Errors
/// Whatever the kernel refuses.
pub fn echo(listener: TcpListener, connections: u32) -> io::Result<()> {
    let listener = Arc::new(listener);
    let tallies = start(1, move |_, tally| Server::new(&listener, connections, tally)?.run())?;
    attend(&tallies)
}

struct Server {
    ring: Ring,
    tally: Arc<Tally>,
}

impl Server {
    fn new(listener: &TcpListener, connections: u32, tally: Arc<Tally>) -> io::Result<Self> {
        let mut ring = Ring::new(connections, tally.clone())?;
        ring.accept(listener.as_raw_fd())?;
        Ok(Self { ring, tally })
    }

    fn run(mut self) -> io::Result<()> {
        let mut done = Vec::new();
        loop {
            self.ring.enter(Wait::ForEver)?;
            self.ring.take_keeping_buffers(&mut done);
            for done in done.drain(..) {
                self.on_done(&done)?;
            }
        }
    }

    fn on_done(&mut self, done: &Done) -> io::Result<()> {
        match done.about {
            About::Accept => {
                let slot = u32::try_from(done.result);
                let slot = slot.map_err(|_| io::Error::from_raw_os_error(-done.result))?;
                self.ring.receive(slot)?;
                self.tally.connections.add(1);
            }
            About::Receive(slot) => {
                if let (Some(buffer), Ok(length @ 1..)) = (done.buffer, u32::try_from(done.result))
                {
                    self.ring.send_back(slot, buffer, length)?;
                }
                self.ring.receive_on(slot, done)?;
            }
            About::SendBack(buffer) => self.ring.return_buffer(buffer),
            About::Send(_) => {}
        }
        Ok(())
    }
}
