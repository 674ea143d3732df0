//! UTF-8 in pieces (RFC 6455 §8.1), unmasked and checked in one pass: a message is checked as it
//! arrives, and a fault is found at the byte that proves it, also where reads or fragments split a
//! character.
//!
//! The pass is written once (`fused`), for vectors of any instruction set that looks bytes up in a
//! table; AVX-512 and AVX2 are told what they need of it (`avx512`, `avx2`). Elsewhere we unmask, and
//! then simdutf8 checks (`portable`), which has kernels of its own. All three take a text up where
//! another has left it: what lies between two pieces is the last four bytes.
//!
//! What the unsafe code of this module promises: it reads and writes the bytes that it is given, and
//! nothing around them.
#![allow(unsafe_code)] // Instruction sets are reached by intrinsics and raw pointers only.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod fused;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod portable;
#[cfg(test)]
mod tests;

use crate::simd::{self, Level};
use alloc::vec::Vec;
use core::ptr;

/// Bytes that are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not UTF-8")]
pub struct NotUtf8;

/// Whether all of `bytes` is UTF-8.
#[inline]
pub(crate) fn is_valid(bytes: &[u8]) -> bool {
    let span = Span { from: bytes.as_ptr(), to: ptr::null_mut(), len: bytes.len() };
    // SAFETY: the bytes may be read, and nothing is written.
    unsafe { run::<false>(span, [0; 4], 0) }.is_ok_and(|last| !is_open(last))
}

/// Unmasks a whole text, whose first byte meets the first one of `key`, and fails if it is not UTF-8.
/// Some of it is then unmasked, and some may not be.
#[inline]
pub(crate) fn unmask(bytes: &mut [u8], key: [u8; 4]) -> Result<(), NotUtf8> {
    let to = bytes.as_mut_ptr();
    let span = Span { from: to, to, len: bytes.len() };
    // SAFETY: the bytes may be read and written.
    match unsafe { run::<true>(span, key, 0) } {
        Ok(last) if !is_open(last) => Ok(()),
        _ => Err(NotUtf8),
    }
}

/// Checks a text that comes in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Validator {
    /// The last four bytes that came, the very last one in the highest place.
    last: u32,
}

impl Validator {
    /// Checks the next piece, and appends it to `text`, unmasked, its first byte having met the first
    /// one of `key`.
    ///
    /// The piece may end inside a character. It fails if nothing that follows could make a text of it;
    /// then `text` is as long as before, and this is of no more use.
    pub(crate) fn append(
        &mut self,
        piece: &[u8],
        key: [u8; 4],
        text: &mut Vec<u8>,
    ) -> Result<(), NotUtf8> {
        text.reserve(piece.len());
        let to = text.spare_capacity_mut().as_mut_ptr().cast();
        let span = Span { from: piece.as_ptr(), to, len: piece.len() };
        // SAFETY: as many bytes were reserved as the piece has, and they lie elsewhere.
        self.last = unsafe { run::<true>(span, key, self.last) }?;
        if is_lost(self.last) {
            return Err(NotUtf8);
        }
        // SAFETY: so many bytes were written behind the old end.
        unsafe { text.set_len(text.len() + piece.len()) };
        Ok(())
    }

    /// Whether the text may end here.
    pub(crate) fn is_complete(self) -> bool {
        !is_open(self.last)
    }
}

/// What a pass reads and writes: `len` bytes from `from` on, and as many from `to` on.
///
/// # Safety
/// Who has a pass made over it promises that the first may be read and, if the pass writes, the
/// second written; and that the two are the same address or do not overlap.
#[derive(Clone, Copy)]
struct Span {
    from: *const u8,
    to: *mut u8,
    len: usize,
}

/// Unmasks, if it is to `WRITE`, and checks a text or a piece of it that `last` came before. Gives
/// back the last four bytes, or a fault that nothing that follows could mend; that its last byte
/// [`is_lost`] is not told.
///
/// # Safety
/// As [`Span`] says.
#[inline]
unsafe fn run<const WRITE: bool>(span: Span, key: [u8; 4], last: u32) -> Result<u32, NotUtf8> {
    let Span { from, to, len } = span;
    let key = u32::from_le_bytes(key);
    // SAFETY: the caller's promise, and the CPU was asked.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if simd::is(Level::Avx512) {
            return avx512::run::<WRITE>(from, to, len, key, last);
        }
        #[cfg(target_arch = "x86_64")]
        if simd::is(Level::Avx2) {
            return avx2::run::<WRITE>(from, to, len, key, last);
        }
        other::<WRITE>(span, key, last)
    }
}

/// What is neither frequent nor in a hurry, the first call of a process among it.
///
/// # Safety
/// As [`run`].
#[inline(never)]
unsafe fn other<const WRITE: bool>(span: Span, key: u32, last: u32) -> Result<u32, NotUtf8> {
    // SAFETY: the caller's promise; `level` gives only what the CPU has.
    unsafe { run_at::<WRITE>(simd::level(), span, key, last) }
}

/// # Safety
/// As [`run`], and the CPU has `level`.
unsafe fn run_at<const WRITE: bool>(
    level: Level,
    span: Span,
    key: u32,
    last: u32,
) -> Result<u32, NotUtf8> {
    let Span { from, to, len } = span;
    // SAFETY: the caller's promise.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::run::<WRITE>(from, to, len, key, last),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::run::<WRITE>(from, to, len, key, last),
            _ => portable::run::<WRITE>(span, key, last),
        }
    }
}

/// Whether a text that has no fault before ends inside a character.
#[inline]
fn is_open(last: u32) -> bool {
    last >= 0xc0 << 24 || last << 8 >= 0xe0 << 24 || last << 16 >= 0xf0 << 24
}

/// Whether the last byte begins nothing and continues nothing.
#[inline]
fn is_lost(last: u32) -> bool {
    matches!(last >> 24, 0xc0 | 0xc1 | 0xf5..)
}

/// The last four bytes after `n` more, at most four, which `more` holds in its lowest places.
#[inline]
fn moved_on(last: u32, more: u32, n: usize) -> u32 {
    ((u64::from(more) << 32 | u64::from(last)) >> (8 * n)) as u32
}
