//! The requests that the driver makes of the kernel, each with the memory that it points to.
#![allow(unsafe_code)] // requests point to memory; `queue` says how it is kept

use super::super::completion::{Kind, Sending};
use super::super::features::Feature;
use super::super::state::Poll;
use super::buffers::GROUP;
use super::{Arguments, Landed, Queue};
use crate::ConnId;
use halfopen_wheel::{Instant, clock};
use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{CancelBuilder, Fd, Fixed, Timespec};
use libc::{c_int, sa_family_t, sockaddr, socklen_t};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{null, null_mut};

/// The kernel's `IORING_RECVSEND_POLL_FIRST`: look for a buffer only when there is something to
/// put into it. Else an empty ring of buffers ends a receive at once.
const POLL_FIRST: u16 = 1;

/// The kernel's `IORING_RECV_MULTISHOT`.
const MULTISHOT: u16 = 1 << 1;

/// The kernel's `SOCKET_URING_OP_SIOCOUTQ`.
const SIOCOUTQ: u32 = 1;

/// No such constants in libc for this platform's every version.
const IPV6_MINHOPCOUNT: c_int = 73;
const IP_BIND_ADDRESS_NO_PORT: c_int = 24;

static ON: c_int = 1;
static OFF: c_int = 0;
/// The greatest TTL: no packet of another machine has it, and none of this one's by default.
static TTL_MAX: c_int = 255;
/// The address whose connect takes a connection back.
static UNSPECIFIED: sockaddr =
    sockaddr { sa_family: libc::AF_UNSPEC as sa_family_t, sa_data: [0; 14] };

impl Queue {
    /// Takes one connection from the listener into a slot of the kernel's choice.
    pub(in crate::ring) fn accept(&mut self, listener: BorrowedFd<'_>) {
        // A direct descriptor is in no table that exec() would hand on.
        let flags = if self.has(Feature::Direct) { 0 } else { libc::SOCK_CLOEXEC };
        let entry = opcode::Accept::new(Fd(listener.as_raw_fd()), null_mut(), null_mut())
            .file_index(self.slots.destination())
            .flags(flags)
            .build();
        // SAFETY: no memory is pointed to.
        unsafe { self.push(&[entry.user_data(Kind::Accept.alone())]) }
    }

    /// Arms a receive: a multishot one, or where there is none for once.
    pub(in crate::ring) fn receive(&mut self, id: ConnId, slot: u32) {
        let multi = if self.has(Feature::Multishot) { MULTISHOT } else { 0 };
        let entry = opcode::Recv::new(Fd(slot as i32), null_mut(), 0)
            .ioprio(POLL_FIRST | multi)
            .buf_group(GROUP)
            .build()
            .flags(Flags::BUFFER_SELECT | self.slots.flag())
            .user_data(Kind::Receive.of(id));
        self.receives += 1;
        // SAFETY: it writes only into provided buffers, which live while receives are counted.
        unsafe { self.push(&[entry]) }
    }

    /// Sends a chunk.
    pub(in crate::ring) fn send(&mut self, sending: Sending) {
        let key = self.sends.insert(sending) as u32;
        self.unstamped.push(key);
        self.send_from(key);
    }

    /// Sends what is left of the chunk.
    pub(in crate::ring) fn send_rest(&mut self, landed: Landed) {
        self.send_from(landed.0);
    }

    fn send_from(&mut self, key: u32) {
        let sending = &self.sends[key as usize];
        let slot = sending.slot;
        let rest = &sending.chunk.as_bytes()[sending.done as usize..];
        let (start, length) = (rest.as_ptr(), rest.len() as u32);
        self.under_way += 1;
        // Without WAITALL a full kernel buffer makes a short send of each.
        let entry = opcode::Send::new(Fd(slot as i32), start, length)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .flags(self.slots.flag())
            .user_data(Kind::Send.at(key));
        // SAFETY: the bytes are on the heap or static, do not move with the chunk, and the chunk is
        // written and taken by its `Landed` only, which the completion makes.
        unsafe { self.push(&[entry]) }
    }

    /// Asks whether a connection still stands, by sending nothing: heard of only if it does not.
    pub(in crate::ring) fn check(&mut self, id: ConnId, slot: u32) {
        let entry = opcode::Send::new(Fd(slot as i32), null(), 0)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
            .build()
            .flags(Flags::SKIP_SUCCESS | self.slots.flag())
            .user_data(Kind::Check.of(id));
        // SAFETY: no memory is pointed to.
        unsafe { self.push(&[entry]) }
    }

    /// Receives what is there, at once.
    pub(in crate::ring) fn receive_now(&mut self, id: ConnId, slot: u32) {
        let entry = opcode::Recv::new(Fd(slot as i32), null_mut(), 0)
            .flags(libc::MSG_DONTWAIT)
            .buf_group(GROUP)
            .build()
            .flags(Flags::BUFFER_SELECT | self.slots.flag())
            .user_data(Kind::Receive.of(id));
        self.receives += 1;
        // SAFETY: it writes only into provided buffers, which live while receives are counted.
        unsafe { self.push(&[entry]) }
    }

    /// Asks to be told when a connection ends, or what else this poll is for.
    pub(in crate::ring) fn poll(&mut self, id: ConnId, slot: u32, poll: Poll) {
        let is_for_input = matches!(poll, Poll::Input | Poll::InputOnce);
        let input = if is_for_input { libc::POLLIN } else { 0 };
        let mask = (input | libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) as u32;
        let entry = opcode::PollAdd::new(Fd(slot as i32), mask)
            .multi(poll == Poll::Input)
            .build()
            .flags(self.slots.flag());
        // SAFETY: no memory is pointed to.
        unsafe { self.push(&[entry.user_data(Kind::Poll.of(id))]) }
    }

    /// Asks to be told when somebody waits at the listener. Unlike an accept it takes nobody's turn:
    /// whoever accepts there is woken besides.
    pub(in crate::ring) fn watch_listener(&mut self, listener: BorrowedFd<'_>) {
        let entry = opcode::PollAdd::new(Fd(listener.as_raw_fd()), libc::POLLIN as u32).build();
        // SAFETY: no memory is pointed to.
        unsafe { self.push(&[entry.user_data(Kind::Listener.alone())]) }
    }

    pub(in crate::ring) fn watch_waker(&mut self, waker: BorrowedFd<'_>) {
        let entry = opcode::PollAdd::new(Fd(waker.as_raw_fd()), libc::POLLIN as u32)
            .multi(true)
            .build()
            .user_data(Kind::Wake.alone());
        // SAFETY: no memory is pointed to.
        unsafe { self.push(&[entry]) }
    }

    /// Cancels the request of this name; it still completes.
    pub(in crate::ring) fn cancel(&mut self, name: u64) {
        self.cancel_what(CancelBuilder::user_data(name));
    }

    /// Cancels every request of this name; each of them still completes.
    pub(in crate::ring) fn cancel_all(&mut self, name: u64) {
        self.cancel_what(CancelBuilder::user_data(name).all());
    }

    fn cancel_what(&mut self, which: CancelBuilder) {
        let entry = opcode::AsyncCancel2::new(which).build();
        // SAFETY: no memory is pointed to.
        unsafe { self.push(&[unheard(entry)]) }
    }

    /// Sends FIN. A worker thread of the kernel does it.
    pub(in crate::ring) fn shut_down(&mut self, id: ConnId, slot: u32) {
        let entry = opcode::Shutdown::new(Fd(slot as i32), libc::SHUT_WR).build();
        let entry = entry.flags(self.slots.flag());
        // SAFETY: no memory is pointed to.
        unsafe { self.push(&[entry.user_data(Kind::Shutdown.of(id))]) }
    }

    /// Gives the slot back. The socket lives on while a request for it is armed.
    pub(in crate::ring) fn close(&mut self, id: ConnId, slot: u32) {
        let entry = self.slots.close_request(slot).user_data(Kind::Close.of(id));
        // SAFETY: no memory is pointed to.
        unsafe { self.push(&[entry]) }
    }

    /// Gives back the slot of something that was never a connection.
    pub(in crate::ring) fn close_unheard(&mut self, slot: u32) {
        let entry = unheard(self.slots.close_request(slot));
        // SAFETY: no memory is pointed to.
        unsafe { self.push(&[entry]) }
    }

    /// Sends RST and gives the slot back: what is armed ends by itself, however much that is,
    /// where cancelling would have to look for it.
    pub(in crate::ring) fn reset(&mut self, id: ConnId, slot: u32) {
        let length = size_of::<sockaddr>() as socklen_t;
        let back = opcode::Connect::new(Fd(slot as i32), &raw const UNSPECIFIED, length).build();
        let back = back.flags(self.slots.flag());
        let close = self.slots.close_request(slot).user_data(Kind::Close.of(id));
        // SAFETY: the address is static. Both are carried out as they are submitted, in order.
        unsafe { self.push(&[unheard(back), close]) }
    }

    /// Makes a socket for attempt number `key`, in a slot of the kernel's choice.
    pub(in crate::ring) fn socket(&mut self, key: u32, to: SocketAddr) {
        let domain = if to.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
        let exec = if self.has(Feature::Direct) { 0 } else { libc::SOCK_CLOEXEC };
        let entry = opcode::Socket::new(domain, libc::SOCK_STREAM | exec, 0)
            .file_index(self.slots.destination())
            .build()
            .user_data(Kind::Socket.at(key));
        // SAFETY: no memory is pointed to.
        unsafe { self.push(&[entry]) }
    }

    /// Binds and connects the socket of attempt number `key`. One completion tells the outcome:
    /// that of the connect, or that of the bind before it; ECANCELED after the deadline.
    pub(in crate::ring) fn connect(
        &mut self,
        key: u32,
        slot: u32,
        to: SocketAddr,
        from: Option<IpAddr>,
        deadline: Instant,
    ) {
        let name = Kind::Connect.at(key);
        let arguments = Box::new(Arguments {
            to: to.into(),
            from: from.map(|from| SocketAddr::new(from, 0).into()),
            patience: Timespec::from(deadline.saturating_since(clock::now())),
        });
        let (fd, flag) = (Fd(slot as i32), self.slots.flag());
        let mut chain = Vec::with_capacity(5);
        if self.has(Feature::SocketCommands) {
            chain.push(self.set(slot, libc::IPPROTO_TCP, libc::TCP_NODELAY, &ON));
        }
        if let Some(from) = &arguments.from {
            chain.push(self.set(slot, libc::IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &ON));
            let bind = opcode::Bind::new(fd, from.as_ptr().cast(), from.len()).build();
            chain.push(bind.flags(Flags::IO_LINK | Flags::SKIP_SUCCESS | flag).user_data(name));
        }
        let address = arguments.to.as_ptr().cast();
        let connect = opcode::Connect::new(fd, address, arguments.to.len());
        chain.push(connect.build().flags(Flags::IO_LINK | flag).user_data(name));
        chain.push(unheard(opcode::LinkTimeout::new(&raw const arguments.patience).build()));
        // SAFETY: options are static. The kernel copies addresses and times as it takes the
        // requests; until then the box is kept, and what is in it does not move.
        unsafe { self.push(&chain) }
        self.arguments.push(arguments);
    }

    /// Lets only packets arrive that have the greatest TTL, or all.
    pub(in crate::ring) fn set_min_ttl(&mut self, slot: u32, v6: bool, drop: bool) {
        let value = if drop { &TTL_MAX } else { &OFF };
        // A socket of IPv6 may carry IPv4.
        if v6 {
            let entry = self.set(slot, libc::IPPROTO_IPV6, IPV6_MINHOPCOUNT, value);
            // SAFETY: the value is static.
            unsafe { self.push(&[entry]) }
        }
        let entry = self.set(slot, libc::IPPROTO_IP, libc::IP_MINTTL, value);
        // SAFETY: as above.
        unsafe { self.push(&[entry]) }
    }

    /// Has the reset that follows say nothing to the peer. Refused without CAP_NET_ADMIN: then it
    /// says RST.
    pub(in crate::ring) fn set_repair(&mut self, slot: u32) {
        let entry = self.set(slot, libc::IPPROTO_TCP, libc::TCP_REPAIR, &ON);
        // SAFETY: the value is static.
        unsafe { self.push(&[entry]) }
    }

    /// Asks how many bytes are not acknowledged.
    pub(in crate::ring) fn probe(&mut self, id: ConnId, slot: u32) {
        let entry = opcode::UringCmd16::new(Fd(slot as i32), SIOCOUTQ).build();
        let entry = entry.flags(self.slots.flag());
        // SAFETY: no memory is pointed to.
        unsafe { self.push(&[entry.user_data(Kind::Probe.of(id))]) }
    }

    /// The socket of a slot, where it is to be asked by system calls of its own. What was asked of
    /// the ring before has been carried out then.
    pub(in crate::ring) fn by_hand(&mut self, slot: u32) -> Option<&OwnedFd> {
        if self.has(Feature::SocketCommands) {
            return None;
        }
        self.submit();
        self.slots.descriptor(slot)
    }

    /// Another descriptor of a slot, where it is an ordinary one itself.
    pub(in crate::ring) fn duplicate(&self, slot: u32) -> Option<OwnedFd> {
        self.slots.descriptor(slot)?.try_clone().ok()
    }

    /// Makes an ordinary descriptor of a slot, for what the ring cannot do.
    pub(in crate::ring) fn install(&mut self, kind: Kind, id: ConnId, slot: u32) {
        assert!(matches!(kind, Kind::Locate | Kind::Diagnose), "who will own the descriptor");
        let entry = opcode::FixedFdInstall::new(Fixed(slot), 0).build();
        // SAFETY: no memory is pointed to.
        unsafe { self.push(&[entry.user_data(kind.of(id))]) }
    }

    fn set(&self, slot: u32, level: c_int, option: c_int, value: &'static c_int) -> Entry {
        let (level, option) = (level as u32, option as u32);
        let (fd, length) = (Fd(slot as i32), size_of::<c_int>() as u32);
        let value = (&raw const *value).cast();
        let entry = opcode::SetSockOpt::new(fd, level, option, value, length).build();
        unheard(entry.flags(self.slots.flag()))
    }

    /// Queues requests, together if they are linked.
    ///
    /// # Safety
    /// What they point to lives until they are over, or, where the kernel copies it, is kept in
    /// `arguments`. Each name is parsed by [`Queue::next`] as what the request is.
    unsafe fn push(&mut self, chain: &[Entry]) {
        self.make_room(chain.len());
        // SAFETY: the caller's duty.
        let pushed = unsafe { self.ring.submission().push_multiple(chain) };
        // It is full only when the ring has failed, which ends the run.
        drop(pushed);
    }
}

/// A request that is heard of only when it fails, and then by nobody.
fn unheard(entry: Entry) -> Entry {
    entry.flags(Flags::SKIP_SUCCESS).user_data(Kind::Nobody.alone())
}
