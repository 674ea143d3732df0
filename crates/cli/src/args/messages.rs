//! What connections say to each other while they live.

use super::shapes::{message_rate, message_size};
use crate::units::{count, positive_duration};
use clap::{Args, ValueEnum};
use halfopen_loadgen::pacing::{Arrivals, Rate};
use halfopen_loadgen::plan::{Expect, MessageKind, Size};
use std::time::Duration;

/// Flags of messages, of `lab` and `load`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Messages")]
pub(crate) struct MessageFlags {
    /// How long to go on after the ramp, at the least [default: 30s; in lab only if nobody dies]
    #[arg(short, long, value_name = "TIME", value_parser = positive_duration)]
    pub duration: Option<Duration>,
    /// Messages a second over all connections, sent on time whatever comes back
    ///
    /// 1k/s..10k/s changes evenly over the duration; 1k/s,2k/s,5k/s are equal steps of it. The last
    /// rate goes on where the run does.
    #[arg(short = 'r', long, value_name = "RATE", value_parser = message_rate)]
    pub message_rate: Option<Rate>,
    /// How messages come: at equal distances, or at random
    #[arg(long, value_name = "HOW", default_value = "constant")]
    pub arrivals: Coming,
    /// Send the next message when one is answered, and not on time; no latency is told then
    #[arg(long, conflicts_with = "message_rate")]
    pub closed_loop: bool,
    /// Messages of a connection that are under way in a closed loop
    #[arg(long, value_name = "COUNT", default_value = "1", requires = "closed_loop", value_parser = count::<1>)]
    pub window: u32,
    /// Bytes in a message: 64, 64..1KiB, or with weights 64*0.9,16KiB*0.1
    #[arg(long, value_name = "SIZE", default_value = "64", value_parser = message_size)]
    pub size: Size,
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

/// How messages come, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Coming {
    /// At equal distances
    Constant,
    /// At random, as from many who know nothing of each other
    Poisson,
}

impl MessageFlags {
    /// The window of the closed loop, if it is one.
    pub(crate) fn window(&self) -> Option<u32> {
        self.closed_loop.then_some(self.window)
    }
}

impl From<Coming> for Arrivals {
    fn from(coming: Coming) -> Self {
        match coming {
            Coming::Constant => Self::Constant,
            Coming::Poisson => Self::Poisson,
        }
    }
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
