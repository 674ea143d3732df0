//! A WebSocket server whose heartbeats run on a timing wheel.
//!
//! [`Shard`] is one core's connections: an [`Engine`](halfopen_driver::Engine), pure and
//! deterministic, that any driver runs. It asks its peers whether they live ([`heartbeat`]), and
//! aborts those that do not answer. [`Server`] starts as many shards as are needed on threads of
//! their own. What the server does with messages is an [`App`].
//!
//! ```
//! use halfopen_server::{App, DriverKind, Message, Peer, Server, ServerConfig};
//! use std::time::Duration;
//!
//! /// Tells everyone how long their message was.
//! struct Lengths;
//!
//! impl App for Lengths {
//!     fn on_message(&mut self, peer: &mut Peer<'_>, message: Message<'_>) {
//!         peer.send(Message::Text(&message.as_bytes().len().to_string()));
//!     }
//! }
//!
//! let config = ServerConfig {
//!     listen: "127.0.0.1:0".parse()?,
//!     driver: DriverKind::TokioUring,
//!     ..ServerConfig::default()
//! };
//! let server = Server::start(&config, |_shard| Lengths)?;
//! println!("listening on ws://{}", server.local_addr());
//!
//! // From a signal handler's thread, say:
//! server.handle().drain(Duration::from_secs(1));
//! let outcome = server.join();
//! assert!(outcome.error.is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The life of a connection
//!
//! ```text
//! Handshake ──▶ Open ──▶ Closing ──▶ Ending ──▶ gone
//!     │          │          │          ▲ our FIN, then the peer's
//!     │          └──────────┼──────────┤
//!     └─ HTTP error ────────│──────────┘
//!                           └──▶ Aborted ──▶ gone      from anywhere: silence, or a deadline
//! ```
//!
//! The dead are aborted and not closed, because nothing can be delivered to them; the living are
//! closed by the closing handshake, and the server ends TCP first.

mod admission;
mod app;
mod config;
mod drain;
mod end;
mod error;
mod expire;
mod flow;
mod handle;
pub mod heartbeat;
mod layout;
mod listener;
mod output;
mod peer;
mod receive;
mod rtt;
mod server;
mod session;
mod shard;
mod stamp;
mod stats;
mod thread;

pub use admission::Admission;
pub use app::{Ack, App, Echo};
pub use config::{Config, SlowConsumer};
pub use end::{End, Refusal};
pub use error::ServerError;
pub use halfopen_driver::{ConnId, DriverKind};
pub use halfopen_proto::handshake::{Rejection, Request};
pub use halfopen_proto::{CloseCode, Message};
pub use handle::ShardHandle;
pub use heartbeat::{Heartbeat, Policy};
pub use layout::Layout;
pub use listener::{TcpWatch, listen};
pub use peer::{Delivery, Peer};
pub use rtt::Rtt;
pub use server::{Outcome, Server, ServerConfig, ServerHandle};
pub use shard::Shard;
pub use stats::{DriverStats, Stats};
