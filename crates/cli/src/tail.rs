//! The last part of what a process writes.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Reads to the end, on a thread of its own, and keeps the last [`KEPT`] bytes.
pub(crate) struct Tail {
    kept: Arc<Mutex<VecDeque<u8>>>,
    thread: JoinHandle<()>,
}

impl Tail {
    /// Of everything that comes from `stream`.
    pub(crate) fn of(mut stream: impl Read + Send + 'static) -> Self {
        let kept = Arc::<Mutex<VecDeque<u8>>>::default();
        let to = kept.clone();
        let thread = thread::spawn(move || {
            let mut chunk = vec![0; CHUNK];
            while let Ok(read @ 1..) = stream.read(&mut chunk) {
                let mut kept = to.lock().expect("nobody panics with it");
                kept.extend(&chunk[..read]);
                let excess = kept.len().saturating_sub(KEPT);
                kept.drain(..excess);
            }
        });
        Self { kept, thread }
    }

    /// All that is kept, from the beginning of a line on. What a process wrote may come a little
    /// after its end.
    pub(crate) fn text(&self) -> String {
        let end = Instant::now() + STRAGGLERS;
        while !self.thread.is_finished() && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
        let mut kept = self.kept.lock().expect("nobody panics with it");
        let cut = kept.len() == KEPT;
        let text = String::from_utf8_lossy(kept.make_contiguous());
        match text.split_once('\n') {
            Some((_, rest)) if cut => rest.to_owned(),
            _ => text.into_owned(),
        }
    }

    /// The last lines of it, as many as a person reads.
    pub(crate) fn last_words(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.trim_end().lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

const KEPT: usize = 64 << 10;
const CHUNK: usize = 16 << 10;
const LINES: usize = 20;
/// How long what was written last may be on its way. A process that outlives the one that is read
/// may hold the pipe for longer.
const STRAGGLERS: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn what_was_written_last_is_kept_by_whole_lines() {
        let lines: Vec<String> = (0..20_000).map(|n| format!("line {n}\n")).collect();
        let tail = Tail::of(Cursor::new(lines.concat()));
        let text = tail.text();
        assert!(text.len() <= KEPT && text.len() > KEPT - 20, "{}", text.len());
        assert!(text.starts_with("line ") && text.ends_with("line 19999\n"));
        assert_eq!(tail.last_words().lines().count(), LINES);
        assert!(tail.last_words().starts_with("line 19980\n"));
    }

    #[test]
    fn a_little_is_kept_as_it_is() {
        let tail = Tail::of(Cursor::new("only\nthis"));
        assert_eq!(
            (tail.text().as_str(), tail.last_words().as_str()),
            ("only\nthis", "only\nthis")
        );
        assert_eq!(Tail::of(Cursor::new("")).last_words(), "");
    }
}
