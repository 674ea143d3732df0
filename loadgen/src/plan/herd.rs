//! Connections that are ended by our own will and come back: a herd.

use super::PlanError;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Many connections that are dropped at once and come back: what a server feels when a load balancer
/// in front of it restarts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Herd {
    /// The share of the living that is dropped, 0 to 1.
    pub share: f64,
    /// When, counted from the end of the ramp.
    pub at: Duration,
    /// How long each waits before it comes back, at random between these; none: they come at the
    /// connect rate.
    pub backoff: Option<Backoff>,
}

/// A time between two others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The least.
    pub least: Duration,
    /// The most.
    pub most: Duration,
}

impl Herd {
    pub(super) fn check(&self, duration: Duration) -> Result<(), PlanError> {
        let wrong = |what: &str| Err(PlanError::Value(what.into()));
        if !(self.share > 0.0 && self.share <= 1.0) {
            return wrong("the herd is more than 0% and at most 100% of the connections");
        }
        if self.at >= duration {
            return wrong(
                "the herd is dropped after the end of the run: give it a longer --duration",
            );
        }
        if self.backoff.is_some_and(|backoff| backoff.least > backoff.most) {
            return wrong("the herd's backoff goes from the least to the most, such as 1s..5s");
        }
        Ok(())
    }
}
