//! The floor under a heartbeat's cost; see `halfopen_benches::floor`.

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("floor: io_uring is a thing of Linux");
}

#[cfg(target_os = "linux")]
mod linux {
    use anyhow::Context;
    use clap::{Parser, Subcommand};
    use halfopen_benches::floor::{Pace, Script, answer, ask, echo, serve};
    use std::net::{SocketAddr, TcpListener};
    use std::time::Duration;

    /// Exchange the bytes of heartbeats and do nothing else.
    ///
    /// Each role answers every line on its standard input with what it has done and used so far,
    /// as JSON, and ends with its input.
    #[derive(Parser)]
    #[command(version)]
    struct Cli {
        #[command(subcommand)]
        role: Role,
    }

    #[derive(Subcommand)]
    enum Role {
        /// Take connections from a free port of 127.0.0.1, then send pings.
        Serve {
            /// How many to wait for.
            #[arg(long, default_value_t = 10_000)]
            connections: u32,
            /// Pings a second over all of them.
            #[arg(long, default_value_t = 0)]
            rate: u32,
            /// How many rings share them, each with a thread.
            #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
            rings: u32,
            /// How often those that are due are sent, in milliseconds.
            #[arg(long, default_value_t = 8)]
            tick_ms: u64,
        },
        /// Take connections from a free port of 127.0.0.1, then send back what they send.
        Echo {
            /// How many there is room for.
            #[arg(long, default_value_t = 200)]
            connections: u32,
        },
        /// Send messages to an echo in a closed loop.
        Ask {
            /// Where the server listens.
            server: SocketAddr,
            /// How many connections to open.
            #[arg(long, default_value_t = 200)]
            connections: u32,
            /// How many messages are under way on each.
            #[arg(long, default_value_t = 1)]
            window: usize,
            /// Bytes of text in a message.
            #[arg(long, default_value_t = 20)]
            size: usize,
            /// The server speaks WebSocket.
            #[arg(long)]
            websocket: bool,
        },
        /// Open connections, and answer pings.
        Answer {
            /// Where the server listens.
            server: SocketAddr,
            /// How many to open.
            #[arg(long, default_value_t = 10_000)]
            connections: u32,
            /// How many rings share them, each with a thread.
            #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
            rings: u32,
        },
    }

    pub(crate) fn main() -> anyhow::Result<()> {
        match Cli::parse().role {
            Role::Serve { connections, rate, rings, tick_ms } => {
                let listener = listen()?;
                let pace = Pace { rate, tick: Duration::from_millis(tick_ms) };
                serve(listener, connections, rings, pace).context("the server of the floor")?;
            }
            Role::Echo { connections } => {
                echo(listen()?, connections).context("the echo of the floor")?;
            }
            Role::Ask { server, connections, window, size, websocket } => {
                let script = Script { connections, window, size, websocket };
                ask(server, script).context("the client of an echo")?;
            }
            Role::Answer { server, connections, rings } => {
                answer(server, connections, rings).context("the client of the floor")?;
            }
        }
        Ok(())
    }

    fn listen() -> anyhow::Result<TcpListener> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        rustix::net::listen(&listener, 4096)?;
        rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
        println!("listening on {}", listener.local_addr()?);
        Ok(listener)
    }
}
