//! The short way of a frame that is a message by itself, or a pong, and lies whole in the input: its
//! header is held against all rules at once. What it lets pass keeps each of them; what it does not
//! is told apart on the general way.

use super::receive::skip;
use super::{Connection, Role};
use crate::frame::{BINARY, CONTROL_MAX, First, MASK, PONG, TEXT};
use crate::{Incoming, Limits, Payload, Scratch, Text, Violation, mask, short};

const WHOLE_TEXT: u8 = First::new(TEXT, true).byte();
const WHOLE_BINARY: u8 = First::new(BINARY, true).byte();
const WHOLE_PONG: u8 = First::new(PONG, true).byte();

impl Connection {
    /// Takes a message in one frame, or a pong, if it is whole, nothing came before it and its length
    /// is written in seven bits (`MORE` is 0) or in the two bytes behind them (`MORE` is 2).
    #[inline(always)]
    pub(super) fn receive_lone<'a, const MORE: usize>(
        &mut self,
        input: &mut &'a mut [u8],
        limits: &Limits,
        scratch: &mut Scratch,
    ) -> Option<Result<Incoming<'a>, Violation>> {
        let (mask, key_size) = if self.role == Role::Server { (MASK, 4) } else { (0, 0) };
        let first = *input.first()?;
        let is_pong = MORE == 0 && first == WHOLE_PONG;
        let is_known = is_pong || first == WHOLE_TEXT || first == WHOLE_BINARY;
        let length = lone_length::<MORE>(input, mask)?;
        let is_allowed = length as u64 <= limits.frame_max.min(limits.message_max);
        let size = 2 + MORE + key_size + length;
        if !(self.ready && is_known && is_allowed && size <= input.len()) {
            return None;
        }
        let behind = &mut skip(input, size)[2 + MORE..];
        let (key, payload) = match self.role {
            Role::Server => {
                let (key, payload) = behind.split_first_chunk_mut().expect("four bytes of key");
                (*key, payload)
            }
            Role::Client => ([0; 4], behind),
        };
        if first == WHOLE_TEXT {
            let text = match self.role {
                _ if MORE == 0 => Text::unmask_short(payload, key),
                Role::Server => Text::unmask(payload, key),
                Role::Client => Text::new(Payload::Lent(payload)),
            };
            return Some(text.map(Incoming::Text).map_err(|_| {
                *input = &mut [];
                self.fail_on_text(scratch)
            }));
        }
        if MORE == 0 {
            short::unmask(payload, key);
        } else if self.role == Role::Server {
            mask::apply(payload, key, 0);
        }
        let payload = Payload::Lent(payload);
        Some(Ok(if is_pong { Incoming::Pong(payload) } else { Incoming::Binary(payload) }))
    }

    #[cold]
    fn fail_on_text(&mut self, scratch: &mut Scratch) -> Violation {
        self.failed = true;
        self.settle(scratch);
        Violation::TextNotUtf8
    }
}

/// The length of a frame that writes it as `MORE` says. None if it does not, if the length could be
/// written shorter, or if the mask is missing or should be.
#[inline(always)]
fn lone_length<const MORE: usize>(bytes: &[u8], mask: u8) -> Option<usize> {
    match (MORE, bytes) {
        (0, [_, second, ..]) => Some(usize::from(second ^ mask)).filter(|&n| n <= CONTROL_MAX),
        (2, [_, second, high, low, ..]) if second ^ mask == 126 => {
            Some(usize::from(u16::from_be_bytes([*high, *low]))).filter(|&n| n > CONTROL_MAX)
        }
        _ => None,
    }
}
