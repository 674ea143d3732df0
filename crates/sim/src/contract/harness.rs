use super::{Checker, Hands, Log, Script, Told};
use crate::world::{self, Faults, SILENT, World};
use halfopen_driver::ring::Features;
use halfopen_driver::{CHUNK_MAX, Config, Counters, Engine, Error, WakeSource, Waker};
use std::fmt;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// A run that takes longer has hung.
const HUNG: Duration = Duration::from_secs(120);

/// A thread outside of the world has woken somebody within that time.
const OUTSIDE: Duration = Duration::from_secs(3);

/// Runs engines by one driver: each on a thread of its own, or all in one world.
pub trait Harness {
    /// An address at which nodes may listen.
    fn address(&self) -> Address;

    /// An address where nobody listens.
    fn nobody(&self) -> SocketAddr;

    /// An address where connects are not answered, as long as the hush is kept.
    fn silent(&self) -> (SocketAddr, Hush);

    /// What makes an engine's thread stand still when it is called from inside of a callback.
    fn stall(&self) -> Box<dyn Fn(Duration) + Send>;

    /// Runs the nodes until all have stopped.
    fn run(&self, nodes: Vec<Node>);

    /// Whether a connection may vanish (`Severance::Vanish`).
    fn may_vanish(&self) -> bool;

    /// How many connections the churn opens and closes.
    fn churn(&self) -> u32;

    /// More bytes than the kernels of both ends hold of one connection.
    fn bulk(&self) -> usize;

    /// How many pieces of deadlines, each a quarter of a turn's budget, go before an arrival at the
    /// most, half of the times.
    fn pieces(&self) -> u64;
}

/// Where nodes listen.
#[derive(Clone, Debug)]
pub struct Address {
    /// Where to connect to.
    pub at: SocketAddr,
    socket: Option<Arc<TcpListener>>,
}

/// Keeps an address silent.
#[derive(Debug, Default)]
pub struct Hush {
    _sockets: Vec<TcpStream>,
    _listener: Option<socket2::Socket>,
}

/// An engine, and what its driver is run with.
pub struct Node {
    name: &'static str,
    engine: Option<Script>,
    address: Option<Address>,
    connections_max: u32,
    waker: Waker,
    wake: WakeSource,
    log: Log,
    quiet: bool,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Node {
    /// A node with room for 16 connections that has no engine yet.
    pub fn new(name: &'static str) -> Self {
        let (waker, wake) = Waker::new().expect("an eventfd is free");
        Self {
            name,
            engine: None,
            address: None,
            connections_max: 16,
            waker,
            wake,
            log: Log::default(),
            quiet: false,
        }
    }

    /// Listens there; several nodes may.
    pub fn at(mut self, address: &Address) -> Self {
        self.address = Some(address.clone());
        self
    }

    /// Has a table of another size.
    pub fn room(mut self, connections_max: u32) -> Self {
        self.connections_max = connections_max;
        self
    }

    /// Keeps no log, because it would be long.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// What wakes it.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// What it does.
    pub fn script(mut self, act: impl FnMut(&mut Hands, Told) + Send + 'static) -> Self {
        self.engine = Some(Script::new(act));
        self
    }

    fn checker(&mut self) -> Checker<Script> {
        let script = self.engine.take().expect("a node has a script");
        let script = if self.quiet { script } else { script.logged(self.log.clone()) };
        Checker::new(self.name, self.connections_max, script)
    }
}

/// Runs the nodes, and gives back what each was told.
pub fn run<const N: usize>(harness: &dyn Harness, nodes: [Node; N]) -> [Log; N] {
    let logs = nodes.each_ref().map(|node| node.log.clone());
    harness.run(nodes.into());
    logs
}

/// Drivers of the kernel: real sockets on 127.0.0.1, a thread for each node.
#[derive(Clone, Copy, Debug)]
pub struct Threads {
    run: Run,
    churn: u32,
}

/// A driver's `run`.
type Run = fn(&mut Checker<Script>, Config) -> Result<(), Error>;

impl Threads {
    /// The harness of the driver with this `run`.
    pub fn new(run: Run) -> Self {
        Self { run, churn: 10_000 }
    }

    /// Opens and closes that many in the churn.
    pub fn churning(self, churn: u32) -> Self {
        Self { churn, ..self }
    }
}

impl Harness for Threads {
    fn address(&self) -> Address {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let at = socket.local_addr().expect("a listener has an address");
        Address { at, socket: Some(Arc::new(socket)) }
    }

    fn nobody(&self) -> SocketAddr {
        self.address().at
    }

    /// A listener whose queue is full drops SYNs.
    fn silent(&self) -> (SocketAddr, Hush) {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
            .expect("a descriptor is free");
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        listener.bind(&any.into()).expect("a port is free");
        listener.listen(0).expect("it listens");
        let at = listener.local_addr().ok().and_then(|at| at.as_socket()).expect("an address");
        let wait = Duration::from_millis(200);
        let filled = std::iter::from_fn(|| TcpStream::connect_timeout(&at, wait).ok());
        (at, Hush { _sockets: filled.take(16).collect(), _listener: Some(listener) })
    }

    fn stall(&self) -> Box<dyn Fn(Duration) + Send> {
        Box::new(thread::sleep)
    }

    fn run(&self, nodes: Vec<Node>) {
        let (done, finished) = mpsc::channel();
        let logs: Vec<_> = nodes.iter().map(|node| (node.name, node.log.clone())).collect();
        let count = nodes.len();
        for (number, node) in nodes.into_iter().enumerate() {
            let (done, run) = (done.clone(), self.run);
            thread::spawn(move || {
                let outcome = catch_unwind(AssertUnwindSafe(|| drive(run, node)));
                // Whoever waited may have given up.
                let _ = done.send((number, outcome));
            });
        }
        let mut running: Vec<_> = (0..count).collect();
        while !running.is_empty() {
            let Ok((number, outcome)) = finished.recv_timeout(HUNG) else {
                let tails =
                    running.iter().map(|&at| format!("{}:\n{}", logs[at].0, logs[at].1.tail()));
                panic!("hung after {HUNG:?}: {}", tails.collect::<String>());
            };
            if let Err(panic) = outcome {
                logs.iter().for_each(|(name, log)| eprintln!("{name}:\n{}", log.tail()));
                resume_unwind(panic);
            }
            running.retain(|&other| other != number);
        }
    }

    fn may_vanish(&self) -> bool {
        halfopen_driver::may_vanish()
    }

    fn churn(&self) -> u32 {
        asked_churn().unwrap_or(self.churn)
    }

    /// Linux lets a send buffer grow to 4 MB, and a receive buffer that is not read stays small.
    fn bulk(&self) -> usize {
        20_000_000
    }

    /// A busy machine takes the core from either end.
    fn pieces(&self) -> u64 {
        1000
    }
}

/// `HALFOPEN_CHURN` asks for another number, a million for instance.
fn asked_churn() -> Option<u32> {
    let asked = std::env::var("HALFOPEN_CHURN").ok()?;
    Some(asked.parse().expect("HALFOPEN_CHURN is a number"))
}

fn drive(run: Run, mut node: Node) {
    let mut checker = node.checker();
    let config = Config {
        listener: node.address.and_then(|address| address.socket),
        listener_shared: false,
        wake: node.wake,
        connections_max: node.connections_max,
        counters: Arc::new(Counters::default()),
        without: Features::NONE,
    };
    run(&mut checker, config).expect("the driver runs");
    checker.finish();
}

/// The simulated driver: all nodes in one world.
#[derive(Debug)]
pub struct Simulated {
    seed: u64,
    faults: Faults,
    stall: world::Stall,
    ports: AtomicU16,
    churn: u32,
    shim: Option<Shim>,
}

/// Something that stands between the simulated driver and an engine.
pub type Shim = for<'a> fn(&'a mut dyn Engine) -> Box<dyn Engine + 'a>;

impl Simulated {
    /// Runs every case in a world with this seed and these faults.
    pub fn new(seed: u64, faults: Faults) -> Self {
        let ports = AtomicU16::new(10_000);
        Self { seed, faults, stall: world::Stall::default(), ports, churn: 20_000, shim: None }
    }

    /// Puts a shim before every engine: a driver with a fault that the suite has to find.
    pub fn through(self, shim: Shim) -> Self {
        Self { shim: Some(shim), ..self }
    }

    /// Opens and closes that many in the churn.
    pub fn churning(self, churn: u32) -> Self {
        Self { churn, ..self }
    }
}

impl Harness for Simulated {
    fn address(&self) -> Address {
        Address { at: self.nobody(), socket: None }
    }

    fn nobody(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.fetch_add(1, Ordering::Relaxed)).into()
    }

    fn silent(&self) -> (SocketAddr, Hush) {
        (SILENT, Hush::default())
    }

    fn stall(&self) -> Box<dyn Fn(Duration) + Send> {
        let stall = self.stall.clone();
        Box::new(move |time| stall.stall(time))
    }

    fn run(&self, mut nodes: Vec<Node>) {
        let mut engines: Vec<_> = nodes.iter_mut().map(Node::checker).collect();
        let mut world = World::new(self.seed, self.faults.clone())
            .with_stall(self.stall.clone())
            .with_patience(OUTSIDE);
        let mut shims = Vec::new();
        let driven: Vec<&mut dyn Engine> = match self.shim {
            None => engines.iter_mut().map(|engine| engine as &mut dyn Engine).collect(),
            Some(shim) => {
                shims.extend(engines.iter_mut().map(|engine| shim(engine)));
                shims.iter_mut().map(|shim| &mut **shim as &mut dyn Engine).collect()
            }
        };
        for (engine, node) in driven.into_iter().zip(&mut nodes) {
            let (_, none) = Waker::new().expect("an eventfd is free");
            let site = world::Site {
                listener: node.address.as_ref().map(|address| address.at),
                connections_max: node.connections_max,
                wake: Some(std::mem::replace(&mut node.wake, none)),
                steady: false,
            };
            world.add(engine, site);
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
        if let Err(panic) = outcome {
            nodes.iter().for_each(|node| eprintln!("{}:\n{}", node.name, node.log.tail()));
            resume_unwind(panic);
        }
        drop(world);
        drop(shims);
        engines.iter().for_each(Checker::finish);
    }

    fn may_vanish(&self) -> bool {
        true
    }

    fn churn(&self) -> u32 {
        asked_churn().unwrap_or(self.churn)
    }

    fn bulk(&self) -> usize {
        2 * (self.faults.send_buffer + self.faults.receive_buffer) + CHUNK_MAX
    }

    /// On a calm day what was begun in this turn, and a turn.
    fn pieces(&self) -> u64 {
        let is_calm = self.faults.stall_every.is_none() && self.faults.exhausted == 0.0;
        if is_calm { 8 } else { 1000 }
    }
}
