//! Bytes in, messages out.

use super::{Connection, Role};
use crate::frame::{CLOSE, First, Header, PING, PONG, Rules, TEXT};
use crate::pending::{Gathered, Pending};
use crate::{Incoming, Limits, Payload, Scratch, Text, Violation, close, mask};
use bytes::Buf;
use std::mem::take;

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
        self.failed |= found.is_err();
        if self.is_deaf() {
            *input = &mut [];
            self.forget_input(scratch);
        }
        self.release_pending(scratch);
        found
    }

    /// Whether whatever comes is ignored.
    fn is_deaf(&self) -> bool {
        self.close_received || self.failed
    }

    /// Drops what was half received.
    #[cold]
    fn forget_input(&mut self, scratch: &mut Scratch) {
        self.owed = 0;
        if let Some(pending) = &mut self.pending {
            pending.forget_input(scratch);
        }
    }

    fn next_incoming<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        limits: &Limits,
        scratch: &mut Scratch,
    ) -> Result<Option<Incoming<'a>>, Violation> {
        while !input.is_empty() && !self.is_deaf() {
            if self.owed == 0 {
                let Some(header) = self.read_header(input, limits, scratch)? else { break };
                if header.first.stands_alone() && header.length <= input.len() as u64 {
                    return self.lend(header, input, scratch);
                }
                self.begin_frame(header, scratch);
            }
            if let Some(found) = self.on_piece(input, scratch)? {
                return Ok(Some(found));
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
        let message = pending.and_then(|pending| pending.message.as_ref());
        let rules = Rules { role: self.role, message: message.map(Gathered::unfinished), limits };
        if pending.is_none_or(|pending| pending.header.is_empty())
            && let Some(header) = rules.read(input)?
        {
            skip(input, header.size);
            return Ok(Some(header));
        }
        self.read_split_header(rules, input, scratch)
    }

    /// Reads a header that began in an earlier input or ends in a later one.
    #[cold]
    fn read_split_header(
        &mut self,
        rules: Rules<'_>,
        input: &mut &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<Option<Header>, Violation> {
        let split = &mut self.pending_mut(scratch).header;
        let kept = split.as_bytes().len();
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

    /// Gives out a frame that lies whole in the input and needs no other.
    #[inline]
    fn lend<'a>(
        &mut self,
        header: Header,
        input: &mut &'a mut [u8],
        scratch: &mut Scratch,
    ) -> Result<Option<Incoming<'a>>, Violation> {
        let payload = skip(input, header.length as usize);
        if self.role == Role::Server {
            mask::apply(payload, header.key, 0);
        }
        self.on_whole(header.first, Payload::Lent(payload), scratch)
    }

    fn begin_frame(&mut self, header: Header, scratch: &mut Scratch) {
        (self.first, self.owed, self.key) = (header.first, header.length, header.key);
        if !header.first.is_control() {
            self.begin_fragment(header.first.opcode(), scratch);
        }
    }

    fn begin_fragment(&mut self, opcode: u8, scratch: &mut Scratch) {
        let pending = self.pending_mut(scratch);
        match &mut pending.message {
            Some(message) => message.fragments += 1,
            None => pending.message = Some(Gathered::new(opcode, scratch.buffer())),
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
            return self.on_whole(first, Payload::Owned(control), scratch);
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
    #[inline(always)] // Else the payload is moved once more, which costs more than all the checks.
    fn on_whole<'a>(
        &mut self,
        first: First,
        payload: Payload<'a>,
        scratch: &mut Scratch,
    ) -> Result<Option<Incoming<'a>>, Violation> {
        match first.opcode() {
            TEXT => match Text::new(payload) {
                Ok(text) => Ok(Some(Incoming::Text(text))),
                Err(_) => Err(Violation::TextNotUtf8),
            },
            CLOSE => self.on_close(payload).map(Some),
            PING => Ok(Some(self.on_ping(payload, scratch))),
            PONG => Ok(Some(Incoming::Pong(payload))),
            _ => Ok(Some(Incoming::Binary(payload))),
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

    #[cold]
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
    pub(super) fn release_pending(&mut self, scratch: &mut Scratch) {
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
