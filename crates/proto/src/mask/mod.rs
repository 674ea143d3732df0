//! Masking (RFC 6455 §5.3): XOR with a key of four bytes, which is its own inverse.

/// XORs `bytes` with `key`, whose byte `phase mod 4` meets the first one.
///
/// A payload that arrives in pieces is unmasked piece by piece, `phase` being the number of bytes
/// that went before.
pub fn apply(bytes: &mut [u8], key: [u8; 4], phase: usize) {
    let key = turned(key, phase);
    let half = u32::from_ne_bytes(key);
    let whole = u64::from(half) << 32 | u64::from(half);

    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ whole).to_ne_bytes();
    }
    let (words, rest) = rest.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ half).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// The key as it stands for a byte that `phase` others precede.
pub(crate) fn turned(mut key: [u8; 4], phase: usize) -> [u8; 4] {
    key.rotate_left(phase % 4);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(bytes: &mut [u8], key: [u8; 4], phase: usize) {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte ^= key[(phase + i) % 4];
        }
    }

    #[test]
    fn every_length_offset_and_phase_agrees_with_the_naive_loop() {
        let mut random = fastrand::Rng::with_seed(1);
        let source: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(600).collect();
        let key = [0x12, 0x00, 0xff, 0x81];
        for length in 0..=515 {
            for offset in 0..=16 {
                for phase in 0..=4 {
                    let (mut fast, mut slow) = (source.clone(), source.clone());
                    apply(&mut fast[offset..offset + length], key, phase);
                    naive(&mut slow[offset..offset + length], key, phase);
                    assert_eq!(fast, slow, "length {length}, offset {offset}, phase {phase}");
                }
            }
        }
    }

    #[test]
    fn the_largest_phase_does_not_overflow() {
        let mut bytes = [0; 3];
        apply(&mut bytes, [1, 2, 3, 4], usize::MAX);
        assert_eq!(bytes, [4, 1, 2]);
    }
}
