use crate::CloseCode;
use bytes::BytesMut;
use std::ops::Deref;

/// A message to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// UTF-8 text (opcode 1).
    Text(&'a str),
    /// Bytes (opcode 2).
    Binary(&'a [u8]),
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
    Owned(BytesMut),
}

impl Deref for Payload<'_> {
    type Target = [u8];
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

/// A payload that is valid UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub struct Text<'a>(Payload<'a>);

impl Text<'_> {
    /// The text.
    pub fn as_str(&self) -> &str {
        todo!()
    }
}

impl Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}
