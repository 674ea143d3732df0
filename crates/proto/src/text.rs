//! Text that is known to be UTF-8. The one promise of this file: a [`Text`] is only ever made of
//! bytes that passed the validation of RFC 6455 §8.1, and nobody can write into it.
#![allow(unsafe_code)] // `as_str` is called for each message, and the bytes were checked already.

use crate::Payload;
use crate::scratch::make_room;
use crate::short;
use crate::utf8::{self, NotUtf8, Validator};
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

/// A payload that is valid UTF-8.
#[derive(PartialEq, Eq)]
pub struct Text<'a>(Payload<'a>);

impl<'a> Text<'a> {
    /// Checks a whole message.
    #[inline]
    pub(crate) fn new(payload: Payload<'a>) -> Result<Self, NotUtf8> {
        if utf8::is_valid(&payload) { Ok(Self(payload)) } else { Err(NotUtf8) }
    }

    /// Unmasks a whole text, whose first byte meets the first one of `key`, and checks it, in one
    /// pass. [`Connection::receive`](crate::Connection::receive) does this; it is here for who has
    /// frames from elsewhere.
    ///
    /// # Errors
    /// If the outcome is not UTF-8 (RFC 6455 §8.1). Some of the bytes are then unmasked, and some may
    /// not be.
    #[inline]
    pub fn unmask(bytes: &'a mut [u8], key: [u8; 4]) -> Result<Self, NotUtf8> {
        utf8::unmask(bytes, key)?;
        Ok(Self(Payload::Lent(bytes)))
    }

    /// Unmasks and checks a whole message of at most [`short::SHORT_MAX`] bytes.
    #[inline(always)]
    pub(crate) fn unmask_short(bytes: &'a mut [u8], key: [u8; 4]) -> Result<Self, NotUtf8> {
        if short::unmask_ascii(bytes, key) {
            Ok(Self(Payload::Lent(bytes)))
        } else {
            Self::unmask(bytes, key)
        }
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        // SAFETY: `new`, the `unmask`s and `TextBuffer::finish`, the only places that make a `Text`, have
        // validated these bytes. The payload is private and lent as `&str` only, so they have not changed.
        unsafe { core::str::from_utf8_unchecked(&self.0) }
    }
}

impl Deref for Text<'_> {
    type Target = str;
    #[inline]
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
    #[inline]
    fn from(text: Text<'a>) -> Self {
        text.0
    }
}

/// A text that arrives in pieces and is validated as they come.
#[derive(Debug)]
pub(crate) struct TextBuffer {
    bytes: Vec<u8>,
    validator: Validator,
}

impl TextBuffer {
    /// An empty text that gathers in `memory`.
    pub(crate) fn new(mut memory: Vec<u8>) -> Self {
        memory.clear();
        Self { bytes: memory, validator: Validator::default() }
    }

    /// Appends a piece, unmasking it, or fails and is empty again if nothing that follows could make
    /// the text valid.
    pub(crate) fn push(&mut self, piece: &[u8], key: [u8; 4]) -> Result<(), NotUtf8> {
        let checked = self.validator.append(piece, key, &mut self.bytes);
        if checked.is_err() {
            *self = Self::new(core::mem::take(&mut self.bytes));
        }
        checked
    }

    /// How many bytes the last character still misses.
    pub(crate) fn missing(&self) -> usize {
        missing(&self.bytes)
    }

    /// Makes room for `more` bytes in memory that never needs more than `most`.
    pub(crate) fn make_room(&mut self, more: usize, most: usize) {
        make_room(&mut self.bytes, more, most);
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The memory, for another use.
    pub(crate) fn into_memory(self) -> Vec<u8> {
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

/// How many bytes the last character of a text, valid so far, still misses.
pub(crate) fn missing(text: &[u8]) -> usize {
    let is_continuation = |byte: u8| byte & 0xc0 == 0x80;
    let tail = text.iter().rev().take(3).copied().enumerate();
    match tail.into_iter().find(|(_, byte)| !is_continuation(*byte)) {
        Some((behind, lead @ 0xc0..)) => (lead.leading_ones() as usize).saturating_sub(behind + 1),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_never_holds_what_its_memory_held_before() {
        let mut text = TextBuffer::new(b"\xff\xff".to_vec());
        text.push(b"ok", [0; 4]).unwrap();
        assert_eq!(text.finish().unwrap().as_str(), "ok");
    }

    #[test]
    fn a_character_misses_what_has_not_come_of_it() {
        for character in ['a', 'ж', '水', '🦀'] {
            let text = format!("水🦀{character}");
            for missed in 0..character.len_utf8() {
                assert_eq!(missing(&text.as_bytes()[..text.len() - missed]), missed, "{character}");
            }
        }
        assert_eq!(missing(b""), 0);
    }

    #[test]
    fn a_piece_that_fails_takes_the_text_back_to_the_start() {
        let mut text = TextBuffer::new(Vec::new());
        text.push(b"begun \xe6\xb0", [0; 4]).unwrap();
        assert_eq!(text.push(b"\xb4\xff", [0; 4]), Err(NotUtf8));
        assert_eq!(text.finish().unwrap().as_str(), "");
    }
}
