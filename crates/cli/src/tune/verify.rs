//! Tries the heartbeat that is recommended: `lab`, with our own server, at a scale that fits.
//!
//! A heartbeat costs more where few are sent, because the server sleeps and wakes for each. So what it
//! will cost is measured first, at as many heartbeats a second of fewer connections that are pinged
//! more often, and the run itself is held against that.

use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::units::Typed;
use halfopen_loadgen::death::Death;
use halfopen_loadgen::report::schema::Report;
use halfopen_loadgen::tune::{Pair, Row, Verified};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Nine in ten die: with fewer the median of what is found says little.
const VICTIMS: u32 = 9;

/// The costs are measured with so many times fewer connections, pinged as many times as often.
const FEWER: u32 = 5;

/// How long costs are measured: for so many intervals, within these bounds.
const COSTS_OVER: f64 = 20.0;
const COSTS_OVER_MS: [f64; 2] = [3_000.0, 15_000.0];

/// Runs `row` with so many connections. None: it was interrupted.
pub(super) fn verify(
    row: &Row,
    connections: u32,
    quiet: bool,
) -> Result<Option<Verified>, Failure> {
    let interrupt = Interrupt::or_leave()?;
    let place = tempfile::tempdir()
        .map_err(|e| Failure::run(format!("no temporary folder can be made: {e}")))?;
    let lab = Lab { place: place.path(), quiet };
    let (few, often) = (connections.div_ceil(FEWER), (row.interval_ms / f64::from(FEWER)).round());
    let over = ms((COSTS_OVER * often).clamp(COSTS_OVER_MS[0], COSTS_OVER_MS[1]).round());
    lab.say(&format!("what a heartbeat costs: {few} connections, {}", Typed(over)));
    let alive = ["--kill=none".into(), format!("--duration={}", Typed(over))];
    let costs = lab.run(few, often, row.timeout_ms, &alive)?;
    let killed = connections / 10 * VICTIMS;
    let minutes = (2.0 * row.interval_ms + row.timeout_ms) / 60e3;
    lab.say(&format!("{killed} of {connections} connections die, about {:.0} min", minutes.ceil()));
    let deaths = [format!("--kill=blackhole={killed}")];
    let found = lab.run(connections, row.interval_ms, row.timeout_ms, &deaths)?;
    if interrupt.asked() {
        return Ok(None);
    }
    let death = found.figures.deaths.get(&Death::Blackhole);
    let death = death.ok_or_else(|| Failure::run("the run tells of no death"))?;
    let window = &row.detection[&Death::Blackhole];
    let cores = |report: &Report| Some(report.figures.cost.server_cpu_percent? / 100.0);
    let pair = |predicted, measured| Pair { predicted, measured };
    Ok(Some(Verified {
        connections: connections.into(),
        victims: killed.into(),
        found: death.detected,
        false_kills: found.figures.false_kills,
        p50_ms: pair(Some(window.p50_ms), death.detection_ms.p50),
        p99_ms: pair(Some(window.p99_ms), death.detection_ms.p99),
        max_ms: pair(Some(window.max_ms), death.detection_ms.max),
        server_cores: pair(cores(&costs), cores(&found)),
        ks: death.predicted.as_ref().and_then(|predicted| predicted.ks),
    }))
}

fn ms(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1e3)
}

/// Runs of this program's `lab`.
struct Lab<'a> {
    place: &'a Path,
    quiet: bool,
}

impl Lab<'_> {
    fn say(&self, what: &str) {
        if !self.quiet {
            eprintln!("verifying: {what}");
        }
    }

    fn run(
        &self,
        connections: u32,
        interval_ms: f64,
        timeout_ms: f64,
        flags: &[String],
    ) -> Result<Report, Failure> {
        let program = std::env::current_exe()
            .map_err(|e| Failure::run(format!("cannot find this program's own file: {e}")))?;
        let output = Command::new(program)
            .args(["lab", "--json", "--quiet", "--out"])
            .arg(self.place)
            .arg(format!("--connections={connections}"))
            .arg(format!("--ping-interval={}", Typed(ms(interval_ms))))
            .arg(format!("--ping-timeout={}", Typed(ms(timeout_ms))))
            .args(flags)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| Failure::run(format!("cannot start `lab`: {e}")))?;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            let exit = output.status.code().unwrap_or(Exit::Failed as i32);
            Failure::run(format!("`lab` ended with {exit} and no report"))
                .next("`halfopen doctor` tells what this machine allows; or try fewer: --scale 1k")
        })
    }
}
