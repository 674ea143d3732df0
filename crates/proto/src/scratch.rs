use crate::Payload;
use crate::pending::Pending;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Buffers kept for the next message that comes split.
const BUFFERS_MAX: usize = 16;

/// A larger buffer goes back to the allocator: a connection that gathers a few bytes should not sit
/// on the memory of another's large message.
const BUFFER_SIZE_MAX: usize = 64 * 1024;

/// Boxes kept for the next connection that needs one; about 350 bytes each.
const BOXES_MAX: usize = 256;

/// Memory that many connections of one thread share: buffers to gather split messages in, and the
/// boxes for what an idle connection does not have. It keeps about 1 MiB at most.
#[derive(Debug, Default)]
pub struct Scratch {
    buffers: Vec<Vec<u8>>,
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

    /// An empty buffer of at most `capacity_max` bytes.
    pub(crate) fn buffer(&mut self, capacity_max: usize) -> Vec<u8> {
        let fits = |buffer: &Vec<u8>| buffer.capacity() <= capacity_max;
        let found = self.buffers.iter().rposition(fits);
        found.map(|at| self.buffers.swap_remove(at)).unwrap_or_default()
    }

    pub(crate) fn return_buffer(&mut self, mut buffer: Vec<u8>) {
        let useful = (1..=BUFFER_SIZE_MAX).contains(&buffer.capacity());
        if useful && self.buffers.len() < BUFFERS_MAX {
            buffer.clear();
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
