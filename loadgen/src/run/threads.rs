//! One thread a shard: a core, a driver, a swarm.

use super::{DriverTotals, RunError};
use crate::death::{Death, DeathWatch};
use crate::plan::{Plan, Secure, raise_descriptor_limit};
use crate::record::Tally;
use crate::swarm::{Links, Meter, Order, Orders, Swarm};
use halfopen_driver::ring::Features;
use halfopen_driver::{Config, Counters, DriverKind, Error, Waker, may_vanish};
use halfopen_tls::{ClientTls, Tls};
use halfopen_wheel::Instant;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Descriptors of the process beside its connections.
const DESCRIPTORS_SPARE: u64 = 64;

/// The swarms of a run.
pub(super) struct Threads(Vec<Thread>);

struct Thread {
    shard: u16,
    orders: Arc<Orders>,
    meter: Arc<Meter>,
    counters: Arc<Counters>,
    handle: JoinHandle<(Tally, Result<(), Error>)>,
}

impl Threads {
    pub(super) fn start(
        plan: &Arc<Plan>,
        driver: DriverKind,
        origin: Instant,
        watch: &Arc<dyn DeathWatch>,
    ) -> Result<Self, RunError> {
        check_descriptors(plan, driver)?;
        check_privilege(plan)?;
        check_cpus(&plan.cpus)?;
        let tls = plan.tls.as_ref().map(Secure::load).transpose()?;
        let mut threads = Self(Vec::new());
        for shard in 0..plan.shards {
            match Thread::start(plan, driver, shard, origin, watch, tls.clone()) {
                Ok(thread) => threads.0.push(thread),
                Err(error) => {
                    threads.tell(Order::Leave);
                    return Err(error);
                }
            }
        }
        Ok(threads)
    }

    pub(super) fn meters(&self) -> Vec<Arc<Meter>> {
        self.0.iter().map(|thread| thread.meter.clone()).collect()
    }

    pub(super) fn tell(&self, order: Order) {
        self.0.iter().for_each(|thread| thread.orders.send(order));
    }

    pub(super) fn any_is_over(&self) -> bool {
        self.0.iter().any(|thread| thread.handle.is_finished())
    }

    /// Waits for all: what they have counted, or the first error.
    pub(super) fn join(self) -> Result<(Tally, DriverTotals), RunError> {
        let mut whole = Tally::default();
        let mut totals = DriverTotals::default();
        let mut first_error = Ok(());
        for thread in self.0 {
            let joined = thread.handle.join();
            let (tally, ran) = joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            whole.merge(tally);
            totals.add(&thread.counters);
            let ran = ran.map_err(|error| RunError::Driver { shard: thread.shard, error });
            first_error = first_error.and(ran);
        }
        first_error.map(|()| (whole, totals))
    }
}

impl Thread {
    fn start(
        plan: &Arc<Plan>,
        driver: DriverKind,
        shard: u16,
        origin: Instant,
        watch: &Arc<dyn DeathWatch>,
        tls: Option<ClientTls>,
    ) -> Result<Self, RunError> {
        let (waker, wake) =
            Waker::new().map_err(|error| RunError::Os { doing: "making an eventfd", error })?;
        let (orders, meter) = (Orders::new(waker), Arc::<Meter>::default());
        let counters = Arc::<Counters>::default();
        let config = Config {
            listener: None,
            listener_shared: false,
            wake,
            connections_max: plan.table_size(),
            counters: counters.clone(),
            without: Features::NONE,
        };
        let links = Links { orders: orders.clone(), meter: meter.clone(), watch: watch.clone() };
        let mut swarm = Swarm::new(plan.clone(), plan.share(shard), origin, links);
        let cpu = plan.cpus.get(usize::from(shard) % plan.cpus.len().max(1)).copied();
        let run = move || {
            if let Some(cpu) = cpu {
                pin(cpu).expect("it was tried before");
            }
            let ran = drive(driver, &mut swarm, config, tls);
            (swarm.into_tally(), ran)
        };
        let handle = std::thread::Builder::new()
            .name(format!("swarm-{shard}"))
            .spawn(run)
            .map_err(|error| RunError::Os { doing: "starting a swarm's thread", error })?;
        Ok(Self { shard, orders, meter, counters, handle })
    }
}

/// Runs the swarm until it stops.
fn drive(
    driver: DriverKind,
    swarm: &mut Swarm,
    config: Config,
    tls: Option<ClientTls>,
) -> Result<(), Error> {
    match tls {
        None => driver.run(swarm, config),
        Some(tls) => {
            let layer = Tls::client(swarm, tls);
            driver.run(&mut layer.telling(|swarm, id, notice| swarm.heed(id, notice)), config)
        }
    }
}

/// A ring keeps its connections in a table of its own; elsewhere they are descriptors of the process.
fn check_descriptors(plan: &Plan, driver: DriverKind) -> Result<(), RunError> {
    let (wanted, limit) =
        (u64::from(plan.own_connections()) + DESCRIPTORS_SPARE, raise_descriptor_limit());
    if driver != DriverKind::IoUring && wanted > limit {
        return Err(RunError::Descriptors { wanted, limit });
    }
    Ok(())
}

fn check_privilege(plan: &Plan) -> Result<(), RunError> {
    let vanish = plan.kills.iter().any(|kill| kill.death == Death::Vanish && kill.count > 0);
    if vanish && !may_vanish() { Err(RunError::MayNotVanish) } else { Ok(()) }
}

/// Tries each core on a thread that ends at once, so that a wrong one is told before the run.
fn check_cpus(cpus: &[usize]) -> Result<(), RunError> {
    for &cpu in cpus {
        let tried = std::thread::spawn(move || pin(cpu)).join().expect("it does not panic");
        tried.map_err(|error| RunError::Cpu { cpu, error })?;
    }
    Ok(())
}

fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    Ok(sched_setaffinity(None, &cpus)?)
}
