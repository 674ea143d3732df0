//! Tests that cannot be made here say so.

use std::fs::OpenOptions;
use std::io::{Write, stderr};

/// Says that something is not tested here, and why: past the harness, which shows the output of no
/// test that passes, and into the file that `SKIPS` names, which CI lists at its end.
pub fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("{test}: {why}\n");
    // Where neither can be written there is nobody to tell.
    let _ = write!(stderr(), "SKIPPED {line}");
    if let Some(file) = std::env::var_os("SKIPS") {
        let _ = OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
