use bytes::BytesMut;

/// The memory that connections take turns with.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    buffers: Vec<BytesMut>,
    /// The capacity of all that lies in `buffers`.
    bytes: usize,
}

/// What is kept to be used again, and what a fresh buffer has.
const BYTES_MAX: usize = 512 * 1024;
const BUFFERS_MAX: usize = 256;
const BUFFER_BYTES: usize = 512;

impl Pool {
    /// How much memory waits in it.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
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

    /// Takes a buffer back, what was read off its front included.
    pub(crate) fn give(&mut self, mut buffer: BytesMut) {
        buffer.clear();
        let _ = buffer.try_reclaim(buffer.capacity() + 1);
        let bytes = self.bytes + buffer.capacity();
        let has_room = bytes <= BYTES_MAX && self.buffers.len() < BUFFERS_MAX;
        if has_room && buffer.capacity() > 0 {
            self.bytes = bytes;
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Buf;

    #[test]
    fn what_is_kept_is_bounded_and_counted_whole() {
        let mut pool = Pool::default();
        let mut read = BytesMut::zeroed(10_000);
        read.advance(9_999);
        pool.give(read);
        assert_eq!(pool.bytes(), 10_000);
        for _ in 0..100 {
            pool.give(BytesMut::with_capacity(100_000));
        }
        assert!(pool.bytes() <= BYTES_MAX, "{}", pool.bytes());
        while pool.bytes() > 0 {
            assert!(pool.lend().is_empty());
        }
    }
}
