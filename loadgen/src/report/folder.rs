//! The folder that a run leaves behind.
//!
//! It is written under a hidden name and then renamed, so that whoever sees it sees all of it.

use super::picture::{self, Curves};
use super::schema::{Report, json_schema};
use super::{Histograms, hgrm, hlog, html, slices, text};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A folder could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The kernel would not.
    #[error("{}: {source}{}", .path.display(), hint(.source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is a `report.json`, but it is none of ours.
    #[error("{}: no report of this program: {source}", .path.display())]
    NoReport {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        source: serde_json::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; choose another place with --out"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room, or choose another place with --out"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "; --out wants a folder, which is made if it is not there"
        }
        _ => "",
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FolderError + '_ {
    |source| FolderError::Io { path: path.to_owned(), source }
}

/// Checks before a run that its folder can be made in `out`, which is made if it is not there.
///
/// # Errors
/// Nothing can be written there.
pub fn check(out: &Path) -> Result<(), FolderError> {
    let hidden = hidden(out);
    fs::create_dir_all(out).map_err(at(out))?;
    fs::create_dir(&hidden).and_then(|()| fs::remove_dir(&hidden)).map_err(at(out))
}

/// Writes the folder `<date>-<name>` into `out`, with a number behind it if there is one already,
/// and returns its path.
///
/// # Errors
/// The disk is full, or nothing may be written there; then nothing is left behind.
pub fn write(
    report: &Report,
    histograms: &Histograms,
    out: &Path,
    name: &str,
) -> Result<PathBuf, FolderError> {
    Draft::begin(out)?.publish(report, histograms, name)
}

/// Writes `files`, by their names, into a folder of their own in `out`, called like that of a run
/// that began at `started` (RFC 3339), and returns its path.
///
/// # Errors
/// The disk is full, or nothing may be written there; then nothing is left behind.
pub fn write_files(
    files: &[(&str, String)],
    started: &str,
    out: &Path,
    name: &str,
) -> Result<PathBuf, FolderError> {
    let draft = Draft::begin(out)?;
    for (file, contents) in files {
        draft.put(file.as_ref(), contents.as_bytes())?;
    }
    publish(started, &draft.hidden, out, name)
}

fn hidden(out: &Path) -> PathBuf {
    out.join(format!(".halfopen-{}", std::process::id()))
}

/// A folder that is not published yet: what is written into it before is published with it. Dropped,
/// it is removed.
#[derive(Debug)]
pub struct Draft {
    out: PathBuf,
    hidden: PathBuf,
}

impl Draft {
    /// Makes it, in `out`.
    ///
    /// # Errors
    /// Nothing can be written there.
    pub fn begin(out: &Path) -> Result<Self, FolderError> {
        let hidden = hidden(out);
        fs::create_dir_all(&hidden).map_err(at(&hidden))?;
        Ok(Self { out: out.to_owned(), hidden })
    }

    /// Where it is while it is not published.
    pub fn path(&self) -> &Path {
        &self.hidden
    }

    /// Writes the report of one of several runs into a folder inside.
    ///
    /// # Errors
    /// The disk is full, or nothing may be written there.
    pub fn add(
        &self,
        folder: &str,
        report: &Report,
        histograms: &Histograms,
    ) -> Result<(), FolderError> {
        fill(report, histograms, &self.hidden.join(folder))
    }

    /// Writes any other file inside.
    ///
    /// # Errors
    /// The disk is full, or nothing may be written there.
    pub fn put(&self, file: &Path, contents: &[u8]) -> Result<(), FolderError> {
        let path = self.hidden.join(file);
        fs::write(&path, contents).map_err(at(&path))
    }

    /// Writes the report and gives the folder its name.
    ///
    /// # Errors
    /// The disk is full, or nothing may be written there; then nothing is left behind.
    pub fn publish(
        self,
        report: &Report,
        histograms: &Histograms,
        name: &str,
    ) -> Result<PathBuf, FolderError> {
        fill(report, histograms, &self.hidden)?;
        publish(&report.started, &self.hidden, &self.out, name)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // A published one is there under this name no more.
        let _ = fs::remove_dir_all(&self.hidden);
    }
}

fn fill(report: &Report, histograms: &Histograms, folder: &Path) -> Result<(), FolderError> {
    fs::create_dir_all(folder).map_err(at(folder))?;
    let put = |name: &str, contents: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, contents).map_err(at(&path))
    };
    put("report.json", json(report).as_bytes())?;
    put("report.schema.json", pretty(&json_schema()).as_bytes())?;
    for (name, histogram) in &histograms.whole {
        put(&format!("{name}.hgrm"), hgrm::write(histogram).as_bytes())?;
    }
    let curves = histograms.curves();
    for picture in picture::all(report, &curves) {
        put(&format!("{}.svg", picture.name), picture.file().as_bytes())?;
    }
    put("report.html", html::page(report, &curves).as_bytes())?;
    if let Some(slice) = &histograms.slice {
        put(slices::FILE, pretty(slice).as_bytes())?;
    }
    if !report.servers.is_empty() {
        // What lies in intervals lies in the folders of the runs.
        return put("report.md", text::markdown(report).as_bytes());
    }
    let mut log = Vec::new();
    let started = report.started.parse().expect("a report tells the time by RFC 3339");
    hlog::write(&mut log, histograms.began, started, &histograms.intervals).map_err(at(folder))?;
    put("intervals.hlog", &log)
}

/// The document that `--json` prints and `report.json` holds.
pub fn json(report: &Report) -> String {
    pretty(report)
}

pub(crate) fn pretty(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("it is JSON");
    text.push('\n');
    text
}

/// Gives the finished folder its name, the first that is free.
fn publish(started: &str, hidden: &Path, out: &Path, name: &str) -> Result<PathBuf, FolderError> {
    let date = started.split('T').next().unwrap_or_default();
    let name = format!("{date}-{}", sanitized(name));
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    for name in std::iter::once(name.clone()).chain(numbered) {
        let folder = out.join(name);
        if folder.exists() {
            continue;
        }
        match fs::rename(hidden, &folder) {
            // Somebody else took the name between the look and the rename.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            renamed => return renamed.map(|()| folder.clone()).map_err(at(&folder)),
        }
    }
    unreachable!("there are more numbers than folders")
}

/// A name that is a name everywhere: letters, digits, `-`, `_` and `.`, at most 64 of them.
fn sanitized(name: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let plain: String = name.chars().map(|c| if safe(c) { c } else { '-' }).take(64).collect();
    let trimmed = plain.trim_matches(['-', '.']);
    if trimmed.is_empty() { "run".to_owned() } else { trimmed.to_owned() }
}

/// Reads a folder again: its report, and the curves of its `.hgrm` files.
///
/// # Errors
/// It holds no report.
pub fn read(folder: &Path) -> Result<(Report, Curves), FolderError> {
    let path = folder.join("report.json");
    let text = fs::read_to_string(&path).map_err(at(&path))?;
    let report = serde_json::from_str(&text)
        .map_err(|source| FolderError::NoReport { path: path.clone(), source })?;
    let mut curves = Curves::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let file = entry.map_err(at(folder))?.path();
        if file.extension().is_some_and(|ending| ending == "hgrm") {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            curves.insert(name, hgrm::read(&fs::read_to_string(&file).map_err(at(&file))?));
        }
    }
    Ok((report, curves))
}

impl Histograms {
    /// The curves that pictures are drawn from.
    pub fn curves(&self) -> Curves {
        self.whole.iter().map(|(name, histogram)| (name.clone(), hgrm::rows(histogram))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample_run::sample;
    use super::*;
    use std::process::Command;

    #[test]
    fn a_folder_holds_everything_and_is_read_again() {
        let (report, histograms) = sample();
        let out = tempfile::tempdir().unwrap();
        check(&out.path().join("new")).unwrap();
        let folder = write(&report, &histograms, &out.path().join("new"), "a run/../x").unwrap();
        assert!(folder.ends_with("2026-11-20-a-run-..-x"), "{folder:?}");
        for file in [
            "report.json",
            "report.schema.json",
            "report.html",
            "intervals.hlog",
            "ping-rtt.hgrm",
            "connect.hgrm",
            "detection-blackhole.hgrm",
            "reclaim-freeze.hgrm",
            "rtt.svg",
            "detection.svg",
            "zombies.svg",
            "timeline.svg",
        ] {
            assert!(folder.join(file).is_file(), "{file}");
        }
        assert!(!folder.join("message-latency.hgrm").exists(), "nothing was measured");
        let (again, curves) = read(&folder).unwrap();
        assert_eq!(again, report);
        assert_eq!(curves.len(), histograms.whole.len());
        // Drawn from the files, the page is the same to the eye; its numbers are rounded.
        let page = html::page(&again, &curves);
        assert_eq!(page.matches("<svg").count(), 8);
    }

    #[test]
    fn a_folder_of_several_servers_holds_those_of_their_runs() {
        let (comparison, distributions) = super::super::servers::tests::contest();
        let (run, histograms) = sample();
        let out = tempfile::tempdir().unwrap();
        let draft = Draft::begin(out.path()).unwrap();
        draft.add("pings-1", &run, &histograms).unwrap();
        draft.put(Path::new("pings-1/pings.stderr.txt"), b"last words").unwrap();
        let folder = draft.publish(&comparison, &distributions, "both").unwrap();
        for file in [
            "report.json",
            "report.html",
            "report.md",
            "zombies-freeze.svg",
            "pings.detection-freeze.hgrm",
            "pings-1/report.json",
            "pings-1/intervals.hlog",
            "pings-1/pings.stderr.txt",
        ] {
            assert!(folder.join(file).is_file(), "{file}");
        }
        let (again, curves) = read(&folder).unwrap();
        assert_eq!(again, comparison);
        assert_eq!(curves.len(), distributions.whole.len());
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_draft_that_is_not_published_leaves_nothing() {
        let out = tempfile::tempdir().unwrap();
        let (report, histograms) = sample();
        Draft::begin(out.path()).unwrap().add("one-1", &report, &histograms).unwrap();
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_reader_by_other_hands_reads_the_histograms() {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let knows = Command::new(&python).args(["-c", "import hdrh"]).output();
        if !knows.is_ok_and(|output| output.status.success()) {
            return halfopen_sim::skipped(&format!("{python} has no hdrhistogram; pip install it"));
        }
        let (report, histograms) = sample();
        let out = tempfile::tempdir().unwrap();
        let folder = write(&report, &histograms, out.path(), "lab").unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/read-with-hdrhistogram");
        let output = Command::new(python).arg(script).arg(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn a_second_run_of_a_name_gets_a_number_and_nothing_hidden_stays() {
        let (report, histograms) = sample();
        let out = tempfile::tempdir().unwrap();
        let names = [(); 3].map(|()| write(&report, &histograms, out.path(), "lab").unwrap());
        let names = names.map(|path| path.file_name().unwrap().to_owned());
        assert_eq!(names, ["2026-11-20-lab", "2026-11-20-lab-2", "2026-11-20-lab-3"]);
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_place_that_is_no_folder_is_named() {
        let out = tempfile::tempdir().unwrap();
        let file = out.path().join("file");
        fs::write(&file, "").unwrap();
        let (report, histograms) = sample();
        for error in
            [check(&file).unwrap_err(), write(&report, &histograms, &file, "x").unwrap_err()]
        {
            let text = error.to_string();
            assert!(text.contains("file") && text.contains("--out"), "{text}");
        }
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read(folder.path()), Err(FolderError::Io { .. })));
        fs::write(folder.path().join("report.json"), "{}").unwrap();
        assert!(matches!(read(folder.path()), Err(FolderError::NoReport { .. })));
    }
}
