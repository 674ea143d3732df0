//! What is asked of a socket by system calls of its own, by the drivers whose connections are
//! descriptors of the process.
//!
//! The unsafe blocks hand the kernel pointers to integers on the stack, for the call.

#![allow(unsafe_code)] // setsockopt and ioctl of options that no safe wrapper knows.

use crate::{Cause, Ends, Error, Severance};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SendFlags, Shutdown, SocketFlags};
use rustix::process::{Resource, getrlimit};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::ffi::c_int;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};

/// Descriptors that a process needs besides those of its connections.
const DESCRIPTORS_SPARE: u32 = 32;

/// Whether a table of connections that are descriptors of the process fits under its limit.
pub(crate) fn check_descriptors(connections_max: u32) -> Result<(), Error> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if u64::from(connections_max) + u64::from(DESCRIPTORS_SPARE) > limit {
        return Err(Error::Descriptors { wanted: connections_max, limit });
    }
    Ok(())
}

/// Whether a send or a receive waits, or gives up with EAGAIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocking {
    /// A send on a ring waits for room in the kernel.
    Yes,
    No,
}

/// What a poll tells of an end.
pub(crate) const HANGUP: PollFlags = PollFlags::RDHUP.union(PollFlags::HUP).union(PollFlags::ERR);

/// A listener that never blocks, and whose connections inherit TCP_NODELAY.
pub(crate) fn prepare_listener(listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    Ok(net::sockopt::set_tcp_nodelay(listener, true)?)
}

/// The next connection of the listener.
pub(crate) fn accept(listener: &TcpListener, blocking: Blocking) -> Result<OwnedFd, Errno> {
    let flags = match blocking {
        Blocking::Yes => SocketFlags::CLOEXEC,
        Blocking::No => SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
    };
    net::accept_with(listener, flags)
}

/// A socket to connect to `to` from any port of `from`.
pub(crate) fn open(
    to: SocketAddr,
    from: Option<IpAddr>,
    blocking: Blocking,
) -> io::Result<OwnedFd> {
    let kind = match blocking {
        Blocking::Yes => Type::STREAM,
        Blocking::No => Type::STREAM.nonblocking(),
    };
    let socket = Socket::new(Domain::for_address(to), kind, None)?.into();
    prepare_connect(&socket, from)?;
    Ok(socket)
}

/// Makes a socket ready to connect from any port of `from`.
pub(crate) fn prepare_connect(socket: &OwnedFd, from: Option<IpAddr>) -> io::Result<()> {
    let options = SockRef::from(socket);
    options.set_tcp_nodelay(true)?;
    if let Some(from) = from {
        // The port is chosen when the peer is known, so that it need not be free for all peers.
        set_option(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
        options.bind(&SockAddr::from(SocketAddr::new(from, 0)))?;
    }
    Ok(())
}

/// The cause that an error of this file tells.
pub(crate) fn cause_of(error: &io::Error) -> Cause {
    Cause::from_errno(error.raw_os_error().unwrap_or(libc::EINVAL))
}

/// Takes what is there, without waiting.
pub(crate) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    net::recv(socket, buffer, RecvFlags::DONTWAIT).map(|(taken, _)| taken)
}

/// Gives the kernel what it takes at once.
pub(crate) fn send(socket: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
}

/// Begins to connect a socket that does not block. The end of it is heard by a poll.
pub(crate) fn begin_connect(socket: &OwnedFd, to: SocketAddr) -> Result<(), Errno> {
    match net::connect(socket, &to) {
        Err(Errno::INPROGRESS) => Ok(()),
        outcome => outcome,
    }
}

/// The error that the socket keeps, if any; it is asked for once.
pub(crate) fn error(socket: &OwnedFd) -> Option<Cause> {
    let error = net::sockopt::socket_error(socket).unwrap_or_else(Err).err()?;
    Some(Cause::from_errno(error.raw_os_error()))
}

/// Sends FIN. It fails only where the connection is gone, and then that is told otherwise.
pub(crate) fn send_fin(socket: &OwnedFd) {
    let _ = net::shutdown(socket, Shutdown::Write);
}

/// Ends a connect that is under way: what waits for it gets an error.
pub(crate) fn break_connect(socket: &OwnedFd) {
    let _ = net::shutdown(socket, Shutdown::Both);
}

/// Sends RST where the connection is open, frees the kernel's memory, and ends with an error what
/// is on the ring. Cheaper than a close with SO_LINGER, and the descriptor stays ours meanwhile.
pub(crate) fn disconnect(socket: &OwnedFd) {
    let _ = net::connect_unspec(socket);
}

/// Bytes that the peer's kernel has not acknowledged; none where the socket is gone.
pub(crate) fn queued(socket: &OwnedFd) -> u32 {
    let mut queued: c_int = 0;
    // SAFETY: TIOCOUTQ (SIOCOUTQ) writes one c_int.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut queued) };
    if result == 0 { u32::try_from(queued).unwrap_or(0) } else { 0 }
}

/// Our own and the peer's address.
pub(crate) fn ends(socket: &OwnedFd) -> Option<Ends> {
    let local = net::getsockname(socket).ok()?.try_into().ok()?;
    let peer = net::getpeername(socket).ok()??.try_into().ok()?;
    Some(Ends { local, peer })
}

/// Drops, or no longer drops, what arrives. Both options are set, because a socket of IPv6 may
/// speak IPv4; the one that does not fit the socket is refused, and that is all right.
///
/// One that is to vanish is only made ready for it: what ends it afterwards says nothing to the peer.
pub(crate) fn sever(socket: &OwnedFd, how: Severance) {
    let hops = match how {
        Severance::Drop => 255,
        Severance::Undrop => 0,
        // Where it is refused, the end is an abort like any other.
        Severance::Vanish => return drop(repair(socket)),
    };
    let _ = set_option(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_MINTTL, hops);
    let _ = set_option(socket.as_raw_fd(), libc::IPPROTO_IPV6, IPV6_MINHOPCOUNT, hops);
}

/// Whether this process may make a connection vanish ([`Severance::Vanish`]): whether it has
/// CAP_NET_ADMIN in the user namespace of its network.
pub fn may_vanish() -> bool {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None);
    socket.is_ok_and(|socket| repair(&socket.into()).is_ok())
}

/// Puts a socket into the state in which its connection is taken down without a word.
fn repair(socket: &OwnedFd) -> io::Result<()> {
    set_option(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_REPAIR, 1)
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
