//! What a server that runs tells at its admin port.

use anyhow::{Context, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The admin port of `halfopen serve`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admin(SocketAddr);

/// What it has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// Connections that are open.
    pub(super) open: u64,
    /// Opening handshakes that succeeded.
    pub(super) opened: u64,
    /// Pings that were answered.
    pub(super) pongs: u64,
    /// Every shard has told of itself; else some are as they were seen last.
    pub(super) complete: bool,
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Admin {
    /// That of the server that has said `line` when it listened.
    pub(super) fn of(line: &str) -> anyhow::Result<Self> {
        let address = line.split(' ').find_map(|word| word.strip_prefix("admin=http://"));
        let address = address.with_context(|| format!("no admin port in {line:?}"))?;
        Ok(Self(address.parse()?))
    }

    /// What has been counted up to now.
    pub(super) fn counts(self) -> anyhow::Result<Counts> {
        let mut stream = TcpStream::connect(self.0).context("the admin port")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page).context("reading the metrics")?;
        ensure!(page.starts_with("HTTP/1.1 200 "), "{:?}", page.lines().next());
        parse(&page)
    }
}

fn parse(page: &str) -> anyhow::Result<Counts> {
    let value = |name: &str| -> anyhow::Result<u64> {
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.with_context(|| format!("no {name}"))?.parse().with_context(|| name.to_owned())
    };
    let mut shards = page.lines().filter(|line| line.starts_with("halfopen_shard_answered{"));
    Ok(Counts {
        open: value("halfopen_connections")?,
        opened: value("halfopen_handshakes_total")?,
        pongs: value("halfopen_pongs_total")?,
        complete: shards.all(|line| line.ends_with(" 1")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use halfopen_server::metrics::Monitor;
    use halfopen_server::{Echo, Server, ServerConfig};

    #[test]
    fn what_a_server_writes_is_read() {
        let listen = "127.0.0.1:0".parse().unwrap();
        let config = ServerConfig { listen, shards: Some(2), ..ServerConfig::default() };
        let server = Server::start(&config, |_| Echo).unwrap();
        let page = Monitor::new(server.handle()).read(Duration::from_secs(60)).to_prometheus();
        let expected = Counts { open: 0, opened: 0, pongs: 0, complete: true };
        assert_eq!(parse(&page).unwrap(), expected);
        server.handle().stop();
        assert!(server.join().error.is_none());
    }

    #[test]
    fn a_page_is_read_by_whole_names() {
        let page = "HTTP/1.1 200 OK\r\n\r\nhalfopen_connections_peak 9\nhalfopen_connections 7\n\
                    halfopen_handshakes_total 8\nhalfopen_pongs_total 6\n\
                    halfopen_shard_answered{shard=\"0\"} 1\nhalfopen_shard_answered{shard=\"1\"} 0\n";
        let expected = Counts { open: 7, opened: 8, pongs: 6, complete: false };
        assert_eq!(parse(page).unwrap(), expected);
        assert!(parse("halfopen_connections 7\n").is_err());
    }
}
