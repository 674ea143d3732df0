//! The load generator: opens many connections to any WebSocket server, kills some of them in every
//! way that a peer can die, and measures what heartbeats cost and how soon the dead are found.

pub mod calibrate;
mod chance;
pub mod death;
pub mod observer;
pub mod pacing;
pub mod plan;
pub mod probe;
pub mod record;
pub mod report;
pub mod run;
pub mod sample;
mod serial;
pub mod stats;
pub mod swarm;
pub mod threshold;
pub mod tune;

/// The moments of a run are told in these.
pub use halfopen_wheel::Instant;
