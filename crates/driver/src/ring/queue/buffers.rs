//! The memory that receives are filled into: a ring of provided buffers.
//!
//! The kernel takes a buffer when bytes are there, names it in the completion, and does not touch
//! it until it is given back. This file promises: a slice is made only of a buffer that a
//! completion has named and that was not given back since.
//!
//! Only a few of the buffers are in use at first. All that are in use go round, so each is soon
//! resident memory whether it was needed or not; the others are address space and weigh nothing.
//! When a call into the ring has filled more than half of those in use, or one was missing, twice
//! as many are used from then on. When an eighth was enough for many rounds, half as many are, and
//! the memory of the rest goes back to the system as they come home.
#![allow(unsafe_code)] // memory shared with the kernel

use super::super::Options;
use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use std::ffi::c_void;
use std::io;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU16, Ordering};

/// The kernel maps the ring by the page.
const PAGE: usize = 4096;

/// The only group of buffers.
pub(super) const GROUP: u16 = 0;

/// So often all buffers in use go round before there are fewer.
const ROUNDS: u32 = 64;

pub(super) struct Buffers {
    /// First the ring's entries, from the next page on the buffers.
    memory: NonNull<u8>,
    length: usize,
    first: usize,
    size: usize,
    holders: Vec<Holder>,
    /// How many are in use: those of the lowest numbers.
    used: u16,
    least: u16,
    tail: u16,
    published: u16,
    /// Given back since the last call into the ring.
    depth: u16,
    /// There are more since the last call into the ring.
    grown: bool,
    /// The greatest depth since it was last thought of having fewer.
    deepest: u16,
    /// How many were filled since then.
    filled: u32,
}

/// Who has a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Kernel,
    /// We, to read what is in it.
    Us,
    /// It is not in use.
    Nobody,
}

// SAFETY: the memory belongs to this value alone, and is no thread's in particular.
unsafe impl Send for Buffers {}

impl Buffers {
    /// Makes room for the most buffers that there may be, and gives the kernel those that are in
    /// use at first.
    pub(super) fn new(options: &Options) -> io::Result<Self> {
        let Options { buffers: least, buffers_max: most, buffer_bytes, .. } = *options;
        let powers = least.is_power_of_two() && most.is_power_of_two();
        if !powers || least > most || buffer_bytes == 0 {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let size = buffer_bytes as usize;
        let first = (usize::from(most) * size_of::<BufRingEntry>()).next_multiple_of(PAGE);
        let length = first + usize::from(most) * size;
        let mut buffers = Self {
            memory: map(length)?,
            length,
            first,
            size,
            holders: vec![Holder::Nobody; most.into()],
            used: least,
            least,
            tail: 0,
            published: 0,
            depth: 0,
            grown: false,
            deepest: 0,
            filled: 0,
        };
        (0..least).for_each(|buffer| buffers.hand_over(buffer));
        buffers.publish();
        Ok(buffers)
    }

    /// Makes the buffers known to the ring.
    ///
    /// # Safety
    /// The memory must live until the ring is gone and none of its receives is under way.
    pub(super) unsafe fn register(&self, submitter: &Submitter<'_>) -> io::Result<()> {
        let (address, entries) = (self.memory.as_ptr() as u64, self.holders.len() as u16);
        // SAFETY: the entries are at the start of the memory; the rest is the caller's duty.
        unsafe { submitter.register_buf_ring_with_flags(address, entries, GROUP, 0) }
    }

    /// How many are in use.
    pub(super) fn count(&self) -> usize {
        self.used.into()
    }

    /// The buffer is ours.
    ///
    /// # Safety
    /// The kernel has named it in a completion, and this was not said of that completion before.
    pub(super) unsafe fn take(&mut self, buffer: u16) {
        self.holders[usize::from(buffer)] = Holder::Us;
    }

    /// The first `length` bytes of a buffer of ours.
    pub(super) fn bytes(&mut self, buffer: u16, length: usize) -> &mut [u8] {
        let ours = self.holders[usize::from(buffer)] == Holder::Us;
        assert!(ours && length <= self.size, "a filled buffer of ours");
        // SAFETY: the buffer lies inside the memory, which was zeroed and is ours now, so nobody
        // else reads or writes it; the slice borrows `self`, through which alone it is given away.
        unsafe { std::slice::from_raw_parts_mut(self.start(buffer).as_ptr(), length) }
    }

    /// Gives a buffer back; the kernel sees it after [`Buffers::publish`].
    pub(super) fn give_back(&mut self, buffer: u16) {
        let holder = self.holders[usize::from(buffer)];
        assert!(holder == Holder::Us, "a buffer is given back once");
        self.depth = self.depth.wrapping_add(1);
        if buffer < self.used {
            self.hand_over(buffer);
        } else {
            self.retire(buffer);
        }
    }

    /// One was missing: twice as many from now on, if there may be more.
    pub(super) fn grow(&mut self) {
        if std::mem::replace(&mut self.grown, true) {
            return;
        }
        (self.deepest, self.filled) = (0, 0);
        let more = self.used.saturating_mul(2).min(self.holders.len() as u16);
        for buffer in std::mem::replace(&mut self.used, more)..more {
            // Not one that was to go and is still under way.
            if self.holders[usize::from(buffer)] == Holder::Nobody {
                self.hand_over(buffer);
            }
        }
    }

    /// Shows the kernel what was given back since the last time.
    pub(super) fn publish(&mut self) {
        if self.depth > 0 {
            self.adapt();
        }
        if self.tail == self.published {
            return;
        }
        self.grown = false;
        self.published = self.tail;
        // SAFETY: the tail lies in the first entry, aligned to two bytes, and the kernel only reads
        // it.
        let tail = unsafe {
            let tail = BufRingEntry::tail(self.memory.as_ptr().cast::<BufRingEntry>());
            AtomicU16::from_ptr(tail.cast_mut())
        };
        tail.store(self.tail, Ordering::Release);
    }

    /// As many buffers as the last call into the ring has shown to be needed.
    fn adapt(&mut self) {
        let depth = std::mem::take(&mut self.depth);
        self.deepest = self.deepest.max(depth);
        self.filled += u32::from(depth);
        if depth > self.used / 2 {
            self.grow();
        } else if self.filled >= ROUNDS * u32::from(self.used) {
            if self.used > self.least && self.deepest <= self.used / 8 {
                self.used /= 2;
            }
            (self.deepest, self.filled) = (0, 0);
        }
    }

    fn hand_over(&mut self, buffer: u16) {
        self.holders[usize::from(buffer)] = Holder::Kernel;
        let index = usize::from(self.tail) & (self.holders.len() - 1);
        let start = self.start(buffer);
        // SAFETY: there are as many entries as buffers, so that this one's last user is ours too;
        // the kernel does not look at entries beyond the tail. The entry is aligned, and written
        // by its fields, because the first one's last two bytes are the tail.
        unsafe {
            let entry = &mut *self.memory.cast::<BufRingEntry>().add(index).as_ptr();
            entry.set_addr(start.as_ptr() as u64);
            entry.set_len(self.size as u32);
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// The system may have the memory of a buffer that is not in use any more.
    fn retire(&mut self, buffer: u16) {
        self.holders[usize::from(buffer)] = Holder::Nobody;
        if self.size.is_multiple_of(PAGE) {
            let start = self.start(buffer).as_ptr().cast::<c_void>();
            // SAFETY: these whole pages are a buffer that neither the kernel nor a slice refers to.
            // If it fails, they just stay.
            let _ = unsafe { madvise(start, self.size, Advice::LinuxDontNeed) };
        }
    }

    fn start(&self, buffer: u16) -> NonNull<u8> {
        let offset = self.first + usize::from(buffer) * self.size;
        assert!(offset + self.size <= self.length, "a buffer of ours");
        // SAFETY: it is inside the mapping.
        unsafe { self.memory.add(offset) }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: this mapping is ours, and by `register`'s contract no one uses it any more. It can
        // only fail for arguments that are none of a mapping.
        let _ = unsafe { munmap(self.memory.as_ptr().cast(), self.length) };
    }
}

/// Zeroed memory of which pages become resident as they are touched, one by one.
fn map(length: usize) -> io::Result<NonNull<u8>> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping overlaps nothing.
    let memory = unsafe { mmap_anonymous(null_mut(), length, access, MapFlags::PRIVATE)? };
    // SAFETY: advice about our own mapping, which changes none of its contents. A huge page would
    // make all of it resident with the first byte; a kernel without them refuses, and rightly.
    let _ = unsafe { madvise(memory, length, Advice::LinuxNoHugepage) };
    Ok(NonNull::new(memory.cast()).expect("no mapping is at zero"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::time::Duration;

    /// The kernel's side: takes buffers in the order in which they were given.
    struct Kernel(Buffers, VecDeque<u16>);

    impl Kernel {
        fn new(least: u16, most: u16, bytes: u32) -> Self {
            let options = Options {
                buffers: least,
                buffers_max: most,
                buffer_bytes: bytes,
                quiet: Duration::ZERO,
                cheap_cancels_max: 0,
                submissions: 8,
                completions: 16,
            };
            let mut kernel = Self(Buffers::new(&options).unwrap(), VecDeque::new());
            kernel.1.extend(0..least);
            kernel
        }

        /// One call that fills `depth` buffers, and their return. How many are in use then.
        fn turn(&mut self, depth: usize) -> usize {
            let Self(buffers, theirs) = self;
            let filled: Vec<_> = theirs.drain(..depth).collect();
            let before = buffers.tail;
            for buffer in filled {
                // SAFETY: nobody but this test plays the kernel.
                unsafe { buffers.take(buffer) };
                buffers.bytes(buffer, 1)[0] = 7;
                buffers.give_back(buffer);
            }
            buffers.publish();
            let ring = buffers.memory.cast::<BufRingEntry>();
            for at in (0..buffers.tail.wrapping_sub(before)).map(|n| before.wrapping_add(n)) {
                let index = usize::from(at) & (buffers.holders.len() - 1);
                // SAFETY: inside the ring of entries, which only this thread writes.
                theirs.push_back(unsafe { (*ring.add(index).as_ptr()).bid() });
            }
            buffers.count()
        }
    }

    #[test]
    fn deep_turns_double_what_is_in_use_up_to_the_bound() {
        let mut kernel = Kernel::new(4, 32, 4096);
        assert_eq!(kernel.turn(2), 4);
        let used = [3, 4, 8, 8, 9, 32].map(|depth| kernel.turn(depth));
        assert_eq!(used, [8, 8, 16, 16, 32, 32]);
        assert_eq!(kernel.1.len(), 32);
    }

    #[test]
    fn a_missing_buffer_doubles_what_is_in_use_once_a_call() {
        let mut kernel = Kernel::new(2, 64, 64);
        kernel.0.grow();
        kernel.0.grow();
        assert_eq!(kernel.turn(0), 4);
        kernel.0.grow();
        assert_eq!(kernel.turn(0), 8);
    }

    #[test]
    fn shallow_turns_give_back_and_a_deep_one_takes_again() {
        let mut kernel = Kernel::new(2, 32, 4096);
        for depth in [2, 4, 8, 16] {
            kernel.turn(depth);
        }
        assert_eq!(kernel.0.count(), 32);
        (0..10_000).for_each(|_| _ = kernel.turn(1));
        // One buffer a turn is an eighth of eight.
        assert_eq!(kernel.0.count(), 4);
        assert_eq!(kernel.1.len(), 4, "the others came home");
        assert!(kernel.0.holders[4..].iter().all(|&holder| holder == Holder::Nobody));
        assert_eq!(kernel.turn(4), 8);
        assert_eq!(kernel.1.len(), 8);
    }

    #[test]
    fn one_that_is_to_go_and_is_still_under_way_is_not_given_twice() {
        let mut kernel = Kernel::new(1, 4, 64);
        kernel.turn(1);
        assert_eq!(kernel.0.count(), 2);
        kernel.0.used = 1;
        // SAFETY: nobody but this test plays the kernel.
        unsafe { kernel.0.take(1) };
        kernel.1.retain(|&buffer| buffer != 1);
        kernel.0.grow();
        assert_eq!(kernel.0.holders[1], Holder::Us);
        kernel.0.give_back(1);
        assert_eq!(kernel.turn(0), 2);
    }
}
