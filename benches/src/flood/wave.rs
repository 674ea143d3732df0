//! One kind of abuser, or of somebody who is only busy, and how many of them there are.

use super::Tally;
use bytes::Bytes;
use halfopen_driver::{Cause, ConnId};
use halfopen_loadgen::pacing::{Pace, Share};
use halfopen_wheel::Instant;
use serde::Serialize;

/// What one of a wave does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Connects, and says nothing. When there are enough of them, one goes for each that comes.
    Silent,
    /// Sends a request that never ends, byte by byte.
    SlowHead,
    /// Sends pings with the longest payload, ten at a time, and never reads.
    Pinger,
    /// Sends messages of 1 KiB to an echo, four at a time, and never reads.
    Deaf,
    /// Sends the same messages, and reads what comes back: no abuse, but work.
    Busy,
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A request that goes on for ever with its last byte.
const ENDLESS: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: a";

const PING_PAYLOAD: usize = 125;

const PINGS_A_PIECE: usize = 10;

/// A masked ping of as many bytes as a control frame may carry (RFC 6455 §5.5): its answer is as long.
const PING: usize = 2 + 4 + PING_PAYLOAD;

/// Ten pings of zeros, masked with zeros.
static PINGS: [u8; PINGS_A_PIECE * PING] = {
    let mut pings = [0; PINGS_A_PIECE * PING];
    let mut at = 0;
    while at < pings.len() {
        pings[at] = 0x89;
        pings[at + 1] = 0x80 | PING_PAYLOAD as u8;
        at += PING;
    }
    pings
};

const PAYLOAD: usize = 1024;

const MESSAGES_A_PIECE: usize = 4;

const MESSAGE: usize = 8 + PAYLOAD;

/// Four binary messages of 1 KiB of zeros, masked with zeros.
static MESSAGES: [u8; MESSAGES_A_PIECE * MESSAGE] = {
    let mut messages = [0; MESSAGES_A_PIECE * MESSAGE];
    let mut at = 0;
    while at < messages.len() {
        messages[at] = 0x82;
        messages[at + 1] = 0x80 | 126;
        messages[at + 2] = 4;
        at += MESSAGE;
    }
    messages
};

impl Kind {
    /// Whether it takes what the server says.
    pub(super) fn reads(self) -> bool {
        matches!(self, Self::Silent | Self::SlowHead | Self::Busy)
    }

    /// What it says as soon as it is connected.
    pub(super) fn first(self) -> Option<Bytes> {
        let shakes_hands = matches!(self, Self::Pinger | Self::Deaf | Self::Busy);
        shakes_hands.then_some(Bytes::from_static(REQUEST))
    }

    /// What it says then.
    pub(super) fn piece(self, said: u32) -> Bytes {
        match self {
            Self::Silent => Bytes::new(),
            Self::SlowHead => {
                let at = (said as usize).min(ENDLESS.len() - 1);
                Bytes::from_static(&ENDLESS[at..=at])
            }
            Self::Pinger => Bytes::from_static(&PINGS),
            Self::Deaf | Self::Busy => Bytes::from_static(&MESSAGES),
        }
    }
}

impl Kind {
    /// Pings or messages in one piece.
    pub fn frames(self) -> usize {
        match self {
            Self::Silent | Self::SlowHead => 0,
            Self::Pinger => PINGS_A_PIECE,
            Self::Deaf | Self::Busy => MESSAGES_A_PIECE,
        }
    }

    /// Bytes of the answer to one piece that nobody reads.
    pub(super) fn unread_bytes(self) -> usize {
        match self {
            Self::Silent | Self::SlowHead | Self::Busy => 0,
            Self::Pinger => PINGS_A_PIECE * (2 + PING_PAYLOAD),
            Self::Deaf => MESSAGES_A_PIECE * (4 + PAYLOAD),
        }
    }
}

/// A wave as it is planned.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Wave {
    /// Who.
    pub kind: Kind,
    /// The most of them at once.
    pub connections: u32,
    /// How many connect in a second, until there are so many, and to replace those that are gone.
    pub connect_rate: f64,
    /// How many pieces they send in a second, all together; 0: none.
    pub send_rate: f64,
}

/// A wave as it stands.
#[derive(Debug)]
pub(super) struct State {
    pub(super) plan: Wave,
    pub(super) connects: Pace,
    pub(super) sends: Option<Pace>,
    pub(super) connecting: u32,
    pub(super) tally: Tally,
    open: Vec<ConnId>,
    /// Whose turn it was.
    turn: usize,
}

impl State {
    pub(super) fn new(plan: Wave, now: Instant) -> Self {
        let sends = plan.send_rate > 0.0 && plan.kind != Kind::Silent;
        Self {
            plan,
            connects: Pace::endless(now, plan.connect_rate, Share::WHOLE),
            sends: sends.then(|| Pace::endless(now, plan.send_rate, Share::WHOLE)),
            connecting: 0,
            tally: Tally::new(plan),
            open: Vec::new(),
            turn: 0,
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let sends = self.sends.as_ref().and_then(Pace::due);
        self.connects.due().into_iter().chain(sends).min()
    }

    pub(super) fn is_full(&self) -> bool {
        self.open.len() + self.connecting as usize >= self.plan.connections as usize
    }

    /// One more. Its place.
    pub(super) fn joined(&mut self, id: ConnId) -> u32 {
        self.connecting -= 1;
        self.tally.connected += 1;
        self.open.push(id);
        self.tally.open_max = self.tally.open_max.max(self.open.len() as u64);
        self.open.len() as u32 - 1
    }

    /// One is gone. Who has got its place, if anybody.
    pub(super) fn left(&mut self, place: u32, cause: Cause) -> Option<ConnId> {
        *self.tally.ended.entry(format!("{cause:?}")).or_default() += 1;
        self.open.swap_remove(place as usize);
        self.open.get(place as usize).copied()
    }

    pub(super) fn refused(&mut self, cause: Cause) {
        self.connecting -= 1;
        *self.tally.refused.entry(format!("{cause:?}")).or_default() += 1;
    }

    /// The next in turn.
    pub(super) fn next(&mut self) -> Option<ConnId> {
        self.turn = if self.turn + 1 < self.open.len() { self.turn + 1 } else { 0 };
        self.open.get(self.turn).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halfopen_proto::{Connection, Incoming, Limits, Role, Scratch};

    #[test]
    fn what_is_sent_is_what_it_is_said_to_be() {
        let (mut conn, mut scratch) = (Connection::new(Role::Server), Scratch::default());
        let mut received = |bytes: Bytes| {
            let mut bytes = bytes.to_vec();
            let mut input = &mut bytes[..];
            let mut lengths = Vec::new();
            while let Some(incoming) =
                conn.receive(&mut input, &Limits::default(), &mut scratch).unwrap()
            {
                match incoming {
                    Incoming::Ping(payload) => lengths.push(payload.len()),
                    Incoming::Binary(payload) => lengths.push(payload.len()),
                    other => panic!("{other:?}"),
                }
            }
            lengths
        };
        for (kind, len) in [(Kind::Pinger, 125), (Kind::Deaf, 1024), (Kind::Busy, 1024)] {
            assert_eq!(received(kind.piece(1)), vec![len; kind.frames()]);
        }
    }

    #[test]
    fn a_slow_head_comes_byte_by_byte_and_never_ends() {
        let head: Vec<u8> = (0..200).flat_map(|said| Kind::SlowHead.piece(said)).collect();
        assert_eq!(head.len(), 200);
        assert!(head.starts_with(ENDLESS) && !head.ends_with(b"\r\n\r\n"));
    }
}
