use serde::{Deserialize, Serialize};

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum End {
    /// Both Close frames passed.
    Closed,
    /// The peer's FIN came without a Close frame: its program ended.
    Fin,
    /// The peer's RST came.
    Reset,
    /// A ping was not answered in time; we aborted.
    Silent,
    /// The peer took nothing of what we sent for the whole output timeout; we aborted.
    OutputStuck,
    /// The peer read more slowly than was sent to it, and its queue was full; we closed (1008).
    SlowConsumer,
    /// The opening handshake was not finished in time.
    HandshakeTimeout,
    /// The peer did not finish the closing handshake in time.
    CloseTimeout,
    /// The peer began a message and did not finish it in time; we closed.
    MessageTimeout,
    /// No message came for the whole idle timeout; we closed.
    Idle,
    /// The peer broke the protocol or a limit; we closed.
    Violation,
    /// The request was answered with an HTTP error.
    Refused,
    /// The app answered a request of plain HTTP.
    Answered,
    /// The server drained before the handshake was finished.
    Drained,
    /// The kernel gave the peer up (ETIMEDOUT): by TCP keepalive, by TCP_USER_TIMEOUT, or after
    /// some 15 minutes of retransmission.
    TimedOut,
    /// Another error of the kernel.
    Error,
}

impl End {
    /// Each of them.
    pub const ALL: [Self; 16] = [
        Self::Closed,
        Self::Fin,
        Self::Reset,
        Self::Silent,
        Self::OutputStuck,
        Self::SlowConsumer,
        Self::HandshakeTimeout,
        Self::CloseTimeout,
        Self::MessageTimeout,
        Self::Idle,
        Self::Violation,
        Self::Refused,
        Self::Answered,
        Self::Drained,
        Self::TimedOut,
        Self::Error,
    ];

    /// The name in metrics, and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Fin => "fin",
            Self::Reset => "reset",
            Self::Silent => "silent",
            Self::OutputStuck => "output_stuck",
            Self::SlowConsumer => "slow_consumer",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::CloseTimeout => "close_timeout",
            Self::MessageTimeout => "message_timeout",
            Self::Idle => "idle",
            Self::Violation => "violation",
            Self::Refused => "refused",
            Self::Answered => "answered",
            Self::Drained => "drained",
            Self::TimedOut => "timed_out",
            Self::Error => "error",
        }
    }
}

/// Why a request did not become a WebSocket connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// The greatest number of connections is open (503).
    Full,
    /// The server drains (503).
    Draining,
    /// A request of plain HTTP, or for another version (426).
    Upgrade,
    /// A request that is not valid (another 4xx).
    Request,
    /// A request that the app declined.
    Declined,
    /// A request that the app granted with an answer that cannot be sent (500).
    Fault,
}

impl Refusal {
    /// Each of them.
    pub const ALL: [Self; 6] =
        [Self::Full, Self::Draining, Self::Upgrade, Self::Request, Self::Declined, Self::Fault];

    /// The name in metrics, and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Draining => "draining",
            Self::Upgrade => "upgrade",
            Self::Request => "request",
            Self::Declined => "declined",
            Self::Fault => "fault",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_in_metrics_and_in_json() {
        for end in End::ALL {
            assert_eq!(serde_json::to_value(end).unwrap(), end.name());
        }
        for refusal in Refusal::ALL {
            assert_eq!(serde_json::to_value(refusal).unwrap(), refusal.name());
        }
    }
}
