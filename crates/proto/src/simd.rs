//! Which instruction set the kernels for masking and for text use, found out once.
//!
//! [`level`] is one relaxed load and a branch that always goes the same way; what is so short that
//! even this would be felt must not come here at all. Where the CPU can be asked (feature `std`) it
//! is asked at the first call; elsewhere the answer is what the crate was compiled for.
//!
//! The promise that kernels build on: a [`Level`] given by [`level`] or [`available`] is one that
//! this CPU has. [`limit`] can only lower it, so that tests and benches reach every kernel.

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// An instruction set with kernels of its own, the better one being the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Words of the machine, in safe code.
    Portable = 1,
    /// 16 bytes at a time: every x86-64.
    Sse2,
    /// 32 bytes at a time: x86-64 since 2013.
    Avx2,
    /// 64 bytes at a time, with F, BW, VL and VBMI: Ice Lake, Zen 4 and later. The older CPUs, which
    /// lower their clock for vectors of 64 bytes, are left out by the last.
    Avx512,
    /// 16 bytes at a time: every little-endian AArch64.
    Neon,
}

use Level::{Avx2, Avx512, Neon, Portable, Sse2};

const ALL: [Level; 5] = [Portable, Sse2, Avx2, Avx512, Neon];

/// A [`Level`] as a number, or 0 before the CPU was asked.
static CHOSEN: AtomicU8 = AtomicU8::new(0);

/// The best level that this CPU has, or the best under the [`limit`].
#[inline]
pub fn level() -> Level {
    match CHOSEN.load(Relaxed) {
        1 => Portable,
        2 => Sse2,
        3 => Avx2,
        4 => Avx512,
        5 => Neon,
        _ => limit(Neon),
    }
}

/// Whether `level` is the one in use; false as long as [`level`] was never called. One comparison,
/// which the compiler does not turn into a table of jumps.
#[cfg(target_arch = "x86_64")] // Elsewhere there is one kernel, and nothing to choose in a hurry.
#[inline]
pub(crate) fn is(level: Level) -> bool {
    CHOSEN.load(Relaxed) == level as u8
}

/// Makes the whole process use no better level than `most`, and gives back what it now uses.
#[cold]
pub fn limit(most: Level) -> Level {
    let chosen = available().filter(|&level| level <= most).last().unwrap_or(Portable);
    CHOSEN.store(chosen as u8, Relaxed);
    chosen
}

/// All levels that this CPU has, from the least to the best.
pub fn available() -> impl Iterator<Item = Level> {
    ALL.into_iter().filter(|&level| has(level))
}

/// Whether the CPU has all these: asked of it where we have `std`, else of the compiler.
#[cfg(target_arch = "x86_64")]
macro_rules! cpu_has {
    ($($feature:tt)+) => {{
        #[cfg(feature = "std")]
        let has = $(std::arch::is_x86_feature_detected!($feature))&&+;
        #[cfg(not(feature = "std"))]
        let has = $(cfg!(target_feature = $feature))&&+;
        has
    }};
}

#[cfg(target_arch = "x86_64")]
fn has(level: Level) -> bool {
    match level {
        Portable => true,
        Sse2 => cfg!(target_feature = "sse2"),
        Avx2 => cpu_has!("avx2"),
        Avx512 => cpu_has!("avx512f" "avx512bw" "avx512vl" "avx512vbmi"),
        Neon => false,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn has(level: Level) -> bool {
    let neon =
        cfg!(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"));
    level == Portable || (level == Neon && neon)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_in_use_is_one_that_the_cpu_has() {
        assert!(available().any(|one| one == level()));
        assert_eq!(available().next(), Some(Portable));
    }

    #[test]
    fn a_limit_lowers_the_level_and_never_invents_one() {
        // The other tests of this process do not mind: each kernel is right.
        for most in ALL {
            let chosen = limit(most);
            assert!(chosen <= most && has(chosen));
            assert!(available().all(|one| one <= chosen || one > most));
        }
        assert_eq!(limit(Neon), available().last().unwrap());
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_x86_64_has_sse2() {
        assert!(available().any(|one| one == Sse2));
    }
}
