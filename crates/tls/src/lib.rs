//! TLS between a driver and an engine.
//!
//! [`Tls`] stands around any [`Engine`](halfopen_driver::Engine) and is one itself: below it a
//! driver carries records, above it the engine hears and says what is in them. Neither learns of
//! TLS. It plays both roles, by who opened the connection, and keeps the
//! [contract](halfopen_driver::seam) on both sides.
//!
//! It stands on the unbuffered interface of [`rustls`], so a connection owns the state of its
//! session and nothing else while no record is under way: what came of a record that is not whole,
//! and records that wait for a send in flight, lie in memory of a pool that all connections share.
//!
//! ```
//! # use halfopen_driver::{Engine, Event, Heard, Op};
//! # use halfopen_wheel::Instant;
//! # struct Swarm;
//! # impl Engine for Swarm {
//! #     fn on_event(&mut self, _: Instant, _: Event<'_>, _: &mut Vec<Op>) {}
//! #     fn on_deadline(&mut self, _: Instant, _: Heard, _: &mut Vec<Op>) {}
//! #     fn deadline(&self) -> Option<Instant> { None }
//! # }
//! use halfopen_tls::{ClientTls, Tls, Trust};
//!
//! let tls = ClientTls::new("localhost", &Trust::Anyone)?;
//! let engine = Tls::client(Swarm, tls);
//! // driver.run(&mut engine, config)
//! # drop(engine);
//! # Ok::<(), halfopen_tls::Error>(())
//! ```
//!
//! **No session is resumed**, in either role: whoever opens a million connections to measure a
//! server opens each as a stranger would, and a server that remembers none needs no memory for them.

mod client;
mod failure;
mod layer;
mod link;
mod pem;
mod pool;
mod server;
mod session;
mod verifier;

pub use client::{ClientTls, Trust};
pub use failure::Failure;
pub use layer::{Notice, Tls};
pub use pem::Error;
pub use server::ServerTls;
pub use session::Established;

use rustls::crypto::{CryptoProvider, ring};
use std::sync::Arc;

/// The one application protocol that is spoken here (RFC 7301).
const ALPN: &[u8] = b"http/1.1";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
