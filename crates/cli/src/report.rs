//! `report`: what earlier runs found out, in another format or beside another run.

use crate::args::{Format, Report as Flags};
use crate::exit::{Exit, Failure, Outcome};
use crate::publish::{print, thresholds};
use halfopen_loadgen::report::compare::{Comparison, compare};
use halfopen_loadgen::report::folder::{self, FolderError};
use halfopen_loadgen::report::picture::Curves;
use halfopen_loadgen::report::schema::{Report, ThresholdBlock};
use halfopen_loadgen::report::slices::{Slice, merge};
use halfopen_loadgen::report::{html, text};
use halfopen_loadgen::threshold::Threshold;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

/// A run that was read again.
struct Run {
    folder: PathBuf,
    report: Report,
    curves: Curves,
}

impl Run {
    /// Whether it did a part of its plan.
    fn is_slice(&self) -> bool {
        self.report.plan.get("slice").is_some_and(serde_json::Value::is_string)
    }
}

/// The slices of one plan as one run, which is written into `out` if it is given.
fn together(runs: &[Run], out: Option<&Path>) -> Result<Run, Failure> {
    let slices = runs.iter().map(|run| Slice::read(&run.folder)).collect::<Result<Vec<_>, _>>();
    let (report, histograms) =
        slices.and_then(merge).map_err(|error| Failure::usage(error.to_string()))?;
    let curves = histograms.curves();
    let folder = match out {
        Some(out) => folder::write(&report, &histograms, out, NAME)
            .map_err(|error| Failure::run(error.to_string()))?,
        None => PathBuf::from(NAME),
    };
    Ok(Run { folder, report, curves })
}

/// What slices that were put together are called.
const NAME: &str = "slices";

/// Shows reports.
pub(crate) fn run(flags: &Flags, json: bool, quiet: bool) -> Outcome {
    let (worse, limits) = limits(flags)?;
    let runs = flags.dirs.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let runs = match runs.iter().any(Run::is_slice) {
        true => vec![together(&runs, flags.out.as_deref())?],
        false => runs,
    };
    let baseline = flags.baseline.as_deref().map(read).transpose()?;
    let comparisons: Vec<Comparison> = match &baseline {
        Some(baseline) => runs.iter().map(|run| compare(&baseline.report, &run.report)).collect(),
        None => Vec::new(),
    };
    match if json { Format::Json } else { flags.format } {
        Format::Html if runs[0].folder == Path::new(NAME) && io::stdout().is_terminal() => {
            return Err(Failure::usage("the page of slices put together has no folder yet")
                .next("name one with --out, or look at it with --format=md"));
        }
        Format::Html => pages(&runs)?,
        Format::Md => print(&markdown(&runs, &comparisons))?,
        Format::Json => print(&documents(&runs, &comparisons))?,
        Format::Csv => print(&csv(&runs))?,
    }
    let judged = judge(&runs, &limits);
    if !quiet {
        say(&comparisons, &judged);
    }
    Ok(exit(worse, &comparisons, &judged))
}

/// The limits, and whether `worse` is one of them.
fn limits(flags: &Flags) -> Result<(bool, Vec<Threshold>), Failure> {
    let (worse, others): (Vec<_>, Vec<_>) =
        flags.thresholds.fail_if.iter().cloned().partition(|limit| limit.trim() == "worse");
    if !worse.is_empty() && flags.baseline.is_none() {
        let failure = Failure::usage("--fail-if worse wants something to compare with");
        return Err(failure.next("name the folder of another run with --baseline"));
    }
    Ok((!worse.is_empty(), thresholds(&others)?))
}

fn read(dir: impl AsRef<Path>) -> Result<Run, Failure> {
    let folder = dir.as_ref().to_owned();
    match folder::read(&folder) {
        Ok((report, curves)) => Ok(Run { folder, report, curves }),
        Err(error @ FolderError::NoReport { .. }) => Err(Failure::usage(error.to_string())),
        Err(error) => Err(Failure::usage(error.to_string())
            .next("name the folder of a run, such as results/2026-11-23-lab")),
    }
}

/// One page goes where it is wanted. On a terminal, or if there are several, each is written anew
/// into its folder.
fn pages(runs: &[Run]) -> Result<(), Failure> {
    if let [run] = runs
        && !io::stdout().is_terminal()
    {
        print(&html::page(&run.report, &run.curves))?;
        return Ok(());
    }
    for run in runs {
        let path = run.folder.join("report.html");
        fs::write(&path, html::page(&run.report, &run.curves))
            .map_err(|e| Failure::run(format!("cannot write {}: {e}", path.display())))?;
        print(&path.display().to_string())?;
    }
    Ok(())
}

fn markdown(runs: &[Run], comparisons: &[Comparison]) -> String {
    let mut pages: Vec<String> = runs.iter().map(|run| text::markdown(&run.report)).collect();
    for (page, comparison) in pages.iter_mut().zip(comparisons) {
        page.push_str("\n## Beside the baseline\n\n");
        page.push_str(&comparison.markdown());
    }
    pages.join("\n\n")
}

/// One run is its own document; several, or a comparison, are a list.
fn documents(runs: &[Run], comparisons: &[Comparison]) -> String {
    if let ([run], []) = (runs, comparisons) {
        return folder::json(&run.report);
    }
    let list: Vec<serde_json::Value> = runs
        .iter()
        .enumerate()
        .map(|(i, run)| {
            serde_json::json!({
                "folder": run.folder,
                "report": run.report,
                "comparison": comparisons.get(i),
            })
        })
        .collect();
    serde_json::to_string_pretty(&list).expect("reports are JSON")
}

fn csv(runs: &[Run]) -> String {
    let names: Vec<String> = runs.iter().map(|run| run.folder.display().to_string()).collect();
    let named: Vec<(&str, &Report)> =
        names.iter().map(String::as_str).zip(runs.iter().map(|run| &run.report)).collect();
    text::csv(&named)
}

fn judge(runs: &[Run], limits: &[Threshold]) -> Vec<ThresholdBlock> {
    let documents: Vec<_> = runs
        .iter()
        .map(|run| serde_json::to_value(&run.report).expect("a report is JSON"))
        .collect();
    documents.iter().flat_map(|document| limits.iter().map(|limit| limit.judge(document))).collect()
}

fn say(comparisons: &[Comparison], judged: &[ThresholdBlock]) {
    for comparison in comparisons {
        let judgement = serde_json::to_value(comparison.judgement).expect("a name");
        let judgement = judgement.as_str().unwrap_or_default().replace('_', " ");
        eprintln!("beside the baseline: {judgement}");
        for reason in &comparison.reasons {
            eprintln!("  {reason}");
        }
    }
    for limit in judged.iter().filter(|limit| !limit.held) {
        let value = limit.value.map_or("not measured".into(), |value| value.to_string());
        eprintln!("fail-if {}: missed ({value})", limit.expr);
    }
}

fn exit(worse: bool, comparisons: &[Comparison], judged: &[ThresholdBlock]) -> Exit {
    let status =
        comparisons.iter().map(|c| c.judgement.exit_status()).filter(|_| worse).min_by_key(|s| {
            // A loss is said before a doubt.
            match s {
                3 => 0,
                4 => 1,
                _ => 2,
            }
        });
    match status {
        _ if judged.iter().any(|limit| !limit.held) => Exit::ThresholdMissed,
        Some(3) => Exit::ThresholdMissed,
        Some(4) => Exit::NoVerdict,
        _ => Exit::Done,
    }
}
