//! What a load tells while it runs.

use super::scrape::build;
use halfopen_loadgen::record::Tag;
use halfopen_loadgen::run::{Phase, Progress};
use halfopen_loadgen::swarm::Snapshot;
use halfopen_server::metrics::Exposition;
use std::sync::{Arc, Mutex};

/// The run that goes on, for those who ask meanwhile; of several, one after the other.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<Mutex<Option<Shown>>>);

#[derive(Clone)]
struct Shown {
    progress: Arc<Progress>,
    /// Of the dead, those detected and those reclaimed, where they are watched.
    found: Option<(usize, usize)>,
}

impl Running {
    /// This is the run from now on, and so many of its dead were found.
    pub(crate) fn show(&self, progress: &Arc<Progress>, found: Option<(usize, usize)>) {
        let shown = Shown { progress: progress.clone(), found };
        *self.0.lock().expect("nobody panics with it") = Some(shown);
    }

    fn shown(&self) -> Option<Shown> {
        self.0.lock().expect("nobody panics with it").clone()
    }
}

/// Reads what the run shows; before it begins there is only the program itself.
pub(crate) fn page(running: Running) -> impl FnMut(&mut Exposition) + Send {
    move |page| {
        build(&[], page);
        if let Some(shown) = running.shown() {
            connections(&shown.progress.snapshot(), page);
            traffic(&shown.progress.snapshot(), page);
            if let Some((detected, reclaimed)) = shown.found {
                let help = "Victims that the server has let go.";
                page.counter("halfopen_load_detected_total", help, detected);
                let help = "Victims whose socket the server's kernel has destroyed.";
                page.counter("halfopen_load_reclaimed_total", help, reclaimed);
            }
            phase(shown.progress.phase(), page);
            times(&shown.progress, page);
        }
    }
}

fn connections(shown: &Snapshot, to: &mut Exposition) {
    let help = "Connections that are open and not victims.";
    to.gauge("halfopen_load_connections", help, shown.living());
    let help = "Opening handshakes that succeeded, of those who came for the first time.";
    to.counter("halfopen_load_opened_total", help, shown.opened);
    let help = "Connects and handshakes that failed.";
    to.counter("halfopen_load_failed_total", help, shown.failed);
    to.counter("halfopen_load_lost_total", "Living connections that were lost.", shown.lost);
    let help = "Connections that the load has ended itself, to come back.";
    to.counter("halfopen_load_left_total", help, shown.left);
    to.counter("halfopen_load_came_back_total", "Those who have come back.", shown.came_back);
    to.counter("halfopen_load_killed_total", "Victims that were killed.", shown.killed);
}

fn traffic(shown: &Snapshot, to: &mut Exposition) {
    to.counter("halfopen_load_messages_sent_total", "Messages sent.", shown.messages_sent);
    let help = "Messages received.";
    to.counter("halfopen_load_messages_received_total", help, shown.messages_received);
    let help = "Messages that wait to be sent or answered.";
    to.gauge("halfopen_load_messages_waiting", help, shown.messages_waiting);
    to.counter(
        "halfopen_load_pings_seen_total",
        "Pings of the server that came.",
        shown.pings_seen,
    );
    let help = "Pongs sent for them.";
    to.counter("halfopen_load_pings_answered_total", help, shown.pings_answered);
    let help = "Pongs that answered pings of the load.";
    to.counter("halfopen_load_client_pings_answered_total", help, shown.client_pings_answered);
    let help = "How late the latest send of the last second was.";
    to.gauge("halfopen_load_send_late_seconds", help, shown.send_late.as_secs_f64());
}

fn phase(now: Phase, to: &mut Exposition) {
    let help = "What the run is doing: 1 for its phase, 0 for the others.";
    let each = Phase::ALL.map(|phase| (phase.name(), u64::from(phase == now)));
    to.gauges("halfopen_load_phase", help, "phase", each);
}

fn times(progress: &Progress, to: &mut Exposition) {
    for (tag, name, help) in [
        (Tag::Connect, "connect", "From SYN to the connection."),
        (Tag::PingRtt, "ping_rtt", "Round trips of the load's own pings."),
        (Tag::MessageLatency, "message_latency", "From the intended send to the answer."),
        (Tag::MessageService, "message_service", "From the actual send to the answer."),
    ] {
        to.times(&format!("halfopen_load_{name}_seconds"), help, &progress.times(tag));
    }
}
