//! Where a result is written.

use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};

/// Makes `<date>-<name>` in `out`, with a number behind it if there is one already.
///
/// # Errors
/// It cannot be made.
pub fn make(out: &Path, started: &str, name: &str) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    let date = started.split('T').next().unwrap_or_default();
    let mut names = (1..).map(|n| match n {
        1 => format!("{date}-{name}"),
        n => format!("{date}-{name}-{n}"),
    });
    let folder = names.find_map(|name| Some(out.join(name)).filter(|folder| !folder.exists()));
    let folder = folder.context("every number is taken")?;
    fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

/// What to type to measure the same with the program `name` of these benches.
pub fn command(name: &str) -> Vec<String> {
    let cargo = ["cargo", "run", "--release", "-p", "halfopen-benches", "--bin", name, "--"];
    cargo.into_iter().map(str::to_owned).chain(std::env::args().skip(1)).collect()
}
