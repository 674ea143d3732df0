//! The memory that receives are filled into: a ring of provided buffers.
//!
//! The kernel takes a buffer when bytes are there, names it in the completion, and does not touch
//! it until it is given back. This file promises: a slice is made only of a buffer that a
//! completion has named and that was not given back since.
#![allow(unsafe_code)] // memory shared with the kernel

use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// The kernel maps the ring by the page.
const PAGE: usize = 4096;

/// The only group of buffers.
pub(super) const GROUP: u16 = 0;

pub(super) struct Buffers {
    /// First the ring's entries, from the next page on the buffers.
    memory: NonNull<u8>,
    layout: Layout,
    first: usize,
    size: usize,
    /// Which buffers are ours, and not the kernel's.
    ours: Vec<bool>,
    tail: u16,
    published: u16,
}

// SAFETY: the memory belongs to this value alone, and is no thread's in particular.
unsafe impl Send for Buffers {}

impl Buffers {
    /// Makes `count` buffers of `size` bytes and gives all of them to the kernel.
    pub(super) fn new(count: u16, size: u32) -> io::Result<Self> {
        if !count.is_power_of_two() || size == 0 {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let first = (usize::from(count) * size_of::<BufRingEntry>()).next_multiple_of(PAGE);
        let bytes = first + usize::from(count) * size as usize;
        let layout = Layout::from_size_align(bytes, PAGE).map_err(io::Error::other)?;
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc_zeroed(layout) };
        let memory = NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout));
        let ours = vec![true; count.into()];
        let size = size as usize;
        let mut buffers = Self { memory, layout, first, size, ours, tail: 0, published: 0 };
        (0..count).for_each(|buffer| buffers.give_back(buffer));
        buffers.publish();
        Ok(buffers)
    }

    /// Makes the buffers known to the ring.
    ///
    /// # Safety
    /// The memory must live until the ring is gone and none of its receives is under way.
    pub(super) unsafe fn register(&self, submitter: &Submitter<'_>) -> io::Result<()> {
        let address = self.memory.as_ptr() as u64;
        // SAFETY: the entries are at the start of the memory; the rest is the caller's duty.
        unsafe { submitter.register_buf_ring_with_flags(address, self.ours.len() as u16, GROUP, 0) }
    }

    pub(super) fn count(&self) -> usize {
        self.ours.len()
    }

    /// The buffer is ours.
    ///
    /// # Safety
    /// The kernel has named it in a completion, and this was not said of that completion before.
    pub(super) unsafe fn take(&mut self, buffer: u16) {
        self.ours[usize::from(buffer)] = true;
    }

    /// The first `length` bytes of a buffer of ours.
    pub(super) fn bytes(&mut self, buffer: u16, length: usize) -> &mut [u8] {
        assert!(self.ours[usize::from(buffer)] && length <= self.size, "a filled buffer of ours");
        // SAFETY: the buffer lies inside the memory, which was zeroed and is ours now, so nobody
        // else reads or writes it; the slice borrows `self`, through which alone it is given away.
        unsafe {
            let start = self.memory.add(self.first + usize::from(buffer) * self.size);
            std::slice::from_raw_parts_mut(start.as_ptr(), length)
        }
    }

    /// Gives a buffer back; the kernel sees it after [`Buffers::publish`].
    pub(super) fn give_back(&mut self, buffer: u16) {
        let ours = std::mem::replace(&mut self.ours[usize::from(buffer)], false);
        assert!(ours, "a buffer is given back once");
        let index = usize::from(self.tail) & (self.ours.len() - 1);
        // SAFETY: there are as many entries as buffers, so that this one's last user is ours too;
        // the kernel does not look at entries beyond the tail. The entry is aligned, and written
        // by its fields, because the first one's last two bytes are the tail.
        unsafe {
            let start = self.memory.add(self.first + usize::from(buffer) * self.size);
            let entry = &mut *self.memory.cast::<BufRingEntry>().add(index).as_ptr();
            entry.set_addr(start.as_ptr() as u64);
            entry.set_len(self.size as u32);
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel what was given back since the last time.
    pub(super) fn publish(&mut self) {
        if self.tail == self.published {
            return;
        }
        self.published = self.tail;
        // SAFETY: the tail lies in the first entry, aligned to two bytes, and the kernel only reads
        // it.
        let tail = unsafe {
            let tail = BufRingEntry::tail(self.memory.as_ptr().cast::<BufRingEntry>());
            AtomicU16::from_ptr(tail.cast_mut())
        };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated by this layout, and by `register`'s contract no one's any more.
        unsafe { dealloc(self.memory.as_ptr(), self.layout) }
    }
}
