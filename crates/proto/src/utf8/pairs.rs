//! What two bytes in a row can have wrong (Unicode 15, table 3-7; RFC 3629 §4), for the kernels.
//!
//! Each way to be wrong is a bit. [`leaves`] tells which ways a byte leaves open to the next one,
//! [`takes`] which of them a byte makes use of: two bytes in a row are wrong where the two have a
//! bit in common. With one exception: a continuation that does not follow a first byte ([`LOOSE`])
//! is right if a first byte two or three places before still waits for it, and wrong else. Who waits
//! is told by [`LONG`].
//!
//! Kernels look this up for a whole vector at once, so the two functions are here to make tables
//! from.

/// A first byte, and then no continuation.
pub(super) const SHORT: u8 = 1 << 0;
/// C0 or C1, which begin nothing, and then a continuation: what they could encode has one byte.
pub(super) const OVERLONG_2: u8 = 1 << 1;
/// E0, and then 80 to 9F: two bytes would do.
const OVERLONG_3: u8 = 1 << 2;
/// ED, and then A0 to BF: a surrogate.
const SURROGATE: u8 = 1 << 3;
/// F4 or more, and then 90 to BF: beyond U+10FFFF.
const BEYOND: u8 = 1 << 4;
/// F0, where three bytes would do, or F5 or more, beyond U+10FFFF, and then 80 to 8F.
const LOW_4: u8 = 1 << 5;
/// No fault, but a wish: two places behind a byte that takes it, three behind one that leaves it,
/// there must be a continuation. No right text has both in a row.
pub(super) const LONG: u8 = 1 << 7;
/// A continuation that does not follow a first byte. It is the place next to [`LONG`]'s, because a
/// wish, moved there, is held against it.
pub(super) const LOOSE: u8 = 1 << 6;

pub(super) const fn leaves(byte: u8) -> u8 {
    match byte {
        0x00..=0xbf => LOOSE,
        0xc0..=0xc1 => SHORT | OVERLONG_2,
        0xe0 => SHORT | OVERLONG_3,
        0xed => SHORT | SURROGATE,
        0xf0 => SHORT | LONG | LOW_4,
        0xf4 => SHORT | LONG | BEYOND,
        0xf5..=0xff => SHORT | LONG | LOW_4 | BEYOND,
        0xf1..=0xf3 => SHORT | LONG,
        0xc2..=0xef => SHORT,
    }
}

pub(super) const fn takes(byte: u8) -> u8 {
    match byte {
        0x00..=0x7f | 0xc0..=0xdf => SHORT,
        0x80..=0x8f => LOOSE | OVERLONG_2 | OVERLONG_3 | LOW_4,
        0x90..=0x9f => LOOSE | OVERLONG_2 | OVERLONG_3 | BEYOND,
        0xa0..=0xbf => LOOSE | OVERLONG_2 | SURROGATE | BEYOND,
        0xe0..=0xff => SHORT | LONG,
    }
}
