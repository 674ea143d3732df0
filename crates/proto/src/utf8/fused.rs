//! One pass over a text: each vector is loaded, unmasked, stored, and the same register is checked.
//!
//! ```text
//!  bytes    ██████████████│██████████████│          leaves, takes   what [`pairs`] says of each byte
//!  leaves   ──►1──────────│►1────────────│          one place on, against what the next byte takes
//!  long     ──►2──────────│►2────────────│          two places on, where a continuation is due
//!  tail                       ██████████████        the last vector, over what is left: loaded first,
//!                                                   stored last
//! ```
//!
//! What a vector has to know of the one before is what that one's last byte leaves and where its last
//! two wish for continuations ([`Trace`]). So the pass can begin anywhere, given the four bytes that
//! came before: it goes on where another has ended, and a vector may overlap the one before it.
//!
//! Four vectors of ASCII in a row are only tested for being that. Then stores are what takes the
//! time, and those across cache lines twice as much: a text that begins in ASCII goes on from an
//! aligned address.
//!
//! [`pairs`]: super::pairs
#![allow(unsafe_code)] // Loads and stores that overlap, and instruction sets, are beyond safe slices.

use super::pairs::SHORT;
use super::{NotUtf8, Span, moved_on};

/// From this length on, what begins in ASCII is stored to aligned addresses.
const ALIGNED_MIN: usize = 512;

/// An instruction set: a value of the type is the proof that the CPU has it.
pub(super) trait Simd: Copy {
    type Vector: Copy;
    /// Bytes in a vector.
    const WIDTH: usize = size_of::<Self::Vector>();

    /// # Safety
    /// `WIDTH` bytes may be read from `from` on, at any alignment.
    unsafe fn load(self, from: *const u8) -> Self::Vector;
    /// # Safety
    /// `WIDTH` bytes may be written from `to` on, at any alignment.
    unsafe fn store(self, to: *mut u8, bytes: Self::Vector);

    /// The four bytes, lowest first, over and over.
    fn filled(self, four: u32) -> Self::Vector;
    fn xor(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn and(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn or(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn is_ascii(self, bytes: Self::Vector) -> bool;
    fn is_zero(self, bytes: Self::Vector) -> bool;

    /// The bytes that stand one place before these, `before` being what came before them.
    fn one_before(self, these: Self::Vector, before: Self::Vector) -> Self::Vector;
    /// The bytes that stand two places before these.
    fn two_before(self, these: Self::Vector, before: Self::Vector) -> Self::Vector;
    /// Ones in the last byte, and in the highest bit of the last but one.
    fn end(self) -> Self::Vector;

    /// What each byte leaves open.
    fn leaves(self, bytes: Self::Vector) -> Self::Vector;
    /// What four bytes leave open, over and over.
    fn all_leave(self, four: u32) -> Self::Vector;
    /// What each byte takes.
    fn takes(self, bytes: Self::Vector) -> Self::Vector;
    /// `LONG` of either, as `LOOSE`.
    fn long(self, left: Self::Vector, taken: Self::Vector) -> Self::Vector;
    /// What both have, but for `LOOSE` where it is due, and `LOOSE` where it is due and they do not.
    fn wrong(self, left: Self::Vector, taken: Self::Vector, due: Self::Vector) -> Self::Vector;

    /// A pass over less than a vector.
    ///
    /// # Safety
    /// As for [`pass`], but for the length.
    unsafe fn short<const WRITE: bool>(
        self,
        span: Span,
        key: u32,
        last: u32,
    ) -> Result<u32, NotUtf8>;
}

/// What the next vector has to know of this one.
#[derive(Clone, Copy)]
pub(super) struct Trace<V> {
    leaves: V,
    long: V,
}

impl<V: Copy> Trace<V> {
    /// That of any vector that ends in these four bytes.
    #[inline(always)]
    pub(super) fn of<S: Simd<Vector = V>>(simd: S, last: u32) -> Self {
        // The highest bit of each byte: whether it is E0 or more, whether F0 or more.
        let third = last & last << 1 & last << 2 & 0x8080_8080;
        let fourth = third & last << 3;
        Self { leaves: simd.all_leave(last), long: simd.filled(third | fourth << 8) }
    }

    /// Not zero if a character was begun and is not finished.
    #[inline(always)]
    fn open<S: Simd<Vector = V>>(self, simd: S) -> V {
        let short = simd.and(self.leaves, simd.filled(u32::from_ne_bytes([SHORT; 4])));
        simd.and(simd.or(short, self.long), simd.end())
    }
}

/// Not zero where these bytes are wrong.
#[inline(always)]
pub(super) fn check<S: Simd>(
    simd: S,
    bytes: S::Vector,
    before: &mut Trace<S::Vector>,
) -> S::Vector {
    let (leaves, taken) = (simd.leaves(bytes), simd.takes(bytes));
    let left = simd.one_before(leaves, before.leaves);
    let long = simd.long(left, taken);
    let due = simd.two_before(long, before.long);
    *before = Trace { leaves, long };
    simd.wrong(left, taken, due)
}

/// A pass under way.
struct Pass<S: Simd> {
    simd: S,
    span: Span,
    /// So many bytes are done.
    at: usize,
    /// The key as it stands there.
    key: S::Vector,
    before: Trace<S::Vector>,
    calm: Trace<S::Vector>,
    faults: S::Vector,
}

/// Unmasks, if it is to `WRITE`, and checks a text or a piece of it. `key` and `last` are the masking
/// key and the four bytes before the piece, both as they lie in memory, lowest first.
///
/// Gives back the last four bytes, or the fault if there is one that nothing that follows could mend.
/// C0, C1 and what is above F4 are such a fault only once something has followed.
///
/// # Safety
/// As [`Span`] says.
#[inline(always)] // Into a function that has the instruction set, so that the intrinsics are inlined.
pub(super) unsafe fn pass<S: Simd, const WRITE: bool>(
    simd: S,
    span: Span,
    key: u32,
    last: u32,
) -> Result<u32, NotUtf8> {
    // SAFETY: the caller's promise; a text that is no shorter than a vector has a first one, a last
    // one and four last bytes. What is stored last was loaded before anything was stored.
    unsafe {
        let Span { from, to, len } = span;
        if len < S::WIDTH {
            return simd.short::<WRITE>(span, key, last);
        }
        let tail_at = len - S::WIDTH;
        let tail_key = turned(key, tail_at);
        let tail = simd.xor(simd.load(from.add(tail_at)), simd.filled(tail_key));
        let end = four(from.add(len - 4)) ^ tail_key;
        let before_tail = match tail_at {
            0..4 => moved_on(last, four(from) ^ key, tail_at),
            4.. => four(from.add(tail_at - 4)) ^ tail_key,
        };

        let mut pass = Pass::begin(simd, span, simd.filled(key), last);
        let head = pass.align::<WRITE>(key);
        pass.run::<WRITE>();
        if let Some(head) = head {
            simd.store(to, head);
        }
        if pass.at < len {
            if WRITE {
                simd.store(to.add(tail_at), tail);
            }
            if simd.is_ascii(tail) {
                // What is done ends where the tail begins, or within it, and then in ASCII.
                pass.skip();
            } else {
                pass.before = Trace::of(simd, before_tail);
                pass.check(tail);
            }
        }
        if simd.is_zero(pass.faults) { Ok(end) } else { Err(NotUtf8) }
    }
}

impl<S: Simd> Pass<S> {
    #[inline(always)]
    fn begin(simd: S, span: Span, key: S::Vector, last: u32) -> Self {
        let (before, calm) = (Trace::of(simd, last), Trace::of(simd, 0));
        Self { simd, span, at: 0, key, before, calm, faults: simd.filled(0) }
    }

    /// If it pays, takes a vector that is to be stored at the end, and goes on from the next aligned
    /// address, within it or behind it.
    ///
    /// # Safety
    /// As [`pass`], with at least a vector.
    #[inline(always)]
    unsafe fn align<const WRITE: bool>(&mut self, key: u32) -> Option<S::Vector> {
        let Span { from, to, len } = self.span;
        if !WRITE || len < ALIGNED_MIN {
            return None;
        }
        // SAFETY: the caller's promise.
        let head = self.simd.xor(unsafe { self.simd.load(from) }, self.key);
        if !self.simd.is_ascii(head) {
            return None;
        }
        self.skip();
        self.at = S::WIDTH - to.addr() % S::WIDTH;
        self.key = self.simd.filled(turned(key, self.at));
        Some(head)
    }

    /// Does all whole vectors, four at a time while there are so many.
    ///
    /// # Safety
    /// As [`pass`].
    #[inline(always)]
    unsafe fn run<const WRITE: bool>(&mut self) {
        // SAFETY: the caller's promise: what is taken ends by `len`.
        unsafe {
            while self.span.len - self.at >= 4 * S::WIDTH {
                self.four::<WRITE>();
            }
            while self.span.len - self.at >= S::WIDTH {
                let bytes = self.take::<WRITE>(0);
                self.at += S::WIDTH;
                if self.simd.is_ascii(bytes) { self.skip() } else { self.check(bytes) }
            }
        }
    }

    /// # Safety
    /// As [`pass`], and four vectors are left.
    #[inline(always)]
    unsafe fn four<const WRITE: bool>(&mut self) {
        let simd = self.simd;
        // SAFETY: the caller's promise.
        let (a, b, c, d) = unsafe {
            (
                self.take::<WRITE>(0),
                self.take::<WRITE>(1),
                self.take::<WRITE>(2),
                self.take::<WRITE>(3),
            )
        };
        self.at += 4 * S::WIDTH;
        if simd.is_ascii(simd.or(simd.or(a, b), simd.or(c, d))) {
            return self.skip();
        }
        let before = &mut self.before;
        let a = check(simd, a, before);
        let b = check(simd, b, before);
        let c = check(simd, c, before);
        let d = check(simd, d, before);
        self.faults = simd.or(simd.or(self.faults, simd.or(a, b)), simd.or(c, d));
    }

    /// The `n`th vector from here, unmasked and stored.
    ///
    /// # Safety
    /// As [`pass`], and there is one.
    #[inline(always)]
    unsafe fn take<const WRITE: bool>(&self, n: usize) -> S::Vector {
        let at = self.at + n * S::WIDTH;
        // SAFETY: the caller's promise.
        unsafe {
            let bytes = self.simd.xor(self.simd.load(self.span.from.add(at)), self.key);
            if WRITE {
                self.simd.store(self.span.to.add(at), bytes);
            }
            bytes
        }
    }

    /// Bytes that are ASCII.
    #[inline(always)]
    fn skip(&mut self) {
        self.faults = self.simd.or(self.faults, self.before.open(self.simd));
        self.before = self.calm;
    }

    /// Bytes that may be anything.
    #[inline(always)]
    fn check(&mut self, bytes: S::Vector) {
        let wrong = check(self.simd, bytes, &mut self.before);
        self.faults = self.simd.or(self.faults, wrong);
    }
}

/// The key as it stands for a byte that `phase` others precede.
#[inline(always)]
pub(super) fn turned(key: u32, phase: usize) -> u32 {
    key.rotate_right(8 * (phase as u32 % 4))
}

/// # Safety
/// Four bytes may be read from `from` on.
#[inline(always)]
pub(super) unsafe fn four(from: *const u8) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { from.cast::<u32>().read_unaligned() }
}
