//! `report`: what earlier runs found out, in another format or beside other runs.

mod beside;

use crate::args::{Format, Report as Flags};
use crate::exit::{Exit, Failure, Outcome};
use crate::publish::{print, thresholds};
use beside::{Beside, Limits};
use halfopen_loadgen::report::compare::Better;
use halfopen_loadgen::report::folder::{self, FolderError};
use halfopen_loadgen::report::picture::{Curves, overlays};
use halfopen_loadgen::report::schema::{Report, ThresholdBlock};
use halfopen_loadgen::report::slices::{Slice, merge};
use halfopen_loadgen::report::trend::trend;
use halfopen_loadgen::report::{html, text};
use halfopen_loadgen::threshold::{Threshold, metrics};
use serde_json::{Value, json};
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
        self.report.plan.get("slice").is_some_and(Value::is_string)
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
    if flags.list_metrics {
        return list(json);
    }
    let limits = Limits::of(flags)?;
    let runs = read_all(&flags.dirs, flags.out.as_deref())?;
    let baseline = read_all(&flags.baseline, None)?;
    let beside = Beside::of(&baseline, &runs, &limits, flags.anyway)?;
    match if json { Format::Json } else { flags.format } {
        Format::Html if runs.len() + baseline.len() > 1 => {
            overlay(&runs, &baseline, &beside, flags.out.as_deref())?;
        }
        Format::Html if runs[0].folder == Path::new(NAME) && io::stdout().is_terminal() => {
            return Err(Failure::usage("the page of slices put together has no folder yet")
                .next("name one with --out, or look at it with --format=md"));
        }
        Format::Html => page(&runs[0])?,
        Format::Md => print(&markdown(&runs, &beside))?,
        Format::Json => print(&documents(&runs, &beside))?,
        Format::Csv => print(&csv(&runs))?,
        Format::Trend => print(&trend_of(&runs))?,
    }
    let judged = judge(&runs, &limits.thresholds);
    if !quiet {
        beside.say();
        say(&judged);
    }
    Ok(match judged.iter().all(|limit| limit.held) {
        true => beside.exit(&limits),
        false => Exit::ThresholdMissed,
    })
}

/// The figures that limits can be set of.
fn list(json: bool) -> Outcome {
    let better = |path: &str| match Better::of(path) {
        Some(Better::Less) => "less",
        Some(Better::More) => "more",
        None => "",
    };
    let all = metrics();
    let text = match json {
        true => {
            let one = |metric: &halfopen_loadgen::threshold::Metric| json!({ "path": metric.path, "unit": metric.unit, "better": better(&metric.path) });
            serde_json::to_string_pretty(&all.iter().map(one).collect::<Vec<_>>())
                .expect("names are JSON")
        }
        false => {
            let line = |metric: &halfopen_loadgen::threshold::Metric| {
                let better = better(&metric.path);
                format!("{:<62} {:<3} {better}", metric.path, metric.unit).trim_end().to_owned()
            };
            let lines: Vec<_> = all.iter().map(line).collect();
            format!("{:<62} {:<3} better\n{}", "figure", "in", lines.join("\n"))
        }
    };
    print(&text).map(|()| Exit::Done)
}

/// Reads runs; the slices of one plan are one.
fn read_all(dirs: &[PathBuf], out: Option<&Path>) -> Result<Vec<Run>, Failure> {
    let runs = dirs.iter().map(|dir| read(dir)).collect::<Result<Vec<_>, _>>()?;
    match runs.iter().any(Run::is_slice) {
        true => Ok(vec![together(&runs, out)?]),
        false => Ok(runs),
    }
}

fn read(dir: &Path) -> Result<Run, Failure> {
    let folder = dir.to_owned();
    match folder::read(&folder) {
        Ok((report, curves)) => Ok(Run { folder, report, curves }),
        Err(error @ FolderError::NoReport { .. }) => Err(Failure::usage(error.to_string())),
        Err(error) => Err(Failure::usage(error.to_string())
            .next("name the folder of a run, such as results/2026-11-23-lab")),
    }
}

/// The page goes where it is wanted; on a terminal it is written anew into its folder.
fn page(run: &Run) -> Result<(), Failure> {
    let page = html::page(&run.report, &run.curves);
    if !io::stdout().is_terminal() {
        return print(&page);
    }
    let path = run.folder.join("report.html");
    fs::write(&path, page)
        .map_err(|e| Failure::run(format!("cannot write {}: {e}", path.display())))?;
    print(&path.display().to_string())
}

/// One page of several runs, those of the baseline first: with its pictures and documents in a
/// folder of its own in `out`, or else printed.
fn overlay(
    runs: &[Run],
    baseline: &[Run],
    beside: &Beside,
    out: Option<&Path>,
) -> Result<(), Failure> {
    let all = || baseline.iter().chain(runs);
    let names: Vec<String> = all().map(name).collect();
    let named: Vec<_> =
        names.iter().zip(all()).map(|(name, run)| (&**name, &run.report, &run.curves)).collect();
    let page = html::beside(&named, &beside.named());
    let Some(out) = out else {
        if io::stdout().is_terminal() {
            return Err(Failure::usage("the page of several runs has no folder yet")
                .next("name one with --out, or look at it with --format=md"));
        }
        return print(&page);
    };
    let mut files = vec![
        ("comparison.html".to_owned(), page),
        ("comparison.md".to_owned(), markdown(runs, beside)),
        ("comparison.json".to_owned(), documents(runs, beside)),
    ];
    let pictures = overlays(&named);
    files.extend(pictures.iter().map(|one| (format!("{}.svg", one.name), one.file())));
    let files: Vec<_> = files.iter().map(|(name, text)| (&**name, text.clone())).collect();
    let started = &runs[0].report.started;
    let path = folder::write_files(&files, started, out, "comparison")
        .map_err(|error| Failure::run(error.to_string()))?;
    print(&path.join("comparison.html").display().to_string())
}

/// What a run is called in a picture: its folder.
fn name(run: &Run) -> String {
    let name = run.folder.file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| run.folder.display().to_string())
}

fn markdown(runs: &[Run], beside: &Beside) -> String {
    let mut pages: Vec<String> = runs.iter().map(|run| text::markdown(&run.report)).collect();
    pages.extend(beside.markdown());
    pages.join("\n\n")
}

/// One run is its own document; several are a list; with a baseline it is one of the comparison.
fn documents(runs: &[Run], beside: &Beside) -> String {
    let one = |run: &Run| json!({ "folder": run.folder, "report": run.report });
    let all = || runs.iter().map(one).collect::<Vec<_>>();
    let document = match (runs, beside.json()) {
        ([run], None) => return folder::json(&run.report),
        (_, None) => all().into(),
        (_, Some(comparisons)) => json!({ "runs": all(), "comparisons": comparisons }),
    };
    serde_json::to_string_pretty(&document).expect("reports are JSON")
}

fn csv(runs: &[Run]) -> String {
    let names: Vec<String> = runs.iter().map(|run| run.folder.display().to_string()).collect();
    let named: Vec<(&str, &Report)> =
        names.iter().map(String::as_str).zip(runs.iter().map(|run| &run.report)).collect();
    text::csv(&named)
}

fn trend_of(runs: &[Run]) -> String {
    let reports: Vec<&Report> = runs.iter().map(|run| &run.report).collect();
    serde_json::to_string_pretty(&trend(&reports)).expect("figures are JSON")
}

fn judge(runs: &[Run], limits: &[Threshold]) -> Vec<ThresholdBlock> {
    let documents: Vec<_> = runs
        .iter()
        .map(|run| serde_json::to_value(&run.report).expect("a report is JSON"))
        .collect();
    documents.iter().flat_map(|document| limits.iter().map(|limit| limit.judge(document))).collect()
}

fn say(judged: &[ThresholdBlock]) {
    for limit in judged.iter().filter(|limit| !limit.held) {
        let value = limit.value.map_or("not measured".into(), |value| value.to_string());
        eprintln!("fail-if {}: missed ({value})", limit.expr);
    }
}
