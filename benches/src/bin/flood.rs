//! Abuse of a server at stated rates; see `halfopen_benches::flood`.

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("flood: io_uring is a thing of Linux");
}

#[cfg(target_os = "linux")]
mod linux {
    use anyhow::ensure;
    use clap::{Args, Parser, Subcommand};
    use halfopen_benches::flood::{Flood, Kind, Wave, sink};
    use halfopen_driver::ring::Features;
    use halfopen_driver::{Config, DriverKind, Waker};
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use std::net::{SocketAddr, TcpListener};
    use std::sync::Arc;
    use std::time::Duration;

    /// Do to a server what nobody should, at stated rates and for a stated time.
    #[derive(Parser)]
    #[command(version)]
    struct Cli {
        #[command(subcommand)]
        role: Role,
    }

    #[derive(Subcommand)]
    enum Role {
        /// Flood a server of this machine; what was done comes as JSON at the end.
        At(At),
        /// Take every connection from a free port of 127.0.0.1 and close it: the control.
        Sink,
    }

    #[derive(Args)]
    struct At {
        /// Where it listens; an address of this machine.
        server: SocketAddr,
        /// How long, in seconds.
        #[arg(long, default_value_t = 60.0)]
        duration: f64,
        /// Connects without a byte, a second.
        #[arg(long, default_value_t = 500.0)]
        connects: f64,
        /// The most of those that are open at once.
        #[arg(long, default_value_t = 5_000)]
        silent: u32,
        /// Connections whose request comes at a byte a second.
        #[arg(long, default_value_t = 5_000)]
        slow_heads: u32,
        /// Connections that send pings of 125 B and never read.
        #[arg(long, default_value_t = 1_000)]
        pingers: u32,
        /// Their pings a second, all together.
        #[arg(long, default_value_t = 50_000.0)]
        pings: f64,
        /// Connections that have messages of 1 KiB echoed and never read.
        #[arg(long, default_value_t = 1_000)]
        deaf: u32,
        /// Their messages a second, all together.
        #[arg(long, default_value_t = 40_000.0)]
        messages: f64,
        /// Connections that have messages of 1 KiB echoed and read them.
        #[arg(long, default_value_t = 0)]
        busy: u32,
        /// Their messages a second, all together.
        #[arg(long, default_value_t = 50_000.0)]
        busy_messages: f64,
        /// How many of a kind connect in a second, at first and to replace those that are gone.
        #[arg(long, default_value_t = 500.0)]
        connect_rate: f64,
    }

    pub(crate) fn main() -> anyhow::Result<()> {
        match Cli::parse().role {
            Role::At(at) => flood(&at),
            Role::Sink => {
                let listener = TcpListener::bind("127.0.0.1:0")?;
                println!("listening on {}", listener.local_addr()?);
                Ok(sink::run(&listener)?)
            }
        }
    }

    impl At {
        fn waves(&self) -> Vec<Wave> {
            let connect_rate = self.connect_rate;
            let pieces = |kind: Kind, frames: f64| frames / kind.frames() as f64;
            let wave =
                |kind, connections, send_rate| Wave { kind, connections, connect_rate, send_rate };
            let silent =
                Wave { connect_rate: self.connects, ..wave(Kind::Silent, self.silent, 0.0) };
            let waves = [
                silent,
                wave(Kind::SlowHead, self.slow_heads, f64::from(self.slow_heads)),
                wave(Kind::Pinger, self.pingers, pieces(Kind::Pinger, self.pings)),
                wave(Kind::Deaf, self.deaf, pieces(Kind::Deaf, self.messages)),
                wave(Kind::Busy, self.busy, pieces(Kind::Busy, self.busy_messages)),
            ];
            let takes_part = |wave: &Wave| wave.connections > 0 && wave.connect_rate > 0.0;
            waves.into_iter().filter(takes_part).collect()
        }
    }

    fn flood(at: &At) -> anyhow::Result<()> {
        ensure!(at.server.ip().is_loopback(), "only a server of this machine is flooded");
        let waves = at.waves();
        let connections: u32 = waves.iter().map(|wave| wave.connections).sum();
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
        let (_waker, wake) = Waker::new()?;
        let config = Config {
            listener: None,
            listener_shared: false,
            wake,
            // Those that connect in the place of others come before these have gone.
            connections_max: connections + connections / 8 + 256,
            counters: Arc::default(),
            without: Features::NONE,
        };
        let duration = Duration::try_from_secs_f64(at.duration)?;
        let mut flood = Flood::new(at.server, duration, waves);
        DriverKind::IoUring.run(&mut flood, config)?;
        println!("{}", serde_json::to_string(&flood.tallies())?);
        Ok(())
    }
}
