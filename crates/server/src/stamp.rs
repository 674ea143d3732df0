//! What a ping carries: when it was made, in four bytes that only this process can read.
//!
//! The pong brings the stamp back, so a round trip is measured without a word of memory for each
//! connection, and also where another byte was heard in between. A stamp is a count of microseconds
//! modulo 2^32 (71 minutes), sealed by a Feistel permutation under a key of the process and the
//! name of the connection: a peer can delay a pong, but not date it back but by guessing.

use halfopen_driver::ConnId;
use halfopen_wheel::Instant;
use std::time::Duration;

/// Seals and opens stamps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StampKey(u64);

/// A Feistel network of four rounds is a permutation that cannot be told from a random one
/// (Luby and Rackoff, 1988), if its round function cannot.
const ROUNDS: u64 = 4;

impl StampKey {
    pub(crate) fn new(key: u64) -> Self {
        Self(key)
    }

    /// The payload of a ping made now.
    pub(crate) fn seal(self, id: ConnId, now: Instant) -> [u8; 4] {
        let mut stamp = micros(now);
        for round in 0..ROUNDS {
            stamp = self.turn(id, round, stamp).rotate_left(16);
        }
        stamp.to_be_bytes()
    }

    /// How long ago the ping was made that `payload` answers: none, if it is no stamp of ours or
    /// older than `oldest`.
    pub(crate) fn open(
        self,
        id: ConnId,
        payload: &[u8],
        now: Instant,
        oldest: Duration,
    ) -> Option<Duration> {
        let mut stamp = u32::from_be_bytes(payload.try_into().ok()?);
        for round in (0..ROUNDS).rev() {
            stamp = self.turn(id, round, stamp.rotate_left(16));
        }
        let age = Duration::from_micros(micros(now).wrapping_sub(stamp).into());
        (age <= oldest).then_some(age)
    }

    /// Moves one half by what the other half and the key say; its own inverse.
    fn turn(self, id: ConnId, round: u64, halves: u32) -> u32 {
        let name = u64::from(id.index) << 32 | u64::from(id.generation);
        let half = u64::from(halves & 0xffff);
        halves ^ (mix(mix(self.0 ^ name) ^ round << 16 ^ half) as u32) << 16
    }
}

fn micros(at: Instant) -> u32 {
    (at.as_nanos() / 1000) as u32
}

/// The finaliser of SplitMix64.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ConnId = ConnId { index: 7, generation: 3 };
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_stamp_tells_its_age_also_when_the_count_wraps() {
        let key = StampKey::new(42);
        for start in [0, 1, 4_294_967_295_000, 4_294_967_296_000, 77_777_777_777_777] {
            let made = Instant::from_nanos(start);
            let stamp = key.seal(ID, made);
            for micros in [0, 1, 250, 59_999_999] {
                let age = Duration::from_micros(micros);
                assert_eq!(key.open(ID, &stamp, made + age, MINUTE), Some(age));
            }
        }
    }

    #[test]
    fn a_stamp_of_another_key_connection_or_length_tells_nothing() {
        let key = StampKey::new(42);
        let made = Instant::from_nanos(5_000_000_000_000);
        let now = made + Duration::from_millis(1);
        let stamp = key.seal(ID, made);
        let (oldest, other) = (Duration::from_millis(2), ConnId { index: 8, generation: 3 });
        assert_eq!(StampKey::new(43).open(ID, &stamp, now, oldest), None);
        assert_eq!(key.open(other, &stamp, now, oldest), None);
        assert_eq!(key.open(ID, &stamp[..3], now, oldest), None);
        assert_eq!(key.open(ID, &stamp, now + oldest, oldest), None);
    }

    #[test]
    fn no_two_stamps_of_a_connection_are_equal() {
        let key = StampKey::new(1);
        let seal = |micros: u64| key.seal(ID, Instant::from_nanos(micros * 1000));
        let mut stamps: Vec<_> = (0..10_000).map(seal).collect();
        stamps.sort_unstable();
        stamps.dedup();
        assert_eq!(stamps.len(), 10_000);
    }
}
