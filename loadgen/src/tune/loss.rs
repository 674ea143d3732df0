//! How probable it is that a living peer's answer comes too late.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The least time after which the kernel sends again what was not acknowledged, ms; it doubles each
/// time (Linux's TCP_RTO_MIN).
const RTO_MS: f64 = 200.0;

/// More retransmissions than this take longer than any timeout.
const LOSSES_MAX: u32 = 30;

/// How many lost packets in a row a timeout survives: the n-th retransmission leaves
/// 0.2 · (2^n − 1) s after the first try.
pub fn losses_survived(timeout_ms: f64) -> u32 {
    let leaves_ms = |n: u32| RTO_MS * f64::from((1u32 << n) - 1);
    (0..=LOSSES_MAX).take_while(|&n| leaves_ms(n) < timeout_ms).last().unwrap_or(0)
}

/// How probable it is that ping and pong together lose more packets than the timeout survives, each
/// with probability `loss` and independently.
///
/// Tries of the ping and of the pong follow each other, and n losses shared among them take no longer
/// than n in a row. More than n losses before two packets came through: a negative binomial tail.
pub(super) fn lost(timeout_ms: f64, rtt_ms: f64, loss: f64) -> f64 {
    if timeout_ms <= rtt_ms {
        return 1.0;
    }
    let too_many = losses_survived(timeout_ms - rtt_ms) + 1;
    loss.powi(too_many as i32) * (1.0 + f64::from(too_many) * (1.0 - loss))
}

/// Round trips that were measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// How many.
    pub count: u64,
    /// The greatest, ms.
    pub max_ms: f64,
    /// Share and value of percentiles, ms: 0.99 and so on, ascending.
    pub percentiles: Vec<(f64, f64)>,
}

impl Measured {
    /// At most so great a share of them takes longer than `timeout_ms`: zero in n is at most 3/n.
    pub(super) fn later_than(&self, timeout_ms: f64) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        if timeout_ms > self.max_ms {
            return (3.0 / self.count as f64).min(1.0);
        }
        let below = self.percentiles.iter().filter(|(_, ms)| *ms <= timeout_ms);
        1.0 - below.map(|(share, _)| *share).fold(0.0, f64::max)
    }
}
