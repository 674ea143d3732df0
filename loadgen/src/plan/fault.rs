//! What the generator does wrong, on purpose: a calibration looks whether its figures tell.

use halfopen_wheel::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Faults of the generator's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// For a while no message is sent; then those that were due go out.
    pub stall: Option<Stall>,
    /// A sleep before each message, of which no figure of the generator knows.
    pub nap: Option<Duration>,
}

impl Fault {
    /// None.
    pub const NONE: Self = Self { stall: None, nap: None };
}

/// A while in which no message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// When it begins, after the first message was due.
    pub after: Duration,
    /// How long it lasts.
    pub lasts: Duration,
}

impl Stall {
    /// When a message goes out that is due at `due`, if the first was at `from`.
    pub(crate) fn put_off(&self, from: Instant, due: Instant) -> Instant {
        let begin = from + self.after;
        let end = begin + self.lasts;
        if (begin..end).contains(&due) { end } else { due }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_meanwhile_waits_for_the_end() {
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        let ms = Duration::from_millis;
        let stall = Stall { after: ms(10), lasts: ms(5) };
        for (due, sent) in [(100, 100), (109, 109), (110, 115), (114, 115), (115, 115), (200, 200)]
        {
            assert_eq!(stall.put_off(at(100), at(due)), at(sent), "{due}");
        }
    }
}
