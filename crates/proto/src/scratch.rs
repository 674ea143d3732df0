use crate::Payload;

/// Memory that many connections of one thread share: buffers to gather split messages in, and what
/// compression will need.
#[derive(Debug, Default)]
pub struct Scratch {
    _todo: (),
}

impl Scratch {
    /// Gives the buffer of a gathered message back, to be used for the next one.
    pub fn reclaim(&mut self, _payload: Payload<'_>) {
        todo!()
    }
}
