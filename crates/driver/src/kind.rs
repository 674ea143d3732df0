use crate::{Config, Engine, Error, epoll, ring, tokio};
use ring::Features;

/// Which driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverKind {
    /// The best that the kernel allows: io_uring, or epoll where that is refused.
    #[default]
    Auto,
    /// io_uring, with direct descriptors and multishot operations.
    IoUring,
    /// The tokio-uring runtime.
    TokioUring,
    /// epoll.
    Epoll,
}

/// What [`DriverKind::Auto`] came to.
#[derive(Debug)]
pub struct Choice {
    /// The driver.
    pub driver: DriverKind,
    /// Why it is not io_uring, if it is not.
    pub refused: Option<Error>,
}

impl DriverKind {
    /// Each of them; [`DriverKind::Auto`] is none.
    pub const ALL: [Self; 3] = [Self::IoUring, Self::TokioUring, Self::Epoll];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::IoUring => "io-uring",
            Self::TokioUring => "tokio-uring",
            Self::Epoll => "epoll",
        }
    }

    /// Whether its connections are descriptors of the process, which RLIMIT_NOFILE bounds all
    /// together. A ring has a table of its own.
    pub fn takes_descriptors(self) -> bool {
        self.resolve().driver != Self::IoUring
    }

    /// The driver itself, and for [`DriverKind::Auto`] how it was chosen. Only then the kernel is
    /// asked for a ring: some seccomp profiles kill who tries.
    pub fn resolve(self) -> Choice {
        match self {
            Self::Auto => match try_driver() {
                Ok(()) => Choice { driver: Self::IoUring, refused: None },
                Err(error) => Choice { driver: Self::Epoll, refused: Some(error) },
            },
            driver => Choice { driver, refused: None },
        }
    }

    /// Runs `engine` on it until the engine says [`Op::Stop`](crate::Op::Stop).
    ///
    /// # Errors
    /// The driver cannot start, or cannot go on.
    pub fn run<E: Engine>(self, engine: &mut E, config: Config) -> Result<(), Error> {
        match self {
            Self::Auto => self.resolve().driver.run(engine, config),
            Self::IoUring => ring::run(engine, config),
            Self::TokioUring => tokio::run(engine, config),
            Self::Epoll => epoll::run(engine, config),
        }
    }
}

/// Whether the kernel gives this process all that the driver on io_uring cannot do without: a ring
/// alone may be had where buffers or the wait are refused. One that only the process's limits do not
/// hold counts as given: then the driver's error names the limit.
fn try_driver() -> Result<(), Error> {
    match ring::probe(Features::NONE) {
        Ok(_) | Err(Error::LockedMemory(_) | Error::NoDescriptors(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
