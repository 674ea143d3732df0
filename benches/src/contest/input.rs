//! What the contestants get: streams of frames as a client sends them, texts, and noise.

use bytes::BytesMut;
use halfopen_proto::{Connection, Message, Role};

/// A stream of equal messages, each a frame of its own under a key of its own.
#[derive(Debug)]
pub struct Input {
    /// The payload of every message.
    pub payload: Vec<u8>,
    /// How many messages there are.
    pub messages: usize,
    /// Their frames.
    pub stream: Vec<u8>,
    /// The most bytes that one read hands over; a read never goes over the end of the stream.
    pub read_max: usize,
}

impl Input {
    /// `messages` times `message`, all of it handed over by one read.
    pub fn new(message: Message<'_>, messages: usize) -> Self {
        let (mut client, mut out) = (Connection::new(Role::Client), BytesMut::new());
        let mut keys = fastrand::Rng::with_seed(11);
        for _ in 0..messages {
            assert!(client.encode(message, keys.u32(1..).to_ne_bytes(), &mut out));
        }
        let payload = message.as_bytes().to_vec();
        Self { payload, messages, read_max: out.len(), stream: out.to_vec() }
    }

    /// Bytes that are no frames.
    pub fn raw(stream: &[u8]) -> Self {
        let (payload, read_max) = (Vec::new(), stream.len().max(1));
        Self { payload, messages: 0, stream: stream.to_vec(), read_max }
    }

    /// The same, cut into reads of so many bytes.
    pub fn in_reads_of(self, read_max: usize) -> Self {
        Self { read_max, ..self }
    }

    /// What each read hands over.
    pub fn reads(&self) -> impl Iterator<Item = &[u8]> {
        self.stream.chunks(self.read_max)
    }
}

/// A length as ids have it.
pub fn size(len: usize) -> String {
    match len {
        0..1024 => format!("{len} B"),
        1024..0x10_0000 => format!("{} KiB", len >> 10),
        _ => format!("{} MiB", len >> 20),
    }
}

/// Bytes that do not repeat at the key's period.
pub fn noise(len: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(7);
    let pattern: Vec<_> = std::iter::repeat_with(|| rng.u8(..)).take(4093).collect();
    pattern.into_iter().cycle().take(len).collect()
}

/// A writing system, and something written in it.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// How it is called in ids.
    pub name: &'static str,
    pattern: &'static str,
}

/// Characters of one byte; of two, with spaces between words; of three; of four.
pub const SCRIPTS: [Script; 4] = [
    Script { name: "ascii", pattern: "The peer has died and nobody was told. " },
    Script {
        name: "cyrillic", pattern: "Собеседник умер, и никто не узнал. "
    },
    Script { name: "cjk", pattern: "相手は消えたが、誰も知らされなかった。" },
    Script { name: "emoji", pattern: "💔🔌📡🧭🛰🌊🕯🚪" },
];

impl Script {
    /// A text of exactly `len` bytes: the pattern again and again, filled up with spaces.
    pub fn text(&self, len: usize) -> String {
        let characters = self.pattern.chars().cycle();
        let mut text = String::with_capacity(len);
        for character in characters {
            if text.len() + character.len_utf8() > len {
                break;
            }
            text.push(character);
        }
        text.extend(std::iter::repeat_n(' ', len - text.len()));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_exactly_their_length() {
        for script in SCRIPTS {
            for len in [0, 1, 16, 64, 1001] {
                assert_eq!(script.text(len).len(), len, "{}", script.name);
            }
        }
    }

    #[test]
    fn a_stream_in_reads_is_the_stream() {
        let input = Input::new(Message::Binary(&noise(125)), 3).in_reads_of(100);
        assert_eq!(input.stream.len(), 3 * (6 + 125));
        assert_eq!(input.reads().map(<[u8]>::len).collect::<Vec<_>>(), [100, 100, 100, 93]);
    }
}
