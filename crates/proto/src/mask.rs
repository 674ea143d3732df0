//! Masking (RFC 6455 §5.3).

/// XORs `bytes` with `key`, whose byte `phase mod 4` meets the first one.
pub fn apply(_bytes: &mut [u8], _key: [u8; 4], _phase: usize) {
    todo!()
}
