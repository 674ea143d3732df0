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
//! Four vectors of ASCII in a row are only tested for being that, and what is not ASCII is believed to
//! go on so for four more. In ASCII stores are what takes the time, and those across cache lines take
//! twice as much: a text that begins in ASCII goes on from an aligned address.
//!
//! [`pairs`]: super::pairs
#![allow(unsafe_code)] // Loads and stores that overlap, and instruction sets, are beyond safe slices.

use super::pairs::{LOOSE, SHORT};
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
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Whether all that [`check`] has found are numbers of those that are right.
    fn is_right(self, found: Self::Vector) -> bool;

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

/// The bits of which a place that is wrong has one.
pub(super) const WRONG: u8 = !LOOSE;

/// Has one of the bits of [`WRONG`] where these bytes are wrong.
///
/// What a pair has in common is taken from what is due, `LONG`, which is twice `LOOSE`. Right are
/// 0 − 0 and `LONG` − `LOOSE`, which leaves `LOOSE`; what else is found has other bits.
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
    simd.sub(due, simd.and(left, taken))
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
        let tail = Tail {
            at: tail_at,
            bytes: simd.xor(simd.load(from.add(tail_at)), simd.filled(tail_key)),
            before: match tail_at {
                0..4 => moved_on(last, four(from) ^ key, tail_at),
                4.. => four(from.add(tail_at - 4)) ^ tail_key,
            },
        };
        let end = four(from.add(len - 4)) ^ tail_key;

        let mut pass = Pass::begin(simd, span, simd.filled(key), last);
        let head = pass.align::<WRITE>(key);
        while len - pass.at > 4 * S::WIDTH {
            let is_ascii = pass.group::<4, WRITE>(None);
            // What follows something else seldom is ASCII, and not to ask is faster.
            if !is_ascii && len - pass.at > 4 * S::WIDTH {
                for bytes in pass.take::<4, WRITE>() {
                    pass.check(bytes);
                }
            }
        }
        match (len - pass.at - 1) / S::WIDTH {
            0 => pass.group::<0, WRITE>(Some(tail)),
            1 => pass.group::<1, WRITE>(Some(tail)),
            2 => pass.group::<2, WRITE>(Some(tail)),
            _ => pass.group::<3, WRITE>(Some(tail)),
        };
        if let Some(head) = head {
            simd.store(to, head);
        }
        if simd.is_right(pass.faults) { Ok(end) } else { Err(NotUtf8) }
    }
}

/// The last vector of a text.
#[derive(Clone, Copy)]
struct Tail<V> {
    at: usize,
    /// Unmasked.
    bytes: V,
    /// The four bytes before it, unmasked.
    before: u32,
}

impl<S: Simd> Pass<S> {
    #[inline(always)]
    fn begin(simd: S, span: Span, key: S::Vector, last: u32) -> Self {
        Self { simd, span, at: 0, key, before: Trace::of(simd, last), faults: simd.filled(0) }
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

    /// The next `N` vectors, unmasked and stored.
    ///
    /// # Safety
    /// As [`pass`], and so many are left.
    #[inline(always)]
    unsafe fn take<const N: usize, const WRITE: bool>(&mut self) -> [S::Vector; N] {
        let Self { simd, span, .. } = *self;
        let mut taken = [simd.filled(0); N];
        for bytes in &mut taken {
            // SAFETY: the caller's promise.
            unsafe {
                *bytes = simd.xor(simd.load(span.from.add(self.at)), self.key);
                if WRITE {
                    simd.store(span.to.add(self.at), *bytes);
                }
            }
            self.at += S::WIDTH;
        }
        taken
    }

    /// Does `N` vectors, and the last one if it is given, which then begins where they end, or before.
    /// Whether all of them are ASCII.
    ///
    /// # Safety
    /// As [`pass`], and so many are left.
    #[inline(always)]
    unsafe fn group<const N: usize, const WRITE: bool>(
        &mut self,
        tail: Option<Tail<S::Vector>>,
    ) -> bool {
        let Self { simd, span, .. } = *self;
        // SAFETY: the caller's promise.
        let taken = unsafe { self.take::<N, WRITE>() };
        let mut all = simd.filled(0);
        for bytes in taken {
            all = simd.or(all, bytes);
        }
        if let Some(tail) = tail {
            all = simd.or(all, tail.bytes);
            if WRITE {
                // SAFETY: the caller's promise.
                unsafe { simd.store(span.to.add(tail.at), tail.bytes) };
            }
        }
        if simd.is_ascii(all) {
            // A tail that begins before the end of what was done shares ASCII with that.
            self.skip();
            return true;
        }
        for bytes in taken {
            self.check(bytes);
        }
        if let Some(tail) = tail {
            self.before = Trace::of(simd, tail.before);
            self.check(tail.bytes);
        }
        false
    }

    /// Bytes that are ASCII. They leave nothing, as does a character that they do not cut short: the
    /// trace of that may stay.
    #[inline(always)]
    fn skip(&mut self) {
        self.faults = self.simd.or(self.faults, self.before.open(self.simd));
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
