//! Time for connections: a monotonic [`Instant`] that is a plain number, and the [`Wheel`] on
//! which a million heartbeats can wait for the price of twelve bytes each.
//!
//! Nothing here reads a clock but [`clock::now`]. State machines are handed an `Instant` and give
//! instants back, so a simulator can run hours of them in a second.
//!
//! ```
//! use halfopen_wheel::{Instant, Wheel, WheelConfig};
//! use std::time::Duration;
//!
//! let start = Instant::from_nanos(0);
//! let mut wheel = Wheel::new(WheelConfig::default(), start);
//! wheel.arm(7, start + Duration::from_secs(20));
//!
//! // The owner sleeps until the next occupied slot …
//! let wake = wheel.next_wake().unwrap();
//! assert!(wake >= start + Duration::from_secs(20));
//! // … and is handed the key then, never before its deadline.
//! assert_eq!(wheel.pop(wake), Some(7));
//! assert_eq!(wheel.pop(wake), None);
//! ```

pub mod clock;
mod instant;
mod wheel;

pub use instant::Instant;
pub use wheel::{Wheel, WheelConfig};
