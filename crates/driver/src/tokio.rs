//! The driver on the tokio-uring runtime: the same engine, as a user of that runtime would run it.
//!
//! It is measured beside [`ring`](crate::ring) and is not the default: the runtime has no multishot
//! operations, no provided buffers and no direct descriptors, so that every receive is armed anew,
//! every connection takes a descriptor, and each operation is a task with memory on the heap.
//!
//! # Shape
//!
//! [`run`] is one future on one thread, and the engine is borrowed by it. Every operation is
//! submitted together with a `Tag`; a task awaits it and puts tag and result into one
//! queue. A *turn* hands over all that is in the queue, in its order, and then what is due.
//!
//! An idle connection is parked in a one-shot poll, and no buffer waits with it. When the poll
//! fires, the bytes are taken by recv(2) into the one buffer of the thread, in the moment in which
//! they are handed over. To read through the ring would want either a buffer for each connection
//! that says nothing, or a second trip through ring, task and queue after the poll; the call costs
//! 0.2 µs beside a packet's 4 µs, and it makes silence easy to prove (`silence.rs`).

mod accept;
mod attempt;
mod connection;
mod ops;
mod silence;
mod timers;
mod turn;

use crate::{Config, Engine, Error, socket};
use tokio_uring::Runtime;

/// Submissions that wait for one system call. Small, because a batch of sends is carried out as a
/// whole before anything is heard: 256 pings are about 1 ms.
const SUBMISSIONS: u32 = 256;

/// Completions that wait to be looked at. More are kept by the kernel in a list, at a price.
const COMPLETIONS: u32 = 4096;

/// Runs `engine` on a runtime of its own on this thread, until it says
/// [`Op::Stop`](crate::Op::Stop).
///
/// The listener is made non-blocking, because a shard that lost the race for a connection must not
/// wait for the next one.
///
/// # Errors
/// [`Error::Descriptors`] when [`Config::connections_max`] is more than RLIMIT_NOFILE holds (each
/// connection is a descriptor here), [`Error::RingRefused`] and [`Error::LockedMemory`] when the
/// kernel gives no ring.
///
/// # Panics
/// When an engine breaks its side of the contract: a second send in flight, a chunk that is empty
/// or longer than [`CHUNK_MAX`](crate::CHUNK_MAX), a token used twice.
pub fn run<E: Engine>(engine: &mut E, config: Config) -> Result<(), Error> {
    socket::check_descriptors(config.connections_max)?;
    if let Some(listener) = &config.listener {
        socket::prepare_listener(listener)
            .map_err(|error| Error::Os { doing: "preparing the listener", error })?;
    }
    let mut driver = turn::Driver::new(config);
    // Declared after the driver and so dropped before it, also by a panic of the engine: the
    // runtime waits for all its operations, and until then the kernel may read a chunk or use a
    // descriptor that the driver owns.
    let runtime = runtime()?;
    runtime.block_on(driver.turn_until_stop(engine));
    Ok(())
}

/// DEFER_TASKRUN would hang this runtime: it waits for its ring by epoll, which does not fire then.
fn runtime() -> Result<Runtime, Error> {
    let mut ring = tokio_uring::uring_builder();
    ring.setup_cqsize(COMPLETIONS).setup_single_issuer().setup_coop_taskrun();
    let mut builder = tokio_uring::builder();
    Runtime::new(builder.entries(SUBMISSIONS).uring_builder(&ring)).map_err(|error| {
        match error.raw_os_error() {
            Some(libc::ENOMEM) => Error::LockedMemory(error),
            Some(libc::EMFILE | libc::ENFILE) => Error::NoDescriptors(error),
            Some(libc::EPERM | libc::EACCES | libc::ENOSYS | libc::EINVAL) => {
                Error::RingRefused(error)
            }
            _ => Error::Os { doing: "setting up the runtime", error },
        }
    })
}
