//! What cannot be read anywhere and has to be tried: do the drivers run, are the dead found?

use super::Finding;
use super::process::{ADMIN, DESCRIPTORS, LOCKED_MEMORY};
use crate::admin::load::Running;
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::measure::{Job, Measured, SAMPLE_EVERY, measure};
use crate::screen::Screen;
use halfopen_loadgen::death::Death;
use halfopen_loadgen::plan::{Amount, Asked, KillAt, ServerPing, Watch, resolve};
use halfopen_loadgen::report::number::millis;
use halfopen_server::{
    Config, DriverKind, Echo, Heartbeat, Policy, Server, ServerConfig, ServerError, io_uring,
};
use std::net::SocketAddr;
use std::time::Duration;

/// Starts a small server on each driver.
pub(super) fn drivers() -> Vec<Finding> {
    let tried = [
        ("io_uring", DriverKind::IoUring),
        ("tokio-uring", DriverKind::TokioUring),
        ("epoll", DriverKind::Epoll),
    ];
    let findings = tried.map(|(name, driver)| match start(driver) {
        Ok(server) => {
            server.handle().stop();
            match server.join().error {
                None if driver == DriverKind::IoUring => ring(name),
                None => Finding::good(name, "works"),
                Some(error) => Finding::bad(name, error.to_string(), change(&error)),
            }
        }
        Err(error) => Finding::bad(name, error.to_string(), change(&error)),
    });
    findings.into()
}

/// What lets a driver run that does not.
fn change(error: &ServerError) -> &'static str {
    use halfopen_server::DriverError;
    match error {
        ServerError::Descriptors { .. } | ServerError::Table { .. } => DESCRIPTORS,
        ServerError::Driver {
            error: DriverError::Descriptors { .. } | DriverError::NoDescriptors(_),
            ..
        } => DESCRIPTORS,
        ServerError::Driver { error: DriverError::LockedMemory(_), .. } => LOCKED_MEMORY,
        _ => RING_CHANGE,
    }
}

/// What of io_uring this kernel has.
fn ring(name: &'static str) -> Finding {
    match io_uring::probe(io_uring::Features::NONE) {
        Ok(probe) if probe.fallbacks.is_empty() => {
            let all = io_uring::Feature::ALL.map(io_uring::Feature::name);
            Finding::good(name, format!("works, with {}", all.join(", ")))
        }
        Ok(probe) => {
            let words = io_uring::list(&probe.fallbacks);
            Finding::good(name, format!("works, with {words}; Linux 6.12 has all of it"))
        }
        Err(error) => Finding::bad(name, error.to_string(), RING_CHANGE),
    }
}

/// Lets one connection die in each way, and looks whether it is found.
pub(super) fn deaths() -> Vec<Finding> {
    match try_deaths() {
        Ok(measured) => Death::DEADLY.map(|death| judge(death, &measured)).into(),
        Err(failure) => vec![Finding::bad("deaths", failure.cause, "halfopen lab --quick")],
    }
}

fn try_deaths() -> Result<Measured, Failure> {
    let server = start(DriverKind::Auto).map_err(|error| Failure::run(error.to_string()))?;
    let asked = Asked {
        connections: 14,
        kills: Death::possible().into_iter().map(|death| (death, Amount::Count(1))).collect(),
        kill_at: KillAt::Auto,
        watch: Watch::AtMost(Duration::from_secs(3)),
        duration: Duration::ZERO,
        server_ping: Some(ServerPing { interval: Some(BEAT), timeout: BEAT }),
        ..Asked::new(&format!("ws://{}/", server.local_addr()))
    };
    let job = Job {
        plan: resolve(&asked).map_err(|error| Failure::run(error.to_string()))?,
        driver: DriverKind::Auto,
        server_pids: Vec::new(),
        hiccups: false,
        sample_every: SAMPLE_EVERY,
        running: Running::default(),
    };
    let measured = measure(job, &mut Screen::new(true), &Interrupt::none(), || None);
    server.handle().stop();
    server.join();
    measured
}

fn judge(death: Death, measured: &Measured) -> Finding {
    let name = death.name();
    if !Death::possible().contains(&death) {
        return Finding::good(name, "wants CAP_NET_ADMIN; blackhole needs no privilege")
            .more(ADMIN);
    }
    let victim = measured.outcome.tally.victims.iter().find(|victim| victim.death == death);
    let Some(victim) = victim else {
        return Finding::bad(name, "could not be done", "halfopen lab --quick");
    };
    let sighting = measured.observed.sightings.iter().find(|seen| seen.client == victim.local);
    let seen = sighting.and_then(|seen| seen.detected).or(victim.client_saw);
    match seen {
        Some(at) => {
            let after = at.saturating_since(victim.killed).as_secs_f64() * 1e3;
            Finding::good(name, format!("works; found after {}", millis(after)))
        }
        None => Finding::bad(name, "was not found in 3 s", "halfopen lab --quick"),
    }
}

/// A server for a handful.
fn start(driver: DriverKind) -> Result<Server, ServerError> {
    let heartbeat = Heartbeat { policy: Policy::Periodic, interval: BEAT, timeout: BEAT };
    let config = ServerConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        driver,
        shards: Some(1),
        connections_max: Some(64),
        shard: Config { heartbeat: Some(heartbeat), ..Config::default() },
        ..ServerConfig::default()
    };
    Server::start(&config, |_| Echo)
}

const BEAT: Duration = Duration::from_millis(200);
/// In a container its seccomp profile has a say, too: the error names it.
const RING_CHANGE: &str = "sysctl -w kernel.io_uring_disabled=0";
