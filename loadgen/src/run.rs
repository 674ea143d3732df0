//! A run from its first connect to its last goodbye: a thread for each shard's swarm, and one that
//! conducts them.

mod conductor;
mod phase;
mod progress;
mod threads;

pub use phase::{Ended, Phase, Span};
pub use progress::{DriverTotals, Progress};

use crate::death::DeathWatch;
use crate::plan::Plan;
use crate::record::Tally;
use crate::swarm::Order;
use conductor::{Action, Conductor, View};
use halfopen_driver::DriverKind;
use halfopen_wheel::{Instant, clock};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use threads::Threads;

/// How often the conductor looks. A death is not late by it, only its beginning.
const LOOK: Duration = Duration::from_millis(20);

/// A run that goes on.
#[derive(Debug)]
pub struct Run {
    progress: Arc<Progress>,
    interrupt: Interrupt,
    thread: JoinHandle<Result<Outcome, RunError>>,
}

/// What is known when a run has ended.
#[derive(Debug)]
pub struct Outcome {
    /// What was done.
    pub plan: Arc<Plan>,
    /// Why it ended.
    pub ended: Ended,
    /// What all swarms have counted.
    pub tally: Tally,
    /// When each phase was.
    pub phases: Vec<Span>,
    /// From when on seconds are counted.
    pub origin: Instant,
    /// The same moment on the wall clock.
    pub started: SystemTime,
    /// What the drivers have counted.
    pub driver: DriverTotals,
    /// Why the server's sockets could not be mapped before the deaths, if so.
    pub unmapped: Option<io::Error>,
}

/// Why a run could not begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A thread's core cannot be had.
    #[error("core {cpu} cannot be used: {error}; see `taskset -p $$` for those that can")]
    Cpu {
        /// Its number.
        cpu: usize,
        /// The kernel's word.
        error: io::Error,
    },
    /// A shard's driver failed.
    #[error("shard {shard} of the load generator: {error}")]
    Driver {
        /// Which.
        shard: u16,
        /// What it says.
        error: halfopen_driver::Error,
    },
    /// The descriptors do not suffice for a driver that wants one a connection.
    #[error(
        "{wanted} descriptors are wanted, and the limit is {limit}; raise it with `ulimit -n`, or use io_uring where the kernel allows it"
    )]
    Descriptors {
        /// How many.
        wanted: u64,
        /// RLIMIT_NOFILE.
        limit: u64,
    },
    /// TLS cannot be spoken as it was asked for.
    #[error(transparent)]
    Tls(#[from] halfopen_tls::Error),
    /// Connections are to vanish, and this process may not.
    #[error(
        "`vanish` wants CAP_NET_ADMIN, which this process does not have; `blackhole` needs no privilege and is as silent"
    )]
    MayNotVanish,
    /// Another error of the kernel, and what was being done.
    #[error("{doing}: {error}")]
    Os {
        /// What.
        doing: &'static str,
        /// The kernel's word.
        error: io::Error,
    },
}

/// Ends a run before its time, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Ends the run. What was measured is kept.
    pub fn interrupt(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Run {
    /// Begins `plan`. Victims are announced to `watch` before they die.
    ///
    /// # Errors
    /// A thread or a wake-up cannot be made, or a core or the descriptors are not to be had.
    pub fn start(
        plan: Plan,
        driver: DriverKind,
        watch: Arc<dyn DeathWatch>,
    ) -> Result<Self, RunError> {
        let (plan, driver) = (Arc::new(plan), driver.resolve().driver);
        let (origin, started) = (clock::now(), SystemTime::now());
        let threads = Threads::start(&plan, driver, origin, &watch)?;
        let progress = Arc::new(Progress::new(threads.meters()));
        let interrupt = Interrupt::default();
        let stage = Stage {
            conductor: Conductor::new(plan.clone(), origin),
            plan,
            origin,
            started,
            threads,
            watch,
            progress: progress.clone(),
            interrupt: interrupt.clone(),
            unmapped: None,
        };
        let thread = std::thread::Builder::new()
            .name("conductor".into())
            .spawn(move || stage.conduct())
            .map_err(|error| RunError::Os { doing: "starting the conductor's thread", error })?;
        Ok(Self { progress, interrupt, thread })
    }

    /// What it shows while it goes on.
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// What ends it before its time.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// Whether [`Run::join`] would return at once.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// A driver could not start or go on.
    pub fn join(self) -> Result<Outcome, RunError> {
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// The conductor with all that it conducts.
struct Stage {
    plan: Arc<Plan>,
    origin: Instant,
    started: SystemTime,
    conductor: Conductor,
    threads: Threads,
    watch: Arc<dyn DeathWatch>,
    progress: Arc<Progress>,
    interrupt: Interrupt,
    unmapped: Option<io::Error>,
}

impl Stage {
    fn conduct(mut self) -> Result<Outcome, RunError> {
        // A swarm that ends of itself has failed; the others need not go on.
        while !self.threads.any_is_over() {
            let view = View {
                swarms: self.progress.snapshot(),
                all_found: self.watch.all_found(),
                interrupted: self.interrupt.is_set(),
            };
            for action in self.conductor.step(clock::now(), &view) {
                self.act(action);
            }
            self.progress.enter(self.conductor.phase());
            std::thread::sleep(LOOK);
        }
        self.threads.tell(Order::Leave);
        let (mut tally, driver) = self.threads.join()?;
        let (phases, ended) = self.conductor.finish(clock::now());
        tally.sort_losses(self.plan.server_ping);
        Ok(Outcome {
            plan: self.plan,
            ended,
            tally,
            phases,
            origin: self.origin,
            started: self.started,
            driver,
            unmapped: self.unmapped,
        })
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Tell(order) => self.threads.tell(order),
            Action::Map => self.unmapped = self.watch.map().err(),
        }
    }
}
