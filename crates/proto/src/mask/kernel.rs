//! The shapes that the kernels have, and those that need no instruction set.
//!
//! ```text
//!  ends   ████████████████                 so many vectors from the start,
//!                   ████████████████       and so many that end at the end, loaded before all others
//!
//!  run    ████████                         unaligned
//!            ████████                      from here on aligned, for the target's sake
//!                    ████████████████…     four at a time
//!                                    …███  `ends`; near the end of a page nothing that crosses it
//! ```
//!
//! Vectors may overlap, in place too: where two of them do, both were loaded before one was stored,
//! so both store the same. No branch depends on the last bits of a length: rivals that do the first
//! or the last bytes one by one mispredict, and lose more by it than by the XOR.
//!
//! What was measured on Zen 4: a store across a cache line costs a cycle or two, one across a page
//! some tens; aligning pays from about 512 bytes on. Stores past the caches lose by far: who unmasks
//! wants to read.
#![allow(unsafe_code)] // Loads and stores that overlap are out of reach of safe slices.

/// Up to here bytes are masked without asking what the CPU has.
pub(super) const SHORT_MAX: usize = 64;

/// The smallest page that a CPU has.
const PAGE: usize = 4096;

/// Sixteen bytes, in what every CPU of the kind has.
#[cfg(target_arch = "x86_64")]
type Baseline = core::arch::x86_64::__m128i;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
type Baseline = core::arch::aarch64::uint8x16_t;
#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little"))))]
type Baseline = [u64; 2];

/// What one instruction, or a few, can XOR. Its size is a multiple of 4, so that the key stands the
/// same in the next one.
pub(super) trait Vector: Copy {
    /// How many bytes.
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

/// Eight vectors or more.
///
/// # Safety
/// `length` is at least eight times `V::SIZE`. So many bytes may be read from `source` on and
/// written from `target` on; the two are the same address or do not overlap. The CPU has what `V`
/// asks for.
#[inline(always)] // Into a function that has the instruction set, so that the intrinsics are inlined.
pub(super) unsafe fn run<V: Vector>(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the start takes less than two vectors. As long as six are left four may be taken, so
    // two to six are left for the end.
    unsafe {
        let mut at = align::<V>(source, target, key);
        let key = turned(key, at);
        let filled = V::filled(key);
        while length - at >= 6 * V::SIZE {
            in_turn::<V, 4>(source.add(at), target.add(at), filled);
            at += 4 * V::SIZE;
        }
        let (source, target, length) = (source.add(at), target.add(at), length - at);
        let last_byte = target.addr().wrapping_add(length - 1);
        if last_byte % PAGE < 2 * V::SIZE - 1 {
            exact::<V>(source, target, length, key);
        } else if length <= 4 * V::SIZE {
            ends::<V, 2, 2>(source, target, length, key);
        } else {
            ends::<V, 4, 2>(source, target, length, key);
        }
    }
}

/// Does what lies before the first aligned address of `target`, and the vector there. Gives back how
/// many bytes that was: none if `target` is aligned.
///
/// # Safety
/// As [`run`], with at least two vectors.
#[inline(always)]
unsafe fn align<V: Vector>(source: *const u8, target: *mut u8, key: u32) -> usize {
    let past = target.addr() % V::SIZE;
    if past == 0 {
        return 0;
    }
    let at = V::SIZE - past;
    // SAFETY: both vectors end within the first two.
    unsafe {
        let first = V::load(source).xor(V::filled(key));
        let second = V::load(source.add(at)).xor(V::filled(turned(key, at)));
        first.store(target);
        second.store(target.add(at));
    }
    at + V::SIZE
}

/// Vectors that don't overlap, and what is left in words that don't cross where a vector would end.
///
/// # Safety
/// As [`run`], but for the least length.
#[inline(always)]
unsafe fn exact<V: Vector>(source: *const u8, target: *mut u8, length: usize, key: u32) {
    const { assert!(V::SIZE <= SHORT_MAX + 1) };
    let mut at = 0;
    // SAFETY: each vector ends within `length`; less than one is left.
    unsafe {
        let filled = V::filled(key);
        while length - at >= V::SIZE {
            in_turn::<V, 1>(source.add(at), target.add(at), filled);
            at += V::SIZE;
        }
        short(source.add(at), target.add(at), length - at, key);
    }
}

/// `HEAD` vectors from the start on, and `TAIL` that end at the end.
///
/// # Safety
/// As [`run`], but for the length: it is at least that of `HEAD` vectors, and at most that of both.
#[inline(always)]
pub(super) unsafe fn ends<V: Vector, const HEAD: usize, const TAIL: usize>(
    source: *const u8,
    target: *mut u8,
    length: usize,
    key: u32,
) {
    const { assert!(HEAD >= TAIL) };
    debug_assert!((HEAD * V::SIZE..=(HEAD + TAIL) * V::SIZE).contains(&length));
    let last = length - TAIL * V::SIZE;
    // SAFETY: head and tail lie within `length`, by the caller's promise.
    unsafe {
        let tail = several::<V, TAIL>(source.add(last), V::filled(turned(key, last)));
        in_turn::<V, HEAD>(source, target, V::filled(key));
        store(tail, target.add(last));
    }
}

/// `N` vectors that don't overlap, each stored before the next is loaded: that is 2 % faster from the
/// second level of the cache than four loads and then four stores.
///
/// # Safety
/// As [`run`], with a length of `N` vectors.
#[inline(always)]
pub(super) unsafe fn in_turn<V: Vector, const N: usize>(
    source: *const u8,
    target: *mut u8,
    filled: V,
) {
    for n in 0..N {
        // SAFETY: the caller's promise.
        unsafe {
            let at = n * V::SIZE;
            V::load(source.add(at)).xor(filled).store(target.add(at));
        }
    }
}

/// # Safety
/// `N` vectors may be loaded from `source` on, and the CPU has what `V` asks for.
#[inline(always)]
unsafe fn several<V: Vector, const N: usize>(source: *const u8, key: V) -> [V; N] {
    let mut vectors = [key; N];
    // A loop, not `array::from_fn`: a closure has no instruction set, and is not always inlined.
    for (n, vector) in vectors.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *vector = unsafe { V::load(source.add(n * V::SIZE)).xor(key) };
    }
    vectors
}

/// # Safety
/// `N` vectors may be stored from `target` on, and the CPU has what `V` asks for.
#[inline(always)]
unsafe fn store<V: Vector, const N: usize>(vectors: [V; N], target: *mut u8) {
    for (n, vector) in vectors.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { vector.store(target.add(n * V::SIZE)) };
    }
}

/// Up to [`SHORT_MAX`] bytes.
///
/// # Safety
/// As [`run`], but for the least length.
#[inline(always)]
pub(super) unsafe fn short(source: *const u8, target: *mut u8, length: usize, key: u32) {
    debug_assert!(length <= SHORT_MAX);
    // SAFETY: the caller's promise, and each kind of word fits into its range of lengths.
    unsafe {
        // The shortest lengths are the most frequent, and have the fewest branches before them.
        if length <= 16 {
            if length >= 8 {
                ends::<u64, 1, 1>(source, target, length, key);
            } else if length >= 4 {
                ends::<u32, 1, 1>(source, target, length, key);
            } else if length > 0 {
                bytes(source, target, length, key);
            }
        } else if length <= 32 {
            ends::<Baseline, 1, 1>(source, target, length, key);
        } else {
            ends::<Baseline, 2, 2>(source, target, length, key);
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

/// More than [`SHORT_MAX`] bytes in 16 at a time.
///
/// # Safety
/// As [`run`], but for the least length.
#[inline(always)]
pub(super) unsafe fn sixteens<V: Vector>(
    source: *const u8,
    target: *mut u8,
    length: usize,
    key: u32,
) {
    const { assert!(V::SIZE == 16) };
    // SAFETY: the caller's promise.
    unsafe {
        match length {
            ..=128 => ends::<V, 4, 4>(source, target, length, key),
            _ => run::<V>(source, target, length, key),
        }
    }
}

/// For a CPU without a kernel of its own: words, of which the compiler makes what vectors there are.
///
/// # Safety
/// As [`run`], but for the least length, which is over [`SHORT_MAX`].
#[inline(never)] // It would spoil the registers of the way to the others.
pub(super) unsafe fn portable(source: *const u8, target: *mut u8, length: usize, key: u32) {
    // SAFETY: the caller's promise.
    unsafe { sixteens::<[u64; 2]>(source, target, length, key) }
}

fn doubled(key: u32) -> u64 {
    u64::from(key) << 32 | u64::from(key)
}

/// Words need nothing of the CPU: their `filled` and `xor` are unsafe in name only.
macro_rules! word {
    ($word:ty, $key:ident => $filled:expr, $one:ident ^ $other:ident => $xor:expr) => {
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
            unsafe fn xor(self, $other: Self) -> Self {
                let $one = self;
                $xor
            }
        }
    };
}

word!(u32, key => key, one ^ other => one ^ other);
word!(u64, key => doubled(key), one ^ other => one ^ other);
word!([u64; 2], key => [doubled(key); 2], one ^ other => [one[0] ^ other[0], one[1] ^ other[1]]);
