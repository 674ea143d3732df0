//! What the driver remembers of a connection.

use crate::Cause;

/// A multishot request of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arm {
    Off,
    On,
    /// It was cancelled, and its last completion is still to come.
    Ending,
}

/// A request that is made once in a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Once {
    No,
    /// It waits for the send in flight.
    Wanted,
    Asked,
    Done,
}

/// A connection. The chunk in flight is not kept here: an idle connection has none.
#[derive(Debug)]
pub(super) struct Connection {
    /// Its direct descriptor. The kernel may use the number anew as soon as it is closed, before
    /// we have heard the end of what was armed for it: so it is never a name.
    pub(super) slot: u32,
    /// Set when it has ended; then nothing more is begun.
    pub(super) end: Option<Cause>,
    pub(super) receive: Arm,
    /// Nothing has come since its receive was armed.
    pub(super) fresh: bool,
    /// The watch for the end while it is paused.
    pub(super) poll: Arm,
    pub(super) sending: bool,
    pub(super) paused: bool,
    /// Its receive ended because no buffer was free; it stands in a queue to be armed again.
    pub(super) starved: bool,
    pub(super) v6: bool,
    pub(super) shutdown: Once,
    pub(super) close: Once,
}

impl Connection {
    pub(super) fn new(slot: u32, v6: bool) -> Self {
        Self {
            slot,
            end: None,
            receive: Arm::Off,
            fresh: false,
            poll: Arm::Off,
            sending: false,
            paused: false,
            starved: false,
            v6,
            shutdown: Once::No,
            close: Once::No,
        }
    }

    /// Whether the engine still wants its bytes.
    pub(super) fn is_heard(&self) -> bool {
        self.end.is_none()
    }

    /// Whether the kernel has nothing under way for it.
    pub(super) fn is_idle(&self) -> bool {
        !self.sending && self.receive == Arm::Off && self.poll == Arm::Off
    }
}

// The table adds its generation, and there may be a million of them.
const _: () = assert!(size_of::<Option<Connection>>() <= 24);
