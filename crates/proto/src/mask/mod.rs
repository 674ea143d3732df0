//! Masking (RFC 6455 §5.3): XOR with a key of four bytes, which is its own inverse.
//!
//! Any length, any address and any place in the key are the same to the caller, and nearly the same
//! in time. Up to 64 bytes are done where the caller stands, more by the kernel for what the CPU has
//! ([`simd`]). The shapes that the kernels have are told in `kernel`.
//!
//! What the unsafe code of this module promises: it reads `source` and writes `target`, to the byte,
//! and nothing around them.
#![allow(unsafe_code)] // The instruction sets are reached by intrinsics and raw pointers only.

mod kernel;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;
#[cfg(test)]
mod oracle;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::short;
use crate::simd::{self, Level};
use alloc::vec::Vec;
use bytes::BytesMut;
use core::mem::MaybeUninit;

/// XORs `bytes` with `key`, whose byte `phase mod 4` meets the first one.
///
/// A payload that arrives in pieces is unmasked piece by piece, `phase` being the number of bytes
/// that went before.
#[inline]
pub fn apply(bytes: &mut [u8], key: [u8; 4], phase: usize) {
    let key = kernel::turned(u32::from_ne_bytes(key), phase);
    let start = bytes.as_mut_ptr();
    // SAFETY: `bytes` may be read and written.
    unsafe { run(start, start, bytes.len(), key) };
}

/// Writes to `target` what [`apply`] would make of `source`, in one pass.
///
/// All of `target` is initialised when this returns.
///
/// # Panics
/// If the two differ in length.
#[inline]
pub fn copy(source: &[u8], target: &mut [MaybeUninit<u8>], key: [u8; 4], phase: usize) {
    assert_eq!(source.len(), target.len(), "a copy is as long as what it is made from");
    let key = kernel::turned(u32::from_ne_bytes(key), phase);
    let (from, to) = (source.as_ptr(), target.as_mut_ptr().cast());
    // SAFETY: the slices have the same length, and one that is lent for writing overlaps no other.
    unsafe { run(from, to, source.len(), key) };
}

/// Appends to `out` what [`apply`] would make of `source`, in one pass.
#[inline]
pub fn append(source: &[u8], key: [u8; 4], phase: usize, out: &mut BytesMut) {
    append_behind([], 0, source, key, phase, out);
}

/// [`append`] for a vector.
#[inline]
pub(crate) fn extend(source: &[u8], key: [u8; 4], out: &mut Vec<u8>) {
    out.reserve(source.len());
    copy(source, &mut out.spare_capacity_mut()[..source.len()], key, 0);
    // SAFETY: behind the old end `copy` has initialised so many bytes.
    unsafe { out.set_len(out.len() + source.len()) };
}

/// [`append`] behind the first `size` bytes of `head`, looking for room once.
#[inline]
pub(crate) fn append_behind<const N: usize>(
    head: [u8; N],
    size: usize,
    source: &[u8],
    key: [u8; 4],
    phase: usize,
    out: &mut BytesMut,
) {
    assert!(size <= N, "a head is no longer than what holds it");
    out.reserve(N + source.len());
    let room = out.spare_capacity_mut();
    // All of it, because a copy of known length is two stores.
    room[..N].write_copy_of_slice(&head);
    copy(source, &mut room[size..size + source.len()], key, phase);
    // SAFETY: behind the old end `size` bytes of the head are initialised, and what `copy` wrote.
    unsafe { out.set_len(out.len() + size + source.len()) };
}

/// [`append`] of a short `source` behind all of `head`.
#[inline(always)]
pub(crate) fn append_short<const N: usize>(
    head: [u8; N],
    source: &[u8],
    key: [u8; 4],
    out: &mut BytesMut,
) {
    let size = N + source.len();
    out.reserve(size);
    let (start, behind) = out.spare_capacity_mut()[..size].split_at_mut(N);
    start.write_copy_of_slice(&head);
    short::copy(source, behind, key);
    // SAFETY: behind the old end the head and what `copy` made of the source have been written.
    unsafe { out.set_len(out.len() + size) };
}

/// The key as it stands for a byte that `phase` others precede.
#[inline]
pub(crate) fn turned(key: [u8; 4], phase: usize) -> [u8; 4] {
    kernel::turned(u32::from_ne_bytes(key), phase).to_ne_bytes()
}

/// # Safety
/// `length` bytes may be read from `source` on and written from `target` on; the two are the same
/// address or do not overlap.
#[inline(always)]
unsafe fn run(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        if length <= kernel::SHORT_MAX {
            kernel::short(source, target, length, key);
        } else {
            long(source, target, length, key);
        }
    }
}

/// # Safety
/// As [`run`], with more than `kernel::SHORT_MAX` bytes.
#[inline(never)]
unsafe fn long(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the caller's promise, and the CPU was asked.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if simd::is(Level::Avx512) {
            return x86::avx512(source, target, length, key);
        }
        #[cfg(target_arch = "x86_64")]
        if simd::is(Level::Avx2) {
            return x86::avx2(source, target, length, key);
        }
        other(source, target, length, key);
    }
}

/// What is neither frequent nor in a hurry, the first call of a process among it.
///
/// # Safety
/// As [`long`].
#[inline(never)]
unsafe fn other(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the caller's promise; `level` gives only what the CPU has.
    unsafe { run_at(simd::level(), source, target, length, key) };
}

/// # Safety
/// As [`long`], and the CPU has `level`.
#[inline(always)]
unsafe fn run_at(level: Level, source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => x86::avx512(source, target, length, key),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => x86::avx2(source, target, length, key),
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Level::Neon => neon::neon(source, target, length, key),
            #[cfg(target_arch = "x86_64")]
            Level::Sse2 => x86::sse2(source, target, length, key),
            _ => kernel::portable(source, target, length, key),
        }
    }
}
