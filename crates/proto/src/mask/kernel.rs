//! The shape that all kernels have, and those that need no instruction set.
//!
//! ```text
//!  head ████████                                     loaded first, stored last
//!  body      ████████ ████████ ████████ ████████     from there on, or from the next aligned address
//!  tail                                   ████████   loaded first, stored last
//! ```
//!
//! Head and tail may overlap the body and each other, in place too: all that two of them cover was
//! loaded before any of it was stored, so both store the same. No byte is done by itself, and no
//! branch depends on the last bits of a length.
//!
//! Aligned stores pay from about [`ALIGNED_MIN`] on; below, a store across a cache line costs less
//! than finding the line. Stores past the cache lose by far: who unmasks wants to read.
//!
//! What the unsafe code of this file promises is what [`Vector`] and each function ask for.
#![allow(unsafe_code)] // Loads and stores that overlap are out of reach of safe slices.

/// From this length on the body begins at an aligned address.
const ALIGNED_MIN: usize = 2048;

/// What one instruction, or a few, can XOR.
pub(super) trait Vector: Copy {
    /// How many bytes, a multiple of 4.
    const SIZE: usize = size_of::<Self>();

    /// A vector full of the key.
    ///
    /// # Safety
    /// The CPU has the instruction set of `Self`; the same holds for all that follow.
    unsafe fn filled(key: u32) -> Self;

    /// # Safety
    /// `SIZE` bytes may be read from `source` on, at any alignment.
    unsafe fn load(source: *const u8) -> Self;

    /// # Safety
    /// `SIZE` bytes may be written from `target` on, at any alignment.
    unsafe fn store(self, target: *mut u8);

    /// # Safety
    /// As for `filled`.
    unsafe fn xor(self, other: Self) -> Self;
}

/// A native-endian key as it stands for a byte that `phase` others precede.
#[inline(always)]
pub(super) fn turned(key: u32, phase: usize) -> u32 {
    let bits = (phase % 4 * 8) as u32;
    if cfg!(target_endian = "little") { key.rotate_right(bits) } else { key.rotate_left(bits) }
}

/// At least one vector, at any length from there on.
///
/// # Safety
/// `length` is at least `V::SIZE`. So many bytes may be read from `source` on and written from
/// `target` on; the two are the same address or do not overlap. The CPU has what `V` asks for.
#[inline(always)] // Into a function that has the instruction set, so that the intrinsics are inlined.
pub(super) unsafe fn run<V: Vector>(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: each access lies within `length`: the last vector begins at `last`, the body goes on
    // while a vector, or four, that begin at `at` end by then.
    unsafe {
        let last = length - V::SIZE;
        let head = V::load(source).xor(V::filled(key));
        let tail = V::load(source.add(last)).xor(V::filled(turned(key, last)));
        let mut at = V::SIZE;
        if length >= ALIGNED_MIN {
            at -= target.addr() % V::SIZE;
        }
        let body = V::filled(turned(key, at));
        while at + 4 * V::SIZE <= length {
            let four: [V; 4] = core::array::from_fn(|n| V::load(source.add(at + n * V::SIZE)));
            for (n, vector) in four.into_iter().enumerate() {
                vector.xor(body).store(target.add(at + n * V::SIZE));
            }
            at += 4 * V::SIZE;
        }
        while at < last {
            V::load(source.add(at)).xor(body).store(target.add(at));
            at += V::SIZE;
        }
        head.store(target);
        tail.store(target.add(last));
    }
}

/// From one vector to two.
///
/// # Safety
/// As [`run`], and `length` is at most twice `V::SIZE`.
#[inline(always)]
pub(super) unsafe fn ends<V: Vector>(source: *const u8, target: *mut u8, length: usize, key: u32) {
    debug_assert!((V::SIZE..=2 * V::SIZE).contains(&length));
    // SAFETY: both vectors lie within `length`, by the caller's promise.
    unsafe {
        let last = length - V::SIZE;
        let head = V::load(source).xor(V::filled(key));
        let tail = V::load(source.add(last)).xor(V::filled(turned(key, last)));
        head.store(target);
        tail.store(target.add(last));
    }
}

/// Up to 32 bytes.
///
/// # Safety
/// As [`run`], but for the least length.
#[inline(always)]
pub(super) unsafe fn short(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the caller's promise, and each kind of word fits into its range of lengths.
    unsafe {
        match length {
            0 => {}
            1..4 => bytes(source, target, length, key),
            4..8 => ends::<u32>(source, target, length, key),
            8..=16 => ends::<u64>(source, target, length, key),
            _ => ends::<[u64; 2]>(source, target, length, key),
        }
    }
}

/// One to three bytes: the first, the middle one and the last.
///
/// # Safety
/// As [`run`], but for the length.
#[inline(always)]
unsafe fn bytes(source: *const u8, target: *mut u8, length: usize, key: u32) {
    let key = key.to_ne_bytes();
    // SAFETY: all three lie within `length`, which is not zero.
    unsafe {
        let places = [0, length / 2, length - 1];
        let masked = places.map(|at| source.add(at).read() ^ key[at % 4]);
        for (at, byte) in places.into_iter().zip(masked) {
            target.add(at).write(byte);
        }
    }
}

/// For a CPU without a kernel of its own: words, of which the compiler makes what vectors there are.
///
/// # Safety
/// As [`run`], with at least 32 bytes.
pub(super) unsafe fn portable(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the caller's promise.
    unsafe { run::<[u64; 4]>(source, target, length, key) }
}

fn doubled(key: u32) -> u64 {
    u64::from(key) << 32 | u64::from(key)
}

/// Words need nothing of the CPU: their `filled` and `xor` are unsafe in name only.
macro_rules! word {
    ($word:ty, $key:ident => $filled:expr, $xor:expr) => {
        impl Vector for $word {
            #[inline(always)]
            unsafe fn filled($key: u32) -> Self {
                $filled
            }
            #[inline(always)]
            unsafe fn load(source: *const u8) -> Self {
                // SAFETY: the caller's promise.
                unsafe { source.cast::<Self>().read_unaligned() }
            }
            #[inline(always)]
            unsafe fn store(self, target: *mut u8) {
                // SAFETY: the caller's promise.
                unsafe { target.cast::<Self>().write_unaligned(self) }
            }
            #[inline(always)]
            unsafe fn xor(self, other: Self) -> Self {
                $xor(self, other)
            }
        }
    };
}

word!(u32, key => key, |one, other| one ^ other);
word!(u64, key => doubled(key), |one, other| one ^ other);
word!([u64; 2], key => [doubled(key); 2], |one: Self, other: Self| core::array::from_fn(|n| one[n] ^ other[n]));
word!([u64; 4], key => [doubled(key); 4], |one: Self, other: Self| core::array::from_fn(|n| one[n] ^ other[n]));
