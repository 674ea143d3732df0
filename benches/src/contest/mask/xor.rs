//! The floor under a mask: whole cache lines, nothing before and nothing behind them, as the compiler
//! vectorises it. The one promise of this file: code for a CPU's feature runs only where it is.
#![allow(unsafe_code)] // Calling what is compiled for a feature that was asked for at run time.

/// XORs lines of 64 bytes with the key.
///
/// # Panics
/// If `bytes` are not whole lines.
pub(super) fn lines(bytes: &mut [u8], key: [u8; 4]) {
    assert!(bytes.len().is_multiple_of(64), "the floor is of whole cache lines");
    let (words, _) = bytes.as_chunks_mut::<4>();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the CPU has what the function is compiled for.
            return unsafe { avx512(words, key) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has what the function is compiled for.
            return unsafe { avx2(words, key) };
        }
    }
    plain(words, key);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(words: &mut [[u8; 4]], key: [u8; 4]) {
    plain(words, key);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(words: &mut [[u8; 4]], key: [u8; 4]) {
    plain(words, key);
}

/// Compiled anew into each caller, for its features.
#[inline(always)]
fn plain(words: &mut [[u8; 4]], key: [u8; 4]) {
    let key = u32::from_ne_bytes(key);
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_meet_their_byte_of_the_key() {
        let mut bytes = vec![0; 192];
        lines(&mut bytes, [1, 2, 3, 4]);
        assert!(bytes.chunks(4).all(|word| word == [1, 2, 3, 4]));
    }
}
