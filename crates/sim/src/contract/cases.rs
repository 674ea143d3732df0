//! The cases of the suite, by what they are about. Each takes a [`Harness`](super::Harness) and
//! panics where the driver under it breaks the contract.

pub mod accepting;
pub mod connecting;
pub mod ending;
pub mod naming;
pub mod pausing;
pub mod silence;
pub mod stopping;
pub mod streams;
pub mod telling;
pub mod time;
pub mod waking;

use super::{Hands, Told};
use bytes::Bytes;
use fastrand::Rng;
use halfopen_driver::{CHUNK_MAX, ConnId};
use std::collections::BTreeMap;
use std::time::Duration;

/// Long enough for everything under way to arrive, where nothing tells that it has.
const SETTLED: Duration = Duration::from_millis(150);

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Bytes in which nothing can be lost, doubled or swapped unseen.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut rng = Rng::with_seed(seed);
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}

/// Sends a stream chunk by chunk.
struct Pump {
    rest: Bytes,
    rng: Rng,
    /// Every chunk as long as may be, else of any length.
    whole: bool,
}

impl Pump {
    fn new(bytes: Vec<u8>) -> Self {
        Self { rest: bytes.into(), rng: Rng::with_seed(1), whole: false }
    }

    fn whole(bytes: Vec<u8>) -> Self {
        Self { whole: true, ..Self::new(bytes) }
    }

    /// Sends the next chunk. Whether there was one.
    fn next(&mut self, me: &mut Hands, id: ConnId) -> bool {
        let longest = self.rest.len().min(CHUNK_MAX);
        if longest == 0 {
            return false;
        }
        let len = if self.whole { longest } else { self.rng.usize(1..=longest) };
        let chunk = self.rest.split_to(len);
        if self.rng.bool() {
            me.send(id, &chunk);
        } else {
            me.send_shared(id, chunk);
        }
        true
    }
}

/// Sends back whatever comes, until it is woken.
#[derive(Default)]
struct Echo {
    peers: BTreeMap<ConnId, (Vec<u8>, bool)>,
}

impl Echo {
    fn on(&mut self, me: &mut Hands, told: Told) {
        match told {
            Told::Started => me.accept(true),
            Told::Opened { id, .. } => drop(self.peers.insert(id, Default::default())),
            Told::Received { id, bytes } => {
                self.peers.entry(id).or_default().0.extend(bytes);
                self.flush(me, id);
            }
            Told::Sent { id, .. } => {
                self.peers.entry(id).or_default().1 = false;
                self.flush(me, id);
            }
            Told::Closed { id, .. } => drop(self.peers.remove(&id)),
            Told::Woken => me.stop(),
            _ => {}
        }
    }

    fn flush(&mut self, me: &mut Hands, id: ConnId) {
        let Some((waiting, flying)) = self.peers.get_mut(&id) else { return };
        if !*flying && !waiting.is_empty() {
            let len = waiting.len().min(CHUNK_MAX);
            me.send(id, &waiting[..len]);
            waiting.drain(..len);
            *flying = true;
        }
    }
}
