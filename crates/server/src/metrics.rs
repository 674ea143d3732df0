//! What a server counts, for those who watch it: a [`Monitor`] reads all shards, a [`Reading`] is
//! what it read, [`Exposition`] writes it as Prometheus does (text format 0.0.4).
//!
//! Shards keep their own counters and are not locked: a reading is a command to each of them, which
//! answers with a copy when it comes around to it. One that does not answer in time is told as such
//! (`halfopen_shard_answered`) and counted as it was last seen, so that no counter runs backwards.
//!
//! ```
//! use halfopen_server::metrics::Monitor;
//! use halfopen_server::{DriverKind, Echo, Server, ServerConfig};
//! use std::time::Duration;
//!
//! let config = ServerConfig {
//!     listen: "127.0.0.1:0".parse()?,
//!     driver: DriverKind::TokioUring,
//!     ..ServerConfig::default()
//! };
//! let server = Server::start(&config, |_shard| Echo)?;
//!
//! let mut monitor = Monitor::new(server.handle());
//! let reading = monitor.read(Duration::from_millis(500));
//! let text = reading.to_prometheus();
//! assert!(text.contains("\nhalfopen_connections 0\n"), "{text}");
//! # server.handle().stop();
//! # server.join();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod buckets;
mod exposition;
mod families;
mod monitor;

pub use exposition::{CONTENT_TYPE, Exposition};
pub use monitor::{Monitor, Reading};
