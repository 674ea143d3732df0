//! A process that may lock little memory, as rings of an ordinary user are charged for it. The test
//! runs itself once more, as a process of its own: the limit is the whole process's, and who may
//! lock without a limit gives that right up.

use crate::drivers::{Driver, IO_URING, TOKIO_URING};
use crate::rig::{config, in_a_process_of_its_own};
use halfopen_driver::{DriverKind, Engine, Error, Event, Heard, Op};
use halfopen_sim::skipped;
use halfopen_wheel::Instant;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

const PAGE: u64 = 4096;

/// More than a ring of a driver takes.
const PLENTY: u64 = 1024 * PAGE;

/// Stops as soon as it runs.
struct Brief;

impl Engine for Brief {
    fn on_event(&mut self, _now: Instant, _event: Event<'_>, ops: &mut Vec<Op>) {
        ops.push(Op::Stop);
    }

    fn on_deadline(&mut self, _now: Instant, _heard: Heard, _ops: &mut Vec<Op>) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

fn run(driver: Driver) -> Result<(), Error> {
    let (_waker, config) = config(8, None);
    driver.run(&mut Brief, config)
}

fn give_up_the_right_to_lock() {
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::IPC_LOCK);
    set_capabilities(None, sets).unwrap();
}

fn limit_locked_memory(bytes: u64) {
    let hard = getrlimit(Resource::Memlock).maximum;
    let current = Some(hard.map_or(bytes, |hard| hard.min(bytes)));
    setrlimit(Resource::Memlock, Rlimit { current, maximum: hard }).unwrap();
}

/// Whatever of the ring it is that does not fit any more: how many limits were too small.
fn refusals(driver: Driver) -> u64 {
    for pages in 0..PLENTY / PAGE {
        limit_locked_memory(pages * PAGE);
        let Err(error) = run(driver) else { return pages };
        assert!(matches!(error, Error::LockedMemory(_)), "{pages} pages: {error:?}");
        let says = error.to_string();
        assert!(says.contains("locked-memory limit") && says.contains("`ulimit -l`"), "{says}");
    }
    PLENTY / PAGE
}

fn little_memory(driver: Driver) {
    in_a_process_of_its_own(|| {
        give_up_the_right_to_lock();
        if refusals(driver) == 0 {
            skipped("this kernel charges no ring to RLIMIT_MEMLOCK");
        }
    });
}

#[test]
fn a_ring_that_does_not_fit_under_the_limit_names_it_and_what_to_do() {
    little_memory(IO_URING);
}

#[test]
fn a_ring_of_the_runtime_that_does_not_fit_under_the_limit_names_it_and_what_to_do() {
    little_memory(TOKIO_URING);
}

/// The kernel has rings, only this process has no memory for one: to say so is of more use than to
/// take another driver.
#[test]
fn auto_does_not_leave_io_uring_for_want_of_locked_memory() {
    in_a_process_of_its_own(|| {
        give_up_the_right_to_lock();
        limit_locked_memory(0);
        assert_eq!(DriverKind::Auto.resolve().driver, DriverKind::IoUring);
    });
}
