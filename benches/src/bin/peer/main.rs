//! An echo server of another WebSocket library for Rust: what `benches/peers/run` measures beside
//! ours.
//!
//! Each does what its own example does: a task a connection on one thread of tokio, messages sent
//! back as they came. Where the library has a heartbeat it gets `--ping`; where it has none there is
//! none.

mod fast;
mod sockudo;
mod tokio_ws;
mod tungstenite;
mod upgrade;

use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// An echo server of another library, on one thread
#[derive(Debug, Parser)]
struct Flags {
    /// Whose
    library: Library,
    /// Where it listens on 127.0.0.1
    #[arg(long)]
    port: u16,
    /// Interval and timeout of its heartbeat, in whole seconds; none if not given
    #[arg(long, value_name = "S/S", value_parser = ping)]
    ping: Option<Ping>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Library {
    Fastwebsockets,
    SockudoWs,
    TokioTungstenite,
    TokioWebsockets,
}

/// A heartbeat, in seconds.
#[derive(Clone, Copy, Debug)]
struct Ping {
    interval: u32,
    timeout: u32,
}

fn ping(text: &str) -> Result<Ping, String> {
    let wrong = || "write interval/timeout in whole seconds, such as 20/20".to_owned();
    let (interval, timeout) = text.split_once('/').ok_or_else(wrong)?;
    let seconds = |part: &str| part.parse().map_err(|_| wrong());
    Ok(Ping { interval: seconds(interval)?, timeout: seconds(timeout)? })
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    if flags.ping.is_some() && flags.library != Library::SockudoWs {
        bail!("this library has no heartbeat of its own: leave out --ping");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(&flags))
}

async fn serve(flags: &Flags) -> anyhow::Result<()> {
    let listener = listen(flags.port).with_context(|| format!("port {}", flags.port))?;
    loop {
        let (stream, _) = listener.accept().await?;
        // Without it an answer may wait for the acknowledgement of the one before.
        stream.set_nodelay(true)?;
        let (library, ping) = (flags.library, flags.ping);
        tokio::spawn(async move {
            // A connection that ends with an error has ended.
            let _ = echo(library, stream, ping).await;
        });
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(BACKLOG)
}

async fn echo(library: Library, stream: TcpStream, ping: Option<Ping>) -> anyhow::Result<()> {
    match library {
        Library::Fastwebsockets => fast::echo(stream).await,
        Library::SockudoWs => sockudo::echo(stream, ping).await,
        Library::TokioTungstenite => tungstenite::echo(stream).await,
        Library::TokioWebsockets => tokio_ws::echo(stream).await,
    }
}

/// As much as the load may be ahead of a server that is busy.
const BACKLOG: u32 = 4096;
