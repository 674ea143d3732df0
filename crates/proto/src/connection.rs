use crate::frame::{CLOSE, CONTINUATION, CONTROL_MAX, First, Header, PING, PONG, Rules, TEXT};
use crate::pending::{Gathered, Pending};
use crate::{
    CloseCode, Fragment, Incoming, Limits, Message, Payload, Scratch, Text, Violation, close,
    frame, mask,
};
use bytes::{Buf, BytesMut};
use std::mem::take;

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
        let begun = |pending: &Pending| pending.message.is_some() || !pending.header.is_empty();
        self.owed > 0 || self.pending.as_deref().is_some_and(begun)
    }

    /// Bytes of heap that the connection holds for what is unfinished.
    pub fn held(&self) -> usize {
        self.pending.as_deref().map_or(0, |pending| size_of::<Pending>() + pending.held())
    }
}

/// Receiving.
impl Connection {
    /// Takes the next control frame or whole message from the front of `input`, unmasking in place.
    ///
    /// `Ok(None)`: all of `input` is consumed; what is unfinished is kept, so the next bytes of the
    /// stream are the next input. Call again until then. A message that lies whole in `input` is
    /// lent from there, another is gathered in memory from `scratch`.
    ///
    /// After the peer's Close everything is ignored (§5.5.1). After ours, what the peer sent before
    /// it had seen ours still arrives.
    ///
    /// # Errors
    /// A fault of the peer, or a limit that it broke, at the first byte that proves it. The
    /// connection has failed: encode [`fail`](Self::fail), then end it. What is left of the input is
    /// dropped.
    #[inline]
    pub fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        limits: &Limits,
        scratch: &mut Scratch,
    ) -> Result<Option<Incoming<'a>>, Violation> {
        let found = self.next_incoming(input, limits, scratch);
        if found.is_err() {
            self.failed = true;
            *input = &mut [];
            if let Some(pending) = &mut self.pending {
                pending.forget_input(scratch);
            }
        }
        self.release_pending(scratch);
        found
    }

    fn next_incoming<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        limits: &Limits,
        scratch: &mut Scratch,
    ) -> Result<Option<Incoming<'a>>, Violation> {
        if self.close_received || self.failed {
            *input = &mut [];
        }
        while !input.is_empty() {
            let found = if self.owed > 0 {
                self.on_piece(input, scratch)?
            } else {
                match self.read_header(input, limits, scratch)? {
                    Some(header) => self.on_frame(header, input, scratch)?,
                    None => None,
                }
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Takes a header off the input, or all of the input if the header goes on behind it.
    #[inline]
    fn read_header(
        &mut self,
        input: &mut &mut [u8],
        limits: &Limits,
        scratch: &mut Scratch,
    ) -> Result<Option<Header>, Violation> {
        let pending = self.pending.as_deref();
        let message =
            pending.and_then(|pending| pending.message.as_ref()).map(Gathered::unfinished);
        let kept = pending.map_or(0, |pending| pending.header.as_bytes().len());
        let rules = Rules { role: self.role, message, limits };
        if kept == 0
            && let Some(header) = rules.read(input)?
        {
            skip(input, header.size);
            return Ok(Some(header));
        }
        let split = &mut self.pending_mut(scratch).header;
        split.push(input);
        let header = rules.read(split.as_bytes())?;
        match header {
            Some(header) => {
                split.clear();
                skip(input, header.size - kept);
            }
            None => *input = &mut [],
        }
        Ok(header)
    }

    /// Begins a frame: lends it if it is a whole message that lies whole in the input.
    #[inline]
    fn on_frame<'a>(
        &mut self,
        header: Header,
        input: &mut &'a mut [u8],
        scratch: &mut Scratch,
    ) -> Result<Option<Incoming<'a>>, Violation> {
        let Header { first, length, key, .. } = header;
        let alone = first.fin() && first.opcode() != CONTINUATION;
        if alone && length <= input.len() as u64 {
            let payload = skip(input, length as usize);
            if self.role == Role::Server {
                mask::apply(payload, key, 0);
            }
            return self.on_whole(first, Payload::Lent(payload), scratch).map(Some);
        }
        (self.first, self.owed, self.key) = (first, length, key);
        if !first.is_control() {
            self.begin_fragment(first.opcode(), scratch);
        }
        self.on_piece(input, scratch)
    }

    fn begin_fragment(&mut self, opcode: u8, scratch: &mut Scratch) {
        let memory = if opcode == CONTINUATION { BytesMut::new() } else { scratch.buffer() };
        let message = &mut self.pending_mut(scratch).message;
        match message {
            Some(message) => message.fragments += 1,
            None => *message = Some(Gathered::new(opcode, memory)),
        }
    }

    /// Takes what the input holds of the frame under way.
    fn on_piece<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        scratch: &mut Scratch,
    ) -> Result<Option<Incoming<'a>>, Violation> {
        let length = input.len().min(usize::try_from(self.owed).unwrap_or(usize::MAX));
        let piece = skip(input, length);
        self.owed -= length as u64;
        if self.role == Role::Server {
            mask::apply(piece, self.key, 0);
            self.key = mask::turned(self.key, length);
        }
        if self.first.is_control() {
            self.gather_control(piece, scratch)
        } else {
            self.gather_message(piece)
        }
    }

    fn gather_control(
        &mut self,
        piece: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Option<Incoming<'static>>, Violation> {
        let (first, whole) = (self.first, self.owed == 0);
        let mut control = take(&mut self.pending_mut(scratch).control);
        if control.capacity() == 0 {
            control = scratch.buffer();
        }
        control.extend_from_slice(piece);
        if whole {
            return self.on_whole(first, Payload::Owned(control), scratch).map(Some);
        }
        let checked = if first.opcode() == CLOSE { close::check_part(&control) } else { Ok(()) };
        self.pending_mut(scratch).control = control;
        checked.map(|()| None)
    }

    fn gather_message(&mut self, piece: &[u8]) -> Result<Option<Incoming<'static>>, Violation> {
        let message = &mut self.pending.as_deref_mut().expect("begun with the frame").message;
        message.as_mut().expect("begun with the frame").push(piece)?;
        if self.owed > 0 || !self.first.fin() {
            return Ok(None);
        }
        message.take().map(Gathered::finish).transpose()
    }

    /// A whole control frame, or a message in one frame.
    #[inline]
    fn on_whole<'a>(
        &mut self,
        first: First,
        payload: Payload<'a>,
        scratch: &mut Scratch,
    ) -> Result<Incoming<'a>, Violation> {
        match first.opcode() {
            TEXT => match Text::new(payload) {
                Ok(text) => Ok(Incoming::Text(text)),
                Err(_) => Err(Violation::TextNotUtf8),
            },
            CLOSE => self.on_close(payload),
            PING => Ok(self.on_ping(payload, scratch)),
            PONG => Ok(Incoming::Pong(payload)),
            _ => Ok(Incoming::Binary(payload)),
        }
    }

    /// Keeps the newest ping only: a flood of them must not become a queue of pongs.
    fn on_ping<'a>(&mut self, payload: Payload<'a>, scratch: &mut Scratch) -> Incoming<'a> {
        if !self.close_sent {
            let ping = self.pending_mut(scratch).ping.insert(Default::default());
            ping.push(&payload);
        }
        Incoming::Ping(payload)
    }

    fn on_close<'a>(&mut self, body: Payload<'a>) -> Result<Incoming<'a>, Violation> {
        let code = close::code_of(&body)?;
        let skipped = if code.is_some() { 2 } else { 0 };
        let reason = match body {
            Payload::Lent(bytes) => Payload::Lent(&mut bytes[skipped..]),
            Payload::Owned(mut bytes) => {
                bytes.advance(skipped);
                Payload::Owned(bytes)
            }
        };
        let reason = Text::new(reason).map_err(|_| Violation::CloseReasonNotUtf8)?;
        self.close_received = true;
        self.close_code = code;
        Ok(Incoming::Close(code, reason))
    }

    fn pending_mut(&mut self, scratch: &mut Scratch) -> &mut Pending {
        self.pending.get_or_insert_with(|| scratch.pending())
    }

    #[inline]
    fn release_pending(&mut self, scratch: &mut Scratch) {
        if let Some(pending) = self.pending.take_if(|pending| pending.is_empty()) {
            scratch.return_pending(pending);
        }
    }
}

/// Takes `n` bytes off the front of the input.
#[inline]
fn skip<'a>(input: &mut &'a mut [u8], n: usize) -> &'a mut [u8] {
    let (taken, rest) = take(input).split_at_mut(n);
    *input = rest;
    taken
}

/// Sending.
impl Connection {
    /// Appends a message in one frame.
    ///
    /// # Panics
    /// If a message in fragments was begun and not finished (§5.4).
    pub fn encode(&mut self, message: Message<'_>, key: [u8; 4], out: &mut BytesMut) -> bool {
        self.encode_fragment(message.fragment(0, usize::MAX), key, out)
    }

    /// Appends one frame of a message in several ([`Message::fragments`]). Control frames may stand
    /// between them, another message may not.
    ///
    /// # Panics
    /// If the fragment does not follow on the one before: it must begin a message exactly when none
    /// is unfinished (§5.4).
    pub fn encode_fragment(
        &mut self,
        fragment: Fragment<'_>,
        key: [u8; 4],
        out: &mut BytesMut,
    ) -> bool {
        if !self.can_send() {
            return false;
        }
        assert!(fragment.is_first() != self.sending, "messages must not interleave");
        self.sending = !fragment.is_last();
        self.write(fragment.first_byte(), fragment.payload(), key, out);
        true
    }

    /// Appends a ping.
    ///
    /// # Panics
    /// If the payload has more than 125 bytes (§5.5).
    pub fn encode_ping(&mut self, payload: &[u8], key: [u8; 4], out: &mut BytesMut) -> bool {
        assert!(payload.len() <= CONTROL_MAX, "a ping holds at most 125 bytes");
        if self.can_send() {
            self.write(First::new(PING, true), payload, key, out);
        }
        self.can_send()
    }

    /// Whether a ping was received that no pong has answered.
    pub fn owes_pong(&self) -> bool {
        self.can_send() && self.pending.as_deref().is_some_and(|pending| pending.ping.is_some())
    }

    /// Appends a pong for the newest ping that was received, if one is owed (RFC 6455 §5.5.3
    /// allows to answer only the newest).
    pub fn encode_pong(&mut self, key: [u8; 4], scratch: &mut Scratch, out: &mut BytesMut) -> bool {
        let Some(ping) = self.pending.as_deref_mut().and_then(|pending| pending.ping.take()) else {
            return false;
        };
        self.release_pending(scratch);
        if self.can_send() {
            self.write(First::new(PONG, true), ping.as_bytes(), key, out);
        }
        self.can_send()
    }

    /// Appends a Close frame, ours or the answer to the peer's, unless one was sent. After it
    /// nothing more is encoded.
    ///
    /// Without a code ours is empty, and an answer echoes the peer's code (§5.5.1). A reason needs a
    /// code; of one over 123 bytes the start is sent.
    pub fn encode_close(
        &mut self,
        code: Option<CloseCode>,
        reason: &str,
        key: [u8; 4],
        out: &mut BytesMut,
    ) -> bool {
        if self.close_sent {
            return false;
        }
        self.close_sent = true;
        let mut body = [0; CONTROL_MAX];
        let body = match code.or(self.close_code) {
            Some(code) => close::write_body(code, reason, &mut body),
            None => &[],
        };
        self.write(First::new(CLOSE, true), body, key, out);
        true
    }

    /// Appends the Close frame that tells the peer its fault, unless one was sent, and ends the
    /// connection's state.
    pub fn fail(&mut self, violation: &Violation, key: [u8; 4], out: &mut BytesMut) -> bool {
        self.failed = true;
        self.encode_close(Some(violation.close_code()), &violation.to_string(), key, out)
    }

    fn can_send(&self) -> bool {
        !self.close_sent && !self.failed
    }

    fn write(&self, first: First, payload: &[u8], key: [u8; 4], out: &mut BytesMut) {
        frame::write(first, payload, (self.role == Role::Client).then_some(key), out);
    }
}
