//! What the pass needs of AVX2. What this file promises: an [`Avx2`] exists only inside of [`run`],
//! whose caller knows that the CPU has AVX2, and nothing but the bytes of the span is touched.
//!
//! AVX2 looks up by four bits, so what a byte leaves open is what the entries for its two halves have
//! in common; and it moves bytes within halves of a vector only, so moving takes two instructions.
#![allow(unsafe_code)] // Intrinsics, and loads and stores on raw pointers.

use super::fused::{Simd, Trace, WRONG, check, four, pass, turned};
use super::pairs::{LONG, leaves, takes};
use super::{NotUtf8, Span, is_open, portable};
use core::arch::x86_64::*;

/// # Safety
/// As [`pass`], and the CPU has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn run<const WRITE: bool>(
    from: *const u8,
    to: *mut u8,
    len: usize,
    key: u32,
    last: u32,
) -> Result<u32, NotUtf8> {
    let span = Span { from, to, len }; // Not an argument: it would be passed in memory.
    // SAFETY: the caller's promise.
    unsafe { pass::<Avx2, WRITE>(Avx2(()), span, key, last) }
}

#[derive(Clone, Copy)]
struct Avx2(());

/// Half a vector, the same for both.
struct Table([u8; 16]);

static HIGH_LEAVES: Table = halves(true);
static LOW_LEAVES: Table = halves(false);

const fn halves(high: bool) -> Table {
    let mut table = [0; 16];
    let mut byte = 0;
    while byte < 256 {
        table[if high { byte >> 4 } else { byte & 15 }] |= leaves(byte as u8);
        byte += 1;
    }
    Table(table)
}

/// What a byte takes, by its high half.
static TAKES: Table = {
    let mut table = [0; 16];
    let mut high = 0;
    while high < 16 {
        table[high] = takes((high << 4) as u8);
        high += 1;
    }
    Table(table)
};

/// No table says more or less than the function that it is made from.
const _: () = {
    let mut byte = 0;
    while byte < 256 {
        let (high, low) = (byte >> 4, byte & 15);
        assert!(HIGH_LEAVES.0[high] & LOW_LEAVES.0[low] == leaves(byte as u8));
        assert!(TAKES.0[high] == takes(byte as u8));
        byte += 1;
    }
};

static END: [u8; 32] = {
    let mut table = [0; 32];
    table[30] = 0x80;
    table[31] = 0xff;
    table
};

/// The places from `n` on move 16 bytes by `16 - n` places towards the end, and zeros in.
static MOVES: [u8; 32] = {
    let mut table = [0x80; 32];
    let mut n = 0;
    while n < 16 {
        table[16 + n] = n as u8;
        n += 1;
    }
    table
};

// SAFETY of all that follows: the receiver is the proof that the CPU has the instruction.
impl Avx2 {
    #[inline(always)]
    fn look_up(self, table: &'static Table, halves: __m256i) -> __m256i {
        // SAFETY: as above, and the table has 16 bytes.
        unsafe {
            let table = _mm_loadu_si128(table.0.as_ptr().cast());
            _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), halves)
        }
    }

    #[inline(always)]
    fn low(self, bytes: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_and_si256(bytes, _mm256_set1_epi8(15)) }
    }

    #[inline(always)]
    fn high(self, bytes: __m256i) -> __m256i {
        // SAFETY: as above.
        self.low(unsafe { _mm256_srli_epi16::<4>(bytes) })
    }

    /// The upper half of what was before, and the lower half of these.
    #[inline(always)]
    fn between(self, these: __m256i, before: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_permute2x128_si256::<0x21>(before, these) }
    }
}

impl Simd for Avx2 {
    type Vector = __m256i;

    #[inline(always)]
    unsafe fn load(self, from: *const u8) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8, bytes: __m256i) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_si256(to.cast(), bytes) }
    }

    #[inline(always)]
    fn filled(self, four: u32) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_set1_epi32(four.cast_signed()) }
    }

    #[inline(always)]
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_xor_si256(a, b) }
    }

    #[inline(always)]
    fn and(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_and_si256(a, b) }
    }

    #[inline(always)]
    fn or(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_or_si256(a, b) }
    }

    #[inline(always)]
    fn is_ascii(self, bytes: __m256i) -> bool {
        // SAFETY: as above.
        unsafe { _mm256_movemask_epi8(bytes) == 0 }
    }

    #[inline(always)]
    fn sub(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_sub_epi8(a, b) }
    }

    #[inline(always)]
    fn is_right(self, found: __m256i) -> bool {
        // SAFETY: as above.
        unsafe { _mm256_testz_si256(found, _mm256_set1_epi8(WRONG.cast_signed())) == 1 }
    }

    #[inline(always)]
    fn one_before(self, these: __m256i, before: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_alignr_epi8::<15>(these, self.between(these, before)) }
    }

    #[inline(always)]
    fn two_before(self, these: __m256i, before: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_alignr_epi8::<14>(these, self.between(these, before)) }
    }

    #[inline(always)]
    fn end(self) -> __m256i {
        // SAFETY: as above, and the table has 32 bytes.
        unsafe { self.load(END.as_ptr()) }
    }

    #[inline(always)]
    fn leaves(self, bytes: __m256i) -> __m256i {
        let high = self.look_up(&HIGH_LEAVES, self.high(bytes));
        self.and(high, self.look_up(&LOW_LEAVES, self.low(bytes)))
    }

    #[inline(always)]
    fn all_leave(self, four: u32) -> __m256i {
        self.leaves(self.filled(four))
    }

    #[inline(always)]
    fn takes(self, bytes: __m256i) -> __m256i {
        self.look_up(&TAKES, self.high(bytes))
    }

    #[inline(always)]
    fn long(self, left: __m256i, taken: __m256i) -> __m256i {
        self.and(self.or(left, taken), self.filled(u32::from_ne_bytes([LONG; 4])))
    }

    /// Half a vector or more lies in the two ends, which overlap. The first is moved to where the
    /// second begins, and zeros before it, which are as good as nothing unless a character is open.
    #[inline(always)]
    unsafe fn short<const WRITE: bool>(
        self,
        span: Span,
        key: u32,
        last: u32,
    ) -> Result<u32, NotUtf8> {
        let Span { from, to, len } = span;
        // SAFETY: the caller's promise; where there are 16 bytes, there are first and last 16, and
        // `len - 16` is a place that 16 follow in `MOVES`.
        unsafe {
            if len < 16 || is_open(last) {
                return portable::run::<WRITE>(span, key, last);
            }
            let back = len - 16;
            let key_back = turned(key, back);
            let load = |from: *const u8, key: u32| {
                _mm_xor_si128(_mm_loadu_si128(from.cast()), _mm_set1_epi32(key.cast_signed()))
            };
            let (head, tail) = (load(from, key), load(from.add(back), key_back));
            let end = four(from.add(len - 4)) ^ key_back;
            if WRITE {
                _mm_storeu_si128(to.cast(), head);
                _mm_storeu_si128(to.add(back).cast(), tail);
            }
            let moves = _mm_loadu_si128(MOVES.as_ptr().add(back).cast());
            let bytes = _mm256_set_m128i(tail, _mm_shuffle_epi8(head, moves));
            if self.is_ascii(bytes) {
                return Ok(end);
            }
            let found = check(self, bytes, &mut Trace::of(self, 0));
            if self.is_right(found) { Ok(end) } else { Err(NotUtf8) }
        }
    }
}
