//! One side of a connection as tests see it, and frames written by hand.
#![allow(dead_code)] // Each test program uses its part.

use bytes::BytesMut;
use halfopen_proto::{CloseCode, Connection, Incoming, Limits, Role, Scratch, State, Violation};

/// What a connection made of some bytes, as owned values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Fault(Violation),
}

impl From<&Incoming<'_>> for Seen {
    fn from(incoming: &Incoming<'_>) -> Self {
        match incoming {
            Incoming::Text(text) => Self::Text(text.to_string()),
            Incoming::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Incoming::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Incoming::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Incoming::Close(code, reason) => {
                Self::Close(code.map(CloseCode::get), reason.to_string())
            }
        }
    }
}

/// A connection with what it needs.
pub(crate) struct Side {
    pub(crate) connection: Connection,
    pub(crate) limits: Limits,
    pub(crate) scratch: Scratch,
}

impl Side {
    pub(crate) fn new(role: Role) -> Self {
        let connection = Connection::new(role);
        Self { connection, limits: Limits::default(), scratch: Scratch::default() }
    }

    /// Receives all of `bytes`; a fault comes last.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Vec<Seen> {
        let mut bytes = bytes.to_vec();
        let mut input = &mut bytes[..];
        let mut all = Vec::new();
        loop {
            match self.connection.receive(&mut input, &self.limits, &mut self.scratch) {
                Ok(Some(incoming)) => {
                    all.push(Seen::from(&incoming));
                    self.scratch.reclaim(incoming);
                }
                Ok(None) => return all,
                Err(violation) => {
                    all.push(Seen::Fault(violation));
                    assert!(input.is_empty(), "what is behind a fault is dropped");
                }
            }
        }
    }

    /// Receives `bytes` in pieces that end at `cuts`, which ascend.
    pub(crate) fn hear_cut(&mut self, bytes: &[u8], cuts: &[usize]) -> Vec<Seen> {
        let starts = std::iter::once(0).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain(std::iter::once(bytes.len()));
        starts.zip(ends).flat_map(|(start, end)| self.hear(&bytes[start..end])).collect()
    }

    /// The Close frame that tells the peer of a fault, as a server sends it: code and reason.
    pub(crate) fn fail(&mut self, violation: &Violation) -> (u16, String) {
        let mut out = BytesMut::new();
        assert!(self.connection.fail(violation, [0; 4], &mut out));
        let body = match self.connection.role() {
            Role::Server => &out[2..],
            Role::Client => &out[6..],
        };
        assert_eq!(out[0], 0x88);
        assert_eq!(usize::from(out[1] & 0x7f), body.len());
        let reason = String::from_utf8(body[2..].to_vec()).expect("a reason is UTF-8");
        (u16::from_be_bytes([body[0], body[1]]), reason)
    }
}

/// Checks that the other side of `from` finds the fault at byte `at` of `wire` (counted from one)
/// and not before, finds the same however the wire is cut, and tells its peer `code` in a Close frame
/// behind which nothing is heard or said any more.
#[track_caller]
pub(crate) fn fails_at(from: Role, wire: &[u8], at: usize, violation: Violation, code: u16) {
    let fault = Seen::Fault(violation);
    let whole = Side::new(other(from)).hear(wire);
    assert_eq!(whole.last(), Some(&fault), "in one piece");

    let mut slow = Side::new(other(from));
    for (i, byte) in wire.iter().enumerate() {
        let heard = slow.hear(&[*byte]);
        assert_eq!(heard.contains(&fault), i + 1 == at, "byte {} of {wire:x?}", i + 1);
    }
    assert_eq!(slow.connection.state(), State::Closed);
    assert_eq!(slow.fail(&violation), (code, violation.to_string()));
    assert_eq!(slow.hear(&frame(from, 0x81, b"late")), [], "after the failure");
    assert_eq!(slow.connection.held(), 0, "a failed connection holds nothing");
    for cut in 0..=wire.len() {
        assert_eq!(Side::new(other(from)).hear_cut(wire, &[cut]), whole, "cut at {cut}");
    }
}

/// Checks that the other side of `from` makes `expected` of `wire`, however it is cut once, and byte
/// by byte.
#[track_caller]
pub(crate) fn is_heard_as(from: Role, wire: &[u8], expected: &[Seen]) {
    for cut in 0..=wire.len() {
        assert_eq!(Side::new(other(from)).hear_cut(wire, &[cut]), expected, "cut at {cut}");
    }
    let every_byte: Vec<usize> = (1..wire.len().max(1)).collect();
    assert_eq!(Side::new(other(from)).hear_cut(wire, &every_byte), expected, "byte by byte");
}

/// The role on the other side.
pub(crate) fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

const KEY: [u8; 4] = [0x5a, 0x00, 0xc3, 0x91];

/// A frame as `from` would send it, whether allowed or not; `first` is its first byte.
pub(crate) fn frame(from: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(from, first, payload.len() as u64);
    let mask = if from == Role::Client { KEY } else { [0; 4] };
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// The header of a frame of `length` bytes.
pub(crate) fn header(from: Role, first: u8, length: u64) -> Vec<u8> {
    let mask = if from == Role::Client { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(mask | length as u8),
        126..=0xffff => {
            bytes.push(mask | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    if from == Role::Client {
        bytes.extend(KEY);
    }
    bytes
}

/// Frames of `from`, one after the other.
pub(crate) fn frames(from: Role, parts: &[(u8, &[u8])]) -> Vec<u8> {
    parts.iter().flat_map(|(first, payload)| frame(from, *first, payload)).collect()
}
