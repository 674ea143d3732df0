//! Living connections that were lost, and whether the server's heartbeat explains it.
//!
//! A client cannot see the server's reasons, only the end. It is put down to the heartbeat (a
//! *false kill*) by one of two signs:
//!
//! - the server's Close frame says so: its reason speaks of a ping, a pong, a heartbeat or
//!   keepalive (`1011 keepalive ping timeout`);
//! - it ended without a Close frame, by RST, FIN or a kernel that gave up, after the server had
//!   pinged it and no sooner after the last ping than the server's timeout (with [`SLACK`] for the
//!   way). Where the timeout is not known it counts as zero: better to suspect the heartbeat once
//!   too often than to hide what it did.
//!
//! Where all were lost at once the server itself died, and the heartbeat is suspected of none.

use crate::plan::ServerPing;
use halfopen_wheel::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How much sooner than its timeout after the ping's arrival a kill may reach the client: the
/// ping's own way, and how late the client looked.
pub const SLACK: Duration = Duration::from_millis(50);

/// The code that stands for a connection which ended without a Close frame (RFC 6455 §7.1.5).
pub const NO_CLOSE_FRAME: u16 = 1006;

/// A server that dies takes all its connections with it within this time.
const AT_ONCE: Duration = Duration::from_secs(2);

/// How a living connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// When.
    #[serde(with = "crate::serial::instant")]
    pub at: Instant,
    /// When the server's last ping came, if any did.
    #[serde(with = "crate::serial::moment")]
    pub pinged: Option<Instant>,
    /// How.
    pub ending: Ending,
}

/// What the client saw of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// A Close frame.
    Closed {
        /// Its code; 1005 if it had none.
        code: u16,
        /// Its reason speaks of the heartbeat.
        heartbeat: bool,
    },
    /// FIN without a Close frame.
    Fin,
    /// RST, or a kernel that gave the peer up.
    Reset,
    /// The server broke the protocol, and we closed with this code.
    Violation(u16),
}

/// Losses by cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// Put down to the heartbeat: false kills.
    pub(super) heartbeat: u64,
    /// Closed, by code; 1006 where no Close frame came.
    pub(super) closed: BTreeMap<u16, u64>,
    /// Reset.
    pub(super) reset: u64,
}

impl Losses {
    /// Sorts `losses`, with what is known of the server's heartbeat and how many still live.
    pub(super) fn sort(losses: &[Loss], ping: Option<ServerPing>, living: u64) -> Self {
        let server_died = living == 0 && came_at_once(losses);
        let mut sorted = Self::default();
        for loss in losses {
            if !server_died && loss.is_of_heartbeat(ping) {
                sorted.heartbeat += 1;
            } else if loss.ending == Ending::Reset {
                sorted.reset += 1;
            } else {
                *sorted.closed.entry(loss.ending.code()).or_default() += 1;
            }
        }
        sorted
    }
}

/// Whether nine in ten came shortly before the last one, and more than one did.
fn came_at_once(losses: &[Loss]) -> bool {
    let last = losses.iter().map(|loss| loss.at).max().unwrap_or_default();
    let late = losses.iter().filter(|loss| loss.at + AT_ONCE >= last).count();
    losses.len() > 1 && late * 10 >= losses.len() * 9
}

impl Loss {
    fn is_of_heartbeat(&self, ping: Option<ServerPing>) -> bool {
        match self.ending {
            Ending::Closed { heartbeat, .. } => heartbeat,
            Ending::Violation(_) => false,
            Ending::Fin | Ending::Reset => {
                let timeout = ping.map_or(Duration::ZERO, |ping| ping.timeout);
                self.pinged
                    .is_some_and(|pinged| self.at.saturating_since(pinged) + SLACK >= timeout)
            }
        }
    }
}

impl Ending {
    fn code(self) -> u16 {
        match self {
            Self::Closed { code, .. } | Self::Violation(code) => code,
            Self::Fin | Self::Reset => NO_CLOSE_FRAME,
        }
    }
}

/// Whether the reason of a Close frame speaks of the heartbeat; a server that is "stopping" does not.
pub(crate) fn speaks_of_heartbeat(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase().replace("keep-alive", "keepalive");
    let mut words = reason.split(|c: char| !c.is_ascii_alphabetic());
    words.any(|word| {
        matches!(
            word,
            "ping" | "pings" | "pong" | "pongs" | "heartbeat" | "heartbeats" | "keepalive"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: ServerPing =
        ServerPing { interval: Some(Duration::from_secs(5)), timeout: Duration::from_secs(3) };

    fn loss(ending: Ending, ms_after_ping: Option<u64>) -> Loss {
        let at = Instant::from_nanos(60_000_000_000);
        let pinged = ms_after_ping.map(|ms| at - Duration::from_millis(ms));
        Loss { at, pinged, ending }
    }

    #[test]
    fn a_table_of_endings_is_sorted() {
        let told = Ending::Closed { code: 1011, heartbeat: true };
        let silent = Ending::Closed { code: 1011, heartbeat: false };
        let table = [
            (loss(told, None), None, "heartbeat"),
            (loss(silent, Some(4_000)), Some(PING), "closed"),
            (loss(Ending::Reset, Some(3_001)), Some(PING), "heartbeat"),
            (loss(Ending::Reset, Some(2_960)), Some(PING), "heartbeat"),
            (loss(Ending::Reset, Some(1_000)), Some(PING), "reset"),
            (loss(Ending::Reset, None), Some(PING), "reset"),
            (loss(Ending::Fin, Some(3_100)), Some(PING), "heartbeat"),
            (loss(Ending::Fin, Some(100)), Some(PING), "closed"),
            (loss(Ending::Fin, Some(100)), None, "heartbeat"),
            (loss(Ending::Violation(1002), Some(4_000)), Some(PING), "closed"),
        ];
        for (loss, ping, expected) in table {
            let sorted = Losses::sort(&[loss], ping, 1);
            let found = if sorted.heartbeat == 1 {
                "heartbeat"
            } else if sorted.reset == 1 {
                "reset"
            } else {
                "closed"
            };
            assert_eq!(found, expected, "{loss:?} with {ping:?}");
            let others = sorted.reset + sorted.closed.values().sum::<u64>();
            assert_eq!(sorted.heartbeat + others, 1);
        }
    }

    #[test]
    fn a_server_that_died_is_not_taken_for_its_heartbeat() {
        let lost = |ms: u64| {
            let loss = loss(Ending::Reset, Some(4_000));
            Loss { at: loss.at + Duration::from_millis(ms), ..loss }
        };
        let at_once: Vec<_> = (0..100).map(|n| lost(n * 10)).collect();
        assert_eq!(Losses::sort(&at_once, Some(PING), 0).heartbeat, 0);
        assert_eq!(Losses::sort(&at_once, Some(PING), 5).heartbeat, 100);
        let one_by_one: Vec<_> = (0..100).map(|n| lost(n * 100)).collect();
        assert_eq!(Losses::sort(&one_by_one, Some(PING), 0).heartbeat, 100);
    }

    #[test]
    fn reasons_that_speak_of_a_heartbeat_are_known() {
        assert!(speaks_of_heartbeat("keepalive ping timeout; no close frame received"));
        assert!(speaks_of_heartbeat("Heartbeat missed"));
        assert!(!speaks_of_heartbeat("stopping, going away"));
    }
}
