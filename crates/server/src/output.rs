//! What waits to be sent, and the memory it waits in.
//!
//! Frames gather at the tail of the newest chunk; a chunk is cut where the next frame would make it
//! longer than [`CHUNK_MAX`], so that each begins and ends at the border of a frame, and one that
//! is urgent can go before them all. An idle connection owns none of this: chunks and the box that
//! holds them come from the shard's pool and go back to it.

use crate::Frame;
use crate::probe::Probe;
use bytes::{Bytes, BytesMut};
use halfopen_driver::{CHUNK_MAX, Chunk};
use halfopen_proto::handshake::HeadProgress;
use halfopen_proto::{Connection, Message, Scratch};
use halfopen_wheel::Instant;
use std::collections::VecDeque;

/// The most bytes of an unmasked frame's header (RFC 6455 §5.2).
pub(crate) const HEADER_MAX: usize = 10;

/// The most payload in one frame that we send.
pub(crate) const FRAGMENT_MAX: usize = CHUNK_MAX - HEADER_MAX;

/// The longest shared frame that is copied into a chunk of the connection's own.
const COPIED_MAX: usize = 1024;

/// A control frame has a header of two bytes and at most 125 of payload (RFC 6455 §5.5).
pub(crate) const CONTROL_FRAME_MAX: usize = 2 + 125;

/// The most bytes of pongs that wait: as many as all pings in one receive buffer ask for.
const PONGS_MAX: usize = 4096;

/// What only a connection has that is not idle.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// The beginning of a request whose head is not whole.
    pub(crate) head: BytesMut,
    /// How far it has been looked at.
    pub(crate) progress: HeadProgress,
    /// The request is whole, and waits for the peer's address.
    pub(crate) locating: bool,
    /// Whether the peer is slow or dead.
    pub(crate) probe: Option<Probe>,
    /// When the first byte came of a message that is not whole.
    pub(crate) message_since: Option<Instant>,
    /// Bytes that came and are not looked at before the peer has read more.
    pub(crate) held: BytesMut,
    /// Pongs jump the queue.
    pongs: BytesMut,
    /// Chunks that are cut off.
    chunks: VecDeque<Chunk>,
    /// Behind them the one that still grows.
    tail: BytesMut,
    /// The bytes of both.
    queued: usize,
}

impl Work {
    /// How many bytes wait.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Whether nothing is left that a connection has to keep.
    pub(crate) fn is_idle(&self) -> bool {
        self.queued == 0
            && self.pongs.is_empty()
            && self.head.is_empty()
            && self.held.is_empty()
            && self.probe.is_none()
            && self.message_since.is_none()
    }

    /// Appends a message, in fragments if it is longer than a chunk.
    #[inline]
    pub(crate) fn message(&mut self, conn: &mut Connection, message: Message<'_>, pool: &mut Pool) {
        let len = message.as_bytes().len();
        if len <= FRAGMENT_MAX {
            self.append(HEADER_MAX + len, pool, |out| conn.encode(message, [0; 4], out));
        } else {
            self.fragments(conn, message, pool);
        }
    }

    #[inline(never)]
    fn fragments(&mut self, conn: &mut Connection, message: Message<'_>, pool: &mut Pool) {
        for fragment in message.fragments(FRAGMENT_MAX) {
            self.append(HEADER_MAX + fragment.payload().len(), pool, |out| {
                conn.encode_fragment(fragment, [0; 4], out)
            });
        }
    }

    /// Has `encode` append whole frames of at most `len` bytes.
    #[inline]
    pub(crate) fn append<R>(
        &mut self,
        len: usize,
        pool: &mut Pool,
        encode: impl FnOnce(&mut BytesMut) -> R,
    ) -> R {
        let before = self.tail.len();
        if before == 0 || before + len > CHUNK_MAX {
            return self.append_to_another(pool, encode);
        }
        let result = encode(&mut self.tail);
        self.queued += self.tail.len() - before;
        assert!(self.tail.len() <= CHUNK_MAX, "a chunk is at most CHUNK_MAX long");
        result
    }

    #[inline(never)]
    fn append_to_another<R>(
        &mut self,
        pool: &mut Pool,
        encode: impl FnOnce(&mut BytesMut) -> R,
    ) -> R {
        self.cut();
        self.tail = pool.lend();
        let result = encode(&mut self.tail);
        self.queued += self.tail.len();
        assert!(self.tail.len() <= CHUNK_MAX, "a chunk is at most CHUNK_MAX long");
        if self.tail.is_empty() {
            pool.give(std::mem::take(&mut self.tail));
        }
        result
    }

    /// The tail grows no more.
    fn cut(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(Chunk::Own(std::mem::take(&mut self.tail)));
        }
    }

    /// Appends a chunk as it is.
    fn push(&mut self, chunk: Chunk) {
        self.cut();
        self.queued += chunk.as_bytes().len();
        self.chunks.push_back(chunk);
    }

    /// Has `encode` append an answer of HTTP, however long it is: it has no frames, and may be cut
    /// anywhere.
    pub(crate) fn head_of_http<R>(
        &mut self,
        pool: &mut Pool,
        encode: impl FnOnce(&mut BytesMut) -> R,
    ) -> R {
        let mut rest = pool.lend();
        let result = encode(&mut rest);
        while rest.len() > CHUNK_MAX {
            self.push(Chunk::Own(rest.split_to(CHUNK_MAX)));
        }
        if rest.is_empty() {
            pool.give(rest);
        } else {
            self.push(Chunk::Own(rest));
        }
        result
    }

    /// Appends the body of an answer of HTTP.
    pub(crate) fn body_of_http(&mut self, mut body: Bytes) {
        while !body.is_empty() {
            self.push(Chunk::Shared(body.split_to(body.len().min(CHUNK_MAX))));
        }
    }

    /// Appends a message that others get, too. A long one, and one that leaves at once, is not
    /// copied; short ones that wait gather like those of this connection alone, because a send for
    /// each would cost more than the copy.
    pub(crate) fn frame(&mut self, frame: &Frame, pool: &mut Pool) {
        for piece in frame.pieces() {
            if piece.len() <= COPIED_MAX && self.queued > 0 {
                self.append(piece.len(), pool, |out| out.extend_from_slice(&piece));
            } else {
                self.push(Chunk::Shared(piece));
            }
        }
    }

    /// Answers the newest ping, unless too many answers wait already: then it stays owed, and a
    /// newer one may take its place.
    pub(crate) fn pong(&mut self, conn: &mut Connection, scratch: &mut Scratch, pool: &mut Pool) {
        if self.pongs.len() + CONTROL_FRAME_MAX > PONGS_MAX {
            return;
        }
        if self.pongs.capacity() == 0 {
            self.pongs = pool.lend();
        }
        conn.encode_pong([0; 4], scratch, &mut self.pongs);
    }

    /// The pongs that wait, if there are any.
    pub(crate) fn take_pongs(&mut self) -> Option<BytesMut> {
        (!self.pongs.is_empty()).then(|| std::mem::take(&mut self.pongs))
    }

    /// The chunk that goes next.
    pub(crate) fn pop(&mut self) -> Option<Chunk> {
        let tail = &mut self.tail;
        let the_tail = || (!tail.is_empty()).then(|| Chunk::Own(std::mem::take(tail)));
        let chunk = self.chunks.pop_front().or_else(the_tail)?;
        self.queued -= chunk.as_bytes().len();
        Some(chunk)
    }

    /// Drops what waits.
    pub(crate) fn clear_output(&mut self, pool: &mut Pool) {
        pool.give(std::mem::take(&mut self.pongs));
        while let Some(chunk) = self.pop() {
            pool.give_chunk(chunk);
        }
    }
}

/// The memory that a shard's connections take turns with.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    buffers: Vec<BytesMut>,
    /// The capacity of all that lies in `buffers`.
    bytes: usize,
    #[expect(clippy::vec_box, reason = "the boxes are what is used again")]
    works: Vec<Box<Work>>,
}

/// What the pool keeps, and what a fresh buffer has. A rush fills it once and for all, so its small
/// buffers count for each of a million connections on 51 shards: 1,024 were 7 bytes for each of them.
const POOL_BYTES_MAX: usize = 512 * 1024;
const POOL_BUFFERS_MAX: usize = 256;
const BUFFER_BYTES: usize = 128;

impl Pool {
    /// How much memory waits in it to be used again.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.works.len() * size_of::<Work>()
    }

    /// An empty buffer.
    pub(crate) fn lend(&mut self) -> BytesMut {
        match self.buffers.pop() {
            Some(buffer) => {
                self.bytes -= buffer.capacity();
                buffer
            }
            None => BytesMut::with_capacity(BUFFER_BYTES),
        }
    }

    /// Takes a buffer back that was read off its front. What was read is not in its capacity, and
    /// memory all the same.
    pub(crate) fn give_read(&mut self, mut buffer: BytesMut) {
        buffer.clear();
        let _ = buffer.try_reclaim(buffer.capacity() + 1);
        self.give(buffer);
    }

    /// Takes a buffer back.
    pub(crate) fn give(&mut self, mut buffer: BytesMut) {
        buffer.clear();
        let bytes = self.bytes + buffer.capacity();
        let has_room = bytes <= POOL_BYTES_MAX && self.buffers.len() < POOL_BUFFERS_MAX;
        if has_room && buffer.capacity() > 0 {
            self.bytes = bytes;
            self.buffers.push(buffer);
        }
    }

    /// Takes a chunk back that came home.
    pub(crate) fn give_chunk(&mut self, chunk: Chunk) {
        match chunk {
            Chunk::Own(buffer) => self.give(buffer),
            Chunk::Shared(bytes) => drop::<Bytes>(bytes),
        }
    }

    /// The work of a connection that stops being idle.
    pub(crate) fn lend_work(&mut self) -> Box<Work> {
        self.works.pop().unwrap_or_default()
    }

    /// Takes the work of a connection back.
    pub(crate) fn give_work(&mut self, mut work: Box<Work>) {
        work.clear_output(self);
        self.give(std::mem::take(&mut work.head));
        self.give_read(std::mem::take(&mut work.held));
        work.progress = HeadProgress::default();
        work.locating = false;
        work.probe = None;
        work.message_since = None;
        if self.works.len() < POOL_BUFFERS_MAX {
            self.works.push(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Buf;

    #[test]
    fn the_pool_counts_the_whole_memory_of_a_buffer_that_was_read_from_its_front() {
        let mut pool = Pool::default();
        let mut buffer = BytesMut::zeroed(100_000);
        buffer.advance(99_999);
        pool.give_read(buffer);
        assert_eq!(pool.bytes, 100_000);
        assert_eq!(pool.lend().capacity(), 100_000);
        assert_eq!(pool.bytes, 0);
    }
}
