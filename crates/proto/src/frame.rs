//! The frame header (RFC 6455 §5.2): reading it with every check that it allows, and writing it.
//!
//! ```text
//! byte 1     byte 2        0, 2 or 8 bytes   0 or 4 bytes
//! FIN RSV    MASK length   more length       masking key
//!   opcode
//! ```

use crate::{Limits, Role, Violation, mask};
use bytes::BytesMut;

/// The most bytes that a control frame carries (§5.5).
pub(crate) const CONTROL_MAX: usize = 125;

/// The longest header: two bytes, eight of length, four of key.
pub(crate) const HEADER_MAX: usize = 14;

/// What a header is written in.
const HEADER_ROOM: usize = size_of::<u128>();

/// The least length that is written in two bytes.
const LENGTH_OF_2_MIN: u64 = 126;

/// The least length that is written in eight bytes.
const LENGTH_OF_8_MIN: u64 = 1 << 16;

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

const FIN: u8 = 0x80;
const RSV: u8 = 0x70;
pub(crate) const MASK: u8 = 0x80;

/// The first byte of a header: FIN and the opcode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct First(u8);

impl First {
    pub(crate) const fn new(opcode: u8, fin: bool) -> Self {
        Self(if fin { FIN | opcode } else { opcode })
    }

    pub(crate) const fn byte(self) -> u8 {
        self.0
    }

    pub(crate) const fn fin(self) -> bool {
        self.0 & FIN != 0
    }

    pub(crate) const fn opcode(self) -> u8 {
        self.0 & 0x0f
    }

    /// Whether the frame is a message, or a control frame, by itself.
    pub(crate) const fn stands_alone(self) -> bool {
        self.fin() && self.opcode() != CONTINUATION
    }

    pub(crate) const fn is_control(self) -> bool {
        self.0 & 0x08 != 0
    }
}

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) first: First,
    /// Bytes of payload.
    pub(crate) length: u64,
    /// The masking key; zero if there is none.
    pub(crate) key: [u8; 4],
    /// Bytes of the header itself.
    pub(crate) size: usize,
}

/// The message that earlier frames began and none has finished.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unfinished {
    pub(crate) bytes: u64,
    pub(crate) fragments: u32,
    /// Bytes that a text's last character still misses.
    pub(crate) missing: u64,
}

/// What the next frame is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    /// Our role; the peer's is the other.
    pub(crate) role: Role,
    pub(crate) message: Option<Unfinished>,
    pub(crate) limits: &'a Limits,
}

impl Rules<'_> {
    /// Reads the header at the front of `bytes`; none while it is not whole.
    ///
    /// The checks go byte by byte, so a fault is found at the byte that proves it and is the same
    /// fault however the header was split.
    #[inline(always)] // The header then stays in registers.
    pub(crate) fn read(&self, bytes: &[u8]) -> Result<Option<Header>, Violation> {
        let [first, rest @ ..] = bytes else { return Ok(None) };
        let first = self.check_first(*first)?;
        let [second, rest @ ..] = rest else { return Ok(None) };
        let (masked, short) = self.check_second(first, *second)?;

        let (length, length_size) = match short {
            126 => (self.read_length::<2>(rest)?, 2),
            127 => (self.read_length::<8>(rest)?, 8),
            _ => (Some(u64::from(short)), 0),
        };
        let Some(length) = length else { return Ok(None) };
        let rest = &rest[length_size..];
        let size = 2 + length_size;
        if !masked {
            return Ok(Some(Header { first, length, key: [0; 4], size }));
        }
        Ok(rest.first_chunk().map(|&key| Header { first, length, key, size: size + 4 }))
    }

    #[inline]
    fn check_first(&self, byte: u8) -> Result<First, Violation> {
        let first = First(byte & !RSV);
        match first.opcode() {
            _ if byte & RSV != 0 => Err(Violation::ReservedBits),
            CLOSE | PING | PONG if first.fin() => Ok(first),
            CLOSE | PING | PONG => Err(Violation::FragmentedControl),
            TEXT | BINARY if self.message.is_none() => Ok(first),
            TEXT | BINARY => Err(Violation::InterleavedMessage),
            CONTINUATION => self.check_continuation().map(|()| first),
            reserved => Err(Violation::ReservedOpcode(reserved)),
        }
    }

    fn check_continuation(&self) -> Result<(), Violation> {
        let max = self.limits.fragments_max;
        match self.message {
            None => Err(Violation::LoneContinuation),
            Some(message) if message.fragments >= max => Err(Violation::TooManyFragments { max }),
            Some(_) => Ok(()),
        }
    }

    /// Gives back whether the frame is masked, and the seven bits of length.
    #[inline]
    fn check_second(&self, first: First, byte: u8) -> Result<(bool, u8), Violation> {
        let (masked, short) = (byte & MASK != 0, byte & !MASK);
        match (self.role, masked) {
            (Role::Server, false) => return Err(Violation::Unmasked),
            (Role::Client, true) => return Err(Violation::Masked),
            _ => {}
        }
        if !first.is_control() {
            let least = if short == 127 { LENGTH_OF_8_MIN } else { u64::from(short) };
            self.check_limits(least)?;
            self.check_end(first, least)?;
        } else if usize::from(short) > CONTROL_MAX {
            return Err(Violation::ControlTooLong);
        } else if first.opcode() == CLOSE && short == 1 {
            return Err(Violation::CloseOneByte);
        }
        Ok((masked, short))
    }

    /// Reads a length of `N` bytes from the front of `bytes`, checking what is here of it.
    #[inline]
    fn read_length<const N: usize>(&self, bytes: &[u8]) -> Result<Option<u64>, Violation> {
        match bytes.first_chunk::<N>() {
            // A length that keeps the rules keeps them at each of its bytes.
            Some(known) if self.check_length::<N>(known).is_ok() => Ok(Some(widened(known, N, 0))),
            _ => self.find_fault::<N>(&bytes[..bytes.len().min(N)]),
        }
    }

    /// Holds what is known of a length of `N` bytes against the rules, byte by byte.
    #[cold]
    fn find_fault<const N: usize>(&self, known: &[u8]) -> Result<Option<u64>, Violation> {
        (1..=known.len()).try_for_each(|n| self.check_length::<N>(&known[..n]))?;
        debug_assert!(known.len() < N, "a whole length without a fault was read already");
        Ok(None)
    }

    /// Holds the lengths that may begin with `known` against the rules.
    #[inline]
    fn check_length<const N: usize>(&self, known: &[u8]) -> Result<(), Violation> {
        let shortest = if N == 2 { LENGTH_OF_2_MIN } else { LENGTH_OF_8_MIN };
        let (least, most) = (widened(known, N, 0), widened(known, N, 0xff));
        if least > i64::MAX as u64 {
            return Err(Violation::LengthTopBit);
        }
        if most < shortest {
            return Err(Violation::NonMinimalLength);
        }
        self.check_limits(least.max(shortest))
    }

    /// A last frame must have room for what a text still misses (§8.1).
    fn check_end(&self, first: First, length: u64) -> Result<(), Violation> {
        let missing = self.message.map_or(0, |message| message.missing);
        if first.fin() && length < missing { Err(Violation::TextNotUtf8) } else { Ok(()) }
    }

    /// Holds a data frame of at least `length` bytes against the limits.
    #[inline]
    fn check_limits(&self, length: u64) -> Result<(), Violation> {
        let Limits { frame_max, message_max, .. } = *self.limits;
        let before = self.message.map_or(0, |message| message.bytes);
        if length > frame_max {
            return Err(Violation::FrameTooLong { max: frame_max });
        }
        if length > message_max.saturating_sub(before) {
            return Err(Violation::MessageTooLong { max: message_max });
        }
        Ok(())
    }
}

/// The big-endian number of `width` bytes that begins with `known` and goes on with `filler`.
#[inline]
fn widened(known: &[u8], width: usize, filler: u8) -> u64 {
    let mut number = [0; 8];
    let bytes = &mut number[8 - width..];
    bytes.fill(filler);
    bytes[..known.len()].copy_from_slice(known);
    u64::from_be_bytes(number)
}

/// Appends a frame; with a key it is masked.
#[inline]
pub(crate) fn write(first: First, payload: &[u8], key: Option<[u8; 4]>, out: &mut BytesMut) {
    if payload.len() <= CONTROL_MAX {
        write_short(first, payload, key, out);
    } else {
        write_long(first, payload, key, out);
    }
}

/// Appends a frame of at most [`CONTROL_MAX`] bytes.
fn write_short(first: First, payload: &[u8], key: Option<[u8; 4]>, out: &mut BytesMut) {
    let (first, length) = (first.byte(), payload.len() as u8);
    match key {
        None => mask::append_short([first, length], payload, [0; 4], out),
        Some(key @ [a, b, c, d]) => {
            mask::append_short([first, MASK | length, a, b, c, d], payload, key, out);
        }
    }
}

fn write_long(first: First, payload: &[u8], key: Option<[u8; 4]>, out: &mut BytesMut) {
    let (header, size) = header(first, payload.len(), key);
    // A key of zeros changes nothing, and such a copy is as fast as any.
    mask::append_behind(header, size, payload, key.unwrap_or_default(), 0, out);
}

/// Makes `bytes[room..]` the payload of a frame whose header ends where it begins; with a key it is
/// masked. Gives the frame back.
pub(crate) fn write_in_place(
    first: First,
    key: Option<[u8; 4]>,
    bytes: &mut [u8],
    room: usize,
) -> &mut [u8] {
    let (header, size) = header(first, bytes.len() - room, key);
    assert!(size <= room, "{room} bytes are no room for a header of {size}");
    if let Some(key) = key {
        mask::apply(&mut bytes[room..], key, 0);
    }
    let frame = &mut bytes[room - size..];
    frame[..size].copy_from_slice(&header[..size]);
    frame
}

/// The header for a payload of `length` bytes, and how long it is.
///
/// It is put together as one number: bytes written one by one and read as a whole right after would
/// wait for each other.
#[inline]
fn header(first: First, length: usize, key: Option<[u8; 4]>) -> ([u8; HEADER_ROOM], usize) {
    let (mask, key, key_size) = match key {
        Some(key) => (MASK, u128::from(u32::from_le_bytes(key)), 4),
        None => (0, 0, 0),
    };
    let start = |seven_bits: u8| u128::from(u16::from_le_bytes([first.0, mask | seven_bits]));
    let (header, size) = match length as u64 {
        length @ 0..LENGTH_OF_2_MIN => (start(length as u8) | key << 16, 2),
        length @ LENGTH_OF_2_MIN..LENGTH_OF_8_MIN => {
            let length = u128::from((length as u16).swap_bytes());
            (start(126) | length << 16 | key << 32, 4)
        }
        length @ LENGTH_OF_8_MIN.. => {
            let length = u128::from(length.swap_bytes());
            (start(127) | length << 16 | key << 80, 10)
        }
    };
    (header.to_le_bytes(), size + key_size)
}

/// How many bytes a frame takes that we send as `role` with `payload` bytes in it.
pub const fn frame_len(role: Role, payload: usize) -> usize {
    let length = match payload {
        0..=125 => 0,
        126..=0xffff => 2,
        _ => 8,
    };
    let key = if matches!(role, Role::Client) { 4 } else { 0 };
    2 + length + key + payload
}
