//! The floor under a mask: whole cache lines, nothing before and nothing behind them, as the compiler
//! vectorises it. The one promise of this file: code for a CPU's feature runs only where it is.
#![allow(unsafe_code)] // Calling what is compiled for a feature that was asked for at run time.

/// XORs lines of 64 bytes with the key.
///
/// # Panics
/// If `bytes` are not whole lines.
pub(super) fn lines(bytes: &mut [u8], key: [u8; 4]) {
    let (lines, rest) = bytes.as_chunks_mut::<64>();
    assert!(rest.is_empty(), "the floor is of whole cache lines");
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl") {
            // SAFETY: the CPU has what the function is compiled for.
            return unsafe { avx512(lines, key) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has what the function is compiled for.
            return unsafe { avx2(lines, key) };
        }
    }
    plain(lines, key);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn avx512(lines: &mut [[u8; 64]], key: [u8; 4]) {
    plain(lines, key);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(lines: &mut [[u8; 64]], key: [u8; 4]) {
    plain(lines, key);
}

/// Compiled anew into each caller, for its features.
#[inline(always)]
fn plain(lines: &mut [[u8; 64]], key: [u8; 4]) {
    let key: [u8; 64] = std::array::from_fn(|n| key[n % 4]);
    for line in lines {
        for (byte, key) in line.iter_mut().zip(key) {
            *byte ^= key;
        }
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
