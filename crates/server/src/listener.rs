use crate::ServerError;
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;

/// How many bytes of ours may wait unsent in a socket: an urgent frame waits behind no more.
const NOTSENT_BYTES_MAX: u32 = 64 * 1024;

/// The probes that a host may leave unanswered before keepalive gives it up.
const PROBES: u32 = 3;

/// What the kernel watches by itself, on every connection.
///
/// It finds hosts that are gone for a fraction of what a heartbeat costs, but nothing else: the
/// kernel of a program that hangs goes on answering it, and behind a proxy it is the proxy that
/// answers. Both are inherited from the listening socket, so they cost no system call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpWatch {
    /// Keepalive (RFC 9293 §3.8.4): after so long without a segment from the peer's host three
    /// probes go out, a third of it apart, so that a host is given up after twice as long. Whole
    /// seconds, at least one; none: off.
    pub keepalive: Option<Duration>,
    /// TCP_USER_TIMEOUT (RFC 5482): how long what was sent may stay unacknowledged, how long a
    /// window may stay shut before what waits to be sent, and, with `keepalive`, how long probes may
    /// stay unanswered. The kernel counts those from the last segment that came: see
    /// [`TcpWatch::given_up_after`]. Whole milliseconds; none: the kernel's, some 15 minutes.
    pub user_timeout: Option<Duration>,
}

impl TcpWatch {
    /// After how much silence keepalive alone gives a host up. A user timeout that is shorter takes
    /// probes away from it, down to one: whose answer is lost, is then ended while it lives.
    pub fn given_up_after(&self) -> Option<Duration> {
        let (time, gap) = probing(self.keepalive?);
        Some(time + gap * PROBES)
    }

    fn set(&self, socket: &Socket) -> io::Result<()> {
        if let Some(time) = self.keepalive {
            let (time, gap) = probing(time);
            let probing = TcpKeepalive::new().with_time(time).with_interval(gap);
            socket.set_tcp_keepalive(&probing.with_retries(PROBES))?;
        }
        match self.user_timeout {
            // Zero would be the kernel's own.
            Some(time) => socket.set_tcp_user_timeout(Some(time.max(Duration::from_millis(1)))),
            None => Ok(()),
        }
    }
}

/// The silence before the first probe, and from one to the next.
fn probing(keepalive: Duration) -> (Duration, Duration) {
    let time = keepalive.as_secs().max(1);
    (Duration::from_secs(time), Duration::from_secs(time.div_ceil(PROBES.into())))
}

/// A listening socket whose connections inherit what the server wants of them: no delay for small
/// segments, a bound on what waits unsent in the kernel, and what `watch` says.
///
/// # Errors
/// The address is in use, not ours, or not allowed.
pub fn listen(addr: SocketAddr, watch: &TcpWatch) -> Result<TcpListener, ServerError> {
    open(addr, watch).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => ServerError::AddressInUse { addr },
        io::ErrorKind::AddrNotAvailable => ServerError::AddressNotOurs { addr },
        io::ErrorKind::PermissionDenied => ServerError::PortForbidden { addr },
        _ => ServerError::Listen { addr, error },
    })
}

fn open(addr: SocketAddr, watch: &TcpWatch) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(NOTSENT_BYTES_MAX)?;
    watch.set(&socket)?;
    socket.bind(&SockAddr::from(addr))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_given_up_when_all_probes_are_lost() {
        let after = |seconds| {
            let keepalive = Some(Duration::from_secs(seconds));
            TcpWatch { keepalive, user_timeout: None }.given_up_after().unwrap().as_secs()
        };
        assert_eq!([1, 2, 3, 10, 30].map(after), [4, 5, 6, 22, 60]);
        assert_eq!(TcpWatch::default().given_up_after(), None);
    }
}
