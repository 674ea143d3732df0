//! The kernels of x86-64. What this file promises: each function uses no instruction outside its
//! `target_feature`, and touches no other bytes than the lengths say.
#![allow(unsafe_code)] // Intrinsics on raw pointers.

use super::kernel::{self, Vector};
use core::arch::x86_64::*;

/// Up to here AVX-512 takes vectors of 32 bytes as AVX2 does: one of 64 that is not aligned always
/// crosses a cache line.
const HALVES_MAX: usize = 512;

/// From here on AVX-512 takes them again: what comes from beyond the second level of the cache comes
/// 2 % faster in halves of a line than in whole ones.
const FAR_MIN: usize = 512 * 1024;

/// # Safety
/// As `kernel::run`, but for the least length, which is over `kernel::SHORT_MAX`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
pub(super) unsafe fn avx512(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        if length <= HALVES_MAX {
            halves(source, target, length, key);
        } else if length < FAR_MIN {
            lines(source, target, length, key);
        } else {
            far(source, target, length, key);
        }
    }
}

/// # Safety
/// As `kernel::run`.
#[target_feature(enable = "avx2")]
#[inline(never)] // It would spoil the registers of the way to the others.
unsafe fn far(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the caller's promise.
    unsafe { kernel::run::<__m256i>(source, target, length, key) }
}

/// # Safety
/// As `kernel::run`, but for the least length, which is over `kernel::SHORT_MAX`.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn avx2(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        if length <= HALVES_MAX {
            halves(source, target, length, key);
        } else {
            kernel::run::<__m256i>(source, target, length, key);
        }
    }
}

/// # Safety
/// As `kernel::run`, but for the least length, which is over `kernel::SHORT_MAX`.
#[target_feature(enable = "sse2")]
#[inline(never)] // It would spoil the registers of the way to the others.
pub(super) unsafe fn sse2(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the caller's promise.
    unsafe { kernel::sixteens::<__m128i>(source, target, length, key) }
}

/// From `kernel::SHORT_MAX` to [`HALVES_MAX`] bytes, without a loop.
///
/// # Safety
/// As `kernel::run`, but for the length; the CPU has AVX2.
#[inline(always)]
unsafe fn halves(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the caller's promise, and each line fits into its range of lengths.
    unsafe {
        match length {
            0..=96 => kernel::ends::<__m256i, 2, 1>(source, target, length, key),
            97..=128 => kernel::ends::<__m256i, 3, 1>(source, target, length, key),
            129..=256 => kernel::ends::<__m256i, 4, 4>(source, target, length, key),
            257..=384 => kernel::ends::<__m256i, 8, 4>(source, target, length, key),
            _ => kernel::ends::<__m256i, 12, 4>(source, target, length, key),
        }
    }
}

/// Whole cache lines of the target. Of the first and the last one it touches the part that is asked
/// for: that is what masks of 64 bits are good for.
///
/// # Safety
/// As `kernel::run`, but for the least length, which is 64.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn lines(source: *const u8, target: *mut u8, length: usize, key: u32) {
    const LINE: usize = size_of::<__m512i>();
    let past = target.addr() % LINE;
    // May point before what was lent; from there nothing is loaded or stored.
    let (source, target) = (source.wrapping_sub(past), target.wrapping_sub(past));
    let end = past + length;
    let mut at = 0;
    // SAFETY: between `past` and `end`, seen from the moved pointers, all is the caller's. The first
    // mask leaves out what lies before, the last one what lies behind, and the lines between are whole.
    unsafe {
        let key = __m512i::filled(kernel::turned(key, past.wrapping_neg()));
        if past != 0 {
            some(source, target, u64::MAX << past, key);
            at = LINE;
        }
        while at + 4 * LINE <= end {
            kernel::in_turn::<_, 4>(source.wrapping_add(at), target.wrapping_add(at), key);
            at += 4 * LINE;
        }
        while at + LINE <= end {
            kernel::in_turn::<_, 1>(source.wrapping_add(at), target.wrapping_add(at), key);
            at += LINE;
        }
        if at < end {
            let here = u64::MAX >> (LINE - (end - at));
            some(source.wrapping_add(at), target.wrapping_add(at), here, key);
        }
    }
}

/// The bytes of one vector that have a bit in `here`.
///
/// # Safety
/// Those may be read from `source` on and written from `target` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn some(source: *const u8, target: *mut u8, here: u64, key: __m512i) {
    // SAFETY: the caller's promise; what is masked out is not touched.
    unsafe {
        let bytes = _mm512_maskz_loadu_epi8(here, source.cast());
        _mm512_mask_storeu_epi8(target.cast(), here, _mm512_xor_si512(bytes, key));
    }
}

macro_rules! vector {
    ($vector:ty, $filled:ident, $load:ident, $store:ident, $xor:ident) => {
        impl Vector for $vector {
            #[inline(always)]
            unsafe fn filled(key: u32) -> Self {
                // SAFETY: the CPU has the instruction, by the caller's promise.
                unsafe { $filled(key.cast_signed()) }
            }
            #[inline(always)]
            unsafe fn load(source: *const u8) -> Self {
                // SAFETY: by the caller's promise, also of the bytes.
                unsafe { $load(source.cast()) }
            }
            #[inline(always)]
            unsafe fn store(self, target: *mut u8) {
                // SAFETY: by the caller's promise, also of the bytes.
                unsafe { $store(target.cast(), self) }
            }
            #[inline(always)]
            unsafe fn xor(self, other: Self) -> Self {
                // SAFETY: the CPU has the instruction, by the caller's promise.
                unsafe { $xor(self, other) }
            }
        }
    };
}

vector!(__m128i, _mm_set1_epi32, _mm_loadu_si128, _mm_storeu_si128, _mm_xor_si128);
vector!(__m256i, _mm256_set1_epi32, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_xor_si256);
vector!(__m512i, _mm512_set1_epi32, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_xor_si512);
