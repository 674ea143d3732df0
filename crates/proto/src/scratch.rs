use crate::Payload;
use crate::pending::Pending;
use bytes::BytesMut;

/// Buffers kept for the next message that comes split.
const BUFFERS_MAX: usize = 16;

/// A larger buffer goes back to the allocator: a connection that gathers a few bytes should not sit
/// on the memory of another's large message.
const BUFFER_SIZE_MAX: usize = 64 * 1024;

/// Boxes kept for the next connection that needs one; about 250 bytes each.
const BOXES_MAX: usize = 256;

/// Memory that many connections of one thread share: buffers to gather split messages in, and the
/// boxes for what an idle connection does not have. It keeps about 1 MiB at most.
#[derive(Debug, Default)]
pub struct Scratch {
    buffers: Vec<BytesMut>,
    #[expect(clippy::vec_box, reason = "the boxes themselves are what is used again")]
    boxes: Vec<Box<Pending>>,
}

impl Scratch {
    /// Gives the buffer of a gathered message back, to be used for the next one. Takes a
    /// [`Payload`], a [`Text`](crate::Text) or an [`Incoming`](crate::Incoming); lent ones too.
    pub fn reclaim<'a>(&mut self, payload: impl Into<Payload<'a>>) {
        if let Payload::Owned(buffer) = payload.into() {
            self.return_buffer(buffer);
        }
    }

    /// An empty buffer.
    pub(crate) fn buffer(&mut self) -> BytesMut {
        self.buffers.pop().unwrap_or_default()
    }

    pub(crate) fn return_buffer(&mut self, mut buffer: BytesMut) {
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
