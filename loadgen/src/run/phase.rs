//! The parts of a run, one after the other.

use halfopen_wheel::Instant;

/// A part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Connections are opened.
    Ramp,
    /// All are open (or have failed); messages and pings go on.
    Steady,
    /// The victims are killed.
    Deaths,
    /// The dead are watched.
    Watch,
    /// Connections are closed.
    End,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 5] = [Self::Ramp, Self::Steady, Self::Deaths, Self::Watch, Self::End];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ramp => "ramp",
            Self::Steady => "steady",
            Self::Deaths => "deaths",
            Self::Watch => "watch",
            Self::End => "end",
        }
    }
}

/// A phase and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which.
    pub phase: Phase,
    /// When it began.
    pub start: Instant,
    /// When it ended.
    pub end: Instant,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All that was planned is done.
    Complete,
    /// Somebody wanted it to end.
    Interrupted,
    /// Not one connection could be opened.
    NoneOpened,
    /// Every living connection was lost.
    ServerLost,
}
