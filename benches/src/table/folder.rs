//! Where a result is written: a folder of its own, named by its date.

use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};

/// Makes the folder `<date>-<name>` in `out`, with a number behind it if there is one already.
/// `started` is RFC 3339.
///
/// # Errors
/// The folder cannot be made.
pub fn make(out: &Path, started: &str, name: &str) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    let date = started.split('T').next().unwrap_or_default();
    let names = (1..).map(|n| match n {
        1 => format!("{date}-{name}"),
        n => format!("{date}-{name}-{n}"),
    });
    for folder in names.map(|name| out.join(name)) {
        if !folder.exists() {
            fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
            return Ok(folder);
        }
    }
    unreachable!("there is always another number")
}
