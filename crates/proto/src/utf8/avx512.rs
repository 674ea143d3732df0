//! What the pass needs of AVX-512. What this file promises: an [`Avx512`] exists only inside of
//! [`run`], whose caller knows that the CPU has what [`Level::Avx512`] stands for, and nothing but
//! the bytes of the span is touched.
//!
//! VBMI looks 64 bytes up in a table of 64 by one instruction, and moves bytes across the whole
//! vector by another. Operations with three operands hinder each other (Zen 4), so both tables are
//! such that one vector of them is enough.
//!
//! [`Level::Avx512`]: crate::simd::Level::Avx512
#![allow(unsafe_code)] // Intrinsics, and loads and stores on raw pointers.

use super::fused::{Simd, Trace, WRONG, check, four, pass, turned};
use super::pairs::{LONG, LOOSE, OVERLONG_2, SHORT, leaves, takes};
use super::{NotUtf8, Span, is_open, moved_on, portable};
use core::arch::x86_64::*;

/// # Safety
/// As [`pass`], and the CPU has what `Level::Avx512` stands for.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
pub(super) unsafe fn run<const WRITE: bool>(
    from: *const u8,
    to: *mut u8,
    len: usize,
    key: u32,
    last: u32,
) -> Result<u32, NotUtf8> {
    let span = Span { from, to, len }; // Not an argument: it would be passed in memory.
    // Read as if they could change: LLVM 22 turns moves that it knows into shuffles, and may lose
    // itself in them without end.
    // SAFETY: they are vectors, and aligned.
    let places = |table: &Table| unsafe { table.0.as_ptr().cast::<__m512i>().read_volatile() };
    let simd = Avx512 { one: places(&ONE_BEFORE), two: places(&TWO_BEFORE) };
    // SAFETY: the caller's promise.
    unsafe { pass::<Avx512, WRITE>(simd, span, key, last) }
}

#[derive(Clone, Copy)]
struct Avx512 {
    /// Places to take bytes from: 0 to 63 in the vector before, 64 to 127 in this one.
    one: __m512i,
    two: __m512i,
}

#[repr(align(64))]
struct Table([u8; 64]);

impl Table {
    #[inline(always)]
    fn load(&self) -> __m512i {
        // SAFETY: it is a vector, and aligned. Only what has AVX-512 comes here.
        unsafe { _mm512_load_si512(self.0.as_ptr().cast()) }
    }
}

static ONE_BEFORE: Table = before(1);
static TWO_BEFORE: Table = before(2);

const fn before(places: usize) -> Table {
    let mut table = [0; 64];
    let mut n = 0;
    while n < 64 {
        table[n] = (64 + n - places) as u8;
        n += 1;
    }
    Table(table)
}

/// What every byte leaves open, and FC to FF take: they are wrong wherever they stand. So none has to
/// be told from others as the first of a pair, and FF's place in [`LEAVES`] is free for all that begin
/// no character. The bit is there because C0 and C1 can do without theirs: after them everything is
/// wrong.
const NEVER: u8 = OVERLONG_2;

/// What a byte leaves open, by its low six bits if it is C0 or more, else in the last place.
static LEAVES: Table = {
    let mut table = [0; 64];
    let mut n = 0;
    while n < 63 {
        let byte = 0xc0 + n as u8;
        let left = if byte < 0xc2 { SHORT | LOOSE } else { leaves(byte) };
        table[n] = left | NEVER;
        n += 1;
    }
    table[63] = leaves(0) | NEVER;
    Table(table)
};

/// What a byte takes, by its high six bits.
static TAKES: Table = {
    let mut table = [0; 64];
    let mut n = 0;
    while n < 64 {
        table[n] = takes(4 * n as u8) & !OVERLONG_2;
        n += 1;
    }
    table[63] |= NEVER;
    Table(table)
};

static END: Table = {
    let mut table = [0; 64];
    table[62] = 0x80;
    table[63] = 0xff;
    Table(table)
};

// SAFETY of all that follows: the receiver is the proof that the CPU has the instruction.
impl Simd for Avx512 {
    type Vector = __m512i;

    #[inline(always)]
    unsafe fn load(self, from: *const u8) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8, bytes: __m512i) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_si512(to.cast(), bytes) }
    }

    #[inline(always)]
    fn filled(self, four: u32) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_set1_epi32(four.cast_signed()) }
    }

    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_xor_si512(a, b) }
    }

    #[inline(always)]
    fn and(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_and_si512(a, b) }
    }

    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    fn is_ascii(self, bytes: __m512i) -> bool {
        // SAFETY: as above.
        unsafe { _mm512_movepi8_mask(bytes) == 0 }
    }

    #[inline(always)]
    fn sub(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_sub_epi8(a, b) }
    }

    #[inline(always)]
    fn is_right(self, found: __m512i) -> bool {
        // SAFETY: as above.
        unsafe { _mm512_test_epi8_mask(found, _mm512_set1_epi8(WRONG.cast_signed())) == 0 }
    }

    #[inline(always)]
    fn one_before(self, these: __m512i, before: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_permutex2var_epi8(before, self.one, these) }
    }

    #[inline(always)]
    fn two_before(self, these: __m512i, before: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_permutex2var_epi8(before, self.two, these) }
    }

    #[inline(always)]
    fn end(self) -> __m512i {
        END.load()
    }

    #[inline(always)]
    fn leaves(self, bytes: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe {
            let firsts = _mm512_max_epu8(bytes, _mm512_set1_epi8(0xbf_u8.cast_signed()));
            _mm512_permutexvar_epi8(firsts, LEAVES.load())
        }
    }

    #[inline(always)]
    fn all_leave(self, four: u32) -> __m512i {
        // Not `leaves` of `filled`: LLVM 22 would not come to an end with it.
        // SAFETY: as above.
        unsafe {
            let four = _mm_cvtsi32_si128(four.cast_signed());
            let firsts = _mm_max_epu8(four, _mm_set1_epi8(0xbf_u8.cast_signed()));
            _mm512_permutexvar_epi8(_mm512_broadcastd_epi32(firsts), LEAVES.load())
        }
    }

    #[inline(always)]
    fn takes(self, bytes: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_permutexvar_epi8(_mm512_srli_epi16::<2>(bytes), TAKES.load()) }
    }

    #[inline(always)]
    fn long(self, left: __m512i, taken: __m512i) -> __m512i {
        const EITHER: i32 = 0b1110_0000;
        // SAFETY: as above.
        unsafe {
            let mask = _mm512_set1_epi8(LONG.cast_signed());
            _mm512_ternarylogic_epi32::<EITHER>(mask, left, taken)
        }
    }

    /// By masks for what is here, but for the store: until that has reached the cache, it holds up who
    /// loads from near it, though from behind the mask, as the next frame's header.
    #[inline(always)]
    unsafe fn short<const WRITE: bool>(
        self,
        span: Span,
        key: u32,
        last: u32,
    ) -> Result<u32, NotUtf8> {
        let Span { from, len, .. } = span;
        let here = (1_u64 << len) - 1;
        // SAFETY: the caller's promise: only the bytes that are `here` are touched.
        unsafe {
            let masked = _mm512_maskz_loadu_epi8(here, from.cast());
            let bytes = _mm512_maskz_mov_epi8(here, self.xor(masked, self.filled(key)));
            let end = match len {
                0..4 => {
                    let first = _mm_cvtsi128_si32(_mm512_castsi512_si128(bytes)).cast_unsigned();
                    moved_on(last, first, len)
                }
                4.. => four(from.add(len - 4)) ^ turned(key, len),
            };
            if WRITE {
                portable::unmask(span, key);
            }
            if self.is_ascii(bytes) {
                return if is_open(last) && len > 0 { Err(NotUtf8) } else { Ok(end) };
            }
            let found = check(self, bytes, &mut Trace::of(self, last));
            let is_right =
                _mm512_mask_test_epi8_mask(here, found, _mm512_set1_epi8(WRONG.cast_signed())) == 0;
            if is_right { Ok(end) } else { Err(NotUtf8) }
        }
    }
}
