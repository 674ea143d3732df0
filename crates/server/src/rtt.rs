//! The round trips of one connection, in seven bytes: they lie where a
//! [`Beat`](crate::heartbeat::Beat) would have nothing, so that a million of them cost nothing.

use std::time::Duration;

/// From the making of a ping to its pong, on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtt {
    /// Of the last pong, to a microsecond; at most 71 minutes.
    pub last: Duration,
    /// The shortest so far, to a microsecond; at most 16.7 s, which stands for all that is longer.
    pub min: Duration,
}

/// Microseconds: of the last in four bytes, of the shortest in three. Bytes and not words, so that
/// they fit in between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundTrip {
    last: [u8; 4],
    min: [u8; 3],
}

const LAST_MAX: u32 = u32::MAX - 1;

impl RoundTrip {
    /// No pong has come.
    pub(crate) const UNKNOWN: Self = Self { last: [0xff; 4], min: [0xff; 3] };

    /// A pong came.
    pub(crate) fn add(&mut self, rtt: Duration) {
        let micros = u32::try_from(rtt.as_micros()).unwrap_or(LAST_MAX).min(LAST_MAX);
        self.last = micros.to_le_bytes();
        let [a, b, c, _] = self.min_micros().min(micros).to_le_bytes();
        self.min = [a, b, c];
    }

    pub(crate) fn read(self) -> Option<Rtt> {
        let last = u32::from_le_bytes(self.last);
        let micros = |micros: u32| Duration::from_micros(micros.into());
        (last <= LAST_MAX).then(|| Rtt { last: micros(last), min: micros(self.min_micros()) })
    }

    fn min_micros(self) -> u32 {
        let [a, b, c] = self.min;
        u32::from_le_bytes([a, b, c, 0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_and_the_shortest_are_kept_apart() {
        let mut trips = RoundTrip::UNKNOWN;
        assert_eq!(trips.read(), None);
        let cases = [
            (20_000_000, 20_000_000, 16_777_215),
            (300, 300, 300),
            (70_000, 70_000, 300),
            (0, 0, 0),
            (1, 1, 0),
            (u64::MAX, 4_294_967_294, 0),
        ];
        for (came, last, min) in cases {
            trips.add(Duration::from_micros(came));
            let (last, min) = (Duration::from_micros(last), Duration::from_micros(min));
            assert_eq!(trips.read(), Some(Rtt { last, min }), "after {came} µs");
        }
    }
}
