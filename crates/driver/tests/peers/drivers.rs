//! The drivers, and the ways to run the one on io_uring.

use halfopen_driver::ring::{self, Feature, Features, Options};
use halfopen_driver::{Config, DriverKind, Engine, Error};
use std::time::Duration;

/// A driver, and how it is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Driver {
    kind: DriverKind,
    without: Features,
    /// From which silence on a connection is quiet, if not from the usual one.
    quiet: Option<Duration>,
    cancels_are_dear: bool,
}

impl Driver {
    const fn of(kind: DriverKind) -> Self {
        Self { kind, without: Features::NONE, quiet: None, cancels_are_dear: false }
    }

    const fn without(features: &[Feature]) -> Self {
        Self { without: Features::of(features), ..IO_URING }
    }

    /// Whether its connections are descriptors of the process.
    pub(crate) fn takes_descriptors(self) -> bool {
        self.kind.takes_descriptors()
            || [Feature::Direct, Feature::SocketCommands].iter().any(|&it| self.without.has(it))
    }

    /// Whether a send takes what there is room for, and the rest is a send of its own. A send on a
    /// ring waits in the kernel for room.
    pub(crate) fn sends_what_there_is_room_for(self) -> bool {
        self.kind == DriverKind::Epoll
    }

    pub(crate) fn run<E: Engine>(self, engine: &mut E, config: Config) -> Result<(), Error> {
        let config = Config { without: self.without, ..config };
        let Some(quiet) = self.quiet else { return self.kind.run(engine, config) };
        let mut options = Options { quiet, ..Options::default() };
        if self.cancels_are_dear {
            options.cheap_cancels_max = 0;
        }
        ring::run_with(engine, config, options)
    }
}

pub(crate) const IO_URING: Driver = Driver::of(DriverKind::IoUring);
pub(crate) const ALWAYS_QUIET: Driver = Driver { quiet: Some(Duration::ZERO), ..IO_URING };
pub(crate) const ALWAYS_QUIET_WHERE_CANCELS_ARE_DEAR: Driver =
    Driver { cancels_are_dear: true, ..ALWAYS_QUIET };
pub(crate) const ALWAYS_BUSY: Driver = Driver { quiet: Some(Duration::MAX), ..IO_URING };
pub(crate) const WITHOUT_DEFER_TASKRUN: Driver = Driver::without(&[Feature::DeferTaskrun]);
pub(crate) const PLAIN: Driver = Driver::without(&[Feature::DeferTaskrun, Feature::CoopTaskrun]);
pub(crate) const WITHOUT_MULTISHOT: Driver = Driver::without(&[Feature::Multishot]);
pub(crate) const WITHOUT_DIRECT: Driver = Driver::without(&[Feature::Direct]);
pub(crate) const WITHOUT_SOCKET_COMMANDS: Driver = Driver::without(&[Feature::SocketCommands]);
pub(crate) const WITHOUT_MIN_WAIT: Driver = Driver::without(&[Feature::MinWait]);
pub(crate) const WITHOUT_ANYTHING: Driver = Driver::without(&Feature::ALL);
pub(crate) const TOKIO_URING: Driver = Driver::of(DriverKind::TokioUring);
pub(crate) const EPOLL: Driver = Driver::of(DriverKind::Epoll);
