use crate::ServerError;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;

/// How many bytes of ours may wait unsent in a socket: an urgent frame waits behind no more.
const NOTSENT_BYTES_MAX: u32 = 64 * 1024;

/// A listening socket whose connections inherit what the server wants of them: no delay for small
/// segments, and a bound on what waits unsent in the kernel.
///
/// # Errors
/// The address is in use, not ours, or not allowed.
pub fn listen(addr: SocketAddr) -> Result<TcpListener, ServerError> {
    open(addr).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => ServerError::AddressInUse { addr },
        io::ErrorKind::AddrNotAvailable => ServerError::AddressNotOurs { addr },
        io::ErrorKind::PermissionDenied => ServerError::PortForbidden { addr },
        _ => ServerError::Listen { addr, error },
    })
}

fn open(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(NOTSENT_BYTES_MAX)?;
    socket.bind(&SockAddr::from(addr))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
