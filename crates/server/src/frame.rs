//! A message that is encoded once, for any number of peers.

use crate::output::{FRAGMENT_MAX, HEADER_MAX};
use bytes::{Bytes, BytesMut};
use halfopen_proto::{Connection, Message, Role};

/// The bytes of a whole fragment: its payload, and four of header (RFC 6455 §5.2).
const WHOLE_FRAGMENT: usize = FRAGMENT_MAX + 4;

/// A message as it goes over the wire, encoded once. Clones share its bytes.
#[derive(Clone, Debug)]
pub struct Frame {
    wire: Bytes,
    payload_len: usize,
}

impl Frame {
    /// Encodes a message; one longer than 64 KiB in fragments, as [`Peer::send`](crate::Peer::send).
    pub fn new(message: Message<'_>) -> Self {
        let payload_len = message.as_bytes().len();
        let fragments = payload_len.div_ceil(FRAGMENT_MAX);
        let mut out = BytesMut::with_capacity(payload_len + fragments.max(1) * HEADER_MAX);
        let mut conn = Connection::new(Role::Server);
        for fragment in message.fragments(FRAGMENT_MAX) {
            conn.encode_fragment(fragment, [0; 4], &mut out);
        }
        Self { wire: out.freeze(), payload_len }
    }

    /// The bytes of the message.
    pub fn payload_len(&self) -> usize {
        self.payload_len
    }

    /// The bytes on the wire.
    pub fn wire_len(&self) -> usize {
        self.wire.len()
    }

    /// Pieces of which each is one whole frame, and small enough to be a chunk.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Bytes> {
        let mut rest = self.wire.clone();
        std::iter::from_fn(move || {
            let len = rest.len().min(WHOLE_FRAGMENT);
            (len > 0).then(|| rest.split_to(len))
        })
    }
}

impl From<Message<'_>> for Frame {
    fn from(message: Message<'_>) -> Self {
        Self::new(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halfopen_driver::CHUNK_MAX;
    use halfopen_proto::{Incoming, Limits, Scratch};

    #[test]
    fn each_piece_is_a_whole_frame_that_fits_a_chunk() {
        for len in [0, 1, 125, 126, FRAGMENT_MAX, FRAGMENT_MAX + 1, 3 * FRAGMENT_MAX, 300_000] {
            let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let frame = Frame::new(Message::Binary(&bytes));
            assert_eq!(frame.payload_len(), len);
            let (mut client, mut scratch) = (Connection::new(Role::Client), Scratch::default());
            let mut came = Vec::new();
            for piece in frame.pieces() {
                assert!(piece.len() <= CHUNK_MAX);
                let mut input = &mut piece.to_vec()[..];
                let limits = Limits::default();
                while let Some(incoming) =
                    client.receive(&mut input, &limits, &mut scratch).unwrap()
                {
                    let Incoming::Binary(payload) = incoming else { panic!("{incoming:?}") };
                    came.push(payload.to_vec());
                }
            }
            assert_eq!(came, [bytes], "{len} bytes");
        }
    }
}
