//! A WebSocket server whose heartbeats run on a timing wheel.
//!
//! [`Shard`] is one core's connections: an [`Engine`](halfopen_driver::Engine), pure and
//! deterministic, that any driver runs. [`Server`] starts as many shards as are needed on threads
//! of their own. What the server does with messages is an [`App`].

mod admission;
mod app;
mod config;
mod drain;
mod end;
mod error;
mod expire;
mod handle;
pub mod heartbeat;
mod layout;
mod listener;
mod output;
mod peer;
mod receive;
mod server;
mod session;
mod shard;
mod stamp;
mod stats;

pub use admission::Admission;
pub use app::{Ack, App, Echo};
pub use config::Config;
pub use end::{End, Refusal};
pub use error::ServerError;
pub use halfopen_driver::{ConnId, DriverKind};
pub use halfopen_proto::{CloseCode, Message};
pub use handle::ShardHandle;
pub use heartbeat::{Heartbeat, Policy};
pub use layout::Layout;
pub use listener::listen;
pub use peer::Peer;
pub use server::{Outcome, Server, ServerConfig, ServerHandle};
pub use shard::Shard;
pub use stats::{DriverStats, Stats};
