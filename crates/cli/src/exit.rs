//! How a command ends: the exit status, and for a failure its cause and the next step.

use std::fmt;
use std::process::ExitCode;

/// What a command ended with; the number is the exit status that scripts see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// The run failed.
    Failed = 1,
    /// Wrong use.
    Usage = 2,
    /// A threshold was missed.
    ThresholdMissed = 3,
    /// The generator was the bottleneck, or two runs cannot be compared.
    NoVerdict = 4,
    /// Interrupted; what was measured is kept.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command came to nothing, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit status.
    pub exit: Exit,
    /// The cause, in a sentence without a full stop.
    pub cause: String,
    /// The next step.
    pub next: Option<String>,
}

impl Failure {
    /// The run failed.
    pub(crate) fn run(cause: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, cause: cause.into(), next: None }
    }

    /// The command was used in a wrong way.
    pub(crate) fn usage(cause: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, cause: cause.into(), next: None }
    }

    /// Adds what to try next.
    pub(crate) fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.cause)?;
        match &self.next {
            Some(next) => write!(f, "\n  next: {}", next.replace('\n', "\n        ")),
            None => Ok(()),
        }
    }
}

/// What a command gives back.
pub(crate) type Outcome = Result<Exit, Failure>;
