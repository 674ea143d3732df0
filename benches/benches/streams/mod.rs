//! Input for the benches: a stream of one kind of message, as a client sends it.
#![allow(dead_code, reason = "each bench uses its part")]

use bytes::BytesMut;
use halfopen_proto::{Connection, Message, Role};

pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// About how many bytes a stream has: it fits into the second level of the cache.
pub(crate) const STREAM: usize = 256 * 1024;

/// As many messages as fit into [`STREAM`] bytes, masked. How many there are, and their bytes.
pub(crate) fn from_client(message: Message<'_>) -> (u64, BytesMut) {
    let mut client = Connection::new(Role::Client);
    let mut out = BytesMut::new();
    let mut count = 0;
    while count == 0 || out.len() + out.len() / count as usize <= STREAM {
        assert!(client.encode(message, KEY, &mut out));
        count += 1;
    }
    (count, out)
}

/// A text of exactly `len` bytes made by repeating `pattern` and filling up with spaces.
pub(crate) fn text(pattern: &str, len: usize) -> String {
    let mut text = pattern.repeat(len / pattern.len());
    text.extend(std::iter::repeat_n(' ', len - text.len()));
    text
}

/// Bytes that do not repeat at the key's period.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}
