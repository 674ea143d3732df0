//! What a run found out, for people and for programs.
//!
//! [`build`] turns what was counted, seen and sampled into a [`Report`] and the [`Histograms`]
//! beside it; [`folder::write`] makes the folder that is published; [`folder::read`] takes one in
//! again, to show it in another form ([`html`], [`text`]) or beside another run ([`compare`]). Where
//! several servers were run, [`servers`] makes one report of the reports of all.

pub mod compare;
mod cost;
mod deaths;
mod doubts;
mod env;
mod finding;
pub mod folder;
pub mod hgrm;
pub mod hlog;
pub mod html;
pub mod input;
pub mod number;
pub mod picture;
mod plan;
mod pool;
pub mod prediction;
pub mod rows;
#[cfg(test)]
pub(crate) mod sample_run;
pub mod schema;
pub mod servers;
pub mod slices;
#[cfg(test)]
mod tests;
pub mod text;
pub mod trend;
mod zombies;

pub use doubts::CLIENT_SATURATED;
pub use input::{Ending, Input, Interval, Observed, Phase, ServerSide};
pub use schema::{Doubt, ObserverKind, Report, Verdict};

use crate::record::{Returned, Tally};
use crate::stats::{MS, Summary, US};
use deaths::Deaths;
use halfopen_wheel::Instant;
use hdrhistogram::Histogram;
use schema::{
    ChurnBlock, ClientPings, ConnectionsBlock, Env, Figures, HerdBlock, HerdTimes, LivingBlock,
    LostBlock, MessagesBlock, PhaseBlock, PingsBlock, SCHEMA, ScriptBlock, ServerPings,
    ThresholdBlock, Tool,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// The full distributions behind a report, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Histograms {
    /// By the name of their file, without its ending. Only what was measured.
    pub whole: BTreeMap<String, Histogram<u64>>,
    /// Of short times, tagged with such names.
    pub intervals: Vec<Interval>,
    /// When the run began, on the axis of the intervals.
    pub began: Instant,
    /// All that was counted, where the run was a part of its plan.
    pub slice: Option<slices::Slice>,
}

/// Makes the report of a run.
pub fn build(input: &Input<'_>) -> (Report, Histograms) {
    let (deaths, gone_before) = deaths::by_kind(input);
    let figures = figures(input, &deaths, gone_before);
    let machine = cost::machine(input);
    let since_began = |at: Instant| at.saturating_since(input.began).as_secs_f64();
    let mut report = Report {
        schema: SCHEMA.into(),
        tool: Tool::of(input.git.clone()),
        argv: input.argv.clone(),
        plan: plan::settings(input),
        env: Env::here(is_loopback(input)),
        started: input.started.to_string(),
        phases: Vec::from_iter(input.phases.iter().map(|phase| PhaseBlock {
            name: phase.name.clone(),
            start_s: since_began(phase.start),
            end_s: since_began(phase.end),
        })),
        verdict: Verdict::Ok,
        finding: String::new(),
        thresholds: Vec::new(),
        doubts: doubts::all(input, &figures, &machine),
        search: None,
        figures,
        machine,
        timeline: cost::timeline(input),
        zombies: zombies::series(input, &deaths),
        servers: Vec::new(),
        skipped: Vec::new(),
    };
    report.finding = report.say();
    report.thresholds = judge(input, &report);
    report.verdict = verdict(input, &report);
    let slice = slices::Slice::of(input, &report);
    (report, Histograms { slice, ..histograms(input, &deaths) })
}

fn is_loopback(input: &Input<'_>) -> bool {
    !input.plan.targets.is_empty()
        && input.plan.targets.iter().all(|target| target.ip().to_canonical().is_loopback())
}

fn figures(input: &Input<'_>, deaths: &[Deaths<'_>], gone_before: u64) -> Figures {
    let tally = input.tally;
    let loopback = is_loopback(input);
    let slow = deaths.iter().filter_map(|deaths| deaths.false_kills(input)).sum::<u64>();
    Figures {
        connections: ConnectionsBlock {
            requested: u64::from(input.plan.own_connections()),
            opened: tally.opened,
            failed: tally.failed.clone(),
            rate_per_s: connect_rate(input),
            peak: tally.peak,
            connect_ms: Summary::of_histogram(&tally.connect_ns, MS),
            handshake_ms: Summary::of_histogram(&tally.handshake_ns, MS),
            churn: input.plan.churn.map(|_| churn(&tally.churn)),
            herd: input.plan.herd.map(|_| herd(&tally.herd)),
        },
        living: LivingBlock {
            at_end: tally.living_at_end,
            lost: LostBlock {
                heartbeat: tally.lost_heartbeat + slow,
                closed: tally.lost_closed.iter().map(|(code, n)| (code.to_string(), *n)).collect(),
                reset: tally.lost_reset + gone_before,
            },
        },
        false_kills: tally.lost_heartbeat + slow,
        messages: messages(input),
        pings: pings(input),
        deaths: deaths.iter().map(|deaths| (deaths.death(), deaths.block(input))).collect(),
        cost: cost::cost(input, loopback),
        memory: cost::memory(input, loopback),
    }
}

fn connect_rate(input: &Input<'_>) -> Option<f64> {
    let ramps = input.phases.iter().filter(|phase| phase.name == Phase::RAMP);
    let seconds = ramps.map(Phase::duration).sum::<Duration>().as_secs_f64();
    (seconds > 0.0).then(|| input.tally.opened as f64 / seconds)
}

fn churn(churned: &Returned) -> ChurnBlock {
    ChurnBlock {
        closed: churned.left,
        reopened: churned.back,
        failed: churned.failed.clone(),
        reopen_ms: Summary::of_histogram(&churned.back_ns, MS),
    }
}

fn herd(herd: &Returned) -> HerdBlock {
    let after = |share| herd.back_after(share).map(|ns| ns as f64 / MS);
    HerdBlock {
        dropped: herd.left,
        back: herd.back,
        failed: herd.failed.clone(),
        back_ms: HerdTimes { p50: after(0.5), p90: after(0.9), p99: after(0.99), p100: after(1.0) },
    }
}

fn messages(input: &Input<'_>) -> MessagesBlock {
    let tally = input.tally;
    let after_ramp = input.phases.iter().filter(|phase| phase.name != Phase::RAMP);
    let seconds = after_ramp.map(Phase::duration).sum::<Duration>().as_secs_f64();
    let sends = tally.messages_sent > 0 && seconds > 0.0;
    let answers = !tally.latency_ns.is_empty();
    MessagesBlock {
        sent: tally.messages_sent,
        received: tally.messages_received,
        rate_per_s: sends.then(|| tally.messages_sent as f64 / seconds),
        latency_us: answers.then(|| Summary::of_histogram(&tally.latency_ns, US)),
        latency_reason: closed_loop(input),
        service_us: Summary::of_histogram(&tally.service_ns, US),
        script: (!input.plan.script.is_empty()).then_some(ScriptBlock {
            hellos: tally.hellos_sent,
            replies: tally.replies_sent,
            beats: tally.beats_sent,
        }),
    }
}

/// Why a closed loop has no latency.
fn closed_loop(input: &Input<'_>) -> Option<String> {
    input.plan.window.map(|window| {
        format!(
            "closed loop, window {window}: a message waits for the answer to one before it, so none \
             was to be sent at a time of its own, and a server that stalls is not asked meanwhile"
        )
    })
}

fn pings(input: &Input<'_>) -> PingsBlock {
    let tally = input.tally;
    let rtt = input.server.as_ref().map(|server| Summary::of_histogram(&server.rtt_ns, US));
    PingsBlock {
        server: ServerPings {
            seen: tally.pings_seen,
            answered: tally.pings_answered,
            interval_ms: Summary::of_histogram(&tally.ping_interval_ns, MS),
            burst_ratio_100ms: burst_ratio(input),
            rtt_us: rtt.filter(|rtt| rtt.count > 0),
        },
        client: input.plan.client_ping.map(|_| ClientPings {
            sent: tally.client_pings_sent,
            answered: tally.client_pings_answered,
            rtt_us: Summary::of_histogram(&tally.client_rtt_ns, US),
        }),
    }
}

/// The fullest 100 ms over the mean ones, while all are open and none has died.
fn burst_ratio(input: &Input<'_>) -> Option<f64> {
    const WINDOW: u64 = 100_000_000;
    let steady = input.phases.iter().find(|phase| phase.name == Phase::STEADY)?;
    let windows = |at: Instant| at.saturating_since(input.began).as_nanos() as u64;
    let first = windows(steady.start).div_ceil(WINDOW) as usize;
    let end = (windows(steady.end) / WINDOW) as usize;
    let used = input.tally.pings_per_100ms.get(first..end)?;
    let all: f64 = used.iter().map(|&pings| f64::from(pings)).sum();
    let fullest = used.iter().copied().max().map(f64::from)?;
    (all > 0.0).then(|| fullest * used.len() as f64 / all)
}

fn judge(input: &Input<'_>, report: &Report) -> Vec<ThresholdBlock> {
    let document = serde_json::to_value(report).expect("a report is JSON");
    input.thresholds.iter().map(|threshold| threshold.judge(&document)).collect()
}

fn verdict(input: &Input<'_>, report: &Report) -> Verdict {
    match input.ending {
        Ending::Failed(_) => Verdict::Failed,
        Ending::Interrupted => Verdict::Interrupted,
        Ending::Complete if report.doubts.iter().any(|doubt| doubt.code == CLIENT_SATURATED) => {
            Verdict::NoVerdict
        }
        Ending::Complete if report.thresholds.iter().any(|threshold| !threshold.held) => {
            Verdict::ThresholdMissed
        }
        Ending::Complete => Verdict::Ok,
    }
}

fn histograms(input: &Input<'_>, deaths: &[Deaths<'_>]) -> Histograms {
    let mut all = Histograms {
        whole: BTreeMap::new(),
        intervals: input.intervals.clone(),
        began: input.began,
        slice: None,
    };
    all.keep_tally(input.tally);
    if let Some(server) = &input.server {
        // What the client measured from outside goes before what the server says of itself.
        let name = if all.whole.contains_key("ping-rtt") { "ping-rtt-server" } else { "ping-rtt" };
        all.keep(name, &server.rtt_ns);
    }
    for deaths in deaths {
        let name = deaths.death().name();
        all.keep(&format!("detection-{name}"), &histogram_of(&deaths.detections()));
        all.keep(&format!("reclaim-{name}"), &histogram_of(&deaths.reclaims()));
        all.keep_moments(&format!("detection-{name}"), &deaths.detection_moments());
    }
    all
}

impl Histograms {
    fn keep(&mut self, name: &str, histogram: &Histogram<u64>) {
        if !histogram.is_empty() {
            self.whole.insert(name.into(), histogram.clone());
        }
    }

    fn keep_tally(&mut self, tally: &Tally) {
        self.keep("connect", &tally.connect_ns);
        self.keep("reopen", &tally.churn.back_ns);
        self.keep("herd-back", &tally.herd.back_ns);
        self.keep("message-latency", &tally.latency_ns);
        self.keep("message-service", &tally.service_ns);
        self.keep("ping-rtt", &tally.client_rtt_ns);
    }

    /// Sorts what was measured at some moment into intervals of a second.
    fn keep_moments(&mut self, tag: &str, moments: &[(Instant, Duration)]) {
        let mut seconds: BTreeMap<u64, Vec<Duration>> = BTreeMap::new();
        for &(at, time) in moments {
            seconds.entry(at.saturating_since(self.began).as_secs()).or_default().push(time);
        }
        self.intervals.extend(seconds.into_iter().map(|(second, times)| Interval {
            tag: tag.into(),
            start: self.began + Duration::from_secs(second),
            length: Duration::from_secs(1),
            histogram: histogram_of(&times),
        }));
    }
}

/// Four digits, because a time of some seconds is compared to the millisecond.
fn histogram_of(times: &[Duration]) -> Histogram<u64> {
    let mut histogram =
        Histogram::new_with_bounds(1000, 3_600_000_000_000, 4).expect("good bounds");
    for time in times {
        histogram.saturating_record(time.as_nanos() as u64);
    }
    histogram
}
