//! One socket as the kernel tells of it, and as `ss -tn` would print it.

use super::diag::{AF_INET, AF_INET6, Diag, anything};
use netlink_packet_sock_diag::inet::InetResponseHeader;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// A TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketRow {
    /// Its state.
    pub state: TcpState,
    /// Bytes that have come and were not read.
    pub recv_queue: u32,
    /// Bytes that were sent and not acknowledged.
    pub send_queue: u32,
    /// Its own address.
    pub local: SocketAddr,
    /// Its peer's.
    pub peer: SocketAddr,
}

impl SocketRow {
    /// The words above the columns.
    pub const HEADER: &str =
        "State       Recv-Q  Send-Q       Local Address:Port        Peer Address:Port";
}

impl fmt::Display for SocketRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, recv_queue, send_queue, local, peer } = self;
        let (state, local, peer) = (state.ss_name(), local.to_string(), peer.to_string());
        write!(f, "{state:<11} {recv_queue:<7} {send_queue:<7} {local:>23} {peer:>24}")
    }
}

/// The socket of this network namespace that is `local` and connected to `peer`; none if there is
/// no such socket (any more).
///
/// # Errors
/// The kernel has no sock_diag, or forbids it.
pub fn find_socket(local: SocketAddr, peer: SocketAddr) -> io::Result<Option<SocketRow>> {
    let family = if local.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut id = anything(family);
    (id.source_address, id.source_port) = (local.ip(), local.port());
    (id.destination_address, id.destination_port) = (peer.ip(), peer.port());
    let found = Diag::open()?.look_up(id, family)?;
    // Where no connection has these ends the kernel answers with the listener of the port.
    Ok(found.map(|socket| row(&socket)).filter(|row| row.peer.port() == peer.port()))
}

fn row(socket: &InetResponseHeader) -> SocketRow {
    let id = &socket.socket_id;
    SocketRow {
        state: TcpState::from_kernel(socket.state),
        recv_queue: socket.recv_queue,
        send_queue: socket.send_queue,
        local: SocketAddr::new(id.source_address.to_canonical(), id.source_port),
        peer: SocketAddr::new(id.destination_address.to_canonical(), id.destination_port),
    }
}

/// A state of RFC 9293 §3.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TcpState(&'static (&'static str, &'static str));

impl TcpState {
    /// The connection is open, as far as this end knows.
    pub const ESTABLISHED: Self = Self(&STATES[1]);

    fn from_kernel(number: u8) -> Self {
        Self(STATES.get(usize::from(number)).unwrap_or(&STATES[0]))
    }

    /// The name that the RFC gives it: `ESTABLISHED`.
    pub fn name(self) -> &'static str {
        self.0.0
    }

    /// The name that `ss` gives it: `ESTAB`.
    pub fn ss_name(self) -> &'static str {
        self.0.1
    }
}

/// By the kernel's numbers (net/tcp_states.h).
static STATES: [(&str, &str); 13] = [
    ("UNKNOWN", "UNKNOWN"),
    ("ESTABLISHED", "ESTAB"),
    ("SYN-SENT", "SYN-SENT"),
    ("SYN-RECEIVED", "SYN-RECV"),
    ("FIN-WAIT-1", "FIN-WAIT-1"),
    ("FIN-WAIT-2", "FIN-WAIT-2"),
    ("TIME-WAIT", "TIME-WAIT"),
    ("CLOSED", "UNCONN"),
    ("CLOSE-WAIT", "CLOSE-WAIT"),
    ("LAST-ACK", "LAST-ACK"),
    ("LISTEN", "LISTEN"),
    ("CLOSING", "CLOSING"),
    ("SYN-RECEIVED", "SYN-RECV"),
];
