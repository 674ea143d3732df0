//! One of a crowd that talks without end, on one thread with the others and waiting for nobody: what
//! a crowd of threads would take is the living one's share of the cores.

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;

pub(crate) struct Talker<'a> {
    stream: &'a TcpStream,
    /// It says this over and over.
    wire: &'a [u8],
    /// So many bytes of it until now.
    pub(crate) said: usize,
}

impl<'a> Talker<'a> {
    pub(crate) fn of(stream: &'a TcpStream, wire: &'a [u8]) -> Self {
        stream.set_nonblocking(true).unwrap();
        Self { stream, wire, said: 0 }
    }

    /// Says as much as is taken from it now.
    ///
    /// # Errors
    /// The other side has ended it.
    pub(crate) fn talk(&mut self) -> io::Result<()> {
        match self.stream.write(&self.wire[self.said % self.wire.len()..]) {
            Ok(bytes) => self.said += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
