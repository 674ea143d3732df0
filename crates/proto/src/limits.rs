/// What a peer may ask us to hold. Control frames are bounded by the protocol and not by these.
///
/// Two bounds live elsewhere. How many bytes an opening handshake may take is
/// [`HeadLimits`](crate::handshake::HeadLimits). How long a message may take to be whole is for who
/// has the clock: nothing here reads one, but [`Connection::is_mid_message`] tells after each input
/// whether a message is unfinished, so that its age can be watched.
///
/// [`Connection::is_mid_message`]: crate::Connection::is_mid_message
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The most payload bytes in one frame.
    pub frame_max: u64,
    /// The most bytes in one message, over all its fragments.
    pub message_max: u64,
    /// The most frames in one message.
    pub fragments_max: u32,
    /// The most bytes of memory, used or only reserved, that the connection may pin for an
    /// unfinished message. [`Connection::held`](crate::Connection::held) is never more than this
    /// and half a kilobyte.
    ///
    /// A message that lies whole in one input pins nothing. So where this is less than
    /// `message_max`, and only there, it depends on how the bytes arrive whether a message between
    /// the two is refused.
    pub pinned_max: u64,
}

impl Limits {
    /// The defaults, with frames and messages of at most `bytes`, and as much pinned.
    pub fn of_message(bytes: u64) -> Self {
        Self { frame_max: bytes, message_max: bytes, pinned_max: bytes, ..Self::default() }
    }
}

impl Default for Limits {
    /// 16 MiB a message, a frame and pinned; 1,048,576 fragments (65,536 in one message are
    /// legitimate).
    fn default() -> Self {
        let bytes = 16 << 20;
        Self { frame_max: bytes, message_max: bytes, fragments_max: 1 << 20, pinned_max: bytes }
    }
}
