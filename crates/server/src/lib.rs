//! A WebSocket server whose heartbeats run on a timing wheel.
//!
//! [`Shard`] is one core's connections: an [`Engine`](halfopen_driver::Engine), pure and
//! deterministic, that any driver runs. It asks its peers whether they live ([`heartbeat`]), and
//! aborts those that do not answer. [`Server`] starts as many shards as are needed on threads of
//! their own. What the server does with messages is an [`App`].
//!
//! ```
//! use halfopen_server::{
//!     Accept, App, DriverKind, Handshake, Message, Peer, Rejection, Server, ServerConfig,
//! };
//! use std::time::Duration;
//!
//! /// Tells everyone how much they have sent.
//! struct Lengths;
//!
//! impl App for Lengths {
//!     /// What is kept of each connection: the bytes that it has sent.
//!     type State = usize;
//!
//!     fn on_request(&mut self, request: &Handshake<'_>) -> Result<Accept<usize>, Rejection> {
//!         request.check_origin(&["https://example.org"])?;
//!         Ok(Accept::new(0))
//!     }
//!
//!     fn on_message(&mut self, peer: &mut Peer<'_>, sent: &mut usize, message: Message<'_>) {
//!         *sent += message.as_bytes().len();
//!         peer.send(Message::Text(&sent.to_string()));
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
mod context;
mod deliver;
mod drain;
mod end;
mod error;
mod expire;
mod flow;
mod frame;
mod handle;
mod handshake;
pub mod heartbeat;
mod hosted;
mod id;
mod layout;
mod listener;
mod mailbox;
pub mod metrics;
mod notice;
mod output;
mod peer;
mod post;
mod receive;
mod row;
mod rtt;
mod server;
mod session;
mod shard;
mod stamp;
mod stats;
mod thread;
mod timers;
mod topics;

pub use admission::Admission;
pub use app::{Ack, App, Echo};
pub use config::{Config, SlowConsumer};
pub use context::Context;
pub use drain::DrainReport;
pub use end::{End, Refusal};
pub use error::ServerError;
pub use frame::Frame;
pub use halfopen_driver::{ConnId, DriverKind};
pub use halfopen_proto::handshake::{Answer, PlainRequest, Rejection, Request};
pub use halfopen_proto::{CloseCode, Message};
pub use halfopen_wheel::Instant;
pub use handle::ShardHandle;
pub use handshake::{Accept, Handshake};
pub use heartbeat::{Heartbeat, Policy};
pub use id::PeerId;
pub use layout::Layout;
pub use listener::{TcpWatch, listen};
pub use mailbox::{Mailbox, Posting, SendError};
pub use peer::{Delivery, Peer};
pub use rtt::Rtt;
pub use server::{Outcome, Server, ServerConfig, ServerHandle};
pub use shard::Shard;
pub use stats::{DriverStats, Stats};
pub use topics::SubscribeError;
