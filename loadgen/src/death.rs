//! The ways in which a peer can die.

use serde::{Deserialize, Serialize};

/// A way to die.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Death {
    /// Leaves politely: Close frame, then FIN.
    Close,
    /// The program ends: FIN without a Close frame.
    Fin,
    /// The program is killed with data unread: RST.
    Reset,
    /// The program hangs: reads nothing, answers nothing, its kernel goes on acknowledging.
    Freeze,
    /// The program forgets its duty: reads on, never answers a ping.
    Mute,
    /// Cable, NAT, radio: nothing arrives any more, not even an acknowledgement leaves.
    Blackhole,
}

impl Death {
    /// Every way, in the order of reports.
    pub const ALL: [Self; 6] =
        [Self::Close, Self::Fin, Self::Reset, Self::Freeze, Self::Mute, Self::Blackhole];

    /// The name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::Fin => "fin",
            Self::Reset => "reset",
            Self::Freeze => "freeze",
            Self::Mute => "mute",
            Self::Blackhole => "blackhole",
        }
    }

    /// Whether TCP tells the server nothing, so that only a heartbeat can find it.
    pub const fn is_silent(self) -> bool {
        matches!(self, Self::Freeze | Self::Mute | Self::Blackhole)
    }
}
