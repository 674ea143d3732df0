//! UTF-8 in pieces (RFC 6455 §8.1): a message is checked as it arrives, and a fault is found at the
//! byte that proves it, also where reads or fragments split a character.

/// Bytes that are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotUtf8;

/// Whether all of `bytes` is UTF-8.
#[inline]
pub(crate) fn is_valid(bytes: &[u8]) -> bool {
    simdutf8::basic::from_utf8(bytes).is_ok()
}

/// Checks a stream of bytes, keeping the start of a character whose end has not come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Validator {
    carry: [u8; 3],
    carried: u8,
}

impl Validator {
    /// Checks the next bytes of the stream.
    ///
    /// They may end inside a character; they fail if no bytes that follow could make them valid.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), NotUtf8> {
        let rest = self.complete(bytes)?;
        let (whole, part) = rest.split_at(rest.len() - unfinished(rest));
        if !is_valid(whole) {
            return Err(NotUtf8);
        }
        part.iter().try_for_each(|&byte| self.step(byte))
    }

    /// Whether the stream may end here.
    pub(crate) fn is_complete(&self) -> bool {
        self.carried == 0
    }

    /// Finishes the carried character from the front of `bytes` and gives the rest back.
    fn complete<'b>(&mut self, mut bytes: &'b [u8]) -> Result<&'b [u8], NotUtf8> {
        while self.carried > 0 {
            let [byte, rest @ ..] = bytes else { break };
            self.step(*byte)?;
            bytes = rest;
        }
        Ok(bytes)
    }

    /// Adds one byte to the carried character.
    fn step(&mut self, byte: u8) -> Result<(), NotUtf8> {
        let carried = usize::from(self.carried);
        let mut character = [0; 4];
        character[..carried].copy_from_slice(&self.carry[..carried]);
        character[carried] = byte;
        self.carried = match core::str::from_utf8(&character[..=carried]) {
            Ok(_) => 0,
            Err(error) if error.error_len().is_none() => self.carried + 1,
            Err(_) => return Err(NotUtf8),
        };
        self.carry.copy_from_slice(&character[..3]);
        Ok(())
    }
}

/// How many bytes at the end of `bytes` begin a character and do not finish it.
fn unfinished(bytes: &[u8]) -> usize {
    let is_continuation = |byte: u8| byte & 0xc0 == 0x80;
    let tail = bytes.iter().rev().take(3);
    match tail.copied().enumerate().find(|(_, byte)| !is_continuation(*byte)) {
        Some((after, lead)) if width(lead) > after + 1 => after + 1,
        _ => 0,
    }
}

/// How many bytes the character takes that begins with `lead`; 1 where none can.
fn width(lead: u8) -> usize {
    match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What std says of a prefix: whether more bytes could still make it valid.
    fn may_go_on(prefix: &[u8]) -> bool {
        !core::str::from_utf8(prefix).is_err_and(|error| error.error_len().is_some())
    }

    fn check_in_pieces(bytes: &[u8], cuts: [usize; 2]) {
        let pieces = [&bytes[..cuts[0]], &bytes[cuts[0]..cuts[1]], &bytes[cuts[1]..]];
        let (mut validator, mut end) = (Validator::default(), 0);
        for piece in pieces {
            end += piece.len();
            let passed = validator.push(piece).is_ok();
            assert_eq!(passed, may_go_on(&bytes[..end]), "{bytes:x?} at {end}, cut at {cuts:?}");
            if !passed {
                return;
            }
        }
        assert_eq!(validator.is_complete(), core::str::from_utf8(bytes).is_ok(), "{bytes:x?}");
    }

    fn check_every_split(bytes: &[u8]) {
        for second in 0..=bytes.len() {
            for first in 0..=second {
                check_in_pieces(bytes, [first, second]);
            }
        }
    }

    /// The bytes at which the table of well-formed sequences (Unicode 15, table 3-7) turns.
    const EDGES: [u8; 24] = [
        0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1,
        0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff,
    ];

    #[test]
    fn all_short_sequences_of_edge_bytes_agree_with_std_at_every_split() {
        for a in EDGES {
            for b in EDGES {
                for c in EDGES {
                    check_every_split(&[a, b, c]);
                    for d in EDGES {
                        check_in_pieces(&[a, b, c, d], [1, 2]);
                        check_in_pieces(&[a, b, c, d], [2, 3]);
                        check_in_pieces(&[a, b, c, d], [0, 3]);
                    }
                }
            }
        }
    }

    #[test]
    fn every_character_passes_at_every_split() {
        for character in (0..=0x10_ffff).step_by(7).filter_map(char::from_u32) {
            check_every_split(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    #[test]
    fn long_texts_with_one_byte_changed_agree_with_std_at_every_split() {
        let text = "κόσμε — Ж 水 𝄞 plain ASCII that fills a vector of sixty-four bytes and more 🦀";
        for broken in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[broken] ^= 0x60;
            for cut in 0..=bytes.len() {
                check_in_pieces(&bytes, [cut, bytes.len()]);
                check_in_pieces(&bytes, [cut / 2, cut]);
            }
        }
    }
}
