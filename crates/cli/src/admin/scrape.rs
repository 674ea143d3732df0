//! The thread that waits for the shards.

use super::{About, Board, process};
use halfopen_server::Heartbeat;
use halfopen_server::metrics::{Exposition, Monitor};
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Makes a page whenever one is asked for, until nobody can ask any more.
pub(super) fn run(mut monitor: Monitor, about: &About, asked: &Receiver<()>, board: &Board) {
    for () in asked {
        let mut page = Exposition::default();
        monitor.read(PATIENCE).expose(&mut page);
        settings(about, &mut page);
        process::expose(&mut page);
        if let Ok(mut last) = board.page.lock() {
            *last = Some(page.into_text().into());
        }
        // It can only fail when the count is full, and then the bell has rung.
        let _ = rustix::io::write(&board.bell, &1u64.to_ne_bytes());
    }
}

/// What alerts compare with.
fn settings(about: &About, to: &mut Exposition) {
    let build = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("git", option_env!("HALFOPEN_GIT").unwrap_or("unknown")),
        ("driver", about.driver),
    ];
    to.info("halfopen_build_info", "What runs: always 1.", &build);
    if let Some(Heartbeat { interval, timeout, .. }) = &about.heartbeat {
        let help = "From one ping of a connection to the next.";
        to.gauge("halfopen_ping_interval_seconds", help, interval.as_secs_f64());
        let help = "How long a peer has to answer a ping.";
        to.gauge("halfopen_ping_timeout_seconds", help, timeout.as_secs_f64());
    }
}

/// How long a shard may take to answer: well below what Prometheus waits for a page (10 s).
const PATIENCE: Duration = Duration::from_millis(500);
