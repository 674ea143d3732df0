//! The one place where a clock is read.

use crate::Instant;
use rustix::time::{ClockId, clock_gettime};

/// The present moment of CLOCK_MONOTONIC.
///
/// Every process of one machine reads the same axis, so an instant taken in the server can be
/// compared with one taken in the load generator.
pub fn now() -> Instant {
    let time = clock_gettime(ClockId::Monotonic);
    Instant::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}
