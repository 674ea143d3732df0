//! One connection of a swarm.

use super::line::Line;
use super::returning::Returns;
use super::script::Owed;
use halfopen_proto::{Connection, Role};
use halfopen_wheel::Instant;
use std::num::NonZeroU64;

/// A connection, or the place of one. Idle it owns no memory beside this.
#[derive(Debug)]
#[repr(align(64))] // no line of the cache is begun that is not ours
pub(super) struct Conn {
    pub(super) ws: Connection,
    pub(super) phase: Phase,
    /// Its messages.
    pub(super) line: Line,
    /// When the wheel is to look at it: the handshake's end, or its next own ping or beat.
    pub(super) deadline: Instant,
    /// When the server's last ping came.
    pub(super) pinged: Moment,
    /// When the last ping came that it answered.
    pub(super) answered: Moment,
    /// When its own ping was sent that no pong has answered.
    pub(super) asked: Moment,
    /// The payload of that ping.
    pub(super) stamp: u32,
    pub(super) generation: u32,
    /// Its number in the plan.
    pub(super) number: u32,
    /// Its place among the living.
    pub(super) place: u32,
    /// A send is in flight.
    pub(super) in_flight: bool,
    /// Its own ping is in that send.
    pub(super) ping_in_flight: bool,
    /// Texts that it is to say.
    pub(super) owed: Owed,
    /// While it opens, whether it was here before; when it was sent away, why it comes back.
    pub(super) returns: Returns,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody is here.
    Free,
    /// The request is sent, the answer not here.
    Handshaking {
        /// When TCP had opened it.
        opened: Instant,
    },
    /// The answer is no handshake; its first words are waited for.
    Refused,
    /// Open.
    Living,
    /// The server has closed it or broken the protocol; it is counted as lost.
    Parting,
    /// It was killed: the number of the victim.
    Dead(u32),
    /// We have said goodbye at the end of the run.
    Leaving,
    /// Aborted; the driver has not told its end yet.
    Gone,
}

impl Conn {
    pub(super) fn vacant() -> Self {
        Self {
            ws: Connection::new(Role::Client),
            phase: Phase::Free,
            line: Line::EMPTY,
            deadline: Instant::FAR,
            pinged: Moment::NEVER,
            answered: Moment::NEVER,
            asked: Moment::NEVER,
            stamp: 0,
            generation: 0,
            number: 0,
            place: 0,
            in_flight: false,
            ping_in_flight: false,
            owed: Owed::NOTHING,
            returns: Returns::No,
        }
    }
}

/// An instant, or never, in eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(Option<NonZeroU64>);

impl Moment {
    pub(super) const NEVER: Self = Self(None);

    pub(super) fn at(instant: Instant) -> Self {
        Self(NonZeroU64::new(instant.as_nanos()))
    }

    pub(super) fn instant(self) -> Option<Instant> {
        self.0.map(|nanos| Instant::from_nanos(nanos.get()))
    }

    pub(super) fn is_never(self) -> bool {
        self == Self::NEVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_two_lines_of_the_cache() {
        assert_eq!(size_of::<Conn>(), 2 * 64);
    }
}
