//! Everyone dies at once: how late the server finds them, how soon it has let go of all, and what the
//! living feel meanwhile.
//!
//! The server is a process of its own, made of the library's shards. Its other peers are two runs of
//! the load generator: the victims, of whom each cable is cut in one instant, and the bystanders,
//! whose messages are echoed all the time. With [`Setup::gather`] the shards' deadlines come up
//! together every so often, so that all pings go at one moment and all the dead are due in one tick.
//! The deaths lie halfway between two such moments: who dies amid the pings of one is due at the next
//! or at the one after that, as its answer had gone out or not.

mod report;
pub mod server;

pub use report::page;

use super::child::Scheduled;
use super::{Bystanders, Child, Witnessed};
use crate::report::{Latency, Naps};
use anyhow::{Context, ensure};
use halfopen_driver::DriverKind;
use halfopen_loadgen::death::{Death, Unwatched};
use halfopen_loadgen::plan::{Amount, Asked, KillAt, ServerPing, Watch, resolve};
use halfopen_loadgen::run::{Outcome, Phase, Run};
use halfopen_server::End;
use halfopen_wheel::{Instant, clock};
use serde::Serialize;
use server::Account;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// How many die.
    pub victims: u32,
    /// How many live.
    pub living: u32,
    /// Their messages a second, all together.
    pub rate: f64,
    /// The server's ping interval.
    pub interval: Duration,
    /// The server's ping timeout.
    pub timeout: Duration,
    /// How many connect in a second.
    pub connect_rate: f64,
    /// How long the living are measured before anybody dies.
    pub quiet: Duration,
    /// What runs the server.
    pub driver: DriverKind,
    /// Deadlines come up together, so often.
    pub gather: Option<Duration>,
}

/// One measurement.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// In which round.
    pub round: usize,
    /// What ran the server.
    pub driver: &'static str,
    /// How many died.
    pub victims: u32,
    /// How many lived.
    pub living: u32,
    /// The server's ping interval.
    pub interval_ms: f64,
    /// The server's ping timeout.
    pub timeout_ms: f64,
    /// Deadlines came up together, so often.
    pub gather_ms: Option<f64>,
    /// Rings of the server.
    pub shards: usize,
    /// From the first death to the last.
    pub killed_over_ms: f64,
    /// Victims that the server found silent.
    pub found: u64,
    /// From the first death to the first that was let go.
    pub first_freed_ms: Option<f64>,
    /// From the first death to the last that was let go.
    pub last_freed_ms: Option<f64>,
    /// From the first that was let go to the last.
    pub freed_over_ms: Option<f64>,
    /// From the deadline of each victim to its abort, by the server's clock.
    pub lateness: Latency,
    /// The echoes of the living before the deaths.
    pub echo_quiet: Latency,
    /// From the first death until all were let go.
    pub echo_during: Latency,
    /// The machine's own stops before the deaths.
    pub hiccups_quiet: Latency,
    /// The machine's own stops from the deaths on.
    pub hiccups_during: Latency,
    /// Living connections that were lost.
    pub lost: u64,
    /// The longest turn of a shard, over the whole run. It passes while the shard waits for a core, too.
    pub turn_ms_max: f64,
    /// The time that all shards were on a core from the deaths until all were let go.
    pub shards_ran_ms: f64,
    /// The time that all shards waited for a core meanwhile.
    pub shards_waited_ms: f64,
}

/// How long it may take beyond what is predicted until all are found.
const BEYOND: Duration = Duration::from_secs(30);

/// Measures once, in round `round`; `program` is that of these benches that is the server as well.
///
/// # Errors
/// A process did not start, or a connection could not be opened.
pub fn measure(program: &Path, setup: &Setup, round: usize) -> anyhow::Result<Measured> {
    let mut server = Child::start(&mut serve(program, setup))?;
    let address = server.listens().context("the server")?;
    let bystanders = Bystanders::open(address, setup.living, setup.rate)?;
    let asked = Asked {
        connections: setup.victims,
        connect_rate: setup.connect_rate,
        duration: Duration::ZERO,
        kills: vec![(Death::Blackhole, Amount::Count(setup.victims))],
        kill_at: KillAt::After(setup.quiet),
        watch: Watch::For(setup.detection_max() + BEYOND),
        server_ping: Some(ServerPing { interval: Some(setup.interval), timeout: setup.timeout }),
        ..Asked::new(&format!("ws://{address}/"))
    };
    let run = Run::start(resolve(&asked)?, DriverKind::IoUring, Arc::new(Unwatched))?;

    await_phase(&run, Phase::Steady)?;
    let (quiet_from, naps) = (clock::now(), Naps::start()?);
    if let Some(first) = setup.gathered_first(quiet_from) {
        server.ask(&first.as_nanos().to_string())?;
    }
    await_phase(&run, Phase::Deaths)?;
    let hiccups_quiet = naps.finish();
    let (naps, before) = (Naps::start()?, server.scheduled()?);
    let account = await_end(&mut server, setup)?;
    let scheduled = server.scheduled()?.since(before);
    let hiccups_during = naps.finish();
    run.interrupt().interrupt();
    let (outcome, witnessed) = (run.join()?, bystanders.leave()?);
    let told =
        Told { quiet_from, account, scheduled, outcome, witnessed, hiccups_quiet, hiccups_during };
    told.judged(setup, round)
}

impl Setup {
    /// The longest time from a death to the end of its connection.
    fn detection_max(&self) -> Duration {
        self.interval + self.timeout + 2 * self.gather.unwrap_or_default()
    }

    /// When deadlines come up together for the first time, so that the deaths fall halfway between two
    /// such moments.
    fn gathered_first(&self, quiet_from: Instant) -> Option<Instant> {
        let every = self.gather?;
        let ahead = (self.quiet + every / 2).as_nanos() % every.as_nanos();
        Some(quiet_from + Duration::from_nanos(ahead as u64))
    }
}

fn serve(program: &Path, setup: &Setup) -> Command {
    let mut command = Command::new(program);
    command.arg("serve").arg(format!("--driver={}", setup.driver.name()));
    command.arg(format!("--connections={}", setup.victims + setup.living));
    command.arg(format!("--interval={}", setup.interval.as_secs_f64()));
    command.arg(format!("--timeout={}", setup.timeout.as_secs_f64()));
    command.arg(format!("--gather={}", setup.gather.unwrap_or_default().as_secs_f64()));
    command
}

fn await_phase(run: &Run, phase: Phase) -> anyhow::Result<()> {
    while run.progress().phase() < phase {
        ensure!(!run.is_over(), "the victims' run has ended before the {}", phase.name());
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Waits until only the living are left, and asks the server for its account.
fn await_end(server: &mut Child, setup: &Setup) -> anyhow::Result<Account> {
    let until = clock::now() + setup.detection_max() + BEYOND;
    while server.ask("open")?.parse::<u64>()? > u64::from(setup.living) && clock::now() < until {
        sleep(Duration::from_millis(100));
    }
    // The living are measured for a moment more: what was due in the last second is answered.
    sleep(Duration::from_secs(1));
    Ok(serde_json::from_str(&server.ask("account")?)?)
}

/// What is known when all is over.
struct Told {
    quiet_from: Instant,
    account: Account,
    /// From the deaths on.
    scheduled: Scheduled,
    outcome: Outcome,
    witnessed: Witnessed,
    hiccups_quiet: Latency,
    hiccups_during: Latency,
}

impl Told {
    fn judged(&self, setup: &Setup, round: usize) -> anyhow::Result<Measured> {
        let killed = || self.outcome.tally.victims.iter().map(|victim| victim.killed);
        let (first_killed, last_killed) =
            killed().min().zip(killed().max()).context("nobody was killed")?;
        let freed = self.account.falls_after(first_killed);
        let until = freed.map_or(clock::now(), |(_, last)| last);
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let since_death = |at: Instant| ms(at.saturating_since(first_killed));
        // Behind it the victims are chosen, which takes the client's time.
        let quiet_to = first_killed.min(self.quiet_from + setup.quiet);
        let stats = &self.account.stats;
        Ok(Measured {
            round,
            driver: setup.driver.name(),
            victims: setup.victims,
            living: setup.living,
            interval_ms: ms(setup.interval),
            timeout_ms: ms(setup.timeout),
            gather_ms: setup.gather.map(ms),
            shards: self.account.shards,
            killed_over_ms: since_death(last_killed),
            found: stats.ended(End::Silent),
            first_freed_ms: freed.map(|(first, _)| since_death(first)),
            last_freed_ms: freed.map(|(_, last)| since_death(last)),
            freed_over_ms: freed.map(|(first, last)| ms(last.saturating_since(first))),
            lateness: Latency::of(&stats.lateness_ns),
            echo_quiet: self.witnessed.between(self.quiet_from, quiet_to),
            echo_during: self
                .witnessed
                .between(first_killed - Duration::from_secs(1), until + Duration::from_secs(1)),
            hiccups_quiet: self.hiccups_quiet,
            hiccups_during: self.hiccups_during,
            lost: self.witnessed.lost(),
            turn_ms_max: stats.driver.turn_ns_max as f64 / 1e6,
            shards_ran_ms: ms(self.scheduled.ran),
            shards_waited_ms: ms(self.scheduled.waited),
        })
    }
}
