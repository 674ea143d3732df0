//! tungstenite makes the same messages of the same bytes, and where it finds a fault so do we.
//!
//! Known differences, each legitimate:
//!
//! - *Lengths not in their shortest form* are a fault here (RFC 6455 §5.2: "the minimal number of
//!   bytes MUST be used"); tungstenite accepts them. What it makes of the rest is not compared. For a
//!   control frame any longer form is too long here, whatever stands in it (§5.5).
//! - *Close codes that must not be sent* (§7.4) are a fault here; tungstenite hands over a Close with
//!   1002 instead, and so it does with 1014, which the registry has named since.
//! - *Faults are found earlier* here, at the byte that proves them; tungstenite waits for the end of
//!   the frame, which may never come. So it may find no fault where we do, but no further message.

use crate::common::{Seen, Side};
use crate::stream::Stream;
use halfopen_proto::{Limits, Role, Violation};
use std::io::{self, Read, Write};
use tungstenite::protocol::{WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message, error::ProtocolError};

/// The most bytes of a frame and of a message, for both.
const MESSAGE_MAX: usize = 1 << 20;

/// Compares the two on one stream.
pub fn check(stream: &Stream) {
    let limits = Limits::of_message(MESSAGE_MAX as u64);
    let mut ours = Side { limits, ..Side::new(stream.role) }.hear_cut(&stream.wire, &stream.cuts);
    let fault = match ours.last() {
        Some(Seen::Fault(violation)) => Some(*violation),
        _ => None,
    };
    ours.truncate(ours.len() - usize::from(fault.is_some()));
    let (theirs, error) = hear(stream.role, &stream.wire);

    match fault {
        Some(Violation::NonMinimalLength | Violation::ControlTooLong) => {
            return assert!(theirs.starts_with(&ours));
        }
        // It knows the code only when the frame is whole.
        Some(Violation::InvalidCloseCode) if theirs.len() > ours.len() => {
            ours.push(refused_close())
        }
        None if matches!(ours.last(), Some(Seen::Close(Some(1014), _))) => {
            ours.pop();
            ours.push(refused_close());
        }
        _ => {}
    }
    assert_eq!(theirs, ours, "our fault: {fault:?}, theirs: {error:?}");
    assert!(error.is_none() || fault.is_some(), "only tungstenite finds a fault: {error:?}");
}

/// What tungstenite makes of a Close whose code it does not know.
fn refused_close() -> Seen {
    Seen::Close(Some(1002), "Protocol violation".into())
}

/// What tungstenite makes of `wire`: messages, and the fault that it found.
fn hear(role: Role, wire: &[u8]) -> (Vec<Seen>, Option<Error>) {
    let role = match role {
        Role::Client => tungstenite::protocol::Role::Client,
        Role::Server => tungstenite::protocol::Role::Server,
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_frame_size(Some(MESSAGE_MAX))
        .max_message_size(Some(MESSAGE_MAX));
    let mut context = WebSocketContext::new(role, Some(config));
    let mut socket = Socket(wire);
    let mut messages = Vec::new();
    loop {
        match context.read(&mut socket) {
            Ok(message) => messages.push(seen(message)),
            Err(Error::ConnectionClosed) => return (messages, None),
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                return (messages, None);
            }
            // What follows a Close is a fault to it, and ignored by us (§5.5.1).
            Err(_) if matches!(messages.last(), Some(Seen::Close(..))) => return (messages, None),
            Err(error) => return (messages, Some(error)),
        }
    }
}

fn seen(message: Message) -> Seen {
    match message {
        Message::Text(text) => Seen::Text(text.as_str().into()),
        Message::Binary(bytes) => Seen::Binary(bytes.to_vec()),
        Message::Ping(payload) => Seen::Ping(payload.to_vec()),
        Message::Pong(payload) => Seen::Pong(payload.to_vec()),
        Message::Close(Some(frame)) => {
            Seen::Close(Some(frame.code.into()), frame.reason.as_str().into())
        }
        Message::Close(None) => Seen::Close(None, String::new()),
        Message::Frame(frame) => unreachable!("{frame} is not given out by read"),
    }
}

/// A socket that the peer has sent `.0` through and closed; whatever is written is gone.
struct Socket<'a>(&'a [u8]);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
