//! Several processes, one plan: what each has counted, written beside its report, and put together
//! again as if one had done it all.
//!
//! Counts and histograms are added, each sample once; victims and what was seen of them stand side by
//! side, each slice on the clock of its own begin; doubts are united. What belongs to one process or
//! one machine (CPU, memory, the timeline) is not added: two clients on one machine would count it
//! twice.

use super::input::{Ending, Input, Interval, Observed, Phase};
use super::schema::{Doubt, Report, Verdict};
use super::{Histograms, build};
use crate::pacing::Share;
use crate::plan::{Header, Plan};
use crate::record::Tally;
use crate::sample::Samples;
use crate::serial;
use halfopen_wheel::Instant;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// The name of the format.
const SCHEMA: &str = "halfopen.slice/1";

/// The file in the folder of a run.
pub const FILE: &str = "slice.json";

/// Slices that began farther apart than this did not load the server together all the while.
const APART: Duration = Duration::from_secs(1);

/// What one slice of a plan has counted and seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Slice {
    schema: String,
    argv: Vec<String>,
    git: Option<String>,
    plan: Plan,
    #[serde(with = "serial::instant")]
    began: Instant,
    started: String,
    phases: Vec<Phase>,
    tally: Tally,
    observed: Observed,
    #[serde(with = "serial::histogram")]
    hiccups_ns: Histogram<u64>,
    verdict: Verdict,
    doubts: Vec<Doubt>,
}

/// Why slices cannot be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// The file cannot be read.
    #[error("{path}: {error}; a run with --slice and --out writes it")]
    Io {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The file holds something else.
    #[error("{path}: no slice of this program: {error}")]
    NoSlice {
        /// Which.
        path: String,
        /// What was found instead.
        error: String,
    },
    /// They are of several plans.
    #[error("slice {slice} is of another plan than slice {first}: they differ in {setting}")]
    OtherPlan {
        /// The one.
        slice: Share,
        /// The other.
        first: Share,
        /// A setting that is not the same.
        setting: String,
    },
    /// One is there twice.
    #[error("slice {0} stands there twice; name the folder of each slice once")]
    Twice(Share),
    /// One is not there.
    #[error("slice {0} is missing; name the folders of all slices")]
    Missing(Share),
}

impl Slice {
    /// Of a run that did a part of its plan; none if it did the whole.
    pub(super) fn of(input: &Input<'_>, report: &Report) -> Option<Self> {
        (input.plan.slice != Share::WHOLE).then(|| Self {
            schema: SCHEMA.into(),
            argv: input.argv.clone(),
            git: input.git.clone(),
            plan: published(input.plan),
            began: input.began,
            started: input.started.to_string(),
            phases: input.phases.clone(),
            tally: input.tally.clone(),
            observed: input.observed.clone(),
            hiccups_ns: input.samples.hiccups_ns.clone(),
            verdict: report.verdict,
            doubts: report.doubts.clone(),
        })
    }

    /// The slice in the folder of a run.
    ///
    /// # Errors
    /// There is none.
    pub fn read(folder: &Path) -> Result<Self, MergeError> {
        let path = folder.join(FILE);
        let name = path.display().to_string();
        let text =
            std::fs::read(&path).map_err(|error| MergeError::Io { path: name.clone(), error })?;
        let no_slice = |error: String| MergeError::NoSlice { path: name.clone(), error };
        let slice: Self =
            serde_json::from_slice(&text).map_err(|error| no_slice(error.to_string()))?;
        match slice.schema == SCHEMA && slice.started.parse::<jiff::Timestamp>().is_ok() {
            true => Ok(slice),
            false => Err(no_slice(format!("its schema is {}", slice.schema))),
        }
    }

    fn share(&self) -> Share {
        self.plan.slice
    }

    /// Tells all its times as if it had begun at `began`.
    fn rebase(&mut self, began: Instant) {
        let from = std::mem::replace(&mut self.began, began);
        let shift = |at: &mut Instant| *at = began + at.saturating_since(from);
        for phase in &mut self.phases {
            shift(&mut phase.start);
            shift(&mut phase.end);
        }
        for loss in &mut self.tally.losses {
            shift(&mut loss.at);
            loss.pinged.iter_mut().for_each(shift);
        }
        for victim in &mut self.tally.victims {
            shift(&mut victim.killed);
            victim.answered.iter_mut().chain(&mut victim.client_saw).for_each(shift);
            if let Some(back) = &mut victim.back {
                shift(&mut back.at);
                back.alive.iter_mut().for_each(shift);
            }
        }
        for seen in &mut self.observed.sightings {
            seen.detected.iter_mut().chain(&mut seen.reclaimed).for_each(shift);
        }
        shift(&mut self.observed.until);
    }

    /// Takes in another slice of the same plan, which is rebased already.
    fn merge(&mut self, other: Self) {
        for (own, phase) in self.phases.iter_mut().zip(&other.phases) {
            own.start = own.start.min(phase.start);
            own.end = own.end.max(phase.end);
        }
        self.tally.merge(other.tally);
        self.observed.sightings.extend(other.observed.sightings);
        self.observed.gaps += other.observed.gaps;
        self.observed.resolution = self.observed.resolution.max(other.observed.resolution);
        self.observed.until = self.observed.until.min(other.observed.until);
        self.observed.by = self.observed.by.or(other.observed.by);
        self.hiccups_ns.add(&other.hiccups_ns).expect("it grows as it needs");
        self.plan.shards = self.plan.shards.saturating_add(other.plan.shards);
        self.plan.cpus.extend(other.plan.cpus);
        self.started = self.started.clone().min(other.started);
        self.verdict = worse(self.verdict, other.verdict);
        self.doubts.extend(other.doubts);
    }
}

/// The plan without what nobody else is to know.
fn published(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    plan.headers.iter_mut().for_each(Header::hide);
    plan
}

/// The report of all slices of a plan together.
///
/// # Errors
/// They are not all of one plan, or not all are there.
pub fn merge(mut slices: Vec<Slice>) -> Result<(Report, Histograms), MergeError> {
    slices.sort_by_key(|slice| slice.share().index);
    check(&slices)?;
    let (apart, of) = (apart(&slices), slices.len());
    let mut slices = slices.into_iter();
    let mut whole = slices.next().expect("all of at least one are there");
    for mut slice in slices {
        slice.rebase(whole.began);
        whole.merge(slice);
    }
    whole.plan.slice = Share::WHOLE;
    whole.tally.sort_losses(whole.plan.server_ping);
    let (mut report, histograms) = whole.build(of);
    report.doubts = united(apart.into_iter().chain(report.doubts).chain(whole.doubts));
    report.verdict = worse(report.verdict, whole.verdict);
    Ok((report, histograms))
}

fn check(slices: &[Slice]) -> Result<(), MergeError> {
    let Some(first) = slices.first() else { return Err(MergeError::Missing(Share::WHOLE)) };
    let of = first.share().of;
    for slice in slices {
        if let Some(setting) = difference(&first.plan, &slice.plan) {
            let (slice, first) = (slice.share(), first.share());
            return Err(MergeError::OtherPlan { slice, first, setting });
        }
    }
    if let Some(pair) = slices.windows(2).find(|pair| pair[0].share() == pair[1].share()) {
        return Err(MergeError::Twice(pair[0].share()));
    }
    let missing = (0..of).find(|&index| slices.iter().all(|slice| slice.share().index != index));
    missing.map_or(Ok(()), |index| Err(MergeError::Missing(Share { index, of })))
}

/// What each process chooses for itself.
const OWN: [&str; 2] = ["shards", "cpus"];

/// A setting in which two plans differ, other than what each process chooses for itself.
fn difference(one: &Plan, other: &Plan) -> Option<String> {
    let settings = |plan: &Plan| {
        let mut settings = serde_json::to_value(plan).expect("a plan is JSON");
        let map = settings.as_object_mut().expect("a plan is an object");
        map.retain(|name, _| !OWN.contains(&name.as_str()));
        map.insert("slice".into(), plan.slice.of.into());
        map.clone()
    };
    let (one, other) = (settings(one), settings(other));
    one.into_iter().find(|(name, value)| other.get(name) != Some(value)).map(|(name, _)| name)
}

/// Of slices that did not begin together.
fn apart(slices: &[Slice]) -> Option<Doubt> {
    let starts = slices.iter().filter_map(|slice| slice.started.parse::<jiff::Timestamp>().ok());
    let (first, last) = (starts.clone().min()?, starts.max()?);
    let apart = Duration::try_from(last.duration_since(first)).ok()?;
    (apart > APART).then(|| Doubt {
        code: "slices_apart".into(),
        message: format!(
            "the slices began up to {:.1} s apart, so that the server did not bear all of the plan all \
             the while",
            apart.as_secs_f64()
        ),
        hint: "start all slices at once".into(),
    })
}

/// Each doubt once; of several with the same name and other figures all.
fn united(doubts: impl Iterator<Item = Doubt>) -> Vec<Doubt> {
    let mut all: Vec<Doubt> = Vec::new();
    for doubt in doubts {
        if !all.contains(&doubt) {
            all.push(doubt);
        }
    }
    all
}

fn worse(one: Verdict, other: Verdict) -> Verdict {
    let badness = |verdict| match verdict {
        Verdict::Ok => 0,
        Verdict::NoVerdict => 1,
        Verdict::ThresholdMissed => 2,
        Verdict::Interrupted => 3,
        Verdict::Failed => 4,
    };
    if badness(other) > badness(one) { other } else { one }
}

impl Slice {
    fn build(&self, slices: usize) -> (Report, Histograms) {
        let samples = Samples { points: Vec::new(), hiccups_ns: self.hiccups_ns.clone() };
        let intervals = &self.tally.intervals;
        build(&Input {
            argv: whole_argv(&self.argv),
            git: self.git.clone(),
            plan: &self.plan,
            settings: serde_json::Map::from_iter([("slices".into(), Value::from(slices))]),
            pings_only_the_silent: false,
            began: self.began,
            started: self.started.parse().expect("it was read so"),
            phases: self.phases.clone(),
            tally: &self.tally,
            observed: self.observed.clone(),
            samples: &samples,
            server: None,
            server_cpus: Vec::new(),
            intervals: intervals.iter().map(|one| Interval::of(one, self.began)).collect(),
            ending: Ending::Complete,
            thresholds: &[],
            doubts: Vec::new(),
        })
    }
}

/// The command that does all of it.
fn whole_argv(argv: &[String]) -> Vec<String> {
    let mut after_flag = false;
    let kept = argv.iter().filter(|word| {
        let is_value = std::mem::replace(&mut after_flag, *word == "--slice");
        !is_value && !after_flag && !word.starts_with("--slice=")
    });
    kept.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample_run::Run;
    use super::*;
    use crate::plan::Watch;
    use crate::record::{Back, Sight};

    /// The made-up run, done by `of`: each has every `of`-th sample and victim.
    fn slices(of: u32) -> Vec<Slice> {
        let slice = |index| {
            let (_, histograms) = build(&part(Share { index, of }).input());
            // As it is read by another process.
            let text = serde_json::to_string(&histograms.slice.expect("it is a part")).unwrap();
            serde_json::from_str(&text).unwrap()
        };
        (0..of).map(slice).collect()
    }

    fn part(share: Share) -> Run {
        let (mut run, whole) = (Run::new(), Run::new());
        run.plan.slice = share;
        let own = |n: usize| n % share.of as usize == share.index as usize;
        let part = |histogram: &Histogram<u64>| {
            let mut part = crate::record::histogram();
            let values = histogram.iter_recorded().flat_map(|step| {
                std::iter::repeat_n(step.value_iterated_to(), step.count_at_value() as usize)
            });
            for (_, value) in values.enumerate().filter(|(n, _)| own(*n)) {
                part.record(value).unwrap();
            }
            part
        };
        let (tally, all) = (&mut run.tally, &whole.tally);
        tally.connect_ns = part(&all.connect_ns);
        tally.ping_interval_ns = part(&all.ping_interval_ns);
        tally.handshake_ns = part(&all.handshake_ns);
        let count = |n| share.count(n);
        (tally.opened, tally.peak) = (count(all.opened), count(all.peak));
        tally.living_at_end = count(all.living_at_end);
        (tally.pings_seen, tally.pings_answered) =
            (count(all.pings_seen), count(all.pings_answered));
        tally.pings_per_100ms =
            all.pings_per_100ms.iter().map(|&n| count(n.into()) as u32).collect();
        let victims = all.victims.iter().copied().enumerate();
        tally.victims = victims.filter(|(n, _)| own(*n)).map(|(_, victim)| victim).collect();
        let seen = whole.sightings.iter().copied().enumerate();
        run.sightings = seen.filter(|(n, _)| own(*n)).map(|(_, seen)| seen).collect();
        run
    }

    #[test]
    fn slices_together_say_exactly_what_the_whole_says() {
        let whole = part(Share::WHOLE);
        let mut input = whole.input();
        // What is of the server or of a machine is not put together.
        let samples = Samples { points: Vec::new(), hiccups_ns: whole.samples.hiccups_ns.clone() };
        (input.server, input.samples) = (None, &samples);
        let (expected, all) = build(&input);
        for of in [2, 3, 7] {
            let mut slices = slices(of);
            // Each on a clock of its own, as on another machine.
            let far = Instant::from_nanos(900_000_000_000_000);
            slices.iter_mut().skip(1).for_each(|slice| slice.rebase(far));
            slices.reverse();
            let (report, histograms) = merge(slices).unwrap();
            let figures = |report: &Report| serde_json::to_value(&report.figures).unwrap();
            assert_eq!(figures(&report), figures(&expected));
            assert_eq!(histograms.whole, all.whole);
            assert_eq!(report.phases, expected.phases);
            assert_eq!(report.plan["connections"], expected.plan["connections"]);
            assert!(report.plan["slice"].is_null() && histograms.slice.is_none());
        }
    }

    #[test]
    fn who_came_back_and_what_tls_came_to_is_told_of_all_slices() {
        let second = Duration::from_secs(1);
        let slice = |index| {
            let mut run = part(Share { index, of: 2 });
            run.tally.secured.insert("TLS 1.3 X".into(), 3);
            for victim in &mut run.tally.victims {
                let at = victim.killed + second;
                victim.back = Some(Back { at, alive: Some(at + second) });
                victim.sight = Some(Sight::Closed(1011));
            }
            let (_, histograms) = build(&run.input());
            let text = serde_json::to_string(&histograms.slice.expect("it is a part")).unwrap();
            serde_json::from_str::<Slice>(&text).unwrap()
        };
        let (mut whole, mut other) = (slice(0), slice(1));
        other.rebase(Instant::from_nanos(900_000_000_000_000));
        other.rebase(whole.began);
        whole.merge(other);
        assert_eq!(whole.tally.secured["TLS 1.3 X"], 6);
        for victim in &whole.tally.victims {
            let back = victim.back.unwrap();
            assert_eq!(back.at, victim.killed + second);
            assert_eq!(back.alive, Some(back.at + second));
            assert_eq!(victim.sight, Some(Sight::Closed(1011)));
        }
    }

    #[test]
    fn no_secret_is_written_down() {
        let mut run = part(Share { index: 0, of: 2 });
        run.plan.headers = vec!["Cookie: do-not-tell".parse().unwrap(), "A: b".parse().unwrap()];
        let (_, histograms) = build(&run.input());
        let text = serde_json::to_string(&histograms.slice).unwrap();
        assert!(!text.contains("do-not-tell") && text.contains("Cookie"));
    }

    #[test]
    fn what_is_not_all_of_one_plan_is_refused() {
        let told = |slices: Vec<Slice>| merge(slices).unwrap_err().to_string();
        let all = slices(3);
        assert_eq!(told(all[1..].to_vec()), "slice 1/3 is missing; name the folders of all slices");
        assert!(told([&all[..], &all[..1]].concat()).contains("slice 1/3 stands there twice"));
        let mut other = all.clone();
        other[1].plan.watch = Watch::For(Duration::from_secs(1));
        assert!(
            told(other)
                .contains("slice 2/3 is of another plan than slice 1/3: they differ in watch")
        );
        assert!(told([&all[..2], &slices(4)[2..]].concat()).contains("differ in slice"));
        assert!(merge(Vec::new()).is_err());
    }

    #[test]
    fn doubts_are_united_and_the_worst_verdict_stays() {
        let mut slices = slices(2);
        let doubt =
            |message: &str| Doubt { code: "x".into(), message: message.into(), hint: "y".into() };
        slices[0].doubts = vec![doubt("one"), doubt("both")];
        slices[1].doubts = vec![doubt("both"), doubt("other")];
        slices[1].started = "2026-11-20T10:00:05Z".into();
        slices[1].verdict = Verdict::NoVerdict;
        let (report, _) = merge(slices).unwrap();
        let messages: Vec<_> = report
            .doubts
            .iter()
            .filter(|doubt| doubt.code == "x")
            .map(|doubt| doubt.message.as_str())
            .collect();
        assert_eq!(messages, ["one", "both", "other"]);
        let apart = report.doubts.iter().find(|doubt| doubt.code == "slices_apart").unwrap();
        assert!(apart.message.contains("5.0 s apart"), "{}", apart.message);
        assert_eq!(report.verdict, Verdict::NoVerdict);
    }

    #[test]
    fn the_command_of_the_whole_names_no_slice() {
        let line = |text: &str| {
            whole_argv(&text.split(' ').map(String::from).collect::<Vec<_>>()).join(" ")
        };
        assert_eq!(line("halfopen load --slice 1/2 ws://h"), "halfopen load ws://h");
        assert_eq!(line("halfopen load ws://h --slice=1/2 -q"), "halfopen load ws://h -q");
    }
}
