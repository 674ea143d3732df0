//! One connection: its session, and what is under way in it.
//!
//! ```text
//!   driver                                 link                                engine
//!   Received (records) ──▶ input ─▶ session ─▶ plain ───────────────────────▶ Received
//!   Send (records)     ◀── output ◀─ session ◀─ a piece of the chunk ◀──────── Send
//!   Sent ─────────────────▶ the next piece … the last: the chunk goes home ──▶ Sent
//!   Shutdown           ◀── close_notify behind the chunk ◀──────────────────── Shutdown
//! ```
//!
//! What the session itself has to say (its handshake, an answer to a key update, an alert) goes into
//! the same output in its turn, so there is never more than one send in flight.

use crate::Established;
use crate::pool::Pool;
use crate::session::{Progress, RECORD_MAX, Session, Want, sealed_max};
use bytes::{Buf, BytesMut};
use halfopen_driver::{CHUNK_MAX, Chunk, ConnId, Op};
use rustls::Error;
use std::mem::take;

/// The most of a chunk that is sealed at once. Its records fit into one send, and none of them but
/// the last is short.
const PIECE_MAX: usize = 3 * RECORD_MAX;

/// The output to which a piece may be added, so that both leave together.
const OUTPUT_BEFORE_PIECE_MAX: usize = CHUNK_MAX - sealed_max(PIECE_MAX);

/// One connection.
pub(crate) struct Link {
    pub(crate) generation: u32,
    session: Session,
    /// The handshake is done.
    established: bool,
    /// What came of a record, or of a handshake message, that is not whole.
    input: BytesMut,
    /// Records that wait for the send in flight.
    output: BytesMut,
    /// What the engine has sent.
    chunk: Option<Chunk>,
    /// How much of the chunk is in records.
    sealed: usize,
    /// The last of the chunk is in the send in flight.
    chunk_aboard: bool,
    in_flight: bool,
    end: End,
    /// Nothing that comes counts any more.
    deaf: bool,
    failed: bool,
    /// Why it failed, until somebody is told.
    failure: Option<Error>,
}

/// How far our end of the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It is open.
    Open,
    /// close_notify is to follow the chunk.
    Wanted,
    /// The last of what we say is among the output.
    Said,
    /// The driver was told to shut it down.
    Shut,
    /// The driver was told to abort.
    Aborted,
}

impl Link {
    pub(crate) fn new(generation: u32, session: Session) -> Self {
        Self {
            generation,
            session,
            established: false,
            input: BytesMut::new(),
            output: BytesMut::new(),
            chunk: None,
            sealed: 0,
            chunk_aboard: false,
            in_flight: false,
            end: End::Open,
            deaf: false,
            failed: false,
            failure: None,
        }
    }

    /// The memory that it holds beside its session: none while nothing is under way.
    pub(crate) fn held_bytes(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    /// Lets the session say what it has to say without being asked.
    pub(crate) fn begin(&mut self, pool: &mut Pool) {
        self.go_on(Want::Nothing, pool);
    }

    /// Bytes have come. What was in their records is appended to `plain`.
    pub(crate) fn hear(&mut self, bytes: &mut [u8], plain: &mut BytesMut, pool: &mut Pool) {
        if self.deaf {
            return;
        }
        let mut held = take(&mut self.input);
        if held.is_empty() {
            let used = self.read(bytes, plain, pool);
            if used < bytes.len() && !self.deaf {
                held = pool.lend();
                held.extend_from_slice(&bytes[used..]);
            }
        } else {
            held.extend_from_slice(bytes);
            let used = self.read(&mut held, plain, pool);
            held.advance(used);
        }
        if held.is_empty() || self.deaf {
            pool.give(held);
        } else {
            self.input = held;
        }
    }

    /// What the handshake has come to, the first time that it is done.
    pub(crate) fn newly_established(&mut self) -> Option<Established> {
        if self.established {
            return None;
        }
        let established = self.session.established()?;
        self.established = true;
        Some(established)
    }

    /// Whether its handshake is done. Before that, nobody asks for signs of life.
    pub(crate) fn is_established(&self) -> bool {
        self.established
    }

    /// Whether its end has come: bytes are no sign of life any more.
    pub(crate) fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// Why it has failed, if nobody was told yet.
    pub(crate) fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// The engine sends.
    pub(crate) fn send(&mut self, chunk: Chunk) {
        assert!(self.chunk.is_none(), "one send in flight for each connection");
        self.chunk = Some(chunk);
        self.sealed = 0;
    }

    /// The engine has nothing more to say.
    pub(crate) fn shut_down(&mut self) {
        if self.end == End::Open {
            self.end = End::Wanted;
        }
    }

    /// The engine gives it up: nothing is kept but the chunk, which has to come home.
    pub(crate) fn abort(&mut self, id: ConnId, pool: &mut Pool, ops: &mut Vec<Op>) {
        if self.end != End::Aborted {
            ops.push(Op::Abort { id });
        }
        self.clear(pool);
    }

    fn clear(&mut self, pool: &mut Pool) {
        self.end = End::Aborted;
        self.deaf = true;
        pool.give(take(&mut self.input));
        pool.give(take(&mut self.output));
    }

    /// A send has come home. The engine's chunk, if this was the last of it.
    pub(crate) fn came_home(&mut self, records: Chunk, pool: &mut Pool) -> Option<Chunk> {
        self.in_flight = false;
        if let Chunk::Own(records) = records {
            pool.give(records);
        }
        self.chunk.take_if(|_| take(&mut self.chunk_aboard))
    }

    /// The connection is gone: the engine's chunk, if one is left.
    pub(crate) fn bury(&mut self, pool: &mut Pool) -> Option<Chunk> {
        self.clear(pool);
        self.chunk.take()
    }

    /// Sends what there is, unless a send is in flight.
    pub(crate) fn flush(&mut self, id: ConnId, pool: &mut Pool, ops: &mut Vec<Op>) {
        if self.in_flight || self.is_over() {
            return;
        }
        self.seal(pool);
        if !self.output.is_empty() {
            let mut records = take(&mut self.output);
            if records.len() > CHUNK_MAX {
                self.output = records.split_off(CHUNK_MAX);
            }
            self.in_flight = true;
            self.chunk_aboard = self.output.is_empty() && self.is_sealed();
            ops.push(Op::Send { id, chunk: Chunk::Own(records) });
        }
        if self.end == End::Said && self.output.is_empty() {
            self.finish(id, ops);
        }
    }

    /// The last that we say was given to the driver. A client whose session has failed has nothing
    /// to wait for behind its alert; elsewhere the peer's FIN ends the connection.
    fn finish(&mut self, id: ConnId, ops: &mut Vec<Op>) {
        if !self.failed || matches!(self.session, Session::Server(_)) {
            self.end = End::Shut;
            ops.push(Op::Shutdown { id });
        } else if !self.in_flight {
            self.end = End::Aborted;
            ops.push(Op::Abort { id });
        }
    }

    /// Makes records of the next piece of the chunk, and of our goodbye behind the last.
    fn seal(&mut self, pool: &mut Pool) {
        if self.established && self.end != End::Said {
            self.seal_piece(pool);
        }
        if self.end != End::Wanted {
            return;
        }
        if self.chunk.is_some() && !self.is_sealed() {
            // It waits for its turn, or for the handshake.
            return;
        }
        self.end = End::Said;
        if self.established {
            self.go_on(Want::Goodbye, pool);
        } else {
            // There is no session yet in which a goodbye could be said.
            self.deaf = true;
        }
    }

    fn seal_piece(&mut self, pool: &mut Pool) {
        if self.output.len() > OUTPUT_BEFORE_PIECE_MAX || self.is_sealed() {
            return;
        }
        let Some(chunk) = self.chunk.take() else { return };
        let rest = &chunk.as_bytes()[self.sealed..];
        let piece = &rest[..rest.len().min(PIECE_MAX)];
        self.go_on(Want::Seal(piece), pool);
        self.sealed += piece.len();
        self.chunk = Some(chunk);
    }

    /// Whether the driver sends nothing more.
    fn is_over(&self) -> bool {
        matches!(self.end, End::Shut | End::Aborted)
    }

    /// Whether all of the chunk is in records.
    fn is_sealed(&self) -> bool {
        self.chunk.as_ref().is_some_and(|chunk| chunk.as_bytes().len() == self.sealed)
    }

    /// Has the session read `input`: how much of it is done with.
    fn read(&mut self, input: &mut [u8], plain: &mut BytesMut, pool: &mut Pool) -> usize {
        self.prepare_output(pool);
        let progress = self.session.go_on(input, Want::Nothing, plain, &mut self.output);
        self.came_to(progress, pool)
    }

    /// Has the session do something where nothing came.
    fn go_on(&mut self, want: Want<'_>, pool: &mut Pool) {
        self.prepare_output(pool);
        let mut none = BytesMut::new();
        let progress = self.session.go_on(&mut self.input, want, &mut none, &mut self.output);
        debug_assert!(none.is_empty(), "all that came was read before");
        let used = self.came_to(progress, pool);
        self.input.advance(used);
    }

    fn prepare_output(&mut self, pool: &mut Pool) {
        if self.output.capacity() == 0 {
            self.output = pool.lend();
        }
    }

    fn came_to(&mut self, progress: Progress, pool: &mut Pool) -> usize {
        let Progress { used, peer_closed, failed } = progress;
        if peer_closed {
            self.deaf = true;
            self.shut_down();
        }
        if failed.is_some() {
            self.deaf = true;
            self.failed = true;
            self.failure = failed;
            if !self.is_over() {
                // The alert is the last.
                self.end = End::Said;
            }
        }
        if self.output.is_empty() || self.is_over() {
            pool.give(take(&mut self.output));
        }
        used
    }
}
