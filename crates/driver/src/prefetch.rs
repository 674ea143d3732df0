//! A word to the CPU about memory that is wanted soon.
//!
//! What is kept of a million connections lies in no cache, and an event about one of them waits for
//! each line of it in turn: some 100 ns each, where the work itself takes less. Events come in rows,
//! so the lines of the next ones can be on their way while this one is worked at.
#![allow(unsafe_code)] // the CPU's own instruction, which has no other name

/// The CPU's unit of fetching.
const LINE: usize = 64;

/// Has the CPU fetch the memory of `item`, not what it points to. Changes nothing but the time that
/// the next look at it takes; does nothing on CPUs for which there is no word.
#[inline]
pub fn prefetch<T>(item: &T) {
    let start = (&raw const *item).cast::<u8>();
    let last = size_of::<T>().saturating_sub(1);
    for offset in (0..last).step_by(LINE).chain([last]) {
        fetch(start.wrapping_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn fetch(line: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction is a hint: it reads nothing into the program and faults nowhere.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn fetch(_: *const u8) {}
