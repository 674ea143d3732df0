//! What connections say to each other while they live.

use crate::units::{positive_duration, rate, size};
use clap::{Args, ValueEnum};
use halfopen_loadgen::plan::{Expect, MessageKind};
use std::time::Duration;

/// Flags of messages, of `lab` and `load`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Messages")]
pub(crate) struct MessageFlags {
    /// How long to go on after the ramp, at the least [default: 30s; in lab only if nobody dies]
    #[arg(short, long, value_name = "TIME", value_parser = positive_duration)]
    pub duration: Option<Duration>,
    /// Messages a second over all connections, sent on time whatever comes back
    #[arg(short = 'r', long, value_name = "RATE", value_parser = rate)]
    pub message_rate: Option<f64>,
    /// Bytes in a message
    #[arg(long, value_name = "SIZE", default_value = "64", value_parser = message_size)]
    pub size: usize,
    /// Text or binary
    #[arg(long, value_name = "KIND", default_value = "text")]
    pub kind: Kind,
    /// What comes back for each message
    #[arg(long, value_name = "WHAT", default_value = "any")]
    pub expect: Answer,
    /// Ping the server from each connection, and measure the round trip
    #[arg(long, value_name = "TIME", value_parser = positive_duration)]
    pub client_ping: Option<Duration>,
}

/// The opcode of messages, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// UTF-8
    Text,
    /// Bytes
    Binary,
}

/// What comes back, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Answer {
    /// One message, whatever it says
    Any,
    /// The same bytes
    Echo,
    /// Nothing
    None,
}

impl From<Kind> for MessageKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text,
            Kind::Binary => Self::Binary,
        }
    }
}

impl From<Answer> for Expect {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Any => Self::Any,
            Answer::Echo => Self::Echo,
            Answer::None => Self::None,
        }
    }
}

fn message_size(text: &str) -> Result<usize, String> {
    match size(text)? {
        bytes if bytes <= 16 << 20 => Ok(bytes as usize),
        _ => Err("allowed are 0 to 16MiB".into()),
    }
}
