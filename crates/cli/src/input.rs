//! From what was measured to what a report is made of.

use crate::argv::{line, published};
use crate::measure::Measured;
use halfopen_loadgen::report::number::count;
use halfopen_loadgen::report::{
    Doubt, Ending, Histograms, Input, Interval, Phase, Report, ServerSide, build,
};
use halfopen_loadgen::run::{Ended, Outcome};
use halfopen_loadgen::threshold::Threshold;
use halfopen_server::Stats;
use serde_json::{Map, Value};

/// What the command knows beside what was measured.
#[derive(Default)]
pub(crate) struct Known<'a> {
    /// More of the plan, such as the server's settings.
    pub settings: Map<String, Value>,
    /// Whether the server pings only after silence.
    pub pings_only_the_silent: bool,
    /// What our own server counted.
    pub server: Option<Stats>,
    /// The cores that the server runs on.
    pub server_cpus: Vec<usize>,
    /// What must hold.
    pub thresholds: &'a [Threshold],
    /// Why the run failed, if it did.
    pub failure: Option<String>,
}

/// Makes the report.
pub(crate) fn report(measured: &Measured, known: Known<'_>) -> (Report, Histograms) {
    let outcome = &measured.outcome;
    let intervals = &outcome.tally.intervals;
    build(&Input {
        argv: published(line()),
        git: option_env!("HALFOPEN_GIT").map(str::to_owned),
        plan: &outcome.plan,
        settings: known.settings,
        pings_only_the_silent: known.pings_only_the_silent,
        began: outcome.origin,
        started: outcome.started.try_into().expect("the clock shows a time of this age"),
        phases: phases(outcome),
        tally: &outcome.tally,
        observed: measured.observed.clone(),
        samples: &measured.samples,
        server: known.server.map(server_side),
        server_cpus: known.server_cpus,
        intervals: intervals.iter().map(|one| Interval::of(one, outcome.origin)).collect(),
        ending: ending(outcome, known.failure),
        thresholds: known.thresholds,
        doubts: doubts(outcome),
    })
}

/// What the load generator itself would have said.
fn doubts(outcome: &Outcome) -> Vec<Doubt> {
    let tally = &outcome.tally;
    let mut doubts = Vec::new();
    let mut doubt = |code: &str, message: String, hint: &str| {
        doubts.push(Doubt { code: code.into(), message, hint: hint.into() });
    };
    if let Some(error) = &outcome.unmapped {
        let message =
            format!("the server's sockets could not be listed before the deaths: {error}");
        doubt("unmapped", message, "halfopen doctor");
    }
    if tally.kills_missed > 0 {
        let (missed, all) = (count(tally.kills_missed), count(outcome.plan.own_kills()));
        let message = format!("{missed} of {all} deaths did not happen: those to die were gone");
        doubt("kills_missed", message, "fewer --kill, or find out why connections were lost");
    }
    if tally.messages_skipped > 0 {
        let skipped = count(tally.messages_skipped);
        let message = format!("{skipped} messages were not sent: too many had no answer yet");
        doubt("messages_skipped", message, "a lower --message-rate, or --expect=none");
    }
    doubts
}

fn phases(outcome: &Outcome) -> Vec<Phase> {
    let named = outcome.phases.iter().map(|span| Phase {
        name: span.phase.name().into(),
        start: span.start,
        end: span.end,
    });
    named.collect()
}

fn server_side(stats: Stats) -> ServerSide {
    ServerSide {
        lateness_ns: stats.lateness_ns,
        rtt_ns: stats.rtt_ns,
        pings_sent: stats.pings_sent,
    }
}

fn ending(outcome: &Outcome, failure: Option<String>) -> Ending {
    match (failure, outcome.ended) {
        (Some(why), _) => Ending::Failed(why),
        (None, Ended::Interrupted) => Ending::Interrupted,
        (None, _) => Ending::Complete,
    }
}
