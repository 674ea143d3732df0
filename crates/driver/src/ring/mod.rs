//! The default driver: io_uring, spoken to directly.
//!
//! One ring and one thread a shard. Connections live in the ring's own table of *direct
//! descriptors* and take none of the process's. They are heard by multishot receives, or polled
//! while they are quiet; bytes come into memory of one ring of *provided buffers*, which is taken
//! only when they are there. So an idle connection costs 28 bytes here, and under load the loop
//! makes one system call for some twenty events.
//!
//! # The way through the code
//!
//! `turn` is the loop: completions, then what is due, then the ring again. `driver` makes
//! completions into news for the engine and operations into requests; `connection` holds what
//! a connection's life is made of, `accept` and `connect` its beginnings. `silence` keeps account
//! of how far we have listened, `pace` of how much comes at a time. Below them `queue` owns all memory that the kernel may touch, and
//! is the only code here that is not safe.
//!
//! # Fall-backs
//!
//! What a kernel may lack is found out by [`probe`], and each [`Feature`] has something that stands
//! in its place; [`Config::without`](crate::Config::without) forces that where the kernel has it.
//! Wants Linux 5.19 (rings of buffers), and from 6.7 on, where it has the ring bind, 6.11 for
//! connects from an address that was asked for; tried on 6.18.

mod accept;
mod completion;
mod connect;
mod connection;
mod driver;
mod features;
mod inspect;
mod pace;
mod probe;
mod queue;
pub(crate) mod silence;
mod state;
mod turn;

pub use features::{Fallback, Feature, Features, Lack, list};
#[doc(hidden)] // for the floor that costs are compared with
pub use pace::{GATHER, Pace};
pub use probe::{Probe, probe};

use crate::{Config, Engine, Error};
use std::time::Duration;

/// The sizes of a ring.
///
/// The queues are charged to RLIMIT_MEMLOCK: of 8 MiB, which is what an ordinary user has for all
/// rings of all processes together, the default takes a fortieth.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Entries of the submission queue: as many requests go out in one system call. A power of
    /// two, at least 8.
    pub submissions: u32,
    /// Entries of the completion queue, a power of two above `submissions`. More completions wait
    /// in a list of the kernel's, at a price.
    pub completions: u32,
    /// How many buffers all connections of the ring receive into at first. A power of two.
    pub buffers: u16,
    /// How many there may be under load. A power of two, at most 32,768.
    pub buffers_max: u16,
    /// The size of each: the most bytes in one [`Event::Received`](crate::Event::Received).
    pub buffer_bytes: u32,
    /// A connection from which nothing came for so long is *quiet*: it is waited for in the way that
    /// takes least of the kernel's memory, until it speaks often again. Half a second is the grain.
    pub quiet: Duration,
    /// Up to so many connections a ring cancels what waits when it has to wait in another way. The
    /// kernel looks for that among a 256th of all that waits: of 65,536, some 20 µs.
    pub cheap_cancels_max: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            submissions: 1024,
            completions: 8192,
            buffers: 32,
            buffers_max: 1024,
            buffer_bytes: 4096,
            quiet: Duration::from_secs(8),
            cheap_cancels_max: 1 << 16,
        }
    }
}

/// Runs `engine` on this thread until it says [`Op::Stop`](crate::Op::Stop).
///
/// # Errors
/// [`Error::RingRefused`] where the kernel gives no ring, [`Error::LockedMemory`] where
/// RLIMIT_MEMLOCK does not hold it, [`Error::NoDescriptors`] where no descriptor is free for it,
/// [`Error::Descriptors`] where [`Config::connections_max`] is
/// more than RLIMIT_NOFILE (which bounds each ring's table by itself), [`Error::Os`] where the
/// kernel fails in the run.
///
/// # Panics
/// When an engine breaks its side of the contract: a second send in flight, a chunk that is empty
/// or longer than [`CHUNK_MAX`](crate::CHUNK_MAX), a token used twice.
pub fn run<E: Engine>(engine: &mut E, config: Config) -> Result<(), Error> {
    run_with(engine, config, Options::default())
}

/// [`run`] with a ring of other sizes.
///
/// # Errors
/// As [`run`]; nonsense sizes are the kernel's EINVAL.
///
/// # Panics
/// As [`run`].
pub fn run_with<E: Engine>(engine: &mut E, config: Config, options: Options) -> Result<(), Error> {
    let mut driver = driver::Driver::new(config, options)?;
    let outcome = turn::run(engine, &mut driver);
    driver.close();
    outcome
}
