mod gather;
mod lone;
mod receive;
mod send;

pub use send::encode_shared;

use crate::CloseCode;
use crate::frame::First;
use crate::pending::Pending;
use alloc::boxed::Box;

/// Which side of the connection we are (RFC 6455 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We opened it: we mask, the peer must not.
    Client,
    /// We accepted it: the peer masks, we must not.
    Server,
}

/// How far the closing handshake has come (RFC 6455 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Messages go both ways.
    Open,
    /// We sent Close and wait for the peer's. What the peer sent before it still arrives.
    CloseSent,
    /// The peer sent Close; ours is still to be encoded.
    CloseReceived,
    /// Both Close frames have passed, or the connection has failed: nothing more is read or written.
    Closed,
}

/// One side of an open WebSocket connection, after the opening handshake.
///
/// Small (32 bytes), and without heap while no frame is half received and no pong is owed.
///
/// The `encode_*` methods append to the caller's buffer. Once Close was sent or the connection has
/// failed nothing may follow (§5.5.1): then they append nothing and give back `false`. Their `key`
/// is the masking key; a client must draw a fresh one from a strong source for each frame (§5.3), a
/// server's is not used.
#[derive(Debug)]
pub struct Connection {
    /// What is seldom there.
    pending: Option<Box<Pending>>,
    /// Bytes of payload that the frame under way still owes; zero between frames.
    owed: u64,
    /// The masking key of the frame under way, turned to its next byte.
    key: [u8; 4],
    /// The first byte of the frame under way.
    first: First,
    role: Role,
    /// The peer is heard, and what comes next begins a frame that may be a message by itself.
    ready: bool,
    close_sent: bool,
    close_received: bool,
    failed: bool,
    /// We are between the first and the last fragment of a message of ours.
    sending: bool,
    /// The code in the Close frame that was received.
    close_code: Option<CloseCode>,
}

const _: () = assert!(size_of::<Connection>() <= 32);

impl Connection {
    /// A connection just opened.
    pub fn new(role: Role) -> Self {
        Self {
            pending: None,
            owed: 0,
            key: [0; 4],
            first: First::default(),
            role,
            ready: true,
            close_sent: false,
            close_received: false,
            failed: false,
            sending: false,
            close_code: None,
        }
    }

    /// Our side.
    pub fn role(&self) -> Role {
        self.role
    }

    /// How far the closing handshake has come.
    pub fn state(&self) -> State {
        match (self.close_sent, self.close_received) {
            _ if self.failed => State::Closed,
            (false, false) => State::Open,
            (true, false) => State::CloseSent,
            (false, true) => State::CloseReceived,
            (true, true) => State::Closed,
        }
    }

    /// Whether the peer has begun a frame or a message and not finished it.
    pub fn is_mid_message(&self) -> bool {
        self.owed > 0 || self.pending.as_deref().is_some_and(|pending| !pending.has_no_input())
    }

    /// Bytes of heap that the connection holds for what is unfinished.
    pub fn held(&self) -> usize {
        self.pending.as_deref().map_or(0, |pending| size_of::<Pending>() + pending.held())
    }
}
