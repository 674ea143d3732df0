//! A whole server: a listener, and shards on threads of their own.

use crate::layout::Wish;
use crate::mailbox::Exchange;
use crate::post::Post;
use crate::thread::{Ended, Running, Start};
use crate::{
    Admission, App, Config, DrainReport, Layout, Mailbox, ServerError, Stats, TcpWatch, listen,
};
use halfopen_driver::ring::{Feature, Features, Options, probe};
use halfopen_driver::{Choice, DriverKind, WakeSource, Waker};
use halfopen_tls::ServerTls;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::rand::{GetRandomFlags, getrandom};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tracing::{error, info, warn};

/// How long a shard may take to say its first word.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Which driver runs the shards; [`Server::driver`] tells what `Auto` came to.
    pub driver: DriverKind,
    /// What the driver on io_uring is to do without, though the kernel may have it.
    pub io_uring_without: Features,
    /// The sizes of the rings of the driver on io_uring, one a shard.
    pub io_uring: Options,
    /// How many shards; none: one a core, or as many as the connections need.
    pub shards: Option<u16>,
    /// The most connections over all shards; none: what the descriptor limit holds.
    pub connections_max: Option<u32>,
    /// The cores to run on, used in turn; empty: any.
    pub cpus: Vec<usize>,
    /// Seeds every random choice; none: drawn from the kernel.
    pub seed: Option<u64>,
    /// What the kernel watches beside the heartbeat.
    pub tcp: TcpWatch,
    /// The certificate to speak TLS with (`wss://`); none: plain TCP.
    pub tls: Option<ServerTls>,
    /// What every shard is told. Its `connections_max` and `seed` are set by the server.
    pub shard: Config,
}

impl Default for ServerConfig {
    /// 127.0.0.1:9001 on the best driver that the kernel allows.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9001)),
            driver: DriverKind::Auto,
            io_uring_without: Features::NONE,
            io_uring: Options::default(),
            shards: None,
            connections_max: None,
            cpus: Vec::new(),
            seed: None,
            tcp: TcpWatch::default(),
            tls: None,
            shard: Config::default(),
        }
    }
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    layout: Layout,
    driver: DriverKind,
    handle: ServerHandle,
    threads: Vec<JoinHandle<()>>,
    ended: Receiver<Ended>,
}

/// Speaks to a running server from any thread.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    pub(crate) shards: Arc<[Running]>,
    pub(crate) admission: Arc<Admission>,
}

/// What is known when a server has ended.
#[derive(Debug)]
pub struct Outcome {
    /// What all shards have done.
    pub stats: Stats,
    /// What became of the connections, if it was asked to drain.
    pub drained: Option<DrainReport>,
    /// Why it ended, if nobody asked it to.
    pub error: Option<ServerError>,
}

impl Server {
    /// Starts a server; `app` makes the app of each shard. It listens when this returns.
    ///
    /// The process's soft limit of descriptors is raised to the hard one.
    ///
    /// # Errors
    /// The address, the descriptor limit, a core or the driver are refused.
    pub fn start<A: App<State: Send> + Send + 'static>(
        config: &ServerConfig,
        mut app: impl FnMut(usize) -> A,
    ) -> Result<Self, ServerError> {
        let Choice { driver, refused } = config.driver.resolve();
        if let Some(error) = refused {
            warn!(%error, instead = driver.name(), "io_uring is refused");
        }
        let layout = Layout::new(&wish(config, driver), raise_descriptor_limit())?;
        let listener = Arc::new(listen(config.listen, &config.tcp)?);
        let local_addr = listener.local_addr().map_err(|error| ServerError::Os {
            doing: "asking for the listener's address",
            error,
        })?;
        let admission = Arc::new(Admission::new(layout.connections_max.into()));
        let seed = config.seed.map_or_else(random_seed, Ok)?;

        let (exchange, wakes) = exchange(usize::from(layout.shards), &config.shard)?;
        let start = |number: u16| Start {
            number,
            exchange: exchange.clone(),
            driver,
            io_uring_without: config.io_uring_without,
            io_uring: config.io_uring,
            cpu: config.cpus.get(usize::from(number) % config.cpus.len().max(1)).copied(),
            listener: listener.clone(),
            listener_shared: u32::from(layout.shards) > 1,
            tls: config.tls.clone(),
            config: Config {
                connections_max: layout.connections_max_each,
                seed: seed.wrapping_add(number.into()),
                ..config.shard
            },
        };
        let (end, ended) = channel();
        let spawned = (0..layout.shards).zip(wakes).map(|(number, wake)| {
            start(number).spawn(wake, admission.clone(), app(number.into()), end.clone())
        });
        let (shards, threads): (Vec<_>, Vec<_>) = spawn_all(spawned)?.into_iter().unzip();
        let handle = ServerHandle { shards: shards.into(), admission };
        let server = Self { local_addr, layout, driver, handle, threads, ended };
        let server = server.check_started()?;
        server.note_start();
        Ok(server)
    }

    fn note_start(&self) {
        let Layout { shards, connections_max, descriptors, .. } = self.layout;
        let driver = self.driver.name();
        info!(addr = %self.local_addr, driver, shards, connections_max, "listening");
        if self.layout.exceeds_descriptor_limit() {
            warn!(connections_max, descriptors, "more connections than descriptors, as asked");
        }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// How its connections are spread over shards.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Which driver runs it.
    pub fn driver(&self) -> DriverKind {
        self.driver
    }

    /// What speaks to it from other threads.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Sends to its connections and topics, from any thread and any task.
    pub fn mailbox(&self) -> Mailbox {
        self.handle.mailbox()
    }

    /// Waits for its end: after [`ServerHandle::drain`] or [`ServerHandle::stop`], or when a
    /// shard's driver fails, which stops the others.
    pub fn join(self) -> Outcome {
        let mut outcome = Outcome { stats: Stats::default(), drained: None, error: None };
        for ended in self.ended.iter().take(self.threads.len()) {
            outcome.stats.add(&ended.stats);
            if let Some(drained) = &ended.drained {
                outcome.drained.get_or_insert_default().add(drained);
            }
            if let Some(error) = ended.error {
                error!(%error, "a shard failed");
                self.handle.stop();
                outcome.error.get_or_insert(error);
            }
        }
        for thread in self.threads {
            thread.join().expect("a shard's thread catches its panics");
        }
        outcome.stats.peak = self.handle.admission.peak();
        outcome.note();
        outcome
    }

    /// A shard that answers has a driver that runs.
    fn check_started(self) -> Result<Self, ServerError> {
        for (shard, running) in self.handle.shards.iter().enumerate() {
            if running.handle.snapshot(START_TIMEOUT).is_none() {
                self.handle.stop();
                // The others end by themselves: one that is mute could not be waited for.
                let ended = self.ended.recv_timeout(Duration::from_secs(1));
                let error = ended.ok().and_then(|ended| ended.error);
                return Err(error.unwrap_or(ServerError::Mute { shard }));
            }
        }
        Ok(self)
    }
}

impl Outcome {
    fn note(&self) {
        if let Some(drained) = &self.drained {
            let (connections, took) = (drained.connections, drained.took);
            let [clean, timed_out] = [drained.clean(), drained.timed_out()];
            info!(connections, clean, timed_out, broken = drained.broken(), ?took, "drained");
        }
        info!(opened = self.stats.opened, peak = self.stats.peak, "ended");
    }
}

impl ServerHandle {
    /// Takes no more connections, closes those that are open with 1001, spread over `window`, and
    /// ends when the last is gone.
    pub fn drain(&self, window: Duration) {
        info!(open = self.open(), ?window, "draining");
        for shard in self.shards.iter() {
            shard.handle.drain(window);
        }
    }

    /// Sends to the connections and topics of the server, from any thread and any task.
    pub fn mailbox(&self) -> Mailbox {
        self.shards[0].handle.mailbox()
    }

    /// Ends at once.
    pub fn stop(&self) {
        for shard in self.shards.iter() {
            shard.handle.stop();
        }
    }

    /// How many connections are open now.
    pub fn open(&self) -> u64 {
        self.admission.open()
    }

    /// What all shards have done so far; those that have ended are missing.
    pub fn snapshot(&self) -> Stats {
        let mut all = Stats::default();
        for shard in self.shards.iter() {
            if let Some(stats) = shard.handle.snapshot(Duration::from_secs(1)) {
                all.add(&Stats { driver: shard.counters.as_ref().into(), ..stats });
            }
        }
        all.peak = self.admission.peak();
        all
    }
}

/// The letter boxes of all shards, and where each is woken.
fn exchange(shards: usize, config: &Config) -> Result<(Exchange, Vec<WakeSource>), ServerError> {
    let mut posts = Vec::new();
    let mut wakes = Vec::new();
    for _ in 0..shards {
        let (waker, wake) =
            Waker::new().map_err(|error| ServerError::Os { doing: "making an eventfd", error })?;
        posts.push(Post::new(waker, config.mailbox_letters, config.mailbox_bytes));
        wakes.push(wake);
    }
    Ok((posts.into(), wakes))
}

/// Collects the shards, or stops those that run already.
fn spawn_all(
    spawned: impl Iterator<Item = Result<(Running, JoinHandle<()>), ServerError>>,
) -> Result<Vec<(Running, JoinHandle<()>)>, ServerError> {
    let mut shards = Vec::new();
    for shard in spawned {
        match shard {
            Ok(shard) => shards.push(shard),
            Err(error) => {
                shards.iter().for_each(|(running, _)| running.handle.stop());
                return Err(error);
            }
        }
    }
    Ok(shards)
}

fn wish(config: &ServerConfig, driver: DriverKind) -> Wish {
    let cores = match config.cpus.len() {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        pinned => pinned,
    };
    Wish {
        driver,
        own_tables: has_own_tables(config, driver),
        cores: cores.min(usize::from(u16::MAX)) as u16,
        shards: config.shards,
        connections_max: config.connections_max,
        refusals_max: config.shard.refusals_max,
    }
}

/// Whether each shard's driver has a table of descriptors of its own, beside the process's.
fn has_own_tables(config: &ServerConfig, driver: DriverKind) -> bool {
    if driver.takes_descriptors() {
        return false;
    }
    // Where the kernel refuses the ring, the shards will say so.
    let Ok(probe) = probe(config.io_uring_without) else { return false };
    for fallback in &probe.fallbacks {
        info!(%fallback, "io_uring falls back");
    }
    probe.features.has(Feature::Direct)
}

/// Raises the soft limit to the hard one, which needs no privilege, and tells it.
fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let is_raised = setrlimit(Resource::Nofile, raised).is_ok();
    let now = if is_raised { limit.maximum } else { limit.current };
    now.unwrap_or(u64::MAX)
}

fn random_seed() -> Result<u64, ServerError> {
    let mut bytes = [0; 8];
    getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(|error| ServerError::Os { doing: "drawing a seed", error: error.into() })?;
    Ok(u64::from_ne_bytes(bytes))
}
