use halfopen_driver::{Event, Heard};
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

    pub(super) fn event(&mut self, host: usize, now: Instant, event: &Event<'_>) {
        if let Event::Received { bytes, .. } = event {
            self.fold(bytes);
        }
        if let Event::Sent { chunk, .. } = event {
            self.fold(chunk.as_bytes());
        }
        self.call(host, now, |line| match event {
            Event::Received { id, bytes } => write!(line, "Received {id:?} {}", bytes.len()),
            Event::Sent { id, chunk, at } => {
                write!(line, "Sent {id:?} {} at {at:?}", chunk.as_bytes().len())
            }
            other => write!(line, "{other:?}"),
        });
    }

    pub(super) fn deadline(&mut self, host: usize, now: Instant, heard: Heard) {
        self.call(host, now, |line| write!(line, "Deadline {heard:?}"));
    }

    fn call(
        &mut self,
        host: usize,
        now: Instant,
        what: impl FnOnce(&mut String) -> std::fmt::Result,
    ) {
        self.calls += 1;
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        let written = write!(line, "{now:?} host {host}: ").and_then(|()| what(&mut line));
        assert!(written.is_ok(), "a string takes everything");
        self.fold(line.as_bytes());
        if self.trace {
            eprintln!("{line}");
        }
        self.line = line;
    }

    /// FNV-1a, eight bytes at a time.
    fn fold(&mut self, bytes: &[u8]) {
        for word in bytes.chunks(8) {
            let word = word.iter().fold(word.len() as u64, |sum, &byte| sum << 8 ^ u64::from(byte));
            self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
        }
    }
}
