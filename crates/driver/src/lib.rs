//! Connections and bytes from the kernel, and nothing of WebSocket.
//!
//! Everything that decides is an [`Engine`]: a pure state machine that is told what happened and
//! answers with what to do. Everything that touches the kernel is a driver: a `run(engine, …)`
//! that keeps the [contract](seam) and knows no protocol. The server's shard and the load
//! generator's swarm are engines; [`ring`] (io_uring), [`tokio`] (tokio-uring) and [`epoll`] are
//! drivers, and the simulator is one more. [`DriverKind::Auto`] is the best that the kernel allows.

mod busy;
mod config;
#[cfg(target_os = "linux")]
pub mod epoll;
#[cfg(target_os = "linux")]
mod kind;
mod prefetch;
#[cfg(target_os = "linux")]
pub mod ring;
pub mod seam;
#[cfg(target_os = "linux")]
mod socket;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
pub mod tokio;
mod turns;
mod waker;

pub use busy::Busy;
pub use config::{Config, Counter, Counters, Error};
#[cfg(target_os = "linux")]
pub use kind::{Choice, DriverKind};
pub use prefetch::prefetch;
pub use seam::{
    CHUNK_MAX, Cause, Chunk, ConnId, Ends, Engine, Event, Heard, INDEX_MAX, Op, Opening, Severance,
    Token,
};
#[cfg(target_os = "linux")]
pub use socket::may_vanish;
pub use turns::{TURN_NS, Turns};
pub use waker::{WakeSource, Waker};
