//! The reference server as a process of its own: its place beside the generator is then that of any
//! other server.

use crate::args::Reference;
use crate::exit::{Exit, Failure, Outcome};
use crate::publish::print;
use crate::tail::Tail;
use halfopen_loadgen::calibrate::{Record, serve};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Serves until standard input ends; tells before it where it listens, and after it what it did.
pub(crate) fn run(flags: &Reference) -> Outcome {
    let failed = |what: &str, error: io::Error| Failure::run(format!("{what}: {error}"));
    if let Some(cpus) = &flags.cpu {
        let mut set = CpuSet::new();
        cpus.0.iter().for_each(|&cpu| set.set(cpu));
        sched_setaffinity(None, &set).map_err(|e| failed("the cores are not free", e.into()))?;
    }
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| failed("cannot listen", e))?;
    let addr = listener.local_addr().map_err(|e| failed("cannot listen", e))?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    thread::spawn(move || {
        // However it ends, nobody wants this server any more.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        stopped.store(true, Ordering::Relaxed);
    });
    print(&addr.to_string())?;
    let record = serve(listener, flags.delay, flags.seed, &stop)
        .map_err(|e| failed("the reference server failed", e))?;
    print(&serde_json::to_string(&record).expect("a record is JSON"))?;
    Ok(Exit::Done)
}

/// A reference server that runs. Dropped, it is killed; should this process be killed, it ends by
/// itself, because its stdin ends.
pub(super) struct ReferenceServer {
    child: Child,
    out: BufReader<ChildStdout>,
    errors: Tail,
    pub(super) addr: SocketAddr,
}

impl ReferenceServer {
    /// Starts it, and waits until it listens.
    pub(super) fn start(flags: &[OsString]) -> Result<Self, Failure> {
        let program = std::env::current_exe()
            .map_err(|e| Failure::run(format!("cannot find this program's own file: {e}")))?;
        let mut child = Command::new(&program)
            .arg("reference")
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C goes to the whole group in front; the server shall outlive the measurement.
            .process_group(0)
            .spawn()
            .map_err(|e| Failure::run(format!("cannot start {}: {e}", program.display())))?;
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        let errors = Tail::of(child.stderr.take().expect("it is piped"));
        let mut line = String::new();
        // A server that does not start says nothing there.
        let _ = out.read_line(&mut line);
        match line.trim().parse() {
            Ok(addr) => Ok(Self { child, out, errors, addr }),
            Err(_) => Err(Failure::run(format!(
                "the reference server did not start: {}",
                errors.last_words().trim_start_matches("error: ")
            ))),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(super) fn died(&mut self) -> Option<Failure> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(crate::child::obituary("the reference server", status, &self.errors.last_words()))
    }

    /// Ends it, and takes over its record.
    pub(super) fn stop(mut self) -> Result<Record, Failure> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        let read = self.out.read_to_string(&mut text);
        let record = read.ok().and_then(|_| serde_json::from_str(&text).ok());
        record.ok_or_else(|| Failure::run("the reference server left no record"))
    }
}

impl Drop for ReferenceServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
