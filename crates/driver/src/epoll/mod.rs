//! The driver on epoll: for kernels and containers where io_uring is switched off.
//!
//! Connections are descriptors of the process, so that RLIMIT_NOFILE bounds them all together.
//!
//! # Shape
//!
//! `turn` is the loop: what epoll tells, then what was carried over, then what the engine is told,
//! then what is due. `connection` is the life of a connection, `attempt` and `accept` its
//! beginnings, `poll` the epoll instance, `news` what the engine is to be told.
//!
//! Every connection is registered *edge-triggered*, once, and is in most lives never touched again:
//! one epoll_ctl for each connection, and none for each pause, resume, or send that finds the
//! kernel's buffer full but the first. A level-triggered one would be put on the kernel's ready list
//! again after every event, only to be looked at and taken off, and would need an epoll_ctl for each
//! of those changes. The price is memory of our own for what an edge has told: `backlog` holds those
//! that may have more to read, `hung_up` is kept in the connection.
//!
//! All bytes are received into the one buffer of the thread, in the moment in which they are handed
//! over. A read that does not fill it has emptied the socket, and what comes later has an edge of
//! its own. (But a read ends before a byte that the peer has marked as urgent: who does that is read
//! until nothing is left.) A connection gets one buffer in a turn; one that filled it waits in the
//! backlog for its next, behind the others.
//!
//! A chunk is sent at once. What the kernel does not take waits in the connection for the edge that
//! tells of room. That a chunk has gone is told before bytes of the same connection, which may be the
//! answer to it.
//!
//! # How far it has listened
//!
//! The moment before each wait is noted. Had the wait room for more events than it gave, then all
//! that had arrived by that moment is among them, or in the backlog: so when the events have been
//! handed over and the backlog is empty, nothing that arrived before it waits any more. Nobody is
//! looked for at a deadline before a wait has been made that did not sleep.

mod accept;
mod attempt;
mod connection;
mod driver;
mod news;
mod poll;
mod turn;

use crate::{Config, Engine, Error, socket};

/// Runs `engine` on this thread until it says [`Op::Stop`](crate::Op::Stop).
///
/// The listener is made non-blocking, because a shard that lost the race for a connection must not
/// wait for the next one.
///
/// # Errors
/// [`Error::Descriptors`] when [`Config::connections_max`] is more than RLIMIT_NOFILE holds,
/// [`Error::Os`] when the kernel makes no epoll instance or fails in the run.
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
    let mut driver = driver::Driver::new(config)?;
    turn::run(engine, &mut driver)
}
