/// A close code that may stand in a Close frame (RFC 6455 §7.4 and the IANA registry: 1000 to 1003,
/// 1007 to 1014, 3000 to 4999).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The endpoint goes away: a server that stops, a page that is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A message of a type that is not accepted.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// Against the endpoint's policy.
    pub const POLICY: Self = Self(1008);
    /// A message too big.
    pub const TOO_BIG: Self = Self(1009);
    /// The server met an unexpected condition.
    pub const INTERNAL: Self = Self(1011);
    /// The server restarts.
    pub const RESTART: Self = Self(1012);
    /// The server is overloaded.
    pub const TRY_AGAIN: Self = Self(1013);

    /// `code`, if it may be sent.
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}
