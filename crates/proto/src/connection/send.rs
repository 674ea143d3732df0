//! Messages in, bytes out.

use super::{Connection, Role};
use crate::frame::{self, CLOSE, CONTROL_MAX, First, PING, PONG};
use crate::{CloseCode, Fragment, Kind, Message, Scratch, Violation, close};
use alloc::string::ToString;
use bytes::{Bytes, BytesMut};

impl Connection {
    /// Appends a message in one frame.
    ///
    /// # Panics
    /// If a message in fragments was begun and not finished (§5.4).
    #[inline]
    pub fn encode(&mut self, message: Message<'_>, key: [u8; 4], out: &mut BytesMut) -> bool {
        let (first, payload) = (First::new(message.kind().opcode(), true), message.as_bytes());
        if !self.can_send() {
            return false;
        }
        assert!(!self.sending, "messages must not interleave");
        self.write(first, payload, key, out);
        true
    }

    /// Makes a message of bytes where they lie: `bytes[room..]` is the payload, and the header is
    /// written just before it. Gives back the frame, which ends where `bytes` ends.
    ///
    /// So the input can become the output without a copy. A client's frame has a longer header than
    /// the server's frame with the same payload, so a server that relays or echoes what lies whole
    /// in its receive buffer always has the room:
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use halfopen_proto::{Connection, Incoming, Kind, Limits, Role, Scratch};
    ///
    /// let mut server = Connection::new(Role::Server);
    /// let mut received = BytesMut::from(&b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..]);
    ///
    /// let mut input = &mut received[..];
    /// let incoming = server.receive(&mut input, &Limits::default(), &mut Scratch::default())?;
    /// let Some(Incoming::Text(text)) = incoming else { panic!("{incoming:?}") };
    /// let (length, left) = (text.len(), input.len());
    ///
    /// // The message is over; what it lay in can be written.
    /// let end = received.len() - left;
    /// let frame = server.encode_in_place(Kind::Text, [0; 4], &mut received[..end], end - length);
    /// assert_eq!(frame.as_deref(), Some(&b"\x81\x05Hello"[..]));
    ///
    /// // Now it can go to many receivers, still without a copy.
    /// let shared = received.split_to(end).freeze().slice(end - 7..);
    /// assert_eq!(shared, &b"\x81\x05Hello"[..]);
    /// # Ok::<(), halfopen_proto::Violation>(())
    /// ```
    ///
    /// That a text is UTF-8 is the caller's word; it is so for what was received as text.
    ///
    /// # Panics
    /// If `room` is less than the header takes ([`frame_len`](crate::frame_len) without the payload,
    /// 14 at most), or a message in fragments was begun and not finished (§5.4).
    pub fn encode_in_place<'b>(
        &mut self,
        kind: Kind,
        key: [u8; 4],
        bytes: &'b mut [u8],
        room: usize,
    ) -> Option<&'b mut [u8]> {
        if !self.can_send() {
            return None;
        }
        assert!(!self.sending, "messages must not interleave");
        let first = First::new(kind.opcode(), true);
        Some(frame::write_in_place(first, self.key_for(key), bytes, room))
    }

    /// Appends one frame of a message in several ([`Message::fragments`]). Control frames may stand
    /// between them, another message may not.
    ///
    /// # Panics
    /// If the fragment does not follow on the one before: it must begin a message exactly when none
    /// is unfinished (§5.4).
    pub fn encode_fragment(
        &mut self,
        fragment: Fragment<'_>,
        key: [u8; 4],
        out: &mut BytesMut,
    ) -> bool {
        if !self.can_send() {
            return false;
        }
        assert!(fragment.is_first() != self.sending, "messages must not interleave");
        self.sending = !fragment.is_last();
        self.write(fragment.first_byte(), fragment.payload(), key, out);
        true
    }

    /// Appends a ping.
    ///
    /// # Panics
    /// If the payload has more than 125 bytes (§5.5).
    pub fn encode_ping(&mut self, payload: &[u8], key: [u8; 4], out: &mut BytesMut) -> bool {
        assert!(payload.len() <= CONTROL_MAX, "a ping holds at most 125 bytes");
        if self.can_send() {
            self.write(First::new(PING, true), payload, key, out);
        }
        self.can_send()
    }

    /// Whether a ping was received that no pong has answered.
    pub fn owes_pong(&self) -> bool {
        self.can_send() && self.pending.as_deref().is_some_and(|pending| pending.is_pinged)
    }

    /// Appends a pong for the newest ping that was received, if one is owed (RFC 6455 §5.5.3
    /// allows to answer only the newest).
    pub fn encode_pong(&mut self, key: [u8; 4], scratch: &mut Scratch, out: &mut BytesMut) -> bool {
        let (key, can_send) = (self.key_for(key), self.can_send());
        let pending = self.pending.as_deref_mut().filter(|pending| pending.is_pinged);
        let Some(pending) = pending else { return false };
        pending.is_pinged = false;
        if can_send {
            frame::write(First::new(PONG, true), pending.ping.as_bytes(), key, out);
        }
        self.release_pending(scratch);
        can_send
    }

    /// Appends a Close frame, ours or the answer to the peer's, unless one was sent. After it
    /// nothing more is encoded.
    ///
    /// Without a code ours is empty, and an answer echoes the peer's code (§5.5.1). A reason needs a
    /// code; of one over 123 bytes the start is sent.
    pub fn encode_close(
        &mut self,
        code: Option<CloseCode>,
        reason: &str,
        key: [u8; 4],
        out: &mut BytesMut,
    ) -> bool {
        if self.close_sent {
            return false;
        }
        self.close_sent = true;
        let mut body = [0; CONTROL_MAX];
        let body = match code.or(self.close_code) {
            Some(code) => close::write_body(code, reason, &mut body),
            None => &[],
        };
        self.write(First::new(CLOSE, true), body, key, out);
        true
    }

    /// Appends the Close frame that tells the peer its fault, unless one was sent, and ends the
    /// connection's state.
    pub fn fail(&mut self, violation: &Violation, key: [u8; 4], out: &mut BytesMut) -> bool {
        (self.failed, self.ready) = (true, false);
        self.encode_close(Some(violation.close_code()), &violation.to_string(), key, out)
    }

    pub(super) fn can_send(&self) -> bool {
        !self.close_sent && !self.failed
    }

    #[inline]
    fn write(&self, first: First, payload: &[u8], key: [u8; 4], out: &mut BytesMut) {
        frame::write(first, payload, self.key_for(key), out);
    }

    /// A server masks nothing.
    fn key_for(&self, key: [u8; 4]) -> Option<[u8; 4]> {
        (self.role == Role::Client).then_some(key)
    }
}

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
