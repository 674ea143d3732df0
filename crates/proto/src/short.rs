//! Payloads of at most 125 bytes, unmasked or copied inline: most of what heartbeats and chats send,
//! and so short that a call, a loop or a prologue would cost more than the work.
//!
//! A payload of `N` to `2 N` bytes is its first `N` and its last `N` bytes, which may overlap: both
//! are read before either is written. So each length takes one branch, on its power of two, and then
//! runs straight.

use core::mem::MaybeUninit;

/// The most bytes that a payload has here; the class of 64 reaches up to 128.
pub(crate) const SHORT_MAX: usize = 125;

/// XORs `bytes` with `key`, whose first byte meets the first one.
#[inline(always)]
pub(crate) fn unmask(bytes: &mut [u8], key: [u8; 4]) {
    run::<false>(bytes, key);
}

/// Does the same if the outcome is ASCII, else gives back `false` and leaves the bytes as they are.
#[inline(always)]
pub(crate) fn unmask_ascii(bytes: &mut [u8], key: [u8; 4]) -> bool {
    run::<true>(bytes, key)
}

#[inline(always)] // So that a binary payload does not pay for the question.
fn run<const ASCII: bool>(bytes: &mut [u8], key: [u8; 4]) -> bool {
    debug_assert!(bytes.len() <= SHORT_MAX);
    match bytes.len() {
        64.. => both_ends::<64, ASCII>(bytes, key),
        32.. => both_ends::<32, ASCII>(bytes, key),
        16.. => both_ends::<16, ASCII>(bytes, key),
        8.. => both_ends::<8, ASCII>(bytes, key),
        4.. => both_ends::<4, ASCII>(bytes, key),
        _ => byte_by_byte::<ASCII>(bytes, key),
    }
}

#[inline(always)]
fn both_ends<const N: usize, const ASCII: bool>(bytes: &mut [u8], key: [u8; 4]) -> bool {
    let (mut first, mut last) = both::<N>(bytes);
    let bits = xor(&mut first, key) | xor(&mut last, key_after(key, bytes.len()));
    if ASCII && bits & 0x8080_8080 != 0 {
        return false;
    }
    bytes[..N].copy_from_slice(&first);
    let start = bytes.len() - N;
    bytes[start..].copy_from_slice(&last);
    true
}

/// The first and the last `N` of at least so many bytes.
#[inline(always)]
fn both<const N: usize>(bytes: &[u8]) -> ([u8; N], [u8; N]) {
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(&first), Some(&last)) => (first, last),
        _ => unreachable!("as many bytes as the class has at least"),
    }
}

/// The key as it stands `length - N` bytes further on, `N` being a multiple of its length.
#[inline(always)]
fn key_after(key: [u8; 4], length: usize) -> [u8; 4] {
    let turn = 8 * (length as u32 % 4);
    u32::from_le_bytes(key).rotate_right(turn).to_le_bytes()
}

/// Gives back all bits that are set in some word of the outcome.
#[inline(always)]
fn xor<const N: usize>(bytes: &mut [u8; N], key: [u8; 4]) -> u32 {
    let key = u32::from_ne_bytes(key);
    let mut bits = 0;
    for word in bytes.as_chunks_mut::<4>().0 {
        let clear = u32::from_ne_bytes(*word) ^ key;
        bits |= clear;
        *word = clear.to_ne_bytes();
    }
    bits
}

#[inline(always)]
fn byte_by_byte<const ASCII: bool>(bytes: &mut [u8], key: [u8; 4]) -> bool {
    if ASCII && bytes.iter().zip(key).any(|(byte, key)| byte ^ key >= 0x80) {
        return false;
    }
    bytes.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    true
}

/// Writes to `target`, which is as long as `source`, what [`unmask`] would make of it.
#[inline(always)]
pub(crate) fn copy(source: &[u8], target: &mut [MaybeUninit<u8>], key: [u8; 4]) {
    debug_assert!(source.len() <= SHORT_MAX && source.len() == target.len());
    match source.len() {
        64.. => copy_both_ends::<64>(source, target, key),
        32.. => copy_both_ends::<32>(source, target, key),
        16.. => copy_both_ends::<16>(source, target, key),
        8.. => copy_both_ends::<8>(source, target, key),
        4.. => copy_both_ends::<4>(source, target, key),
        _ => target.iter_mut().zip(source).zip(key).for_each(|((to, from), key)| {
            to.write(from ^ key);
        }),
    }
}

#[inline(always)]
fn copy_both_ends<const N: usize>(source: &[u8], target: &mut [MaybeUninit<u8>], key: [u8; 4]) {
    let (mut first, mut last) = both::<N>(source);
    xor(&mut first, key);
    xor(&mut last, key_after(key, source.len()));
    let start = target.len() - N;
    target[..N].write_copy_of_slice(&first);
    target[start..].write_copy_of_slice(&last);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_agrees_with_the_naive_loop() {
        let mut random = fastrand::Rng::with_seed(1);
        for length in 0..=SHORT_MAX {
            for _ in 0..100 {
                let key: [u8; 4] = std::array::from_fn(|_| random.u8(..));
                let mut bytes: Vec<u8> =
                    std::iter::repeat_with(|| random.u8(..)).take(length).collect();
                let naive: Vec<u8> =
                    bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
                let before = bytes.clone();
                let is_ascii = unmask_ascii(&mut bytes, key);
                assert_eq!(is_ascii, naive.is_ascii(), "length {length}");
                assert_eq!(bytes, *if is_ascii { &naive } else { &before }, "length {length}");

                bytes = before;
                unmask(&mut bytes, key);
                assert_eq!(bytes, naive, "length {length}");
            }
        }
    }

    #[test]
    fn one_byte_that_is_not_ascii_is_seen_anywhere() {
        let key = [0x12, 0x80, 0xff, 0x00];
        for length in 0..=SHORT_MAX {
            for odd in 0..=length {
                let mut bytes = vec![b'a'; length];
                if odd < length {
                    bytes[odd] = 0x80;
                }
                for (byte, key) in bytes.iter_mut().zip(key.iter().cycle()) {
                    *byte ^= key;
                }
                assert_eq!(unmask_ascii(&mut bytes, key), odd == length, "{odd} of {length}");
            }
        }
    }
}
