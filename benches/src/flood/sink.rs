//! The control of a flood: a listener that takes every connection and closes it, and does nothing
//! else. What others suffer beside it, the machine does to them and not the server.

use std::io;
use std::net::TcpListener;

/// Takes and closes connections until the process is killed.
///
/// # Errors
/// The kernel does not let it listen.
pub fn run(listener: &TcpListener) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => drop(stream),
            // The peer has gone before it was taken.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
}
