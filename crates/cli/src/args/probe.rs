//! Flags of `probe`.

use super::{TrustFlags, field_value, serve, token};
use crate::units::{count, positive_duration};
use clap::Args;
use halfopen_loadgen::probe::{CONNECTIONS_MAX, MESSAGE_MAX};
use halfopen_server::DriverKind;
use std::path::PathBuf;
use std::time::Duration;

/// Flags of `probe`.
#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// The server, as ws://host:port/path or wss://…; an n in braces stands for the connection's number
    pub url: String,
    /// How many connections; with fewer than eight less can be told
    #[arg(short, long, value_name = "COUNT", default_value = "8", value_parser = connections)]
    pub connections: u32,
    /// When to give up learning more
    #[arg(long, value_name = "TIME", default_value = "150s", value_parser = positive_duration)]
    pub max_wait: Duration,
    /// What one connection in eight sends as a message, to see whether it suppresses pings; off:
    /// nothing, then pings of the client's tell it alone
    #[arg(long, value_name = "TEXT", default_value = "{}", value_parser = message)]
    pub message: Message,
    /// How long a connect and its handshake may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = positive_duration)]
    pub connect_timeout: Duration,
    /// The subprotocol to ask for
    #[arg(long, value_name = "NAME", value_parser = token)]
    pub subprotocol: Option<String>,
    /// The Origin to send, as a browser would
    #[arg(long, value_name = "ORIGIN", value_parser = field_value)]
    pub origin: Option<String>,
    #[command(flatten)]
    pub trust: TrustFlags,
    /// What it runs on: auto, io-uring, tokio-uring, epoll
    #[arg(long, value_name = "DRIVER", default_value = "auto", value_parser = serve::driver)]
    pub driver: DriverKind,

    /// The folder in which the probe makes one of its own
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    pub out: Option<PathBuf>,
    /// What the probe is called [default: probe]
    #[arg(long, value_name = "TEXT", help_heading = "Output")]
    pub name: Option<String>,
}

/// What talkers say, if there are any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message(pub Option<String>);

fn message(text: &str) -> Result<Message, String> {
    match text {
        "off" => Ok(Message(None)),
        _ if text.len() > MESSAGE_MAX => Err(format!("allowed are up to {MESSAGE_MAX} bytes")),
        _ => Ok(Message(Some(text.into()))),
    }
}

/// More would be a load.
fn connections(text: &str) -> Result<u32, String> {
    match count::<1>(text)? {
        connections if connections <= CONNECTIONS_MAX => Ok(connections),
        _ => Err(format!("allowed are 1 to {CONNECTIONS_MAX}; more is what `load` does")),
    }
}
