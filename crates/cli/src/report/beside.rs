//! Runs beside those of a baseline.

use super::{Run, read, thresholds};
use crate::args::Report as Flags;
use crate::exit::{Exit, Failure};
use halfopen_loadgen::report::compare::{Comparison, Judgement, Terms, compare};
use halfopen_loadgen::report::schema::Report;
use halfopen_loadgen::threshold::{Threshold, check_path};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What `--fail-if` wants.
pub(super) struct Limits {
    /// Limits of each report.
    pub(super) thresholds: Vec<Threshold>,
    /// What must not be worse than in the baseline: a figure, or none for all of it.
    pub(super) worse: Vec<Option<String>>,
}

impl Limits {
    pub(super) fn of(flags: &Flags) -> Result<Self, Failure> {
        let given = flags.thresholds.fail_if.iter();
        let (worse, others): (Vec<_>, Vec<_>) = given
            .map(|limit| limit.trim().to_owned())
            .partition(|limit| limit == "worse" || limit.starts_with("worse:"));
        if !worse.is_empty() && flags.baseline.is_empty() {
            let failure = Failure::usage("--fail-if worse wants something to compare with");
            return Err(failure.next("name the folders of other runs with --baseline"));
        }
        let path = |limit: &String| -> Result<Option<String>, Failure> {
            let Some(path) = limit.strip_prefix("worse:") else { return Ok(None) };
            check_path(path).map_err(|error| {
                Failure::usage(format!("--fail-if '{limit}': {error}"))
                    .next("`halfopen report --list-metrics` prints all")
            })?;
            Ok(Some(path.to_owned()))
        };
        Ok(Self {
            thresholds: thresholds(&others)?,
            worse: worse.iter().map(path).collect::<Result<_, _>>()?,
        })
    }
}

/// A comparison for each server; of runs of one server it has no name.
pub(super) struct Beside(Vec<(Option<String>, Comparison)>);

/// The repetitions of each server.
type Sides = BTreeMap<Option<String>, Vec<Report>>;

impl Beside {
    /// Nothing, if there is no baseline.
    pub(super) fn of(
        baseline: &[Run],
        runs: &[Run],
        limits: &Limits,
        anyway: bool,
    ) -> Result<Self, Failure> {
        if baseline.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let also = limits.worse.iter().flatten().cloned().collect();
        let terms = Terms { also, anyway };
        let mut baseline = sides(baseline)?;
        let one = |(name, runs): (Option<String>, Vec<Report>)| {
            let before = baseline.remove(&name).ok_or_else(|| match &name {
                Some(name) => Failure::usage(format!("the baseline has no server called {name}")),
                None => Failure::usage("the baseline is a comparison of several servers")
                    .next("name the folder of one of its runs, which lie inside it"),
            })?;
            let (before, runs) =
                (before.iter().collect::<Vec<_>>(), runs.iter().collect::<Vec<_>>());
            Ok((name, compare(&before, &runs, &terms)))
        };
        Ok(Self(sides(runs)?.into_iter().map(one).collect::<Result<_, Failure>>()?))
    }

    pub(super) fn markdown(&self) -> Vec<String> {
        let page = |(name, comparison): &(Option<String>, Comparison)| {
            let name = name.as_ref().map_or(String::new(), |name| format!("{name} "));
            format!("## {name}beside the baseline\n\n{}", comparison.markdown())
        };
        self.0.iter().map(page).collect()
    }

    pub(super) fn named(&self) -> Vec<(Option<&str>, &Comparison)> {
        self.0.iter().map(|(name, comparison)| (name.as_deref(), comparison)).collect()
    }

    /// None without a baseline.
    pub(super) fn json(&self) -> Option<Vec<Value>> {
        let one = |(name, comparison): &(Option<String>, Comparison)| json!({ "server": name, "comparison": comparison });
        (!self.0.is_empty()).then(|| self.0.iter().map(one).collect())
    }

    pub(super) fn say(&self) {
        for (name, comparison) in &self.0 {
            let name = name.as_ref().map_or(String::new(), |name| format!("{name} "));
            eprintln!("{name}beside the baseline: {}", comparison.judgement.name());
            for reason in &comparison.reasons {
                eprintln!("  {reason}");
            }
        }
    }

    /// What is worse is said before what nobody can tell.
    pub(super) fn exit(&self, limits: &Limits) -> Exit {
        let judged = |comparison: &'_ Comparison| {
            limits
                .worse
                .iter()
                .map(|figure| comparison.judged(figure.as_deref()))
                .collect::<Vec<_>>()
        };
        let all: Vec<Judgement> =
            self.0.iter().flat_map(|(_, comparison)| judged(comparison)).collect();
        match () {
            () if all.contains(&Judgement::Worse) => Exit::ThresholdMissed,
            () if all.contains(&Judgement::NoVerdict) => Exit::NoVerdict,
            () => Exit::Done,
        }
    }
}

/// Sorts runs by server. A comparison of several is taken apart into the runs that it was made of.
fn sides(runs: &[Run]) -> Result<Sides, Failure> {
    let mut sides = Sides::new();
    for run in runs {
        if run.report.servers.is_empty() {
            sides.entry(None).or_default().push(run.report.clone());
        }
        for server in &run.report.servers {
            let side = sides.entry(Some(server.name.clone())).or_default();
            for part in &server.runs {
                side.push(read(&run.folder.join(&part.folder))?.report);
            }
        }
    }
    Ok(sides)
}
