//! What a connection holds only at times: the start of a frame that came split, a message being
//! gathered, a ping that waits for its pong. It lives behind one pointer, so that an idle
//! connection owns no heap; [`Scratch`] keeps the boxes and buffers for whoever needs one next.

use crate::frame::{BINARY, CONTROL_MAX, HEADER_MAX, TEXT, Unfinished};
use crate::scratch::make_room;
use crate::text::TextBuffer;
use crate::{Incoming, Payload, Scratch, Violation, mask};
use alloc::vec::Vec;

#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// The start of a header.
    pub(crate) header: Short<HEADER_MAX>,
    /// The start of a control frame's payload.
    pub(crate) control: Short<CONTROL_MAX>,
    /// The message that is being gathered.
    pub(crate) message: Option<Gathered>,
    /// The payload of the newest ping, if one is unanswered.
    pub(crate) ping: Short<CONTROL_MAX>,
    pub(crate) is_pinged: bool,
}

impl Pending {
    /// Whether no byte of the stream is kept here.
    pub(crate) fn has_no_input(&self) -> bool {
        self.header.is_empty() && self.control.is_empty() && self.message.is_none()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.has_no_input() && !self.is_pinged
    }

    /// Bytes of heap behind this one.
    pub(crate) fn held(&self) -> usize {
        self.message.as_ref().map_or(0, Gathered::capacity)
    }

    /// Drops what was half received; an unanswered ping stays.
    pub(crate) fn forget_input(&mut self, scratch: &mut Scratch) {
        self.header.clear();
        self.control.clear();
        if let Some(message) = self.message.take() {
            scratch.return_buffer(message.into_memory());
        }
    }
}

/// A few bytes, in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Short<const MAX: usize> {
    len: u8,
    bytes: [u8; MAX],
}

impl<const MAX: usize> Default for Short<MAX> {
    fn default() -> Self {
        Self { len: 0, bytes: [0; MAX] }
    }
}

impl<const MAX: usize> Short<MAX> {
    /// Appends as much of `bytes` as there is room for.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        let taken = bytes.len().min(MAX - start);
        self.bytes[start..start + taken].copy_from_slice(&bytes[..taken]);
        self.len += taken as u8;
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// A message of which a part has come.
#[derive(Debug)]
pub(crate) struct Gathered {
    data: Data,
    /// Frames begun so far.
    pub(crate) fragments: u32,
    /// The most bytes that the message can still come to.
    pub(crate) bytes_max: usize,
}

#[derive(Debug)]
enum Data {
    Text(TextBuffer),
    Binary(Vec<u8>),
}

impl Gathered {
    /// An empty message of the type that `opcode` names, which must be a data frame's.
    pub(crate) fn new(opcode: u8, memory: Vec<u8>) -> Self {
        let data = match opcode {
            TEXT => Data::Text(TextBuffer::new(memory)),
            BINARY => Data::Binary(memory),
            other => unreachable!("opcode {other} begins no message"),
        };
        Self { data, fragments: 0, bytes_max: 0 }
    }

    /// Appends a piece, unmasking it; `key` is zero if it is not masked. The memory grows with what
    /// arrives, never with what is announced.
    pub(crate) fn push(&mut self, piece: &[u8], key: [u8; 4]) -> Result<(), Violation> {
        match &mut self.data {
            Data::Text(text) => {
                text.make_room(piece.len(), self.bytes_max);
                text.push(piece, key).map_err(|_| Violation::TextNotUtf8)
            }
            Data::Binary(bytes) => {
                make_room(bytes, piece.len(), self.bytes_max);
                mask::extend(piece, key, bytes);
                Ok(())
            }
        }
    }

    /// The whole message.
    pub(crate) fn finish(self) -> Result<Incoming<'static>, Violation> {
        match self.data {
            Data::Text(text) => match text.finish() {
                Ok(text) => Ok(Incoming::Text(text)),
                Err(_) => Err(Violation::TextNotUtf8),
            },
            Data::Binary(bytes) => Ok(Incoming::Binary(Payload::Owned(bytes))),
        }
    }

    pub(crate) fn unfinished(&self) -> Unfinished {
        let (bytes, missing) = match &self.data {
            Data::Text(text) => (text.len(), text.missing()),
            Data::Binary(bytes) => (bytes.len(), 0),
        };
        Unfinished { bytes: bytes as u64, fragments: self.fragments, missing: missing as u64 }
    }

    fn capacity(&self) -> usize {
        match &self.data {
            Data::Text(text) => text.capacity(),
            Data::Binary(bytes) => bytes.capacity(),
        }
    }

    fn into_memory(self) -> Vec<u8> {
        match self.data {
            Data::Text(text) => text.into_memory(),
            Data::Binary(bytes) => bytes,
        }
    }
}
