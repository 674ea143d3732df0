//! Flags of the servers that `lab` starts in the place of its own.

use super::{Heartbeat, heartbeat};
use crate::units::{nearest, positive_duration};
use clap::Args;
use halfopen_loadgen::plan::ServerPing;
use halfopen_loadgen::report::schema::Skipped;
use std::time::Duration;

/// Flags of foreign servers, of `lab`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Foreign servers")]
pub(crate) struct ForeignFlags {
    /// A server to start in the place of the own one; several take turns and are compared
    ///
    /// The command is run by sh -c, on a free port of its own, which stands for {port} in it and is
    /// its PORT. It is measured with all that it starts, and the group of its processes is stopped
    /// after the run (SIGTERM, 5 seconds later SIGKILL). The last part of its stderr is kept. Several
    /// may follow each other: --server a='…' b='…'.
    #[arg(long, value_name = "NAME=CMD", value_parser = server, conflicts_with_all = OF_THE_OWN)]
    pub server: Vec<(String, String)>,
    /// Where they listen, or where one of them does
    #[arg(
        long,
        value_name = "[NAME=]URL",
        default_value = "ws://127.0.0.1:{port}/",
        value_parser = url,
        requires = "server"
    )]
    pub url: Vec<About<String>>,
    /// The heartbeat of them, or of one, as interval/timeout, to predict with (20s/20s), or off
    #[arg(long, value_name = "[NAME=]TIME/TIME", value_parser = ping, requires = "server")]
    pub server_ping: Vec<About<Heartbeat>>,
    /// How long a server may take until it answers a WebSocket handshake
    #[arg(
        long,
        value_name = "TIME",
        default_value = "30s",
        value_parser = positive_duration,
        requires = "server"
    )]
    pub server_start: Duration,
    /// A server that cannot be run here, to be named in the comparison with the reason
    #[arg(long, value_name = "NAME=REASON", value_parser = skipped, requires = "server")]
    pub server_skipped: Vec<Skipped>,
}

/// What is said of one server by its name, or of all of which nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About<T> {
    name: Option<String>,
    value: T,
}

/// A server to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// What it is called.
    pub name: String,
    /// What starts it, `{port}` not filled in.
    pub command: String,
    /// Where it listens, `{port}` not filled in.
    pub url: String,
    /// Its heartbeat, if that is known.
    pub ping: Option<ServerPing>,
}

impl ForeignFlags {
    /// The servers, each with what was said of it.
    ///
    /// # Errors
    /// Two have the same name, or something is said of one that is not there.
    pub(crate) fn servers(&self) -> Result<Vec<Foreign>, String> {
        self.check_names()?;
        let server = |(name, command): &(String, String)| Foreign {
            name: name.clone(),
            command: command.clone(),
            url: said_of(&self.url, name).cloned().unwrap_or_else(|| URL.into()),
            ping: said_of(&self.server_ping, name).map(|&heartbeat| heartbeat.into()),
        };
        Ok(self.server.iter().map(server).collect())
    }

    fn check_names(&self) -> Result<(), String> {
        let names: Vec<&str> = self.server.iter().map(|(name, _)| name.as_str()).collect();
        if let Some(n) = (1..names.len()).find(|&n| names[..n].contains(&names[n])) {
            return Err(format!("two servers are called '{}'", names[n]));
        }
        let urls = self.url.iter().filter_map(|about| about.name.as_deref());
        let pings = self.server_ping.iter().filter_map(|about| about.name.as_deref());
        match urls.chain(pings).find(|name| !names.contains(name)) {
            Some(name) => Err(format!("no --server is called '{name}'{}", meant(name, &names))),
            None => Ok(()),
        }
    }
}

fn meant(typed: &str, names: &[&str]) -> String {
    let near = nearest(typed, names.iter().copied());
    near.map_or(String::new(), |near| format!("; is '{near}' meant?"))
}

/// The last word about `name`; a word about all counts where there is none.
fn said_of<'a, T>(all: &'a [About<T>], name: &str) -> Option<&'a T> {
    let about = |whom: Option<&str>| all.iter().rfind(|about| about.name.as_deref() == whom);
    about(Some(name)).or_else(|| about(None)).map(|about| &about.value)
}

/// `text` with the port where it is to stand.
pub(crate) fn with_port(text: &str, port: u16) -> String {
    text.replace("{port}", &port.to_string())
}

/// A name that is one everywhere, of a folder too.
fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.len() <= NAME_MAX
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(allowed)
}

fn server(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, command)) if is_name(name) && !command.trim().is_empty() => {
            Ok((name.into(), command.into()))
        }
        _ => Err(format!("allowed is NAME=COMMAND, with {NAMES}")),
    }
}

fn url(text: &str) -> Result<About<String>, String> {
    about(text, |url| url.contains("://").then(|| url.into()).ok_or(URLS.into()))
}

fn ping(text: &str) -> Result<About<Heartbeat>, String> {
    about(text, heartbeat)
}

fn about<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<About<T>, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) if is_name(name) => (Some(name.into()), value),
        _ => (None, text),
    };
    Ok(About { name, value: read(value)? })
}

fn skipped(text: &str) -> Result<Skipped, String> {
    match text.split_once('=') {
        Some((name, reason)) if is_name(name) && !reason.is_empty() => {
            Ok(Skipped { name: name.into(), reason: reason.into() })
        }
        _ => Err(format!("allowed is NAME=REASON, with {NAMES}")),
    }
}

/// What is said of lab's own server by flags; a foreign one has its command for that.
const OF_THE_OWN: [&str; 17] = [
    "ping_interval",
    "ping_timeout",
    "ping_policy",
    "driver",
    "io_uring_without",
    "shards",
    "admin",
    "tcp_keepalive",
    "tcp_user_timeout",
    "handshake_timeout",
    "close_timeout",
    "idle_timeout",
    "max_message",
    "output_max",
    "output_timeout",
    "slow_consumer",
    "max_connections",
];
const URL: &str = "ws://127.0.0.1:{port}/";
const URLS: &str = "allowed are URLs such as ws://127.0.0.1:{port}/path, or NAME=URL";
const NAME_MAX: usize = 40;
const NAMES: &str = "a name of at most 40 letters, digits, - _ and .";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_folders() {
        for name in ["a", "uvicorn-20.20", "ours_epoll", "9"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", "-a", "a/b", "a b", "ä", &"x".repeat(41)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn what_is_said_of_one_goes_before_what_is_said_of_all() {
        let all = [url("ws://h:{port}/x").unwrap(), url("b=ws://h/?k=v").unwrap()];
        assert_eq!(said_of(&all, "a").unwrap(), "ws://h:{port}/x");
        assert_eq!(said_of(&all, "b").unwrap(), "ws://h/?k=v");
        assert_eq!(said_of(&all[1..], "a"), None);
        let later = [ping("off").unwrap(), ping("20s/10s").unwrap()];
        assert!(said_of(&later, "a").unwrap().0.is_some(), "the last word counts");
    }

    #[test]
    fn a_query_is_no_name() {
        assert_eq!(url("ws://h/?a=b").unwrap().name, None);
        assert_eq!(url("a=ws://h/").unwrap().name.as_deref(), Some("a"));
        assert!(url("localhost").is_err() && ping("a=20s").is_err());
    }

    #[test]
    fn a_port_stands_wherever_it_is_asked_for() {
        assert_eq!(with_port("x {port} --at :{port}", 80), "x 80 --at :80");
    }
}
