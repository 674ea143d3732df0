//! Who plays in the demo: servers, a client that is a program of its own, and clients behind a
//! network that will fail them.

use crate::exit::Failure;
use halfopen_loadgen::death::{Death, DeathWatch};
use halfopen_loadgen::observer::{SocketRow, find_socket};
use halfopen_loadgen::plan::{Amount, Asked, KillAt, ServerPing, Watch, resolve};
use halfopen_loadgen::run::Run;
use halfopen_server::{
    Config, DriverKind, Echo, End, Heartbeat, Policy, Server, ServerConfig, ServerHandle,
};
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A server with room for a few.
pub(super) struct Stage {
    server: Option<Server>,
    handle: ServerHandle,
    /// Where it listens.
    pub(super) addr: SocketAddr,
}

impl Stage {
    /// Starts a server on a free port.
    pub(super) fn open(ping: Option<(Duration, Duration)>) -> Result<Self, Failure> {
        let heartbeat = ping.map(|(interval, timeout)| Heartbeat {
            policy: Policy::Periodic,
            interval,
            timeout,
        });
        let config = ServerConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            driver: DriverKind::Auto,
            shards: Some(1),
            connections_max: Some(16),
            shard: Config { heartbeat, ..Config::default() },
            ..ServerConfig::default()
        };
        let server =
            Server::start(&config, |_| Echo).map_err(|error| Failure::run(error.to_string()))?;
        let (handle, addr) = (server.handle(), server.local_addr());
        Ok(Self { server: Some(server), handle, addr })
    }

    /// How many connections it believes to have.
    pub(super) fn open_connections(&self) -> u64 {
        self.handle.open()
    }

    /// Whether it has noticed the end of a peer whose kernel told it.
    pub(super) fn was_told(&self) -> bool {
        let stats = self.handle.snapshot();
        stats.ended(End::Fin) + stats.ended(End::Reset) > 0
    }

    /// Whether it has aborted a peer that was silent.
    pub(super) fn has_aborted(&self) -> bool {
        self.handle.snapshot().ended(End::Silent) > 0
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(server) = self.server.take() {
            server.join();
        }
    }
}

/// A client that is a program of its own: this one's `load`, with a single connection.
pub(super) struct Program(Child);

impl Program {
    /// Starts it.
    pub(super) fn start(server: SocketAddr) -> Result<Self, Failure> {
        let program = std::env::current_exe();
        let child = program.and_then(|program| {
            Command::new(program)
                .args(["load", &format!("ws://{server}/"), "-c1", "-d60s", "--quiet"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                // Ctrl-C is ours to handle.
                .process_group(0)
                .spawn()
        });
        child.map(Self).map_err(|e| Failure::run(format!("cannot start a client: {e}")))
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Kills it, as `kill -9` does, and does not wait for its end.
    pub(super) fn kill(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        let _ = self.0.wait();
    }
}

/// A client whose network will fail: a single connection, blackholed after a while.
pub(super) struct Patient {
    run: Option<Run>,
    ends: Arc<Ends>,
}

/// The two ends of the connection, told before it dies.
#[derive(Default)]
struct Ends(Mutex<Option<(SocketAddr, SocketAddr)>>);

impl DeathWatch for Ends {
    fn map(&self) -> io::Result<usize> {
        Ok(1)
    }

    fn watch(&self, client: SocketAddr, server: SocketAddr) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((client, server));
    }

    /// It is watched until the curtain falls.
    fn all_found(&self) -> bool {
        false
    }
}

impl Patient {
    /// Connects it; its cable is pulled after `cut`.
    pub(super) fn start(
        server: SocketAddr,
        ping: Option<(Duration, Duration)>,
        cut: Duration,
    ) -> Result<Self, Failure> {
        let asked = Asked {
            connections: 1,
            kills: vec![(Death::Blackhole, Amount::Count(1))],
            kill_at: KillAt::After(cut),
            watch: Watch::For(Duration::from_secs(366 * 86_400)),
            server_ping: Some(ServerPing {
                interval: ping.map(|(interval, _)| interval),
                timeout: ping.map_or(Duration::ZERO, |(_, timeout)| timeout),
            }),
            ..Asked::new(&format!("ws://{server}/"))
        };
        let plan = resolve(&asked).map_err(|error| Failure::run(error.to_string()))?;
        let ends = Arc::new(Ends::default());
        let run = Run::start(plan, DriverKind::Auto, ends.clone())
            .map_err(|error| Failure::run(error.to_string()))?;
        Ok(Self { run: Some(run), ends })
    }

    /// Whether its cable has been pulled.
    pub(super) fn is_cut(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.progress().snapshot().killed > 0)
    }

    /// Pings of the server that it has answered.
    pub(super) fn answered(&self) -> u64 {
        self.run.as_ref().map_or(0, |run| run.progress().snapshot().pings_answered)
    }

    /// The server's socket of this connection, as its kernel sees it; known once the cable is
    /// pulled, none when it is gone.
    pub(super) fn socket_at_server(&self) -> Result<Option<SocketRow>, Failure> {
        let ends = *self.ends.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((client, server)) = ends else { return Ok(None) };
        find_socket(server, client)
            .map_err(|e| Failure::run(format!("the kernel does not show its sockets: {e}")))
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            run.interrupt().interrupt();
            // The demo is over; what the run has counted is of no interest.
            let _ = run.join();
        }
    }
}
