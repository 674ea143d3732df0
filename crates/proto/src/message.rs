use crate::frame::{BINARY, CONTINUATION, First, TEXT};
use crate::{CloseCode, Text};
use alloc::vec::Vec;
use core::ops::Deref;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text (opcode 1).
    Text,
    /// Bytes (opcode 2).
    Binary,
}

impl Kind {
    pub(crate) fn opcode(self) -> u8 {
        match self {
            Self::Text => TEXT,
            Self::Binary => BINARY,
        }
    }
}

/// A message to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// UTF-8 text (opcode 1).
    Text(&'a str),
    /// Bytes (opcode 2).
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The payload.
    pub fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Whether it is text.
    pub fn kind(self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }

    /// The message as frames of at most `payload_max` bytes each; one, if it is empty.
    ///
    /// # Panics
    /// If `payload_max` is zero.
    pub fn fragments(self, payload_max: usize) -> impl Iterator<Item = Fragment<'a>> {
        let mut next = Some(0);
        core::iter::from_fn(move || {
            let fragment = self.fragment(next?, payload_max);
            next = (!fragment.last).then_some(next? + fragment.payload.len());
            Some(fragment)
        })
    }

    /// The fragment of at most `payload_max` bytes that begins `offset` bytes into the message: for
    /// who sends a large message bit by bit and keeps no more than the place that it has reached.
    ///
    /// # Panics
    /// If `offset` lies outside of the message, or `payload_max` is zero.
    pub fn fragment(self, offset: usize, payload_max: usize) -> Fragment<'a> {
        assert!(payload_max > 0, "a message cannot be cut into empty fragments");
        let rest = &self.as_bytes()[offset..];
        let payload = &rest[..rest.len().min(payload_max)];
        let opcode = if offset > 0 { CONTINUATION } else { self.kind().opcode() };
        Fragment { opcode, last: payload.len() == rest.len(), payload }
    }
}

/// A part of a message, sent as one frame (RFC 6455 §5.4). Made by [`Message::fragments`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    opcode: u8,
    last: bool,
    payload: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Whether it begins its message.
    pub fn is_first(&self) -> bool {
        self.opcode != CONTINUATION
    }

    /// Whether it ends its message.
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// Its bytes. Those of a text may end inside a character.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    pub(crate) fn first_byte(&self) -> First {
        First::new(self.opcode, self.last)
    }
}

/// What [`Connection::receive`](crate::Connection::receive) found.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A whole text message.
    Text(Text<'a>),
    /// A whole binary message.
    Binary(Payload<'a>),
    /// A ping. The pong is already owed: see [`Connection::encode_pong`](crate::Connection::encode_pong).
    Ping(Payload<'a>),
    /// A pong, asked for or not.
    Pong(Payload<'a>),
    /// The peer's Close frame; answer with [`Connection::encode_close`](crate::Connection::encode_close).
    /// Whatever follows it is ignored (§5.5.1).
    Close(Option<CloseCode>, Text<'a>),
}

/// The bytes of a message: lent from the input when it came whole, else gathered.
#[derive(Debug)]
pub enum Payload<'a> {
    /// In the input.
    Lent(&'a mut [u8]),
    /// Gathered from several pieces. Give it back with [`Scratch::reclaim`](crate::Scratch::reclaim).
    Owned(Vec<u8>),
}

impl Deref for Payload<'_> {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl PartialEq for Payload<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Payload<'_> {}

impl<'a> From<Incoming<'a>> for Payload<'a> {
    #[inline]
    fn from(incoming: Incoming<'a>) -> Self {
        match incoming {
            Incoming::Text(text) | Incoming::Close(_, text) => text.into(),
            Incoming::Binary(bytes) | Incoming::Ping(bytes) | Incoming::Pong(bytes) => bytes,
        }
    }
}
