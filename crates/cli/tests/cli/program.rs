//! Runs the binary.

use halfopen_sim::skipped;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The binary with arguments, not run yet.
pub(crate) fn halfopen(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_halfopen"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str]) -> Ran {
    halfopen(args).output().unwrap().into()
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// Stdout as the one JSON document that it has to be.
    pub(crate) fn document(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// `serve` on a free port.
pub(crate) struct Served {
    child: Child,
    out: BufReader<ChildStdout>,
    pub(crate) line: String,
}

impl Served {
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::run(&mut halfopen(&[&["serve", "--listen=127.0.0.1:0"], flags].concat()))
    }

    /// `serve` as it was put together elsewhere.
    pub(crate) fn run(serve: &mut Command) -> Self {
        let mut child = serve.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        Self { child, out, line: line.trim_end().into() }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn addr(&self) -> &str {
        self.url_said().split_once("://").unwrap().1
    }

    /// The address as it is said: `ws://127.0.0.1:PORT`, or `wss://`.
    pub(crate) fn url_said(&self) -> &str {
        let words = self.line.split([' ', '"']);
        let mut urls = words.filter(|word| word.starts_with("ws://") || word.starts_with("wss://"));
        urls.next().expect("it says where it listens")
    }

    /// Where the admin listener is.
    pub(crate) fn admin(&self) -> &str {
        let from = self.line.find("http://").expect("it says where") + "http://".len();
        self.line[from..].split([' ', '"']).next().unwrap()
    }

    pub(crate) fn tell(&self, signal: Signal) {
        tell(&self.child, signal);
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.addr())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, and waits for its end.
    pub(crate) fn end(mut self, signals: &[Signal]) -> Ran {
        for &signal in signals {
            tell(&self.child, signal);
            // Two at the same instant are one for the kernel.
            std::thread::sleep(Duration::from_millis(200));
        }
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        let mut err = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        let status = self.child.wait().unwrap().code();
        Ran { status, out: rest, err }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn tell(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Whether a run says of itself that others took the machine from it. Then the living may answer too
/// late, and the kernel tells of destroyed sockets seconds later than it destroys them.
pub(crate) fn is_spoilt(report: &serde_json::Value) -> bool {
    let hiccup_ms = report["machine"]["hiccups_ms"]["max"].as_f64().expect("it counts them");
    let doubts = report["doubts"].as_array().expect("a list");
    hiccup_ms > 300.0 || doubts.iter().any(|doubt| doubt["code"] == "foreign_cpu")
}

/// Has `attempt` made up to three times, until one was not spoilt.
pub(crate) fn unspoilt(what: &str, attempt: impl Fn() -> Option<()>) {
    if (0..3).all(|_| attempt().is_none()) {
        skipped(&format!("others take this machine from {what}"));
    }
}

/// Waits until something is the case.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
