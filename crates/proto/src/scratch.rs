use crate::Payload;
use crate::pending::Pending;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Buffers kept for the next message that comes split, and their bytes together. A larger one goes
/// back to the allocator.
const BUFFERS_MAX: usize = 16;
const BYTES_MAX: usize = 1 << 20;

/// Boxes kept for the next connection that needs one; about 350 bytes each.
const BOXES_MAX: usize = 256;

/// Memory that many connections of one thread share: buffers to gather split messages in, and the
/// boxes for what an idle connection does not have. It keeps about 1 MiB at most.
#[derive(Debug, Default)]
pub struct Scratch {
    buffers: Vec<Vec<u8>>,
    /// The capacity of all `buffers`.
    bytes: usize,
    #[expect(clippy::vec_box, reason = "the boxes themselves are what is used again")]
    boxes: Vec<Box<Pending>>,
}

impl Scratch {
    /// Gives the buffer of a gathered message back, to be used for the next one. Takes a
    /// [`Payload`], a [`Text`](crate::Text) or an [`Incoming`](crate::Incoming); lent ones too.
    #[inline]
    pub fn reclaim<'a>(&mut self, payload: impl Into<Payload<'a>>) {
        if let Payload::Owned(buffer) = payload.into() {
            self.return_buffer(buffer);
        }
    }

    /// How many bytes of memory it keeps to use again.
    pub fn bytes(&self) -> usize {
        self.bytes + self.boxes.len() * size_of::<Pending>()
    }

    /// An empty buffer of at most `capacity_max` bytes: the smallest that has room for `expected`
    /// bytes, so that who gathers a few does not sit on the memory of another's large message; else
    /// the largest. It may have no room at all.
    pub(crate) fn buffer(&mut self, expected: usize, capacity_max: usize) -> Vec<u8> {
        let fitness = |capacity: usize| {
            if capacity >= expected { (0, capacity) } else { (1, usize::MAX - capacity) }
        };
        let allowed = self.buffers.iter().map(Vec::capacity).enumerate();
        let allowed = allowed.filter(|(_, capacity)| *capacity <= capacity_max);
        let Some((at, capacity)) = allowed.min_by_key(|(_, capacity)| fitness(*capacity)) else {
            return Vec::new();
        };
        self.bytes -= capacity;
        self.buffers.swap_remove(at)
    }

    pub(crate) fn return_buffer(&mut self, mut buffer: Vec<u8>) {
        let bytes = self.bytes + buffer.capacity();
        if buffer.capacity() > 0 && bytes <= BYTES_MAX && self.buffers.len() < BUFFERS_MAX {
            buffer.clear();
            self.bytes = bytes;
            self.buffers.push(buffer);
        }
    }

    /// An empty box.
    pub(crate) fn pending(&mut self) -> Box<Pending> {
        self.boxes.pop().unwrap_or_default()
    }

    pub(crate) fn return_pending(&mut self, pending: Box<Pending>) {
        debug_assert!(pending.is_empty());
        if self.boxes.len() < BOXES_MAX {
            self.boxes.push(pending);
        }
    }
}

/// The least memory that is asked for: a message that comes byte by byte should not grow at each.
const ROOM_MIN: usize = 64;

/// Makes room for `more` bytes in memory that never needs more than `most`: twice of what there was,
/// so that gathering a message takes time linear in its length.
pub(crate) fn make_room(memory: &mut Vec<u8>, more: usize, most: usize) {
    let needed = memory.len() + more;
    if needed > memory.capacity() {
        let doubled = (2 * memory.capacity()).max(ROOM_MIN);
        memory.reserve_exact(doubled.min(most).max(needed) - memory.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_lent_to_whom_it_fits_best() {
        let mut scratch = Scratch::default();
        for bytes in [100, 9000, 500, 2000] {
            scratch.return_buffer(Vec::with_capacity(bytes));
        }
        let mut lend = |expected, most| scratch.buffer(expected, most).capacity();
        assert_eq!(lend(300, usize::MAX), 500);
        assert_eq!(lend(300, 1000), 100, "too small, but the only one allowed");
        assert_eq!(lend(10_000, usize::MAX), 9000, "none is large enough");
        assert_eq!(lend(0, usize::MAX), 2000);
        assert_eq!(lend(0, usize::MAX), 0, "none is left");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut scratch = Scratch::default();
        scratch.return_buffer(Vec::with_capacity(BYTES_MAX + 1));
        assert!(scratch.buffers.is_empty());
        scratch.return_buffer(Vec::with_capacity(BYTES_MAX - 10));
        (0..100).for_each(|_| scratch.return_buffer(Vec::with_capacity(1)));
        assert_eq!((scratch.buffers.len(), scratch.bytes), (11, BYTES_MAX));
        (0..11).for_each(|_| drop(scratch.buffer(0, usize::MAX)));
        assert_eq!(scratch.bytes, 0);
    }

    #[test]
    fn room_grows_twofold_within_what_is_needed_at_most() {
        let mut memory = Vec::new();
        for (more, expected) in [(1, 64), (64, 128), (100, 256), (200, 500), (0, 500)] {
            make_room(&mut memory, more, 500);
            assert_eq!(memory.capacity(), expected);
            memory.resize(memory.len() + more, 0);
        }
    }
}
