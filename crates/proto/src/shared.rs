use crate::{Message, frame};
use bytes::{Bytes, BytesMut};

/// Encodes a message once, as one frame of a server, to be sent to many clients.
///
/// A server does not mask, so the bytes are the same for every receiver. They bypass
/// [`Connection`](crate::Connection): send them only where its state allows a message, and not
/// between the fragments of another.
pub fn encode_shared(message: Message<'_>) -> Bytes {
    let fragment = message.fragment(0, usize::MAX);
    let mut out = BytesMut::new();
    frame::write(fragment.first_byte(), fragment.payload(), None, &mut out);
    out.freeze()
}
