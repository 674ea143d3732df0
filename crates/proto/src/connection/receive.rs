//! Bytes in, messages out.
//!
//! There are two ways. Most frames are messages by themselves and whole; they go the short way
//! (`lone`), which for those of at most 125 bytes runs inline in the caller's loop. Whatever it does
//! not like goes the general way, which knows the rules one by one and gathers what comes in pieces
//! (`gather`). Both make the same of the same bytes.

use super::{Connection, Role};
use crate::frame::{CLOSE, First, Header, PING, PONG, Rules, TEXT};
use crate::pending::Gathered;
use crate::{Incoming, Limits, Payload, Scratch, Text, Violation, close, mask};
use core::mem::take;

/// What [`Connection::receive`] gives back.
pub(super) type Found<'a> = Result<Option<Incoming<'a>>, Violation>;

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
    #[inline(always)] // With two callers it would be a call, and what it found pass through memory.
    pub fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        limits: &Limits,
        scratch: &mut Scratch,
    ) -> Result<Option<Incoming<'a>>, Violation> {
        if input.is_empty() {
            return Ok(None);
        }
        if let Some(message) = self.receive_lone::<0>(input, limits, scratch) {
            return message.map(Some);
        }
        // By value, so that the caller's input need not lie in memory.
        let (found, rest) = self.receive_any(take(input), limits, scratch);
        *input = rest;
        found
    }

    /// Takes the next frame by all the rules. Gives back, beside what it found, what is left of the
    /// input.
    #[inline(never)]
    fn receive_any<'a>(
        &mut self,
        mut input: &'a mut [u8],
        limits: &Limits,
        scratch: &mut Scratch,
    ) -> (Found<'a>, &'a mut [u8]) {
        if let Some(message) = self.receive_lone::<2>(&mut input, limits, scratch) {
            return (message.map(Some), input);
        }
        let found = self.next_incoming(&mut input, limits, scratch);
        self.failed |= found.is_err();
        self.settle(scratch);
        let rest = if self.is_deaf() { &mut [] } else { input };
        (found, rest)
    }

    /// Keeps no more than the next input needs.
    pub(super) fn settle(&mut self, scratch: &mut Scratch) {
        if self.is_deaf() {
            self.forget_input(scratch);
        }
        if !self.can_send()
            && let Some(pending) = &mut self.pending
        {
            pending.is_pinged = false;
        }
        self.release_pending(scratch);
        self.ready = !self.is_deaf() && !self.is_mid_message();
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
    ) -> Found<'a> {
        while !input.is_empty() && !self.is_deaf() {
            if self.owed == 0 {
                let Some(header) = self.read_header(input, limits, scratch)? else { break };
                if header.first.stands_alone() && header.length <= input.len() as u64 {
                    return self.lend(header, input, scratch);
                }
                self.begin_frame(header, limits, scratch)?;
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
    ) -> Found<'a> {
        let payload = skip(input, header.length as usize);
        if self.role == Role::Server {
            if header.first.opcode() == TEXT {
                let text = Text::unmask(payload, header.key);
                return text
                    .map(|text| Some(Incoming::Text(text)))
                    .map_err(|_| Violation::TextNotUtf8);
            }
            mask::apply(payload, header.key, 0);
        }
        self.on_whole(header.first, Payload::Lent(payload), scratch)
    }

    /// A whole control frame, or a message in one frame.
    #[inline(always)] // Else the payload is moved once more, which costs more than all the checks.
    pub(super) fn on_whole<'a>(
        &mut self,
        first: First,
        payload: Payload<'a>,
        scratch: &mut Scratch,
    ) -> Found<'a> {
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
            let pending = self.pending_mut(scratch);
            pending.is_pinged = true;
            pending.ping.clear();
            pending.ping.push(&payload);
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
                bytes.drain(..skipped);
                Payload::Owned(bytes)
            }
        };
        let reason = Text::new(reason).map_err(|_| Violation::CloseReasonNotUtf8)?;
        self.close_received = true;
        self.close_code = code;
        Ok(Incoming::Close(code, reason))
    }
}

/// Takes `n` bytes off the front of the input.
#[inline]
pub(super) fn skip<'a>(input: &mut &'a mut [u8], n: usize) -> &'a mut [u8] {
    let (taken, rest) = take(input).split_at_mut(n);
    *input = rest;
    taken
}
