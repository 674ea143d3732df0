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
//! # Which crate do I want?
//!
//! | I want to | crate |
//! |---|---|
//! | serve WebSocket connections from a Rust program, with heartbeats, limits and topics | this one |
//! | speak WebSocket over my own sockets or runtime, in either role | [`halfopen-proto`](halfopen_proto): bytes in, messages and bytes out |
//! | run a state machine of mine over many TCP connections | [`halfopen-driver`](halfopen_driver): this crate's [`Shard`] is one of them |
//! | measure a server of any make | the program `halfopen`, or its library `halfopen-loadgen` |
//!
//! # Guide
//!
//! **Shards.** A server is some [`Shard`]s, each on a thread of its own with connections of its own,
//! a timing wheel and an [`App`]. The apps share nothing unless you give them something to share. All
//! calls of an app come on its shard's thread, one after the other, so it needs no lock; and while a
//! handler works, its shard does nothing else. **Do not block in a handler**: give what takes long to
//! another thread or task, and have the answer sent through the [`Mailbox`].
//!
//! **Deciding.** [`App::on_request`] sees the opening handshake: path, query, header fields, cookies,
//! subprotocols and Origin, and where it comes from ([`Handshake::client_ip`] knows proxies). It gives
//! back an [`Accept`], which holds the connection's state, or a [`Rejection`]: a status, fields and a
//! body. Who asks for a page on the same port gets what [`App::on_http`] answers, else 426.
//!
//! **Keeping.** [`App::State`] is what you keep of a connection; it is lent to every handler and given
//! back in [`App::on_close`]. It stands beside the sessions, so `()` costs nothing, and `u64` 16 bytes.
//!
//! **Sending.** In a handler: [`Peer::send`], [`Peer::close`]; to others [`Context::send`]. From
//! threads and tasks: a [`Mailbox`], by the [`PeerId`] of a connection. What it is asked for is done
//! at once, blocking, or awaited in any runtime, and it tells when the connection is gone.
//!
//! **Topics.** [`Peer::subscribe`], and then [`Peer::publish`], [`Context::publish`] or
//! [`Mailbox::publish`]. A message is encoded once for all subscribers on all shards, goes to all or
//! to none, and all see the same order.
//!
//! **Timers.** [`Peer::set_timer`] for a connection, [`Context::set_timer`] for the app. They fire at
//! their time or up to a tick ([`Config::tick`], 8 ms) later, and cost nothing while there are none.
//!
//! **TLS.** With [`ServerConfig::tls`] the same server speaks `wss://`: [`ServerTls::from_files`] takes
//! a certificate and its key, [`ServerTls::new`] a configuration of rustls. An app does not see the
//! difference; the handshake has to be done within [`Config::handshake_timeout`], the request included.
//!
//! **Ending.** [`ServerHandle::drain`] takes no more connections, tells the apps ([`App::on_drain`]),
//! and closes everyone with 1001, spread over a window, because who is sent away together comes back
//! together; [`Outcome::drained`] tells what became of them. A handler that panics ends its shard and
//! with it the server, and [`Outcome::error`] says so.
//!
//! What was sent before [`Peer::close`], and the body of an [`Answer`], is delivered however slowly
//! it is read, as long as it is: [`Config::output_timeout`] judges each chunk of 64 KiB,
//! [`Config::close_timeout`] begins behind the last. A drain waits for nobody longer than that.
//!
//! **Bounds.** Nothing grows without one:
//!
//! | what | bound | beyond it |
//! |---|---|---|
//! | connections | [`ServerConfig::connections_max`] | 503 |
//! | a message from a peer | [`Config::limits`] | Close 1009 |
//! | what waits for a peer to read | [`Config::output_max`] | [`SlowConsumer`]: drop, close, or wait |
//! | letters in a shard's box | [`Config::mailbox_letters`], [`Config::mailbox_bytes`] | the sender waits, or [`SendError::Full`] |
//! | subscriptions of a connection | [`Config::subscriptions_max`] | [`SubscribeError::TooMany`] |
//! | timers of a connection | 256, by the type of their numbers | |
//!
//! A thread that publishes to everyone, and an app that lets them in:
//!
//! ```
//! use halfopen_server::{
//!     Accept, App, CloseCode, DriverKind, Handshake, Message, Peer, PeerId, Rejection, SendError,
//!     Server, ServerConfig,
//! };
//! use std::sync::mpsc::{Sender, channel};
//! use std::time::Duration;
//!
//! struct News {
//!     arrivals: Sender<PeerId>,
//! }
//!
//! impl App for News {
//!     type State = String;
//!
//!     fn on_request(&mut self, request: &Handshake<'_>) -> Result<Accept<String>, Rejection> {
//!         match request.path() {
//!             "/news" => Ok(Accept::new("reader".to_owned())),
//!             _ => Err(Rejection::new(404, "the news are at /news")),
//!         }
//!     }
//!
//!     fn on_open(&mut self, peer: &mut Peer<'_>, _name: &mut String) {
//!         if peer.subscribe("news").is_ok() {
//!             // The other end may have seen enough.
//!             let _ = self.arrivals.send(peer.id());
//!         }
//!     }
//!
//!     fn on_message(&mut self, peer: &mut Peer<'_>, name: &mut String, message: Message<'_>) {
//!         match message {
//!             Message::Text(text) => *name = text.to_owned(),
//!             Message::Binary(_) => peer.close(CloseCode::UNSUPPORTED, "text, please"),
//!         }
//!     }
//! }
//!
//! let (arrivals, arrived) = channel();
//! let config = ServerConfig {
//!     listen: "127.0.0.1:0".parse()?,
//!     driver: DriverKind::TokioUring,
//!     ..ServerConfig::default()
//! };
//! let server = Server::start(&config, |_shard| News { arrivals: arrivals.clone() })?;
//! let mailbox = server.mailbox();
//! let reporter = std::thread::spawn(move || -> Result<(), SendError> {
//!     mailbox.publish("news", Message::Text("it works")).wait()?;
//!     while let Ok(reader) = arrived.recv_timeout(Duration::from_millis(10)) {
//!         mailbox.send(reader, Message::Text("you came late")).wait()?;
//!     }
//!     Ok(())
//! });
//! reporter.join().expect("it does not panic")?;
//!
//! server.handle().drain(Duration::ZERO);
//! let report = server.join().drained.expect("it was drained");
//! assert_eq!((report.clean(), report.timed_out(), report.broken()), (0, 0, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Four programs to begin from lie in `examples/`: `echo`, `chat` (rooms), `ticker` (10,000
//! subscribers) and `in_tokio`.
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
mod probe;
mod receive;
mod request;
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
pub use halfopen_driver::Error as DriverError;
pub use halfopen_driver::ring as io_uring;
pub use halfopen_driver::{ConnId, DriverKind};
pub use halfopen_proto::handshake::{Answer, PlainRequest, Rejection, Request};
pub use halfopen_proto::{CloseCode, Message};
pub use halfopen_tls::{Error as TlsError, ServerTls};
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
