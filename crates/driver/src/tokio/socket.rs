//! What is asked of a socket by system calls of its own.
//!
//! The unsafe blocks hand the kernel pointers to integers on the stack, for the call.

#![allow(unsafe_code)] // setsockopt and ioctl of options that no safe wrapper knows.

use crate::{Cause, Ends, Severance};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{self, RecvFlags, Shutdown, SocketFlags};
use socket2::{Domain, SockAddr, Socket, Type};
use std::ffi::c_int;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};

/// What a poll tells of an end.
pub(super) const HANGUP: PollFlags = PollFlags::RDHUP.union(PollFlags::HUP).union(PollFlags::ERR);

/// A listener that never blocks, and whose connections inherit TCP_NODELAY.
pub(super) fn prepare_listener(listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    Ok(net::sockopt::set_tcp_nodelay(listener, true)?)
}

/// The next connection of the listener. It is blocking, so that a send on the ring waits for room
/// in the kernel and does not end with EAGAIN.
pub(super) fn accept(listener: &TcpListener) -> Result<OwnedFd, Errno> {
    net::accept_with(listener, SocketFlags::CLOEXEC)
}

/// A socket to connect to `to` from any port of `from`.
pub(super) fn open(to: SocketAddr, from: Option<IpAddr>) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(from) = from {
        // The port is chosen when the peer is known, so that it need not be free for all peers.
        set_option(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
        socket.bind(&SockAddr::from(SocketAddr::new(from, 0)))?;
    }
    Ok(socket.into())
}

/// Takes what is there, without waiting.
pub(super) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    net::recv(socket, buffer, RecvFlags::DONTWAIT).map(|(taken, _)| taken)
}

/// The error that the socket keeps, if any; it is asked for once.
pub(super) fn error(socket: &OwnedFd) -> Option<Cause> {
    let error = net::sockopt::socket_error(socket).unwrap_or_else(Err).err()?;
    Some(Cause::from_errno(error.raw_os_error()))
}

/// Sends FIN. It fails only where the connection is gone, and then that is told otherwise.
pub(super) fn send_fin(socket: &OwnedFd) {
    let _ = net::shutdown(socket, Shutdown::Write);
}

/// Ends a connect that is under way: what waits for it gets an error.
pub(super) fn break_connect(socket: &OwnedFd) {
    let _ = net::shutdown(socket, Shutdown::Both);
}

/// Sends RST where the connection is open, frees the kernel's memory, and ends with an error what
/// is on the ring. Cheaper than a close with SO_LINGER, and the descriptor stays ours meanwhile.
pub(super) fn disconnect(socket: &OwnedFd) {
    let _ = net::connect_unspec(socket);
}

/// Bytes that the peer's kernel has not acknowledged; none where the socket is gone.
pub(super) fn queued(socket: &OwnedFd) -> u32 {
    let mut queued: c_int = 0;
    // SAFETY: TIOCOUTQ (SIOCOUTQ) writes one c_int.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut queued) };
    if result == 0 { u32::try_from(queued).unwrap_or(0) } else { 0 }
}

/// Our own and the peer's address.
pub(super) fn ends(socket: &OwnedFd) -> Option<Ends> {
    let local = net::getsockname(socket).ok()?.try_into().ok()?;
    let peer = net::getpeername(socket).ok()??.try_into().ok()?;
    Some(Ends { local, peer })
}

/// Drops, or no longer drops, what arrives. Both options are set, because a socket of IPv6 may
/// speak IPv4; the one that does not fit the socket is refused, and that is all right.
pub(super) fn sever(socket: &OwnedFd, how: Severance) {
    let hops = match how {
        Severance::Drop => 255,
        Severance::Undrop => 0,
    };
    let _ = set_option(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_MINTTL, hops);
    let _ = set_option(socket.as_raw_fd(), libc::IPPROTO_IPV6, IPV6_MINHOPCOUNT, hops);
}

/// `linux/in6.h`.
const IPV6_MINHOPCOUNT: c_int = 73;

fn set_option(socket: c_int, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    let size = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads one c_int.
    let result =
        unsafe { libc::setsockopt(socket, level, option, (&raw const value).cast(), size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
