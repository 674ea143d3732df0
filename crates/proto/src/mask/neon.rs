//! The kernel of AArch64. What this file promises: it uses no instruction outside the baseline, and
//! touches no other bytes than `kernel::run` says.
#![allow(unsafe_code)] // Intrinsics on raw pointers.

use super::kernel::{self, Vector};
use core::arch::aarch64::*;

/// # Safety
/// As `kernel::run`, but for the least length, which is over `kernel::SHORT_MAX`.
#[inline(never)]
pub(super) unsafe fn neon(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the caller's promise; every AArch64 has NEON.
    unsafe { kernel::sixteens::<uint8x16_t>(source, target, length, key) }
}

impl Vector for uint8x16_t {
    #[inline(always)]
    unsafe fn filled(key: u32) -> Self {
        // SAFETY: every AArch64 has NEON.
        unsafe { vreinterpretq_u8_u32(vdupq_n_u32(key)) }
    }
    #[inline(always)]
    unsafe fn load(source: *const u8) -> Self {
        // SAFETY: the caller's promise.
        unsafe { vld1q_u8(source) }
    }
    #[inline(always)]
    unsafe fn store(self, target: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { vst1q_u8(target, self) }
    }
    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        // SAFETY: every AArch64 has NEON.
        unsafe { veorq_u8(self, other) }
    }
}
