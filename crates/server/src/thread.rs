//! A shard on a thread of its own.

use crate::mailbox::{Exchange, enter_shard};
use crate::{Admission, App, Config, DrainReport, ServerError, Shard, ShardHandle, Stats};
use halfopen_driver::ring::{Features, Options, run_with};
use halfopen_driver::{Counters, DriverKind, Engine, WakeSource};
use halfopen_tls::{ServerTls, Tls};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::any::Any;
use std::io;
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

/// What a shard's thread begins with.
pub(crate) struct Start {
    pub(crate) number: u16,
    pub(crate) exchange: Exchange,
    pub(crate) driver: DriverKind,
    pub(crate) io_uring_without: Features,
    pub(crate) io_uring: Options,
    /// The core to run on; none: any.
    pub(crate) cpu: Option<usize>,
    pub(crate) listener: Arc<TcpListener>,
    pub(crate) listener_shared: bool,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) config: Config,
}

/// A shard as the other threads see it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) handle: ShardHandle,
    pub(crate) counters: Arc<Counters>,
}

/// What a shard's thread ends with.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) stats: Stats,
    pub(crate) drained: Option<DrainReport>,
    pub(crate) error: Option<ServerError>,
}

impl Start {
    pub(crate) fn spawn<A: App<State: Send> + Send + 'static>(
        self,
        wake: WakeSource,
        admission: Arc<Admission>,
        app: A,
        end: Sender<Ended>,
    ) -> Result<(Running, JoinHandle<()>), ServerError> {
        let exchange = self.exchange.clone();
        let (mut shard, handle) = Shard::member(self.config, admission, exchange, self.number, app);
        let counters = Arc::new(Counters::default());
        let driver = self.driver_config(wake, counters.clone());
        let thread = std::thread::Builder::new().name(format!("shard-{}", self.number));
        let counted = counters.clone();
        let run = move || {
            let _span = tracing::info_span!("shard", number = self.number).entered();
            let ran = catch_unwind(AssertUnwindSafe(|| self.run(&mut shard, driver)));
            let error = ran.unwrap_or_else(|panic| Err(self.panicked(&*panic))).err();
            let stats = Stats { driver: counted.as_ref().into(), ..shard.stats() };
            let drained = shard.drain_report().cloned();
            // The mailbox closes before the word goes out, so that nobody waits for an answer.
            drop(shard);
            let _ = end.send(Ended { stats, drained, error });
        };
        let thread = thread
            .spawn(run)
            .map_err(|error| ServerError::Os { doing: "starting a shard's thread", error })?;
        Ok((Running { handle, counters }, thread))
    }

    fn driver_config(&self, wake: WakeSource, counters: Arc<Counters>) -> halfopen_driver::Config {
        halfopen_driver::Config {
            listener: Some(self.listener.clone()),
            listener_shared: self.listener_shared,
            wake,
            connections_max: self.config.connections_max + self.config.refusals_max,
            counters,
            without: self.io_uring_without,
        }
    }

    fn panicked(&self, panic: &(dyn Any + Send)) -> ServerError {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let message = text.unwrap_or("without a word").to_owned();
        ServerError::Panic { shard: self.number.into(), message }
    }

    fn pin(&self) -> Result<(), ServerError> {
        let Some(cpu) = self.cpu else { return Ok(()) };
        let mut cpus = CpuSet::new();
        if cpu >= CpuSet::MAX_CPU {
            let error = io::Error::from(io::ErrorKind::InvalidInput);
            return Err(ServerError::Cpu { cpu, error });
        }
        cpus.set(cpu);
        sched_setaffinity(None, &cpus)
            .map_err(|error| ServerError::Cpu { cpu, error: error.into() })
    }

    /// Runs the shard until it stops.
    fn run<A: App>(
        &self,
        shard: &mut Shard<A>,
        config: halfopen_driver::Config,
    ) -> Result<(), ServerError> {
        self.pin()?;
        enter_shard();
        match &self.tls {
            None => self.drive(shard, config),
            Some(tls) => {
                let layer = Tls::server(shard, tls.clone());
                self.drive(&mut layer.telling(|shard, _, notice| shard.heed(notice)), config)
            }
        }
    }

    fn drive<E: Engine>(
        &self,
        engine: &mut E,
        config: halfopen_driver::Config,
    ) -> Result<(), ServerError> {
        let result = match self.driver {
            DriverKind::IoUring => run_with(engine, config, self.io_uring),
            other => other.run(engine, config),
        };
        result.map_err(|error| ServerError::Driver { shard: self.number.into(), error })
    }
}
