//! Memory for what is done in place: pieces of one length, all at one alignment.
//!
//! Short pieces are many, so that none is touched again while its last store is still on the way to
//! the cache: a kernel whose loads overlap its own stores would pay for that, and no received frame
//! does. They fit into the first level of the cache together.

/// What the pieces of one arena take together, if they are short.
const SIZE: usize = 16 * 1024;

/// The line of the cache, and the widest vector.
const LINE: usize = 64;

/// Pieces of memory, each `offset` bytes past the start of a cache line.
#[derive(Debug)]
pub struct Arena {
    bytes: Vec<u8>,
    start: usize,
    stride: usize,
    offset: usize,
    len: usize,
}

impl Arena {
    /// Pieces that begin as copies of `content`.
    ///
    /// # Panics
    /// If `offset` is not within a cache line.
    pub fn new(content: &[u8], offset: usize) -> Self {
        assert!(offset < LINE, "{offset} is not within a cache line");
        let len = content.len();
        let stride = (offset + len).next_multiple_of(LINE);
        let pieces = (SIZE / stride).max(1);
        let bytes = vec![0; pieces * stride + LINE];
        let start = bytes.as_ptr().align_offset(LINE);
        let mut arena = Self { bytes, start, stride, offset, len };
        arena.fill(content, false);
        arena
    }

    /// Makes every piece a copy of `content`.
    pub fn fill(&mut self, content: &[u8], aligned: bool) {
        self.pieces(aligned).for_each(|piece| piece.copy_from_slice(content));
    }

    /// How many pieces there are.
    pub fn count(&self) -> usize {
        (self.bytes.len() - LINE) / self.stride
    }

    /// The pieces; `aligned`: moved to the start of their first cache line, whatever the offset.
    #[inline]
    pub fn pieces(&mut self, aligned: bool) -> impl Iterator<Item = &mut [u8]> {
        let from = if aligned { 0 } else { self.offset };
        let (to, end) = (from + self.len, self.bytes.len() - LINE + self.start);
        self.bytes[self.start..end]
            .chunks_exact_mut(self.stride)
            .map(move |line| &mut line[from..to])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lie_at_their_offset_and_fill_the_arena() {
        for (len, count) in [(5, 256), (58, 256), (59, 128), (4096, 3), (1 << 20, 1)] {
            let mut arena = Arena::new(&vec![7; len], 6);
            assert_eq!(arena.count(), count, "{len}");
            assert_eq!(arena.pieces(false).count(), count, "{len}");
            for piece in arena.pieces(false) {
                assert!(piece.len() == len && piece.iter().all(|&byte| byte == 7));
                assert_eq!(piece.as_ptr().align_offset(LINE), LINE - 6);
            }
            assert!(arena.pieces(true).all(|piece| piece.as_ptr().align_offset(LINE) == 0));
        }
    }
}
