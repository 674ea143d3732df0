//! What is done with a report: written, printed, turned into an exit status.

use crate::exit::{Exit, Failure, Outcome};
use crate::summary;
use halfopen_loadgen::report::Histograms;
use halfopen_loadgen::report::folder::{self, FolderError};
use halfopen_loadgen::report::schema::{Report, Verdict};
use halfopen_loadgen::threshold::Threshold;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where a report goes.
pub(crate) struct Place<'a> {
    /// The parent of its folder; none: it is not written.
    pub out: Option<&'a Path>,
    /// The end of the folder's name.
    pub name: &'a str,
    /// Whether stdout is for JSON alone.
    pub json: bool,
}

/// Checks before a run that its report can be written.
pub(crate) fn check_out(out: &Path) -> Result<(), Failure> {
    folder::check(out).map_err(|error| {
        Failure::run(format!("no report could be kept: {error}"))
            .next("name a folder that can be written with --out")
    })
}

/// Writes a report, and shows it as a table unless it is printed as JSON.
///
/// # Errors
/// It could not be written; even then it has been printed.
pub(crate) fn publish(report: &Report, histograms: &Histograms, place: &Place<'_>) -> Outcome {
    let written = place.out.map(|out| folder::write(report, histograms, out, place.name));
    tell(report, written.transpose(), place.json)
}

/// Shows a report as a table unless it is printed as JSON, and says where it was written.
///
/// # Errors
/// It could not be written; even then it has been printed.
pub(crate) fn tell(
    report: &Report,
    written: Result<Option<PathBuf>, FolderError>,
    json: bool,
) -> Outcome {
    // Of a run that came to nothing there is nothing to show.
    if !json && report.figures.connections.opened > 0 {
        print(&summary::text(report))?;
    }
    match written {
        Ok(Some(path)) if !json => {
            print(&format!("report: {}/report.html", path.display()))?;
        }
        Ok(_) => {}
        Err(error) => {
            return Err(Failure::run(format!("the report is not kept: {error}"))
                .next("what was measured stands above; --json prints all of it"));
        }
    }
    Ok(exit(report.verdict))
}

/// The exit status of a verdict.
pub(crate) fn exit(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Ok => Exit::Done,
        Verdict::Failed => Exit::Failed,
        Verdict::ThresholdMissed => Exit::ThresholdMissed,
        Verdict::NoVerdict => Exit::NoVerdict,
        Verdict::Interrupted => Exit::Interrupted,
    }
}

/// The worse of two ends.
pub(crate) fn worse(one: Outcome, other: Outcome) -> Outcome {
    let badness = |outcome: &Outcome| match outcome {
        Ok(Exit::Done) => 0,
        Ok(Exit::NoVerdict) => 1,
        Ok(Exit::ThresholdMissed) => 2,
        Ok(_) => 3,
        Err(_) => 4,
    };
    if badness(&other) > badness(&one) { other } else { one }
}

/// Reads the limits that were given.
pub(crate) fn thresholds(given: &[String]) -> Result<Vec<Threshold>, Failure> {
    let read = |expr: &String| {
        expr.parse().map_err(|e| Failure::usage(format!("--fail-if '{expr}': {e}")))
    };
    given.iter().map(read).collect()
}

/// Prints on stdout. Somebody who reads no further (`| head`) is no failure.
///
/// # Errors
/// The disk behind it is full, or something like that.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::run(format!("cannot write to stdout: {error}"))
                .next("make room, or send it elsewhere"))
        }
        _ => Ok(()),
    }
}
