//! The kernel's sock_diag, as far as it is needed here: dumps, the look-up of one socket, and the
//! news of sockets that were destroyed. None of it wants a privilege.

use halfopen_wheel::{Instant, clock};
use netlink_packet_core::{
    ErrorBuffer, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage, Parseable,
};
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags,
};
use netlink_packet_sock_diag::{IPPROTO_TCP, SockDiagMessage};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr as NetlinkAddr};
use rustix::net::sockopt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

pub(super) use netlink_packet_sock_diag::{AF_INET, AF_INET6};

/// A socket for questions and their answers.
pub(super) struct Diag {
    socket: Socket,
    /// The kernel fills at most 32 KiB of a dump at a time.
    buffer: Vec<u8>,
}

impl Diag {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        socket.connect(&NetlinkAddr::new(0, 0))?;
        Ok(Self { socket, buffer: vec![0; 32 * 1024] })
    }

    /// Every TCP socket of `family` on local `port` in one of `states`, with the time at which the
    /// kernel had told of it. A v4-mapped socket belongs to `AF_INET6`.
    pub(super) fn dump(
        &mut self,
        family: u8,
        states: StateFlags,
        port: u16,
        mut each: impl FnMut(Instant, InetResponseHeader),
    ) -> io::Result<()> {
        let mut socket_id = anything(family);
        // The kernel itself passes over sockets on other ports.
        socket_id.source_port = port;
        self.ask(NLM_F_REQUEST | NLM_F_DUMP, request(family, states, socket_id))?;
        loop {
            let size = retried(|| self.socket.recv(&mut &mut self.buffer[..], 0))?;
            let now = clock::now();
            for answer in Messages(&self.buffer[..size]) {
                match answer? {
                    Answer::Socket(found) => each(now, found),
                    Answer::End => return Ok(()),
                }
            }
        }
    }

    /// The one socket that has exactly these ends.
    pub(super) fn look_up(
        &mut self,
        socket_id: SocketId,
        family: u8,
    ) -> io::Result<Option<InetResponseHeader>> {
        self.ask(NLM_F_REQUEST, request(family, StateFlags::all(), socket_id))?;
        let size = retried(|| self.socket.recv(&mut &mut self.buffer[..], 0))?;
        match Messages(&self.buffer[..size]).next() {
            Some(Ok(Answer::Socket(found))) => Ok(Some(found)),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Some(Err(error)) => Err(error),
            Some(Ok(Answer::End)) | None => Ok(None),
        }
    }

    fn ask(&self, flags: u16, request: InetRequest) -> io::Result<()> {
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        retried(|| self.socket.send(&bytes, 0)).map(drop)
    }
}

/// A socket on which the kernel tells of every TCP socket that it destroys.
pub(super) struct Funerals {
    socket: Socket,
    buffer: Vec<u8>,
}

/// The multicast groups of TCP over IPv4 and IPv6 (linux/sock_diag.h).
const SKNLGRP_INET_TCP_DESTROY: u32 = 1;
const SKNLGRP_INET6_TCP_DESTROY: u32 = 3;

impl Funerals {
    /// Listens, with a queue of `queue_bytes` or as much of it as is allowed.
    pub(super) fn open(queue_bytes: usize) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        if sockopt::set_socket_recv_buffer_size_force(&socket, queue_bytes).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, queue_bytes)?;
        }
        socket.add_membership(SKNLGRP_INET_TCP_DESTROY)?;
        socket.add_membership(SKNLGRP_INET6_TCP_DESTROY)?;
        Ok(Self { socket, buffer: vec![0; 4096] })
    }

    /// Takes everything that is queued: the time and the cookie of each destroyed socket.
    ///
    /// Returns whether the queue had overflowed, so that some were not told.
    pub(super) fn drain(&mut self, into: &mut Vec<(Instant, Cookie)>) -> io::Result<bool> {
        const MSG_DONTWAIT: i32 = 0x40;
        let mut overflowed = false;
        loop {
            match self.socket.recv(&mut &mut self.buffer[..], MSG_DONTWAIT) {
                Ok(size) => {
                    let now = clock::now();
                    for told in Messages(&self.buffer[..size]) {
                        if let Answer::Socket(gone) = told? {
                            into.push((now, Cookie(gone.socket_id.cookie)));
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(overflowed),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_overflow(&error) => overflowed = true,
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Funerals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The kernel's own name of a socket, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Cookie(pub(super) [u8; 8]);

/// A socket id that asks for nothing in particular.
pub(super) fn anything(family: u8) -> SocketId {
    let mut id = if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() };
    id.cookie = [0xff; 8];
    id
}

fn request(family: u8, states: StateFlags, socket_id: SocketId) -> InetRequest {
    InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states,
        socket_id,
    }
}

fn is_overflow(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}

fn retried<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

enum Answer {
    Socket(InetResponseHeader),
    End,
}

/// The netlink messages in one datagram.
struct Messages<'a>(&'a [u8]);

impl Iterator for Messages<'_> {
    type Item = io::Result<Answer>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let bytes = self.0;
        let message = match NetlinkBuffer::new_checked(bytes) {
            Ok(message) => message,
            Err(error) => {
                self.0 = &[];
                return Some(Err(io::Error::other(error)));
            }
        };
        // Messages are padded to four bytes.
        let length = (message.length() as usize).next_multiple_of(4).min(bytes.len());
        self.0 = &bytes[length..];
        Some(answer(&message))
    }
}

fn answer(message: &NetlinkBuffer<&[u8]>) -> io::Result<Answer> {
    match message.message_type() {
        NLMSG_DONE => Ok(Answer::End),
        NLMSG_ERROR => {
            let code =
                ErrorBuffer::new_checked(message.payload()).map_err(io::Error::other)?.code();
            let code = code.map_or(0, std::num::NonZeroI32::get);
            Err(io::Error::from_raw_os_error(code.saturating_neg()))
        }
        _ => InetResponseHeader::parse(message.payload())
            .map(Answer::Socket)
            .map_err(io::Error::other),
    }
}
