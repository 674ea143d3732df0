use halfopen_driver::{ConnId, Event, Heard};
use halfopen_wheel::Instant;
use std::fmt::Write;

/// The log of a world: every call of every engine, with its time, folded into one number; and on
/// request printed.
#[derive(Debug)]
pub(super) struct Record {
    hash: u64,
    calls: u64,
    trace: bool,
    line: String,
}

impl Record {
    pub(super) fn new() -> Self {
        let trace = std::env::var_os("HALFOPEN_TRACE").is_some();
        Self { hash: 0xcbf2_9ce4_8422_2325, calls: 0, trace, line: String::new() }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    /// What happens all the time is folded as numbers, the rest as it is printed.
    pub(super) fn event(&mut self, host: usize, now: Instant, event: &Event<'_>) {
        let name = |id: &ConnId| u64::from(id.index) << 32 | u64::from(id.generation);
        match event {
            Event::Received { id, bytes } => {
                self.call(host, now, &[1, name(id)]);
                self.fold(bytes);
            }
            Event::Sent { id, chunk, at } => {
                self.call(host, now, &[2, name(id), at.as_nanos()]);
                self.fold(chunk.as_bytes());
            }
            other => {
                self.call(host, now, &[3]);
                self.line(|line| write!(line, "{other:?}"));
                self.fold_line();
            }
        }
        if self.trace {
            self.print(host, now, |line| match event {
                Event::Received { id, bytes } => write!(line, "Received {id:?} {}", bytes.len()),
                Event::Sent { id, chunk, at } => {
                    write!(line, "Sent {id:?} {} at {at:?}", chunk.as_bytes().len())
                }
                other => write!(line, "{other:?}"),
            });
        }
    }

    pub(super) fn deadline(&mut self, host: usize, now: Instant, heard: Heard) {
        let busy = heard.busy_since.map_or(u64::MAX, |busy| busy.start().as_nanos());
        self.call(host, now, &[4, heard.until.as_nanos(), busy]);
        if self.trace {
            self.print(host, now, |line| write!(line, "Deadline {heard:?}"));
        }
    }

    fn call(&mut self, host: usize, now: Instant, what: &[u64]) {
        self.calls += 1;
        self.fold_word(now.as_nanos());
        self.fold_word(host as u64);
        what.iter().for_each(|&word| self.fold_word(word));
    }

    fn print(
        &mut self,
        host: usize,
        now: Instant,
        what: impl FnOnce(&mut String) -> std::fmt::Result,
    ) {
        self.line(what);
        eprintln!("{now:?} host {host}: {}", self.line);
    }

    fn line(&mut self, what: impl FnOnce(&mut String) -> std::fmt::Result) {
        self.line.clear();
        let written = what(&mut self.line);
        assert!(written.is_ok(), "a string takes everything");
    }

    fn fold_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.fold(line.as_bytes());
        self.line = line;
    }

    fn fold(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        self.fold_word(bytes.len() as u64);
        words.iter().for_each(|word| self.fold_word(u64::from_le_bytes(*word)));
        rest.iter().for_each(|&byte| self.fold_word(byte.into()));
    }

    /// FNV-1a, eight bytes at a time.
    fn fold_word(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    }
}
