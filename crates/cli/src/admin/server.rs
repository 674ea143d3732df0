//! What a server tells.

use super::scrape::build;
use halfopen_server::Heartbeat;
use halfopen_server::metrics::{Exposition, Monitor};
use std::time::Duration;

/// What is told of a server beside what it counts.
pub(crate) struct About {
    /// What runs it.
    pub driver: &'static str,
    /// Its heartbeat, if it has one.
    pub heartbeat: Option<Heartbeat>,
}

/// Asks the shards.
pub(crate) fn page(mut monitor: Monitor, about: About) -> impl FnMut(&mut Exposition) + Send {
    move |page| {
        monitor.read(PATIENCE).expose(page);
        build(&[("driver", about.driver)], page);
        if let Some(Heartbeat { interval, timeout, .. }) = &about.heartbeat {
            let help = "From one ping of a connection to the next.";
            page.gauge("halfopen_ping_interval_seconds", help, interval.as_secs_f64());
            let help = "How long a peer has to answer a ping.";
            page.gauge("halfopen_ping_timeout_seconds", help, timeout.as_secs_f64());
        }
    }
}

/// How long a shard may take to answer: well below what Prometheus waits for a page (10 s).
const PATIENCE: Duration = Duration::from_millis(500);
