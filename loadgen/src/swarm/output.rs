//! What goes out: one chunk of a connection at a time, from a pool of buffers.

use super::conn::Moment;
use super::script::Owed;
use super::{Phase, Swarm};
use crate::plan::MessageKind;
use bytes::BytesMut;
use halfopen_driver::{CHUNK_MAX, Chunk, Op};
use halfopen_proto::{CloseCode, Message};
use halfopen_wheel::Instant;
use std::collections::BTreeMap;

/// Buffers kept for the next sends.
const POOL_MAX: usize = 1_024;

/// A chunk is no longer filled up beyond this: more messages wait for the next one.
const FULL: usize = 16 * 1024;

/// The most bytes of a frame's head (RFC 6455 §5.2).
const HEAD_MAX: usize = 14;

/// Buffers at home, and messages that did not fit into one chunk.
#[derive(Debug, Default)]
pub(super) struct Output {
    pool: Vec<BytesMut>,
    /// By index: a message under way, and how much of it has been encoded. It goes in fragments, so
    /// that a pong waits for one chunk only.
    unfinished: BTreeMap<usize, (Instant, usize)>,
    /// By index: the Close frame of a connection that has failed, behind which it is shut down.
    last: BTreeMap<usize, BytesMut>,
}

impl Output {
    pub(super) fn lend(&mut self) -> BytesMut {
        self.pool.pop().unwrap_or_default()
    }

    pub(super) fn take_home(&mut self, chunk: Chunk) {
        if let Chunk::Own(buffer) = chunk {
            self.put_back(buffer);
        }
    }

    pub(super) fn forget(&mut self, index: usize) {
        self.unfinished.remove(&index);
        if let Some(buffer) = self.last.remove(&index) {
            self.put_back(buffer);
        }
    }

    /// Whether a message of the connection is under way in fragments.
    pub(super) fn is_in_fragments(&self, index: usize) -> bool {
        self.unfinished.contains_key(&index)
    }

    pub(super) fn say_last(&mut self, index: usize, out: BytesMut) {
        self.last.insert(index, out);
    }

    fn put_back(&mut self, mut buffer: BytesMut) {
        if self.pool.len() < POOL_MAX && buffer.capacity() <= CHUNK_MAX {
            buffer.clear();
            self.pool.push(buffer);
        }
    }
}

impl Swarm {
    /// Sends what the connection has to say, unless a send is in flight: then it is said when that
    /// comes home.
    pub(super) fn flush(&mut self, now: Instant, index: usize, ops: &mut Vec<Op>) {
        if self.conns[index].in_flight {
            return;
        }
        if self.is_silent(index) {
            return;
        }
        if let Some(out) = self.output.last.remove(&index) {
            self.send(index, out, ops);
            return ops.push(Op::Shutdown { id: self.id_of(index) });
        }
        let mut out = self.output.lend();
        match self.conns[index].phase {
            Phase::Living => {
                self.say_pong(index, &mut out);
                self.say_owed(index, &mut out);
                self.say_messages(now, index, &mut out);
            }
            Phase::Dead(_) if self.is_back(index) => self.say_pong(index, &mut out),
            Phase::Parting | Phase::Leaving | Phase::Dead(_) => self.say_close(index, &mut out),
            _ => {}
        }
        if out.is_empty() { self.output.put_back(out) } else { self.send(index, out, ops) }
    }

    /// It lives, and has nothing to say: so it is after each pong.
    fn is_silent(&self, index: usize) -> bool {
        let conn = &self.conns[index];
        let finished = self.output.unfinished.is_empty();
        conn.phase == Phase::Living
            && finished
            && !conn.ws.owes_pong()
            && conn.owed == Owed::NOTHING
            && !conn.line.wants_to_send()
    }

    /// Sends `out`, at most [`CHUNK_MAX`] bytes.
    pub(super) fn send(&mut self, index: usize, out: BytesMut, ops: &mut Vec<Op>) {
        debug_assert!(!self.conns[index].in_flight && out.len() <= CHUNK_MAX);
        self.conns[index].in_flight = true;
        ops.push(Op::Send { id: self.id_of(index), chunk: Chunk::Own(out) });
    }

    /// A chunk is home, handed over at `at`.
    pub(super) fn sent(&mut self, now: Instant, index: usize, at: Instant, ops: &mut Vec<Op>) {
        self.messages_are_sent(index, at);
        let conn = &mut self.conns[index];
        conn.in_flight = false;
        if std::mem::take(&mut conn.ping_in_flight) && !conn.asked.is_never() {
            conn.asked = Moment::at(at);
        }
        self.flush(now, index, ops);
    }

    pub(super) fn say_pong(&mut self, index: usize, out: &mut BytesMut) {
        let conn = &mut self.conns[index];
        let key = self.rng.u32(..).to_ne_bytes();
        if conn.ws.encode_pong(key, &mut self.scratch, out) {
            self.answered(index);
        }
    }

    fn say_messages(&mut self, now: Instant, index: usize, out: &mut BytesMut) {
        while out.len() < FULL {
            let room = CHUNK_MAX - HEAD_MAX - out.len();
            let size = self.next_size(index);
            let waits = !out.is_empty() && room < size.min(CHUNK_MAX - HEAD_MAX);
            if waits {
                // It would have to be cut, but fits into the next chunk, or begins there.
                return;
            }
            let Some((intended, offset)) = self.next_message(now, index) else { return };
            let text = self.traffic.text_of(intended);
            let message = match self.plan.kind {
                MessageKind::Text => Message::Text(text),
                MessageKind::Binary => Message::Binary(text.as_bytes()),
            };
            let fragment = message.fragment(offset, room);
            let key = self.rng.u32(..).to_ne_bytes();
            self.conns[index].ws.encode_fragment(fragment, key, out);
            if !fragment.is_last() {
                let reached = offset + fragment.payload().len();
                self.output.unfinished.insert(index, (intended, reached));
            }
        }
    }

    /// Bytes of the message under way, or of the next.
    fn next_size(&self, index: usize) -> usize {
        let under_way = self.output.unfinished.get(&index).map(|(intended, _)| *intended);
        let next = under_way.or_else(|| self.lines.first_unsent(&self.conns[index].line));
        next.map_or(0, |intended| self.traffic.size_of(intended))
    }

    /// The message under way, or the next: when it was to be sent, and how far it has come.
    fn next_message(&mut self, now: Instant, index: usize) -> Option<(Instant, usize)> {
        let unfinished = self.output.unfinished.remove(&index);
        let line = &mut self.conns[index].line;
        unfinished.or_else(|| Some((self.lines.next_unsent(line, now)?, 0)))
    }

    /// Ours, or the answer to the server's.
    fn say_close(&mut self, index: usize, out: &mut BytesMut) {
        if self.may_close(index) {
            let key = self.rng.u32(..).to_ne_bytes();
            self.conns[index].ws.encode_close(Some(CloseCode::NORMAL), "", key, out);
        }
    }
}
