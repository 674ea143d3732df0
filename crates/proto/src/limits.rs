/// What a peer may ask us to hold. Control frames are bounded by the protocol and not by these.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The most payload bytes in one frame.
    pub frame_max: u64,
    /// The most bytes in one message, over all its fragments.
    pub message_max: u64,
    /// The most frames in one message.
    pub fragments_max: u32,
}

impl Limits {
    /// The defaults, with frames and messages of at most `bytes`.
    pub fn of_message(bytes: u64) -> Self {
        Self { frame_max: bytes, message_max: bytes, ..Self::default() }
    }
}

impl Default for Limits {
    /// 16 MiB a message and a frame, 1,048,576 fragments (65,536 in one message are legitimate).
    fn default() -> Self {
        Self { frame_max: 16 << 20, message_max: 16 << 20, fragments_max: 1 << 20 }
    }
}
