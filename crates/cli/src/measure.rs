//! One run, measured: the load generator, the observer of the dead and the sampler side by side,
//! with what they show on the screen meanwhile.

use crate::admin::load::Running;
use crate::dashboard::Dashboard;
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::live;
use crate::screen::Screen;
use halfopen_loadgen::Instant;
use halfopen_loadgen::death::{DeathWatch, Unwatched};
use halfopen_loadgen::observer::{Observer, Sighting};
use halfopen_loadgen::plan::{KillAt, Plan, PlanError};
use halfopen_loadgen::record::Victim;
use halfopen_loadgen::report::{Observed, ObserverKind};
use halfopen_loadgen::run::{Ended, Outcome, Progress, Run, RunError};
use halfopen_loadgen::sample::{Gauges, Sampler, Samples, proc};
use halfopen_server::DriverKind;
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// What is to be run, and what is known of the server.
pub(crate) struct Job {
    /// What the load generator does.
    pub plan: Plan,
    /// What the load generator runs on.
    pub driver: DriverKind,
    /// The server's processes.
    pub server_pids: Vec<u32>,
    /// Whether the machine's own stops are counted.
    pub hiccups: bool,
    /// How often it is looked at what processes and machine use.
    pub sample_every: Duration,
    /// Where the run is shown to those who ask from outside.
    pub running: Running,
}

/// What came of it.
pub(crate) struct Measured {
    /// What the load generator says.
    pub outcome: Outcome,
    /// What the observer saw.
    pub observed: Observed,
    /// What the run used.
    pub samples: Samples,
    /// The server died of itself.
    pub server_died: Option<Failure>,
}

/// Runs `job`. `check` is asked again and again whether the server has died.
pub(crate) fn measure(
    job: Job,
    screen: &mut Screen,
    interrupt: &Interrupt,
    mut check: impl FnMut() -> Option<Failure>,
) -> Result<Measured, Failure> {
    let watch = Watch::begin(&job.plan)?;
    let plan = job.plan.clone();
    let run = Run::start(job.plan, job.driver, watch.death_watch()).map_err(|e| run_error(&e))?;
    let cores = if job.hiccups { cores() } else { 0 };
    let sampler = sample(&run, &watch, job.sample_every, job.server_pids, cores)?;
    let mut board = Dashboard::new();
    let mut server_died = None;
    let mut phase = run.progress().phase();
    while !run.is_over() {
        thread::sleep(LOOK);
        if run.progress().phase() != phase {
            phase = run.progress().phase();
            sampler.mark();
        }
        let (progress, found) = (run.progress(), watch.found());
        job.running.show(&progress, found);
        live::show(screen, &mut board, &plan, &progress, found);
        if server_died.is_none() {
            server_died = check();
        }
        if interrupt.asked() || server_died.is_some() {
            run.interrupt().interrupt();
        }
    }
    screen.clear();
    let mut outcome = run.join().map_err(|e| run_error(&e))?;
    let samples = sampler.finish();
    let until = watch_end(&outcome, server_died.is_some());
    let mut observed = watch.finish(until)?;
    forget_later(&mut observed.sightings, &mut outcome.tally.victims, until);
    Ok(Measured { outcome, observed, samples, server_died })
}

fn sample(
    run: &Run,
    watch: &Watch,
    every: Duration,
    server_pids: Vec<u32>,
    cores: usize,
) -> Result<Sampler, Failure> {
    let progress: Arc<Progress> = run.progress();
    let observer = watch.observer.clone();
    let gauges = move || {
        let shown = progress.snapshot();
        Gauges {
            connections: shown.living(),
            heartbeats: shown.pings_seen + shown.client_pings_answered,
            watching: observer.as_ref().map_or(Duration::ZERO, |observer| observer.cpu()),
        }
    };
    Sampler::start(every, server_pids, cores, gauges)
        .map_err(|e| Failure::run(format!("cannot start the sampler: {e}")))
}

/// The cores of this machine.
fn cores() -> usize {
    proc::machine().map_or(1, |machine| machine.cores as usize)
}

/// Who watches the dead.
struct Watch {
    observer: Option<Arc<Observer>>,
    by: Option<ObserverKind>,
}

impl Watch {
    /// The observer, where the server's sockets are in this network namespace; else the client's
    /// own eyes.
    fn begin(plan: &Plan) -> Result<Self, Failure> {
        if plan.kills.is_empty() {
            return Ok(Self { observer: None, by: None });
        }
        let Some(here) = plan.targets.iter().copied().find(is_ours) else {
            return Ok(Self { observer: None, by: Some(ObserverKind::Client) });
        };
        let observer = Observer::start(here.port()).map_err(|e| {
            Failure::run(format!("the server's sockets cannot be watched: {e}"))
                .next("the kernel has to offer sock_diag to this user (modprobe tcp_diag)")
        })?;
        Ok(Self { observer: Some(Arc::new(observer)), by: Some(ObserverKind::SockDiag) })
    }

    fn death_watch(&self) -> Arc<dyn DeathWatch> {
        match &self.observer {
            Some(observer) => observer.clone(),
            None => Arc::new(Unwatched),
        }
    }

    /// How many were detected and reclaimed so far, where it is known.
    fn found(&self) -> Option<(usize, usize)> {
        let (_, detected, reclaimed) = self.observer.as_ref()?.progress();
        Some((detected, reclaimed))
    }

    fn finish(self, until: Instant) -> Result<Observed, Failure> {
        let seen = |of: fn(&Observer) -> u64| self.observer.as_deref().map_or(0, of);
        let (gaps, resolution) = (seen(Observer::gaps), seen(|o| o.resolution().as_nanos() as u64));
        let resolution = Duration::from_nanos(resolution);
        let sightings = self.observer.map_or_else(|| Ok(Vec::new()), sightings)?;
        Ok(Observed { by: self.by, sightings, gaps, resolution, until })
    }
}

fn sightings(observer: Arc<Observer>) -> Result<Vec<Sighting>, Failure> {
    let observer = Arc::into_inner(observer).expect("the run and the sampler have ended");
    observer.finish().map_err(|e| Failure::run(format!("the watch of the dead broke off: {e}")))
}

/// When the watch ended: when the connections began to be closed. A server that died took its
/// sockets with it, some moments before that was noticed.
fn watch_end(outcome: &Outcome, server_died: bool) -> Instant {
    let end = outcome.phases.last().map_or(outcome.origin, |phase| phase.start);
    if server_died { end - LOOK * 4 } else { end }
}

/// What happened to victims after the watch is the end of the run's doing, not the server's.
fn forget_later(sightings: &mut [Sighting], victims: &mut [Victim], until: Instant) {
    let within = |at: Option<Instant>| at.filter(|&at| at <= until);
    for sighting in sightings {
        sighting.detected = within(sighting.detected);
        sighting.reclaimed = within(sighting.reclaimed);
    }
    for victim in victims {
        victim.client_saw = within(victim.client_saw);
        victim.sight = victim.sight.filter(|_| victim.client_saw.is_some());
    }
}

/// Whether the server is not in this network namespace, so that its sockets cannot be seen.
pub(crate) fn sees_no_server(plan: &Plan) -> bool {
    !plan.targets.iter().any(is_ours)
}

/// Whether an address is one of this machine's: only then can a socket be bound to it.
fn is_ours(target: &SocketAddr) -> bool {
    UdpSocket::bind((target.ip(), 0)).is_ok()
}

/// What is wrong with a plan, with the exit status that fits.
pub(crate) fn plan_error(error: &PlanError) -> Failure {
    match error {
        PlanError::UnknownHost { .. } | PlanError::Ports { .. } => Failure::run(error.to_string()),
        _ => Failure::usage(error.to_string()),
    }
}

/// Why a run could not begin or go on, with the exit status that fits.
pub(crate) fn run_error(error: &RunError) -> Failure {
    match error {
        RunError::Cpu { .. } => Failure::usage(error.to_string()),
        _ => Failure::run(error.to_string()),
    }
}

/// Why the run came to nothing, if so.
pub(crate) fn hopeless(outcome: &Outcome) -> Option<Failure> {
    match outcome.ended {
        Ended::Complete | Ended::Interrupted => None,
        Ended::ServerLost => Some(
            Failure::run("the server took all connections with it")
                .next("did it crash or restart? Its own log knows more"),
        ),
        Ended::NoneOpened => {
            let tally = &outcome.tally;
            let example = tally.failure_example.as_deref();
            Some(none_opened(&outcome.plan.url, &tally.failed, example))
        }
    }
}

/// Why not one connection could be opened, by the reasons and an example of what was answered.
pub(crate) fn none_opened(
    url: &str,
    failed: &BTreeMap<String, u64>,
    example: Option<&str>,
) -> Failure {
    let reasons: Vec<String> =
        failed.iter().map(|(why, n)| format!("{n} {}", why.replace('_', " "))).collect();
    let mut cause = format!("not one connection to {url} could be opened: {}", reasons.join(", "));
    if let Some(example) = example {
        cause.push_str(&format!("; {example}"));
    }
    let first = failed.keys().next().map_or("", String::as_str);
    Failure::run(cause).next(match first {
        "refused" => "nobody listens there: start the server (`halfopen serve`), or check the port",
        "unreachable" => "check the address and the way to it (`ip route get ADDRESS`)",
        "connect_timeout" => {
            "check the address and firewalls; or give more time with --connect-timeout"
        }
        "no_ports" => "give more addresses to come from with --source",
        "no_descriptors" => "raise the descriptor limit with `ulimit -n`",
        "closed_in_handshake" | "reset_in_handshake" if url.starts_with("wss:") => {
            "does it speak TLS on this port? `openssl s_client -connect HOST:PORT` shows it; else use ws://"
        }
        "tls" | "tls_certificate" => {
            "`openssl s_client -connect HOST:PORT -showcerts` shows what the server says"
        }
        _ => "is it a WebSocket server, and is the path right? `curl -i` shows how it answers",
    })
}

/// Whether deaths wait for pings of a server that is not known to send any.
pub(crate) fn waits_blindly(plan: &Plan) -> bool {
    !plan.kills.is_empty() && plan.kill_at == KillAt::Auto && plan.server_ping.is_none()
}

const LOOK: Duration = Duration::from_millis(50);
/// How often a run is sampled.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_millis(500);
