use crate::Violation;
use crate::frame::CONTROL_MAX;
use crate::text::missing;
use core::num::NonZeroU16;

/// A close code that may stand in a Close frame (RFC 6455 §7.4 and the IANA registry: 1000 to 1003,
/// 1007 to 1014, 3000 to 4999).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(NonZeroU16);

impl CloseCode {
    /// The purpose is fulfilled.
    pub const NORMAL: Self = Self::new(1000).unwrap();
    /// The endpoint goes away: a server that stops, a page that is left.
    pub const GOING_AWAY: Self = Self::new(1001).unwrap();
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self::new(1002).unwrap();
    /// A message of a type that is not accepted.
    pub const UNSUPPORTED: Self = Self::new(1003).unwrap();
    /// Text that is not UTF-8.
    pub const INVALID_DATA: Self = Self::new(1007).unwrap();
    /// Against the endpoint's policy.
    pub const POLICY: Self = Self::new(1008).unwrap();
    /// A message too big.
    pub const TOO_BIG: Self = Self::new(1009).unwrap();
    /// The server met an unexpected condition.
    pub const INTERNAL: Self = Self::new(1011).unwrap();
    /// The server restarts.
    pub const RESTART: Self = Self::new(1012).unwrap();
    /// The server is overloaded.
    pub const TRY_AGAIN: Self = Self::new(1013).unwrap();

    /// `code`, if it may be sent.
    pub const fn new(code: u16) -> Option<Self> {
        match (code, NonZeroU16::new(code)) {
            (1000..=1003 | 1007..=1014 | 3000..=4999, Some(code)) => Some(Self(code)),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// Whether some valid code begins with this byte.
    fn may_begin_with(high: u8) -> bool {
        (0..=u8::MAX).any(|low| Self::new(u16::from_be_bytes([high, low])).is_some())
    }
}

/// Checks the body of a Close frame as far as it is here, `owed` bytes being still to come, so that a
/// fault is found at the byte that proves it.
pub(crate) fn check_part(body: &[u8], owed: usize) -> Result<(), Violation> {
    match body {
        [] => Ok(()),
        [high] if CloseCode::may_begin_with(*high) => Ok(()),
        [high, low, reason @ ..] if code(*high, *low).is_some() => check_reason(reason, owed),
        _ => Err(Violation::InvalidCloseCode),
    }
}

/// Passes what is UTF-8 up to a last character that can still become whole.
fn check_reason(reason: &[u8], owed: usize) -> Result<(), Violation> {
    match core::str::from_utf8(reason) {
        Err(error) if error.error_len().is_some() || missing(reason) > owed => {
            Err(Violation::CloseReasonNotUtf8)
        }
        _ => Ok(()),
    }
}

/// The code that a whole body begins with.
pub(crate) fn code_of(body: &[u8]) -> Result<Option<CloseCode>, Violation> {
    match body {
        [] => Ok(None),
        [_] => Err(Violation::CloseOneByte),
        [high, low, ..] => code(*high, *low).map(Some).ok_or(Violation::InvalidCloseCode),
    }
}

/// Writes the body of a Close frame, with as much of the reason as there is room for.
pub(crate) fn write_body<'b>(
    code: CloseCode,
    reason: &str,
    body: &'b mut [u8; CONTROL_MAX],
) -> &'b [u8] {
    let reason = &reason[..reason.floor_char_boundary(CONTROL_MAX - 2)];
    let len = 2 + reason.len();
    body[..2].copy_from_slice(&code.get().to_be_bytes());
    body[2..len].copy_from_slice(reason.as_bytes());
    &body[..len]
}

fn code(high: u8, low: u8) -> Option<CloseCode> {
    CloseCode::new(u16::from_be_bytes([high, low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_that_may_be_sent_are_those_of_the_registry() {
        let valid: Vec<u16> =
            (0..=u16::MAX).filter(|&code| CloseCode::new(code).is_some()).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(valid, expected);
    }

    #[test]
    fn an_optional_code_takes_two_bytes() {
        assert_eq!(size_of::<Option<CloseCode>>(), 2);
    }

    #[test]
    fn a_code_is_refused_at_its_first_byte_where_that_proves_it() {
        assert_eq!(check_part(&[0x02], 9), Err(Violation::InvalidCloseCode));
        assert_eq!(check_part(&[0x03], 9), Ok(()));
        assert_eq!(check_part(&[0x03, 0xed], 9), Err(Violation::InvalidCloseCode)); // 1005
        assert_eq!(check_part(&[0x13, 0x87], 9), Ok(())); // 4999
        assert_eq!(check_part(&[0x13, 0x88], 9), Err(Violation::InvalidCloseCode)); // 5000
        assert_eq!(check_part(&[0x14], 9), Err(Violation::InvalidCloseCode));
    }

    #[test]
    fn a_reason_is_refused_at_the_byte_that_breaks_it() {
        assert_eq!(check_part(b"\x03\xe8ok \xf4", 3), Ok(()));
        assert_eq!(check_part(b"\x03\xe8ok \xf4", 2), Err(Violation::CloseReasonNotUtf8));
        assert_eq!(check_part(b"\x03\xe8ok \xf4\x90", 9), Err(Violation::CloseReasonNotUtf8));
    }
}
