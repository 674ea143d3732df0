//! Every driver of the kernel keeps the contract of the seam, and the one on io_uring also without
//! what a kernel may lack.
//!
//! The churn is of 10,000 connections here, and of 2,000 where something is left out;
//! `HALFOPEN_CHURN=1000000` makes it a million.

use halfopen_driver::ring::{Feature, Features, Options, run as on_ring, run_with};
use halfopen_driver::{Config, Engine, Error};
use halfopen_sim::contract::Threads;
use std::time::Duration;

halfopen_sim::contract_suite!(tokio, Threads::new(halfopen_driver::tokio::run));
halfopen_sim::contract_suite!(epoll, Threads::new(halfopen_driver::epoll::run));
halfopen_sim::contract_suite!(ring, Threads::new(on_ring));

/// The suite on io_uring with another configuration.
macro_rules! ring_with {
    ($name:ident, $run:expr) => {
        halfopen_sim::contract_suite!($name, Threads::new($run).churning(2_000));
    };
}

macro_rules! ring_without {
    ($name:ident: $($feature:ident)*) => {
        ring_with!($name, |engine, config| {
            on_ring(engine, Config { without: Features::of(&[$(Feature::$feature),*]), ..config })
        });
    };
}

ring_without!(ring_without_defer_taskrun: DeferTaskrun);
ring_without!(ring_plain: DeferTaskrun CoopTaskrun);
ring_without!(ring_without_multishot: Multishot);
ring_without!(ring_without_socket_commands: SocketCommands);
ring_without!(ring_without_direct: Direct);
ring_without!(ring_without_min_wait: MinWait);
ring_without!(
    ring_without_anything: DeferTaskrun CoopTaskrun Multishot SocketCommands Direct MinWait
);

ring_with!(ring_always_quiet, |engine, config| quiet_after(Duration::ZERO, engine, config));
ring_with!(ring_always_quiet_where_cancels_are_dear, |engine, config| {
    let options = Options { quiet: Duration::ZERO, cheap_cancels_max: 0, ..Options::default() };
    run_with(engine, config, options)
});
ring_with!(ring_always_busy, |engine, config| quiet_after(Duration::MAX, engine, config));

// Hardly room for anything: the ring is entered in the midst of handing over.
ring_with!(ring_small, |engine, config| run_with(engine, config, SMALL));

const SMALL: Options = Options {
    submissions: 8,
    completions: 16,
    buffers: 2,
    buffers_max: 2,
    buffer_bytes: 4096,
    quiet: Duration::from_secs(8),
    cheap_cancels_max: 0,
};

fn quiet_after<E: Engine>(time: Duration, engine: &mut E, config: Config) -> Result<(), Error> {
    run_with(engine, config, Options { quiet: time, ..Options::default() })
}

/// Run by a thread that has given its CAP_NET_ADMIN away, if it ever had it.
fn without_privilege(check: impl FnOnce() + Send + 'static) {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let unprivileged = move || {
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::NET_ADMIN);
        set_capabilities(None, sets).unwrap();
        check();
    };
    let outcome = std::thread::spawn(unprivileged).join();
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[test]
fn a_vanish_that_is_refused_is_an_abort_on_each_driver() {
    use halfopen_sim::contract::cases::silence::a_vanish_that_is_refused_is_an_abort as refused;
    without_privilege(|| {
        refused(&Threads::new(halfopen_driver::tokio::run));
        refused(&Threads::new(halfopen_driver::epoll::run));
        refused(&Threads::new(on_ring));
    });
}
