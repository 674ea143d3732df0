use crate::{CloseCode, Incoming, Limits, Message, Scratch, Violation};
use bytes::BytesMut;

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
    /// We sent Close and wait for the peer's.
    CloseSent,
    /// The peer sent Close; ours is still to be encoded.
    CloseReceived,
    /// Both Close frames have passed, or we failed the connection: nothing more is read or written.
    Closed,
}

/// One side of an open WebSocket connection, after the opening handshake.
#[derive(Debug)]
pub struct Connection {
    _todo: (),
}

impl Connection {
    /// A connection just opened.
    pub fn new(_role: Role) -> Self {
        todo!()
    }

    /// Our side.
    pub fn role(&self) -> Role {
        todo!()
    }

    /// How far the closing handshake has come.
    pub fn state(&self) -> State {
        todo!()
    }

    /// Takes the next frame or piece of a message from the front of `input`, unmasking in place.
    ///
    /// `Ok(None)`: all of `input` is consumed (what is unfinished is kept). Call again until then.
    /// After `Err` the connection has failed: encode [`fail`](Self::fail), then end the connection.
    pub fn receive<'a>(
        &mut self,
        _input: &mut &'a mut [u8],
        _limits: &Limits,
        _scratch: &mut Scratch,
    ) -> Result<Option<Incoming<'a>>, Violation> {
        todo!()
    }

    /// Appends one unfragmented data frame. `key` is the masking key, used by a client only.
    pub fn encode(&mut self, _message: Message<'_>, _key: [u8; 4], _out: &mut BytesMut) {
        todo!()
    }

    /// Appends a ping with at most 125 bytes.
    pub fn encode_ping(&mut self, _payload: &[u8], _key: [u8; 4], _out: &mut BytesMut) {
        todo!()
    }

    /// Whether a ping was received that no pong has answered.
    pub fn owes_pong(&self) -> bool {
        todo!()
    }

    /// Appends a pong for the newest ping that was received, if one is owed (RFC 6455 §5.5.3
    /// allows to answer only the newest).
    pub fn encode_pong(
        &mut self,
        _key: [u8; 4],
        _scratch: &mut Scratch,
        _out: &mut BytesMut,
    ) -> bool {
        todo!()
    }

    /// Appends a Close frame, ours or the answer to the peer's, unless one was sent. After it
    /// nothing more may be encoded.
    pub fn encode_close(
        &mut self,
        _code: Option<CloseCode>,
        _reason: &str,
        _key: [u8; 4],
        _out: &mut BytesMut,
    ) {
        todo!()
    }

    /// Appends the Close frame that tells the peer its fault, unless one was sent, and ends the
    /// connection's state.
    pub fn fail(&mut self, _violation: &Violation, _key: [u8; 4], _out: &mut BytesMut) {
        todo!()
    }
}
