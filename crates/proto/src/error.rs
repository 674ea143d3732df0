use crate::CloseCode;

/// Why a connection has failed: a fault of the peer, or a limit of ours that the peer went over
/// ([`is_limit`](Self::is_limit)). The text tells the peer the cause; it fits into a Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// RSV1, RSV2 or RSV3 is set (§5.2).
    #[error("a reserved bit is set and no extension was agreed on")]
    ReservedBits,
    /// Opcode 3 to 7 or 11 to 15 (§5.2).
    #[error("opcode {0} is reserved")]
    ReservedOpcode(u8),
    /// A control frame without FIN (§5.5).
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// A control frame of more than 125 bytes (§5.5).
    #[error("a control frame is longer than 125 bytes")]
    ControlTooLong,
    /// A frame of a client without a mask (§5.1).
    #[error("a client's frame is not masked")]
    Unmasked,
    /// A frame of a server with a mask (§5.1).
    #[error("a server's frame is masked")]
    Masked,
    /// A length written in more bytes than it needs (§5.2).
    #[error("a frame's length is not in its shortest form")]
    NonMinimalLength,
    /// A length of 2⁶³ or more (§5.2).
    #[error("a frame's length has its top bit set")]
    LengthTopBit,
    /// A continuation where no message is unfinished (§5.4).
    #[error("a continuation frame continues nothing")]
    LoneContinuation,
    /// A text or binary frame inside an unfinished message (§5.4).
    #[error("a message begins inside an unfinished one")]
    InterleavedMessage,
    /// A Close frame of one byte: half a code (§5.5.1).
    #[error("a close frame's body is one byte")]
    CloseOneByte,
    /// A Close code that may not be sent (§7.4).
    #[error("a close code that must not be sent")]
    InvalidCloseCode,
    /// A close reason that is not UTF-8 (§5.5.1).
    #[error("a close reason is not UTF-8")]
    CloseReasonNotUtf8,
    /// A text message that is not UTF-8 (§8.1).
    #[error("a text message is not UTF-8")]
    TextNotUtf8,
    /// A frame longer than [`Limits::frame_max`](crate::Limits::frame_max).
    #[error("a frame is longer than the {max} bytes allowed")]
    FrameTooLong {
        /// The limit, in bytes.
        max: u64,
    },
    /// A message longer than [`Limits::message_max`](crate::Limits::message_max).
    #[error("a message is longer than the {max} bytes allowed")]
    MessageTooLong {
        /// The limit, in bytes.
        max: u64,
    },
    /// A message in more frames than [`Limits::fragments_max`](crate::Limits::fragments_max).
    #[error("a message has more than the {max} fragments allowed")]
    TooManyFragments {
        /// The limit, in frames.
        max: u32,
    },
    /// An unfinished message that would pin more than [`Limits::pinned_max`](crate::Limits::pinned_max).
    #[error("an unfinished message is longer than the {max} bytes held for it")]
    TooMuchPinned {
        /// The limit, in bytes.
        max: u64,
    },
}

impl Violation {
    /// Whether the peer kept the protocol and only asked for more than we allow.
    pub const fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::FrameTooLong { .. }
                | Self::MessageTooLong { .. }
                | Self::TooManyFragments { .. }
                | Self::TooMuchPinned { .. }
        )
    }

    /// The code of the Close frame that tells the peer (§7.4.1): 1007 for what is not UTF-8, 1009
    /// for a limit, else 1002.
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::TextNotUtf8 | Self::CloseReasonNotUtf8 => CloseCode::INVALID_DATA,
            limit if limit.is_limit() => CloseCode::TOO_BIG,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}
