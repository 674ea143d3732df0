//! Watches the server's sockets from outside: when each victim's left ESTABLISHED (*detected*) and
//! when it was destroyed (*reclaimed*), by sock_diag. No privilege; the same network namespace.

use halfopen_wheel::Instant;
use std::net::SocketAddr;

/// A thread that watches.
#[derive(Debug)]
pub struct Observer {
    _todo: (),
}

/// What became of one victim's socket at the server.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// The victim's own address: the peer of the server's socket.
    pub client: SocketAddr,
    /// When it was seen to have left ESTABLISHED.
    pub detected: Option<Instant>,
    /// When it was seen to be destroyed.
    pub reclaimed: Option<Instant>,
    /// Events were lost while it was watched, so that a time may be late by more than the period.
    pub doubtful: bool,
    /// Whether its socket could be found before the death, so that the rest can be known at all.
    pub observable: bool,
}

impl Observer {
    /// Begins to watch the sockets of a server that listens on `port` in this network namespace.
    ///
    /// # Errors
    /// The kernel has no sock_diag, or forbids it.
    pub fn start(_port: u16) -> std::io::Result<Self> {
        todo!()
    }

    /// Maps every socket of the server to its cookie now; call it before deaths, because the
    /// destroy event of an aborted socket has lost its peer's address.
    pub fn map(&self) -> std::io::Result<usize> {
        todo!()
    }

    /// From now on `client` is a victim.
    pub fn watch(&self, _client: SocketAddr, _killed: Instant) {
        todo!()
    }

    /// How many victims are watched, detected and reclaimed so far.
    pub fn progress(&self) -> (usize, usize, usize) {
        todo!()
    }

    /// Ends the watch.
    pub fn finish(self) -> Vec<Sighting> {
        todo!()
    }
}
