//! The hiccups of the machine.

use super::Latency;
use halfopen_loadgen::sample::hiccup::Hiccups;
use std::thread::available_parallelism;

/// How long the machine itself stops for, on all its cores: a tail shorter than this is its own.
#[derive(Debug)]
pub struct Naps(Hiccups);

impl Naps {
    /// Begins.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start() -> std::io::Result<Self> {
        Ok(Self(Hiccups::start(available_parallelism().map_or(1, usize::from))?))
    }

    /// Ends.
    pub fn finish(self) -> Latency {
        Latency::of(&self.0.finish())
    }
}
