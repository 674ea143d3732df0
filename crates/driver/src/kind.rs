use crate::{Config, Engine, Error, ring, tokio};

/// Which driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverKind {
    /// io_uring, with direct descriptors and multishot operations.
    IoUring,
    /// The tokio-uring runtime.
    TokioUring,
}

impl DriverKind {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::IoUring, Self::TokioUring];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IoUring => "io-uring",
            Self::TokioUring => "tokio-uring",
        }
    }

    /// Runs `engine` on it until the engine says [`Op::Stop`](crate::Op::Stop).
    ///
    /// # Errors
    /// The driver cannot start, or cannot go on.
    pub fn run<E: Engine>(self, engine: &mut E, config: Config) -> Result<(), Error> {
        match self {
            Self::IoUring => ring::run(engine, config),
            Self::TokioUring => tokio::run(engine, config),
        }
    }
}
