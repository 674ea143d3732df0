//! A probe: a handful of connections that find out what heartbeat a server has, and what the way to
//! it does to the idle.
//!
//! Each connection plays a role ([`Role`]) and keeps a diary of what happens to it ([`Diary`]). Some
//! answer every ping and say nothing: their pings tell the interval, and their end the idle limit.
//! Some stop answering: how long they are suffered is the timeout. Some speak: if they are not
//! pinged for it, traffic suppresses pings. What the diaries say is decided by pure code
//! ([`Verdict`]), which is asked again and again while the probe goes on: it ends when everything is
//! known.
//!
//! It is made for servers in use: few connections, a word a second at most unless the server pings
//! more often than every three seconds, and a polite Close at the end.

mod diary;
mod document;
mod doubts;
mod engine;
mod findings;
mod idle;
mod interval;
mod link;
mod player;
#[cfg(test)]
mod tests;
mod traffic;
mod verdict;

pub use diary::{Diary, End, How, Ping, Role, Words};
pub use document::{Connections, Detection, Document, Endings, SCHEMA, json_schema};
pub use engine::Probe;
pub use findings::Findings;
pub use idle::Counts;
pub use interval::Phase;
pub use link::{Link, Progress};
pub use verdict::{Pings, Verdict, Window};

use crate::plan::{Plan, Secure};
use crate::run::RunError;
use halfopen_driver::ring::Features;
use halfopen_driver::{Config, Counters, DriverKind};
use halfopen_tls::Tls;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// The most connections of a probe: more would be a load.
pub const CONNECTIONS_MAX: u32 = 64;

/// The most bytes that a talker says at a time.
pub const MESSAGE_MAX: usize = 1_024;

/// Slots of the driver's table beyond the connections.
const SLOTS_SPARE: u32 = 8;

/// How a server is probed, beside the plan of its connections.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When it gives up to learn more.
    pub max_wait: Duration,
    /// What talkers say; none: nobody sends a message.
    pub message: Option<String>,
}

/// A probe that goes on.
#[derive(Debug)]
pub struct Running {
    link: Arc<Link>,
    thread: JoinHandle<(Findings, Result<(), halfopen_driver::Error>)>,
}

impl Running {
    /// Begins to probe the URL of `plan`, of which targets, request, sources, number of connections
    /// and connect timeout matter.
    ///
    /// # Errors
    /// A thread or a wake-up cannot be made, or the certificates to trust cannot be had.
    ///
    /// # Panics
    /// If there are more than [`CONNECTIONS_MAX`] connections or [`MESSAGE_MAX`] bytes of message.
    pub fn start(plan: Plan, settings: Settings, driver: DriverKind) -> Result<Self, RunError> {
        assert!(plan.connections <= CONNECTIONS_MAX, "{} connections", plan.connections);
        let said = settings.message.as_ref().map_or(0, String::len);
        assert!(said <= MESSAGE_MAX, "a message of {said} bytes");
        let (link, wake) =
            Link::new().map_err(|error| RunError::Os { doing: "making an eventfd", error })?;
        let config = Config {
            listener: None,
            listener_shared: false,
            wake,
            connections_max: plan.connections + SLOTS_SPARE,
            counters: Arc::<Counters>::default(),
            without: Features::NONE,
        };
        let tls = plan.tls.as_ref().map(Secure::load).transpose()?;
        let mut probe = Probe::new(Arc::new(plan), settings, fastrand::u64(..), link.clone());
        let driver = driver.resolve().driver;
        let run = move || {
            let ran = match tls {
                None => driver.run(&mut probe, config),
                Some(tls) => {
                    let layer = Tls::client(&mut probe, tls);
                    driver.run(&mut layer.telling(|probe, id, told| probe.heed(id, told)), config)
                }
            };
            (probe.into_findings(), ran)
        };
        let thread = std::thread::Builder::new()
            .name("probe".into())
            .spawn(run)
            .map_err(|error| RunError::Os { doing: "starting the probe's thread", error })?;
        Ok(Self { link, thread })
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.link.progress()
    }

    /// Has it say goodbye now. What was seen is kept.
    pub fn interrupt(&self) {
        self.link.interrupt();
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The driver failed.
    pub fn join(self) -> Result<Findings, RunError> {
        let joined = self.thread.join();
        let (findings, ran) = joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ran.map_err(|error| RunError::Driver { shard: 0, error }).map(|()| findings)
    }
}
