//! The kernels of x86-64. What this file promises: each function uses no instruction outside its
//! `target_feature`, and touches no other bytes than `kernel::run` says.
#![allow(unsafe_code)] // Intrinsics on raw pointers.

use super::kernel::{self, Vector};
use core::arch::x86_64::*;

/// # Safety
/// As `kernel::run`, with at least 32 bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
pub(super) unsafe fn avx512(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the caller's promise; what has AVX-512 has AVX2.
    unsafe {
        if length < size_of::<__m512i>() {
            kernel::ends::<__m256i>(source, target, length, key);
        } else {
            kernel::run::<__m512i>(source, target, length, key);
        }
    }
}

/// # Safety
/// As `kernel::run`, with at least 32 bytes.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn avx2(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the caller's promise.
    unsafe { kernel::run::<__m256i>(source, target, length, key) }
}

/// # Safety
/// As `kernel::run`, with at least 16 bytes.
#[target_feature(enable = "sse2")]
pub(super) unsafe fn sse2(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the caller's promise.
    unsafe { kernel::run::<__m128i>(source, target, length, key) }
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
