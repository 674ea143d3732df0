//! `--log`: what the server notes while it runs, on stderr, one line each.
//!
//! A thread of its own writes them: where nobody reads stderr any more, lines are lost, and the
//! shards go on.

use crate::exit::Failure;
use crate::units::nearest;
use clap::ValueEnum;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For eyes
    Text,
    /// One JSON object a line
    Json,
}

/// The log of a process that has one.
pub(crate) struct Log(SyncSender<Note>);

/// What the writing thread is given.
enum Note {
    Line(Vec<u8>),
    /// All that came before is to be written; then it is answered.
    Flush(SyncSender<()>),
}

/// Begins to note what is at least as grave as `given`, or else as `HALFOPEN_LOG` says; none if
/// nothing is to be noted.
///
/// # Errors
/// `HALFOPEN_LOG` names no level, or there is no thread to be had.
pub(crate) fn begin(given: Option<&Targets>, format: Format) -> Result<Option<Log>, Failure> {
    let targets = given.cloned().map_or_else(from_env, Ok)?;
    if targets == Targets::new() || targets == Targets::new().with_default(LevelFilter::OFF) {
        return Ok(None);
    }
    let (notes, to_write) = sync_channel(LINES_MAX);
    let writer = thread::Builder::new().name("log".into());
    writer
        .spawn(move || write_all(&to_write))
        .map_err(|error| Failure::run(format!("starting the log's thread: {error}")))?;
    let lines = notes.clone();
    let lines = tracing_subscriber::fmt::layer().with_writer(move || Lines(lines.clone()));
    let registry = tracing_subscriber::registry().with(targets);
    match format {
        Format::Text => registry.with(lines.with_ansi(is_colourful())).init(),
        Format::Json => registry.with(lines.json().flatten_event(true)).init(),
    }
    Ok(Some(Log(notes)))
}

impl Log {
    /// Waits until all is written, unless nobody reads it.
    pub(crate) fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        if self.0.try_send(Note::Flush(done)).is_ok() {
            let _ = is_done.recv_timeout(FLUSH);
        }
    }
}

/// Takes a line from whoever has one, and never holds them up.
struct Lines(SyncSender<Note>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // If there is no room, it is lost.
        let _ = self.0.try_send(Note::Line(line.to_vec()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(notes: &Receiver<Note>) {
    for note in notes {
        match note {
            // Nobody may be there to read it.
            Note::Line(line) => drop(io::stderr().write_all(&line)),
            Note::Flush(done) => drop(done.send(())),
        }
    }
}

fn from_env() -> Result<Targets, Failure> {
    match std::env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => {
            level(&text).map_err(|error| Failure::usage(format!("{VARIABLE}='{text}': {error}")))
        }
        _ => Ok(Targets::new()),
    }
}

/// Reads a level, or levels by part of the program: `info`, `warn,halfopen_server=debug`.
pub(crate) fn level(text: &str) -> Result<Targets, String> {
    let is_level = |word: &str| LEVELS.contains(&word.to_ascii_lowercase().as_str());
    for part in text.split(',') {
        let word = part.rsplit('=').next().unwrap_or_default();
        if !is_level(word) {
            let meant = nearest(word, LEVELS);
            let meant = meant.map_or(String::new(), |near| format!(" (is '{near}' meant?)"));
            return Err(format!(
                "no level is called '{word}'{meant}: allowed are {}",
                LEVELS.join(" ")
            ));
        }
    }
    text.parse().map_err(|error| format!("{error}"))
}

fn is_colourful() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

/// The lines that may wait to be written.
const LINES_MAX: usize = 1024;
/// How long the end of the process waits for them.
const FLUSH: Duration = Duration::from_secs(1);
const VARIABLE: &str = "HALFOPEN_LOG";
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_for_all_or_by_part() {
        for text in ["info", "WARN", "off", "warn,halfopen_server=debug"] {
            assert!(level(text).is_ok(), "{text}");
        }
        assert!(level("inof").unwrap_err().contains("'info' meant?"));
        assert!(level("info,halfopen_server=loud").unwrap_err().contains("off error warn"));
        assert!(level("").is_err());
    }
}
