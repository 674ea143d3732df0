//! Flags of the server.

use super::{Cpus, cpus};
use crate::log;
use crate::units::{
    OrAuto, OrOff, count_or_auto, duration, duration_or_off, nearest, positive_duration, shards,
    size,
};
use clap::{Args, ValueEnum};
use halfopen_server::io_uring::Feature;
use halfopen_server::{DriverKind, TcpWatch};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tracing_subscriber::filter::Targets;

/// Flags of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9001", value_parser = address)]
    pub listen: SocketAddr,
    /// Where to answer /metrics, /livez and /readyz; nowhere if not given
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub admin: Option<SocketAddr>,
    /// What it runs on: auto, io-uring, tokio-uring, epoll
    #[arg(long, value_name = "DRIVER", default_value = "auto", value_parser = driver)]
    pub driver: DriverKind,
    /// What io_uring is to do without, though the kernel has it, such as defer-taskrun,direct
    #[arg(long, value_name = "FEATURE,…", value_delimiter = ',', hide_short_help = true)]
    pub io_uring_without: Vec<Feature>,
    /// Threads, or auto
    #[arg(long, value_name = "COUNT", default_value = "auto", value_parser = shards)]
    pub shards: OrAuto<u16>,
    /// The cores to run on, such as 0,2 or 0-3
    #[arg(long, value_name = "LIST", value_parser = cpus)]
    pub cpu: Option<Cpus>,
    /// Speak TLS (wss://) with the certificate in this PEM file, its issuers behind it
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The private key of the certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// What it answers: echo the message, or ack with the text ok
    #[arg(long, value_name = "APP", default_value = "echo")]
    pub app: App,
    /// How long it keeps its core busy with each message before it answers, as an app would
    #[arg(long, value_name = "TIME", value_parser = positive_duration)]
    pub work: Option<Duration>,
    /// How long it takes to send everyone away when it is asked to end
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = duration)]
    pub drain: Duration,

    /// How often each connection is pinged, or off
    #[arg(long, value_name = "TIME", default_value = "20s", help_heading = "Heartbeat", value_parser = duration_or_off)]
    pub ping_interval: OrOff,
    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "20s", help_heading = "Heartbeat", value_parser = positive_duration)]
    pub ping_timeout: Duration,
    /// Ping always, or only those who were silent for an interval
    #[arg(long, value_name = "POLICY", default_value = "periodic", help_heading = "Heartbeat")]
    pub ping_policy: Policy,

    #[command(flatten)]
    pub tcp: TcpFlags,
    #[command(flatten)]
    pub limits: LimitFlags,

    /// Note on stderr what happens, if it is as grave as this: error, warn, info, debug; or by
    /// part: warn,halfopen_server=info [default: HALFOPEN_LOG, else off]
    #[arg(long, value_name = "LEVEL", help_heading = "Output", value_parser = log::level)]
    pub log: Option<Targets>,
    /// How a line of the log is written
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub log_format: log::Format,

    /// Write what was counted to this file at the end; - is stdout.
    #[arg(long, value_name = "FILE", hide = true)]
    pub stats_out: Option<PathBuf>,
    /// End when stdin ends: whoever started this is gone.
    #[arg(long, hide = true)]
    pub with_stdin: bool,
}

/// What the kernel watches, of `serve` and `lab`.
///
/// It finds hosts that are gone, and costs next to nothing; but neither programs that hang, nor
/// anything behind a proxy.
#[derive(Debug, Args)]
#[command(next_help_heading = "Heartbeat of the kernel")]
pub(crate) struct TcpFlags {
    /// Probe a host after so long without a segment, and give it up after twice as long; off
    #[arg(long, value_name = "TIME", default_value = "off", value_parser = whole_seconds_or_off)]
    pub tcp_keepalive: OrOff,
    /// Give a host up that has not acknowledged for so long; off: after some 15 minutes
    #[arg(long, value_name = "TIME", default_value = "off", value_parser = duration_or_off)]
    pub tcp_user_timeout: OrOff,
}

impl TcpFlags {
    /// What the kernel is asked to watch.
    pub(crate) fn watch(&self) -> TcpWatch {
        TcpWatch { keepalive: self.tcp_keepalive.0, user_timeout: self.tcp_user_timeout.0 }
    }
}

/// Limits of the server, of `serve` and `lab`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits of the server")]
pub(crate) struct LimitFlags {
    /// How long an opening handshake may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = positive_duration)]
    pub handshake_timeout: Duration,
    /// How long a closing handshake may take, from when all has left that was sent before
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = positive_duration)]
    pub close_timeout: Duration,
    /// Close connections that sent no message for so long
    #[arg(long, value_name = "TIME", default_value = "off", value_parser = duration_or_off)]
    pub idle_timeout: OrOff,
    /// The largest message that is accepted
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = max_message)]
    pub max_message: usize,
    /// Bytes that may wait for one connection to read, beside 64KiB with the kernel
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = output_max)]
    pub output_max: usize,
    /// How long a connection may read nothing of what is sent to it
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = positive_duration)]
    pub output_timeout: Duration,
    /// What is done when so much waits: drop what is sent, close with 1008, or wait (read nothing
    /// more from it)
    #[arg(long, value_name = "POLICY", default_value = "wait")]
    pub slow_consumer: SlowConsumer,
    /// The most connections; auto: what the descriptor limit holds
    #[arg(long, value_name = "COUNT", default_value = "auto", value_parser = count_or_auto)]
    pub max_connections: OrAuto<u32>,
}

/// The drivers by their names.
const DRIVERS: [DriverKind; 4] =
    [DriverKind::Auto, DriverKind::IoUring, DriverKind::TokioUring, DriverKind::Epoll];

pub(crate) fn driver(text: &str) -> Result<DriverKind, String> {
    if let Some(driver) = DRIVERS.into_iter().find(|driver| driver.name() == text) {
        return Ok(driver);
    }
    let names = DRIVERS.map(DriverKind::name);
    let meant = nearest(&text.replace('_', "-"), names);
    let meant = meant.map_or(String::new(), |near| format!(" (is '{near}' meant?)"));
    Err(format!("no driver is called '{text}'{meant}: allowed are {}", names.join(" ")))
}

/// What the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum App {
    /// The same message
    Echo,
    /// The text ok
    Ack,
}

/// What is done about those that read too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SlowConsumer {
    /// Messages to them are dropped
    Drop,
    /// They are closed with 1008
    Close,
    /// Nothing is read from them until they have read
    Wait,
}

impl From<SlowConsumer> for halfopen_server::SlowConsumer {
    fn from(policy: SlowConsumer) -> Self {
        match policy {
            SlowConsumer::Drop => Self::Drop,
            SlowConsumer::Close => Self::Close,
            SlowConsumer::Wait => Self::Wait,
        }
    }
}

/// Whom the server pings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    /// Everyone, every interval
    Periodic,
    /// Those who were silent for an interval
    Idle,
}

/// Where something listens.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || {
        format!("not an address: allowed are address:port, such as 127.0.0.1:9001{}", {
            let port = text.trim_start_matches(':').trim_start_matches("localhost:");
            match port.parse::<u16>() {
                Ok(port) => format!(" (is '127.0.0.1:{port}' meant?)"),
                Err(_) => " or [::1]:9001 or 0.0.0.0:9001".into(),
            }
        })
    };
    text.parse().map_err(|_| wrong())
}

/// The kernel counts keepalive in seconds.
fn whole_seconds_or_off(text: &str) -> Result<OrOff, String> {
    match duration_or_off(text)? {
        OrOff(Some(time)) if time.subsec_nanos() != 0 || time.as_secs() > 32_767 => {
            Err("allowed are whole seconds, 1s to 32767s, or off".into())
        }
        allowed => Ok(allowed),
    }
}

fn output_max(text: &str) -> Result<usize, String> {
    match size(text)? {
        bytes @ 1..=0x7fff_ffff => Ok(bytes as usize),
        _ => Err("allowed are 1 byte to 2GiB".into()),
    }
}

fn max_message(text: &str) -> Result<usize, String> {
    match size(text)? {
        bytes @ 1..=0x7fff_ffff => Ok(bytes as usize),
        _ => Err("allowed are 1 byte to 2GiB".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_is_not_there_is_answered_with_those_that_are() {
        assert_eq!(driver("io-uring"), Ok(DriverKind::IoUring));
        assert_eq!(driver("epoll"), Ok(DriverKind::Epoll));
        assert!(driver("io_uring").unwrap_err().contains("'io-uring' meant?"));
        assert!(driver("zzz").unwrap_err().contains("allowed are"));
    }

    #[test]
    fn a_port_alone_is_answered_with_the_address_that_is_meant() {
        assert!(address("127.0.0.1:0").is_ok());
        assert!(address("9001").unwrap_err().contains("'127.0.0.1:9001' meant?"));
        assert!(address("localhost:80").unwrap_err().contains("'127.0.0.1:80' meant?"));
        assert!(address("nowhere").unwrap_err().contains("[::1]:9001"));
    }
}
