//! A ring as the `ring` driver sets it up, and a loop's worth of calls on it.
//!
//! The promise of this file: bytes that are sent live for ever; what a buffer holds is not looked
//! at here.
#![allow(unsafe_code)] // Submissions, the ring of buffers shared with the kernel, a setsockopt.

use super::Tally;
use halfopen_driver::ring::{GATHER, Options, Pace};
use halfopen_wheel::clock;
use io_uring::types::{BufRingEntry, Fixed, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue, types};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

const GROUP: u16 = 0;

/// A wait for several has to have an end.
const LONG: Duration = Duration::from_secs(3600);

/// The kernel's `IORING_RECVSEND_POLL_FIRST` and `IORING_RECV_MULTISHOT`.
const POLL_FIRST: u16 = 1;
const MULTISHOT: u16 = 1 << 1;

/// Has a bind choose no port: the connect does, when the peer is known.
pub(super) fn leave_port_to_connect(socket: &impl AsRawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads one c_int.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub(super) struct Ring {
    ring: IoUring,
    sizes: Options,
    /// Entries of the ring of buffers, then the buffers.
    shared: *mut u8,
    tail: u16,
    /// For how many arrivals it sleeps, as the driver does.
    pace: Pace,
    arrivals: u32,
    connections: u32,
    /// What the ring has done; here, how many times the kernel was entered.
    tally: Arc<Tally>,
}

/// How long to wait for a completion.
pub(super) enum Wait {
    No,
    AtMost(Duration),
    ForEver,
}

/// What a completion is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Accept,
    Receive(u32),
    Send(u32),
    /// A send out of this buffer.
    SendBack(u16),
}

/// One completion.
pub(super) struct Done {
    pub(super) about: About,
    pub(super) result: i32,
    pub(super) more: bool,
    /// The buffer that was filled.
    pub(super) buffer: Option<u16>,
}

const KIND_SHIFT: u32 = 32;

impl About {
    fn user_data(self) -> u64 {
        let (kind, slot) = match self {
            Self::Accept => (0, 0),
            Self::Receive(slot) => (1, slot),
            Self::Send(slot) => (2, slot),
            Self::SendBack(buffer) => (3, buffer.into()),
        };
        kind << KIND_SHIFT | u64::from(slot)
    }

    fn of(user_data: u64) -> Self {
        let slot = user_data as u32;
        match user_data >> KIND_SHIFT {
            0 => Self::Accept,
            1 => Self::Receive(slot),
            2 => Self::Send(slot),
            _ => Self::SendBack(slot as u16),
        }
    }
}

impl Ring {
    /// A ring with a table of `connections` direct descriptors.
    pub(super) fn new(connections: u32, tally: Arc<Tally>) -> io::Result<Self> {
        let sizes = Options { buffers: 256, ..Options::default() };
        let ring = IoUring::builder()
            .setup_cqsize(sizes.completions)
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_no_sqarray()
            .build(sizes.submissions)?;
        ring.submitter().register_files_sparse(connections)?;
        let buffers = usize::from(sizes.buffers);
        let size = buffers * (size_of::<BufRingEntry>() + sizes.buffer_bytes as usize);
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping overlaps nothing; it is never unmapped.
        let shared =
            unsafe { mmap_anonymous(std::ptr::null_mut(), size, access, MapFlags::PRIVATE)? };
        let shared = shared.cast::<u8>();
        // SAFETY: the mapping is page-aligned, holds so many entries, and lives for ever.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                shared as u64,
                sizes.buffers,
                GROUP,
                0,
            )?;
        }
        let mut ring = Self {
            ring,
            sizes,
            shared,
            tail: 0,
            pace: Pace::new(clock::now()),
            arrivals: 0,
            connections,
            tally,
        };
        (0..sizes.buffers).for_each(|buffer| ring.give(buffer));
        ring.publish();
        Ok(ring)
    }

    /// Puts existing sockets into the table, from its start.
    pub(super) fn adopt(&self, sockets: &[RawFd], first: u32) -> io::Result<()> {
        self.ring.submitter().register_files_update(first, sockets).map(drop)
    }

    /// Takes connections into free slots of the table.
    pub(super) fn accept(&mut self, listener: RawFd) -> io::Result<()> {
        let accept = opcode::AcceptMulti::new(types::Fd(listener)).allocate_file_index(true);
        self.push(accept.build(), About::Accept)
    }

    pub(super) fn receive(&mut self, slot: u32) -> io::Result<()> {
        let receive = opcode::Recv::new(Fixed(slot), std::ptr::null_mut(), 0);
        let receive = receive.ioprio(POLL_FIRST | MULTISHOT).buf_group(GROUP).build();
        self.push(receive.flags(squeue::Flags::BUFFER_SELECT), About::Receive(slot))
    }

    /// Receives again where that has ended: for want of buffers, or as the kernel likes. A connection
    /// that has ended is left alone.
    pub(super) fn receive_on(&mut self, slot: u32, done: &Done) -> io::Result<()> {
        if !done.more && (done.result > 0 || done.result == -libc::ENOBUFS) {
            self.receive(slot)?;
        }
        Ok(())
    }

    pub(super) fn send(&mut self, slot: u32, bytes: &'static [u8]) -> io::Result<()> {
        let send = opcode::Send::new(Fixed(slot), bytes.as_ptr(), bytes.len() as u32);
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        self.push(send.flags(flags).build(), About::Send(slot))
    }

    /// Sends the first `length` bytes of a buffer that was filled and not returned.
    pub(super) fn send_back(&mut self, slot: u32, buffer: u16, length: u32) -> io::Result<()> {
        let send = opcode::Send::new(Fixed(slot), self.address(buffer), length);
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        self.push(send.flags(flags).build(), About::SendBack(buffer))
    }

    fn push(&mut self, entry: squeue::Entry, about: About) -> io::Result<()> {
        let entry = entry.user_data(about.user_data());
        // SAFETY: what is sent is static or in the ring of buffers, which lives for ever;
        // descriptors are in the table or live as long as the process.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            self.tally.syscalls.add(1);
            self.ring.submit()?;
        }
        Ok(())
    }

    /// Submits what was noted, has the kernel do what it put off, and waits for a completion as
    /// `wait` says.
    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        self.tally.syscalls.add(1);
        let want = self.want(&wait);
        let queued = self.ring.submission().len() as u32;
        let submitter = self.ring.submitter();
        let flags = EnterFlags::GETEVENTS.bits();
        let patience = match wait {
            Wait::AtMost(patience) => Some(patience),
            Wait::ForEver if want > 1 => Some(LONG),
            Wait::ForEver | Wait::No => None,
        };
        let outcome = if let Some(patience) = patience {
            let time = Timespec::from(patience);
            let gather = if want > 1 && patience > GATHER { GATHER.as_micros() as u32 } else { 0 };
            let args = SubmitArgs::new().min_wait_usec(gather).timespec(&time);
            let flags = flags | EnterFlags::EXT_ARG.bits();
            // SAFETY: the arguments are of the type that EXT_ARG stands for, and outlive the call.
            unsafe { submitter.enter(queued, want, flags, Some(&args)) }
        } else {
            // SAFETY: no argument is passed.
            unsafe { submitter.enter::<libc::sigset_t>(queued, want, flags, None) }
        };
        let passing = [libc::ETIME, libc::EINTR, libc::EAGAIN, libc::EBUSY].map(Some);
        match outcome {
            Err(error) if !passing.contains(&error.raw_os_error()) => Err(error),
            _ => Ok(()),
        }
    }

    /// How many completions to wait for.
    fn want(&mut self, wait: &Wait) -> u32 {
        if matches!(wait, Wait::No) {
            return 0;
        }
        let arrivals = std::mem::take(&mut self.arrivals);
        self.pace.want(clock::now(), arrivals, self.connections)
    }

    /// Takes the completions that are there. Buffers go back to the kernel at once: nobody looks
    /// at the bytes.
    pub(super) fn take(&mut self, done: &mut Vec<Done>) {
        self.take_keeping_buffers(done);
        for done in &*done {
            if let Some(buffer) = done.buffer {
                self.give(buffer);
            }
        }
        self.publish();
    }

    /// Takes the completions that are there, whose buffers are to be returned.
    pub(super) fn take_keeping_buffers(&mut self, done: &mut Vec<Done>) {
        done.extend(self.ring.completion().map(|completion| {
            let buffer = cqueue::buffer_select(completion.flags());
            self.arrivals += u32::from(buffer.is_some());
            Done {
                about: About::of(completion.user_data()),
                result: completion.result(),
                more: cqueue::more(completion.flags()),
                buffer,
            }
        }));
    }

    /// Returns a buffer that is read no more, and shows the kernel that it is there.
    pub(super) fn return_buffer(&mut self, buffer: u16) {
        self.give(buffer);
        self.publish();
    }

    fn address(&self, buffer: u16) -> *mut u8 {
        let Options { buffers, buffer_bytes, .. } = self.sizes;
        let first = usize::from(buffers) * size_of::<BufRingEntry>();
        self.shared.wrapping_add(first + usize::from(buffer) * buffer_bytes as usize)
    }

    fn give(&mut self, buffer: u16) {
        let entries = self.shared.cast::<BufRingEntry>();
        let Options { buffers, buffer_bytes, .. } = self.sizes;
        let address = self.address(buffer);
        // SAFETY: the entry is inside the mapping, and the kernel does not read it before the tail
        // is past it.
        unsafe {
            let entry = &mut *entries.add(usize::from(self.tail % buffers));
            entry.set_addr(address as u64);
            entry.set_len(buffer_bytes);
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        // SAFETY: the tail is a u16 in the first entry, aligned, and shared with the kernel only.
        let tail = unsafe { &*BufRingEntry::tail(self.shared.cast()).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }
}
