//! Sec-WebSocket-Key and the Sec-WebSocket-Accept that proves it was read (RFC 6455 §4.2.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A key as sent: 16 bytes in base64.
pub(super) type Key = [u8; 24];

/// The key that holds a nonce.
pub(super) fn encode(nonce: [u8; 16]) -> Key {
    let mut key = [0; 24];
    STANDARD.encode_slice(nonce, &mut key).expect("16 bytes take 24 characters");
    key
}

/// `value`, if it is a key. By the grammar (§4.3) the last character may hold bits that no byte
/// needs; nobody has to decode it (§4.2.2).
pub(super) fn parse(value: &[u8]) -> Option<Key> {
    let key: Key = value.try_into().ok()?;
    let (data, padding) = key.split_at(22);
    let is_base64 = |&byte: &u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    (data.iter().all(is_base64) && padding == b"==").then_some(key)
}

/// The answer to a key.
pub(super) fn accept(key: &Key) -> [u8; 28] {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut answer = [0; 28];
    STANDARD.encode_slice(digest, &mut answer).expect("20 bytes take 28 characters");
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_that_of_the_rfc() {
        let key = parse(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        assert_eq!(key, encode(*b"the sample nonce"));
        assert_eq!(&accept(&key), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_sixteen_bytes_in_base64_are_a_key() {
        let wrong: [&[u8]; 8] = [
            b"",
            b"dGhlIHNhbXBsZSBub25jZQ",       // no padding
            b"dGhlIHNhbXBsZSBub25jZQ==AAAA", // too long
            b"AAAAAAAAAAAAAAAAAAAA",         // 15 bytes
            b"AAAAAAAAAAAAAAAAAAAAAAA=",     // 17 bytes
            b"AAAAAAAAAAAAAAAAAAAAAAAA",     // 18 bytes
            b"dGhlIHNhbXBsZSBub25j!Q==",
            b"dGhlIHNhbXBsZSBub25j-_==", // another alphabet
        ];
        for value in wrong {
            assert_eq!(parse(value), None, "{value:?}");
        }
        assert!(parse(b"dGhlIHNhbXBsZSBub25jZR==").is_some(), "bits to spare are not looked at");
    }
}
