//! Text that is known to be UTF-8. The one promise of this file: a [`Text`] is only ever made of
//! bytes that passed the validation of RFC 6455 §8.1, and nobody can write into it.
#![allow(unsafe_code)] // `as_str` is called for each message, and the bytes were checked already.

use crate::Payload;
use crate::utf8::{self, NotUtf8, Validator};
use bytes::BytesMut;
use std::fmt;
use std::ops::Deref;

/// A payload that is valid UTF-8.
#[derive(PartialEq, Eq)]
pub struct Text<'a>(Payload<'a>);

impl<'a> Text<'a> {
    /// Checks a whole message.
    #[inline]
    pub(crate) fn new(payload: Payload<'a>) -> Result<Self, NotUtf8> {
        if utf8::is_valid(&payload) { Ok(Self(payload)) } else { Err(NotUtf8) }
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        // SAFETY: `new` and `TextBuffer::finish`, the only places that make a `Text`, have validated
        // these bytes. The payload is private and lent as `&str` only, so they have not changed.
        unsafe { std::str::from_utf8_unchecked(&self.0) }
    }
}

impl Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl<'a> From<Text<'a>> for Payload<'a> {
    fn from(text: Text<'a>) -> Self {
        text.0
    }
}

/// A text that arrives in pieces and is validated as they come.
#[derive(Debug)]
pub(crate) struct TextBuffer {
    bytes: BytesMut,
    validator: Validator,
}

impl TextBuffer {
    /// An empty text that gathers in `memory`.
    pub(crate) fn new(mut memory: BytesMut) -> Self {
        memory.clear();
        Self { bytes: memory, validator: Validator::default() }
    }

    /// Appends a piece, or fails and is empty again if nothing that follows could make the text
    /// valid.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), NotUtf8> {
        let checked = self.validator.push(piece);
        match checked {
            Ok(()) => self.bytes.extend_from_slice(piece),
            // The validator may have passed a part of the piece: both go back to the start.
            Err(NotUtf8) => *self = Self::new(std::mem::take(&mut self.bytes)),
        }
        checked
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The memory, for another use.
    pub(crate) fn into_memory(self) -> BytesMut {
        self.bytes
    }

    /// The whole text; fails if its last character is unfinished.
    pub(crate) fn finish(self) -> Result<Text<'static>, NotUtf8> {
        if self.validator.is_complete() {
            Ok(Text(Payload::Owned(self.bytes)))
        } else {
            Err(NotUtf8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_never_holds_what_its_memory_held_before() {
        let mut text = TextBuffer::new(BytesMut::from(&b"\xff\xff"[..]));
        text.push(b"ok").unwrap();
        assert_eq!(text.finish().unwrap().as_str(), "ok");
    }

    #[test]
    fn a_piece_that_fails_takes_the_text_back_to_the_start() {
        let mut text = TextBuffer::new(BytesMut::new());
        text.push(b"begun \xe6\xb0").unwrap();
        assert_eq!(text.push(b"\xb4\xff"), Err(NotUtf8));
        assert_eq!(text.finish().unwrap().as_str(), "");
    }
}
