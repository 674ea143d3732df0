//! Several servers at the same work, each run once or more: one report of the reports of all.
//!
//! A [`Contestant`] takes in its runs one after the other and keeps of their distributions the exact
//! sum; [`beside`] puts all of them into one [`Report`], from which tables, page and pictures are made
//! as from any other.

use super::schema::{
    DeathBlock, Doubt, Figures, PhaseBlock, Report, SCHEMA, ServerRun, ServerRunPart, Skipped,
    Spread, ThresholdBlock, Verdict,
};
use super::text::figures_of;
use super::{Histograms, pool};
use crate::stats::Summary;
use crate::threshold::Threshold;
use hdrhistogram::Histogram;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A server and what its runs have found out so far.
#[derive(Clone, Debug)]
pub struct Contestant {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The command that starts it.
    pub command: String,
    runs: Vec<(String, Report)>,
    /// Of the completed runs.
    whole: Distributions,
    /// Of those that were not completed.
    broken: Distributions,
}

/// By the name of their file, without its ending.
type Distributions = BTreeMap<String, Histogram<u64>>;

/// What is known when the last run has ended.
#[derive(Debug)]
pub struct Contest<'a> {
    /// The command and its arguments.
    pub argv: Vec<String>,
    /// The servers in the order in which they were named.
    pub contestants: &'a [Contestant],
    /// Those that were not run, and why.
    pub skipped: Vec<Skipped>,
    /// Whether somebody stopped it.
    pub interrupted: bool,
    /// Whether a server could not be run, though it was to be.
    pub failed: bool,
    /// What must hold of each server.
    pub thresholds: &'a [Threshold],
}

impl Contestant {
    /// A server that has not been run yet.
    pub fn new(name: &str, command: &str) -> Self {
        let (name, command) = (name.to_owned(), command.to_owned());
        let (whole, broken) = Default::default();
        Self { name, command, runs: Vec::new(), whole, broken }
    }

    /// How often it was run.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Takes in a run, whose own report lies in `folder`.
    pub fn add(&mut self, folder: String, report: Report, histograms: &Histograms) {
        let sums = if is_complete(&report) { &mut self.whole } else { &mut self.broken };
        for (name, histogram) in &histograms.whole {
            match sums.get_mut(name) {
                Some(sum) => sum.add(histogram).expect("they have the same bounds, or grow"),
                None => drop(sums.insert(name.clone(), histogram.clone())),
            }
        }
        self.runs.push((folder, report));
    }

    /// The reports that count, and their distributions: those of completed runs, or of all where
    /// none was.
    fn counted(&self) -> (Vec<&Report>, &Distributions) {
        let all = || self.runs.iter().map(|(_, report)| report);
        match all().any(is_complete) {
            true => (all().filter(|report| is_complete(report)).collect(), &self.whole),
            false => (all().collect(), &self.broken),
        }
    }

    fn block(&self) -> Option<ServerRun> {
        let (counted, _) = self.counted();
        let figures: Vec<&Figures> = counted.iter().map(|report| &report.figures).collect();
        let part = |(folder, report): &(String, Report)| ServerRunPart {
            folder: folder.clone(),
            started: report.started.clone(),
            verdict: report.verdict,
            doubts: report.doubts.iter().map(|doubt| doubt.code.clone()).collect(),
        };
        Some(ServerRun {
            name: self.name.clone(),
            command: self.command.clone(),
            plan: counted.first()?.plan.clone(),
            runs: self.runs.iter().map(part).collect(),
            spread: spread(&figures),
            figures: pool::pool(&figures)?,
        })
    }
}

/// Whether a run went on to its end.
fn is_complete(report: &Report) -> bool {
    !matches!(report.verdict, Verdict::Interrupted | Verdict::Failed)
}

/// Each figure over the runs in which it was measured.
fn spread(runs: &[&Figures]) -> BTreeMap<String, Spread> {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (path, value) in runs.iter().flat_map(|figures| figures_of(figures)) {
        values.entry(path).or_default().extend(value);
    }
    let spreads = values.into_iter().filter_map(|(path, all)| Some((path, Spread::of(&all)?)));
    spreads.collect()
}

/// The one report of all; none if nobody was run.
pub fn beside(contest: &Contest<'_>) -> Option<(Report, Histograms)> {
    let reports: Vec<&Report> =
        contest.contestants.iter().flat_map(|c| c.runs.iter().map(|(_, report)| report)).collect();
    let first = *reports.iter().min_by_key(|report| instant(report))?;
    let servers: Vec<ServerRun> =
        contest.contestants.iter().filter_map(Contestant::block).collect();
    let machines: Vec<_> = reports.iter().map(|report| &report.machine).collect();
    let mut report = Report {
        schema: SCHEMA.into(),
        tool: first.tool.clone(),
        argv: contest.argv.clone(),
        plan: common(&reports),
        env: first.env.clone(),
        started: first.started.clone(),
        phases: phases(contest, instant(first)),
        verdict: Verdict::Ok,
        finding: String::new(),
        thresholds: judge(contest.thresholds, &servers),
        doubts: doubts(contest.contestants),
        search: None,
        figures: together(&servers)?,
        machine: pool::pool(&machines)?,
        timeline: Vec::new(),
        zombies: Vec::new(),
        servers,
        skipped: contest.skipped.clone(),
    };
    report.finding = report.say_servers();
    report.verdict = verdict(contest, &report, &reports);
    Some((report, histograms(contest.contestants)))
}

fn instant(report: &Report) -> Timestamp {
    report.started.parse().expect("a report tells the time by RFC 3339")
}

/// The settings that all runs share; what each server has of its own stands in its block.
fn common(reports: &[&Report]) -> Map<String, Value> {
    let Some((first, others)) = reports.split_first() else { return Map::new() };
    let same = |name: &str, value: &Value| {
        others.iter().all(|report| report.plan.get(name) == Some(value))
    };
    let shared = first.plan.iter().filter(|(name, value)| same(name, value));
    shared.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A phase for each run.
fn phases(contest: &Contest<'_>, began: Timestamp) -> Vec<PhaseBlock> {
    let mut phases = Vec::new();
    for contestant in contest.contestants {
        for (folder, report) in &contestant.runs {
            let start_s = instant(report).duration_since(began).as_secs_f64();
            let length = report.phases.last().map_or(0.0, |phase| phase.end_s);
            phases.push(PhaseBlock { name: folder.clone(), start_s, end_s: start_s + length });
        }
    }
    phases.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
    phases
}

/// What all servers did together. The times and costs of different servers have no common ones.
fn together(servers: &[ServerRun]) -> Option<Figures> {
    let figures: Vec<&Figures> = servers.iter().map(|server| &server.figures).collect();
    let mut all = pool::pool(&figures)?;
    if let [_] = servers {
        return Some(all);
    }
    let none = Summary::default();
    (all.connections.connect_ms, all.connections.handshake_ms) = (none, none);
    all.connections.rate_per_s = None;
    (all.messages.rate_per_s, all.messages.latency_us, all.messages.service_us) =
        (None, None, none);
    (all.pings.server.interval_ms, all.pings.server.rtt_us) = (none, None);
    all.pings.server.burst_ratio_100ms = None;
    if let Some(client) = &mut all.pings.client {
        client.rtt_us = none;
    }
    all.deaths.values_mut().for_each(forget_times);
    (all.cost, all.memory) = Default::default();
    Some(all)
}

fn forget_times(death: &mut DeathBlock) {
    (death.detection_ms, death.reclaim_ms) = Default::default();
    (death.residual_ms, death.lateness_ms, death.predicted) = Default::default();
}

fn judge(thresholds: &[Threshold], servers: &[ServerRun]) -> Vec<ThresholdBlock> {
    let mut all = Vec::new();
    for server in servers {
        let document = serde_json::to_value(server).expect("a block is JSON");
        all.extend(thresholds.iter().map(|threshold| {
            let block = threshold.judge(&document);
            ThresholdBlock { expr: format!("{}: {}", server.name, block.expr), ..block }
        }));
    }
    all
}

/// Each kind of doubt once, in the words of the first run that had it, with the servers that share
/// it.
fn doubts(contestants: &[Contestant]) -> Vec<Doubt> {
    let mut kinds: Vec<(&Doubt, Vec<&str>)> = Vec::new();
    for contestant in contestants {
        let name = contestant.name.as_str();
        for doubt in contestant.runs.iter().flat_map(|(_, report)| &report.doubts) {
            match kinds.iter_mut().find(|(first, _)| first.code == doubt.code) {
                None => kinds.push((doubt, vec![name])),
                Some((_, names)) if names.contains(&name) => {}
                Some((_, names)) => names.push(name),
            }
        }
    }
    let words = |(doubt, names): (&Doubt, Vec<&str>)| {
        let others = match &names[1..] {
            [] => String::new(),
            others => format!(" (so or similarly {})", others.join(", ")),
        };
        Doubt { message: format!("{}: {}{others}", names[0], doubt.message), ..doubt.clone() }
    };
    kinds.into_iter().map(words).collect()
}

fn verdict(contest: &Contest<'_>, report: &Report, runs: &[&Report]) -> Verdict {
    let any = |verdict| runs.iter().any(|run| run.verdict == verdict);
    if contest.interrupted || any(Verdict::Interrupted) {
        Verdict::Interrupted
    } else if contest.failed || any(Verdict::Failed) {
        Verdict::Failed
    } else if any(Verdict::NoVerdict) {
        Verdict::NoVerdict
    } else if report.thresholds.iter().any(|threshold| !threshold.held) {
        Verdict::ThresholdMissed
    } else {
        Verdict::Ok
    }
}

/// The distribution `what` of the server `name`, as its file is called without the ending.
pub(super) fn curve_name(name: &str, what: &str) -> String {
    format!("{name}.{what}")
}

fn histograms(contestants: &[Contestant]) -> Histograms {
    let mut all = Histograms::default();
    for contestant in contestants {
        let (_, distributions) = contestant.counted();
        let named = |(what, histogram): (&String, &Histogram<u64>)| {
            (curve_name(&contestant.name, what), histogram.clone())
        };
        all.whole.extend(distributions.iter().map(named));
    }
    all
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::sample_run::Run;
    use super::super::{build, schema};
    use super::*;
    use crate::death::Death;

    /// One that pings, run twice, one that does not, and one that was not there.
    pub(crate) fn contest() -> (Report, Histograms) {
        let contestants = contestants();
        let skipped = Skipped { name: "third".into(), reason: "no node".into() };
        let argv = ["halfopen", "lab", "--server", "pings=serve"].map(String::from).to_vec();
        let contest = Contest {
            argv,
            contestants: &contestants,
            skipped: vec![skipped],
            interrupted: false,
            failed: false,
            thresholds: &[],
        };
        beside(&contest).unwrap()
    }

    fn contestants() -> [Contestant; 2] {
        let mut pings = Contestant::new("pings", "serve {port}");
        for number in 1..=2 {
            let (report, histograms) = build(&Run::new().input());
            pings.add(format!("pings-{number}"), report, &histograms);
        }
        let mut silent = Contestant::new("silent", "serve --no-ping {port}");
        let (report, histograms) = build(&Run::new().without_pings().input());
        silent.add("silent-1".into(), report, &histograms);
        [pings, silent]
    }

    #[test]
    fn the_report_of_several_servers_obeys_the_schema() {
        let schema = jsonschema::draft202012::new(&schema::json_schema()).unwrap();
        let document = serde_json::to_value(contest().0).unwrap();
        let errors: Vec<_> = schema.iter_errors(&document).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let again: Report = serde_json::from_value(document.clone()).unwrap();
        assert_eq!(serde_json::to_value(again).unwrap(), document);
    }

    #[test]
    fn each_server_has_its_block_and_together_only_counts_are_told() {
        let (report, histograms) = contest();
        let [pings, silent] = &report.servers[..] else { panic!("{:?}", report.servers) };
        let freeze = |figures: &Figures| figures.deaths[&Death::Freeze].clone();
        assert_eq!(freeze(&pings.figures).detected, 2_000);
        assert_eq!(freeze(&silent.figures).detected, 0);
        assert_eq!(pings.spread["deaths.freeze.killed"].runs, 2);
        assert!(!silent.spread.contains_key("deaths.freeze.detection_ms.p50"), "not measured");
        assert_eq!(histograms.whole["pings.detection-freeze"].len(), 2_000);
        assert!(!histograms.whole.contains_key("silent.detection-freeze"));
        let all = freeze(&report.figures);
        assert_eq!((all.killed, all.detected, all.pending), (3_000, 2_000, 1_000));
        assert_eq!((all.detection_ms.p50, report.figures.memory.server_rss_bytes), (None, None));
        assert_eq!(report.phases.len(), 3);
        assert!(report.plan.contains_key("connections"));
        assert!(!report.plan.contains_key("ping_interval_ms"), "the servers differ in it");
        assert!(pings.plan.contains_key("ping_interval_ms"));
    }

    #[test]
    fn a_doubt_that_several_share_is_told_once() {
        let [mut pings, mut silent] = contestants();
        let doubt = |message: &str| Doubt {
            code: "hiccups".into(),
            message: message.into(),
            hint: "wait".into(),
        };
        pings.runs[0].1.doubts.push(doubt("20 ms"));
        pings.runs[1].1.doubts.push(doubt("30 ms"));
        silent.runs[0].1.doubts.push(doubt("40 ms"));
        let all = doubts(&[pings, silent]);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].message, "pings: 20 ms (so or similarly silent)");
    }

    #[test]
    fn of_one_server_everything_is_told() {
        let [pings, _] = contestants();
        let contest = Contest {
            argv: Vec::new(),
            contestants: &[pings],
            skipped: Vec::new(),
            interrupted: false,
            failed: false,
            thresholds: &[],
        };
        let (report, _) = beside(&contest).unwrap();
        assert_eq!(report.figures, report.servers[0].figures);
        assert!(report.figures.deaths[&Death::Freeze].detection_ms.p50.is_some());
    }

    #[test]
    fn limits_are_held_against_each_server() {
        let contestants = contestants();
        let limits = ["deaths.freeze.detected < 1".parse().unwrap()];
        let contest = Contest {
            argv: Vec::new(),
            contestants: &contestants,
            skipped: Vec::new(),
            interrupted: false,
            failed: false,
            thresholds: &limits,
        };
        let (report, _) = beside(&contest).unwrap();
        let judged: Vec<_> =
            report.thresholds.iter().map(|limit| (limit.expr.as_str(), limit.held)).collect();
        let expected = [
            ("pings: deaths.freeze.detected < 1", true),
            ("silent: deaths.freeze.detected < 1", false),
        ];
        assert_eq!(judged, expected);
        assert_eq!(report.verdict, Verdict::ThresholdMissed);
        let interrupted = beside(&Contest { interrupted: true, ..contest }).unwrap().0;
        assert_eq!(interrupted.verdict, Verdict::Interrupted);
    }

    #[test]
    fn a_run_that_was_not_completed_counts_only_where_none_was() {
        let [mut pings, silent] = contestants();
        let broken = |mut report: Report| {
            report.verdict = Verdict::Failed;
            report
        };
        let once = Histograms { whole: pings.whole.clone(), ..Histograms::default() };
        pings.add("pings-3".into(), broken(silent.runs[0].1.clone()), &once);
        let block = pings.block().unwrap();
        assert_eq!((block.runs.len(), block.figures.connections.opened), (3, 20_000));
        let histograms = histograms(&[pings]);
        assert_eq!(histograms.whole["pings.detection-freeze"].len(), 2_000);
        let mut only = Contestant::new("only", "x");
        only.add("only-1".into(), broken(silent.runs[0].1.clone()), &Histograms::default());
        assert_eq!(only.block().unwrap().figures.connections.opened, 10_000);
        assert_eq!(Contestant::new("none", "x").block(), None);
    }
}
