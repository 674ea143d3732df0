//! The ways in which a peer can die.

use crate::observer::Observer;
use halfopen_driver::may_vanish;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;

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
    /// The host is switched off, and is back at once: it knows of no connection, says nothing by
    /// itself, and answers the next packet with RST. Wants CAP_NET_ADMIN.
    Vanish,
    /// Cable, NAT, radio: nothing arrives any more, not even an acknowledgement leaves.
    Blackhole,
    /// No death: it answers each ping, but late.
    Slow,
    /// No death: nothing arrives for a while, and then everything does again.
    Flap,
}

impl Death {
    /// Those that end a peer, in the order of reports.
    pub const DEADLY: [Self; 7] = [
        Self::Close,
        Self::Fin,
        Self::Reset,
        Self::Freeze,
        Self::Mute,
        Self::Vanish,
        Self::Blackhole,
    ];

    /// Every way, in the order of reports.
    pub const ALL: [Self; 9] = [
        Self::Close,
        Self::Fin,
        Self::Reset,
        Self::Freeze,
        Self::Mute,
        Self::Vanish,
        Self::Blackhole,
        Self::Slow,
        Self::Flap,
    ];

    /// Those that end a peer, and that this process may cause.
    pub fn possible() -> Vec<Self> {
        let may_vanish = may_vanish();
        Self::DEADLY.into_iter().filter(|&death| may_vanish || death != Self::Vanish).collect()
    }

    /// Whether it lives on in truth, and should not be given up by a patient server.
    pub const fn spares(self) -> bool {
        matches!(self, Self::Slow | Self::Flap)
    }

    /// The name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::Fin => "fin",
            Self::Reset => "reset",
            Self::Freeze => "freeze",
            Self::Mute => "mute",
            Self::Vanish => "vanish",
            Self::Blackhole => "blackhole",
            Self::Slow => "slow",
            Self::Flap => "flap",
        }
    }

    /// What it is in the world outside.
    pub const fn in_plain_words(self) -> &'static str {
        match self {
            Self::Close => "leaves politely",
            Self::Fin => "the program ends",
            Self::Reset => "the program is killed with data unread",
            Self::Freeze => "the program hangs",
            Self::Mute => "the program forgets its duty",
            Self::Vanish => "the host reboots",
            Self::Blackhole => "cable, NAT, radio",
            Self::Slow => "answers pings late",
            Self::Flap => "the network fails for a while",
        }
    }

    /// Whether TCP tells the server nothing by itself, so that only a heartbeat can find it.
    pub const fn is_silent(self) -> bool {
        matches!(self, Self::Freeze | Self::Mute | Self::Vanish | Self::Blackhole)
    }

    /// Whether whatever is sent to it is answered with RST: then a ping finds it, and no timeout has
    /// to pass.
    pub const fn answers_with_reset(self) -> bool {
        matches!(self, Self::Vanish)
    }

    /// Whether it is found when a ping was not answered for the timeout, and not before.
    pub const fn is_left_to_the_timeout(self) -> bool {
        self.is_silent() && !self.answers_with_reset()
    }

    /// Whether nothing is left that could acknowledge a segment, so that TCP's own timers find it too
    /// where they are set.
    pub const fn takes_the_host(self) -> bool {
        matches!(self, Self::Vanish | Self::Blackhole)
    }
}

/// Who watches what becomes of victims at the server. Called by several threads.
pub trait DeathWatch: Send + Sync {
    /// Once before the first death: learns which sockets the server has. How many there are.
    ///
    /// # Errors
    /// The kernel does not tell.
    fn map(&self) -> io::Result<usize>;

    /// The connection of `client` to `server` is about to die.
    fn watch(&self, client: SocketAddr, server: SocketAddr);

    /// Whether it is known of every victim so far that the server has let go of it and its kernel
    /// has the memory back.
    fn all_found(&self) -> bool;
}

impl DeathWatch for Observer {
    fn map(&self) -> io::Result<usize> {
        Self::map(self)
    }

    fn watch(&self, client: SocketAddr, server: SocketAddr) {
        Self::watch(self, client, server);
    }

    fn all_found(&self) -> bool {
        let (watched, detected, reclaimed) = self.progress();
        detected == watched && reclaimed == watched
    }
}

/// Watches nothing: for a server of which only the client's side is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl DeathWatch for Unwatched {
    fn map(&self) -> io::Result<usize> {
        Ok(0)
    }

    fn watch(&self, _client: SocketAddr, _server: SocketAddr) {}

    fn all_found(&self) -> bool {
        false
    }
}
