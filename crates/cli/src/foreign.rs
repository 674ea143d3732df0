//! A foreign server as a process group of its own: started on a free port, waited for, watched,
//! stopped.
//!
//! Its command is run by `sh -c`. Whatever happens to this process, the group ends: it is stopped in
//! good order, or else by a [`Guard`].

use crate::args::{Foreign, with_port};
use crate::child::obituary;
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::measure::{hopeless, run_error};
use crate::tail::Tail;
use crate::units::Typed;
use halfopen_loadgen::death::Unwatched;
use halfopen_loadgen::plan::Plan;
use halfopen_loadgen::run::{Outcome, Run};
use halfopen_server::DriverKind;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// A server that was started. Dropped, it is stopped.
pub(crate) struct ForeignServer {
    name: String,
    child: Child,
    errors: Tail,
    guard: Guard,
    stopped: bool,
}

/// How the wait for a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// It succeeded.
    Ready,
    /// Somebody asked for the end before.
    Interrupted,
}

/// A port on which nobody listens right now.
///
/// # Errors
/// There is none.
pub(crate) fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    Ok(address.map_err(|e| Failure::run(format!("no port is free: {e}")))?.port())
}

impl ForeignServer {
    /// Starts `server` on `port`, on the cores `cpus`; empty: on any.
    ///
    /// # Errors
    /// There is no shell, or no room for a process.
    pub(crate) fn start(server: &Foreign, port: u16, cpus: &[usize]) -> Result<Self, Failure> {
        let mut command = Command::new("sh");
        command
            .args(["-c", &with_port(&server.command, port)])
            .env("PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A signal reaches all that it starts, and Ctrl-C none of them before the end.
            .process_group(0);
        let name = server.name.clone();
        let failed = |e| Failure::run(format!("cannot start the server {name}: {e}"));
        let mut child = spawn_on(cpus, &mut command).map_err(failed)?;
        let errors = Tail::of(child.stderr.take().expect("it is piped"));
        match Guard::of(Pid::from_child(&child)) {
            Ok(guard) => Ok(Self { name: name.clone(), child, errors, guard, stopped: false }),
            Err(error) => {
                signal(Pid::from_child(&child), Signal::KILL);
                let _ = child.wait();
                Err(failed(error))
            }
        }
    }

    /// The number of its first process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a connection as `plan` opens them gets through its opening handshake.
    ///
    /// # Errors
    /// None does within `patience`, the server refuses it, or it has ended.
    pub(crate) fn wait_for_handshake(
        &mut self,
        plan: &Plan,
        driver: DriverKind,
        patience: Duration,
        interrupt: &Interrupt,
    ) -> Result<Wait, Failure> {
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let outcome = knock(plan, driver, left.max(PAUSE))?;
            if let Some(failure) = self.died() {
                return Err(failure);
            }
            match hopeless(&outcome) {
                _ if interrupt.asked() => return Ok(Wait::Interrupted),
                None => return Ok(Wait::Ready),
                Some(why) if is_refusal(&outcome) => return Err(self.with_last_words(why)),
                Some(why) if Instant::now() >= end => return Err(self.never_ready(&why, patience)),
                Some(_) => interrupt.sleep(PAUSE),
            };
        }
    }

    /// How it ended, if it has, though nobody asked it to; with its last words.
    pub(crate) fn died(&mut self) -> Option<Failure> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(obituary(&format!("the server {}", self.name), status, &self.errors.last_words()))
    }

    /// Ends it and all that it started, and returns the last part of what it wrote on stderr.
    pub(crate) fn stop(mut self) -> String {
        self.end();
        self.errors.text()
    }

    fn end(&mut self) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        let group = Pid::from_child(&self.child);
        for (word, patience) in [(Signal::TERM, TO_STOP), (Signal::KILL, TO_DIE)] {
            signal(group, word);
            if self.is_gone_within(patience) {
                break;
            }
        }
        self.guard.dismiss();
    }

    fn is_gone_within(&mut self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        loop {
            let ended = matches!(self.child.try_wait(), Ok(Some(_)));
            if ended && test_kill_process_group(Pid::from_child(&self.child)).is_err() {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            thread::sleep(LOOK);
        }
    }

    fn never_ready(&self, why: &Failure, patience: Duration) -> Failure {
        let cause = format!(
            "the server {} took no WebSocket handshake within {}: {}",
            self.name,
            Typed(patience),
            why.cause
        );
        self.with_last_words(Failure::run(cause).next(
            "does it listen on {port} (or PORT), and does --url lead to it? --server-start waits \
             for longer",
        ))
    }

    fn with_last_words(&self, failure: Failure) -> Failure {
        let words = self.errors.last_words();
        let step = failure.next.clone().unwrap_or_default();
        match words.is_empty() {
            true => failure,
            false => failure.next(format!("{step}\nits last words were\n{words}")),
        }
    }
}

impl Drop for ForeignServer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Opens one connection as `plan` says, and closes it again.
fn knock(plan: &Plan, driver: DriverKind, patience: Duration) -> Result<Outcome, Failure> {
    let plan = Plan {
        connections: 1,
        shards: 1,
        connect_timeout: plan.connect_timeout.min(patience),
        duration: Duration::ZERO,
        message_rate: None,
        window: None,
        client_ping: None,
        kills: Vec::new(),
        ..plan.clone()
    };
    let run = Run::start(plan, driver, Arc::new(Unwatched)).and_then(Run::join);
    run.map_err(|e| run_error(&e))
}

/// Whether the server answers and does not want us: it will not think better of it.
fn is_refusal(outcome: &Outcome) -> bool {
    outcome.tally.failed.keys().any(|reason| reason.starts_with("status_4"))
}

/// A process begins on the cores of the thread that starts it, and so does all that it starts.
fn spawn_on(cpus: &[usize], command: &mut Command) -> io::Result<Child> {
    let spawn = || {
        if !cpus.is_empty() {
            let mut set = CpuSet::new();
            cpus.iter().for_each(|&cpu| set.set(cpu));
            sched_setaffinity(None, &set)?;
        }
        command.spawn()
    };
    thread::scope(|scope| scope.spawn(spawn).join().expect("to start a process does not panic"))
}

fn signal(group: Pid, signal: Signal) {
    // It may be gone already.
    let _ = kill_process_group(group, signal);
}

/// Kills a process group when this process has ended, in whatever way: then its stdin ends.
struct Guard(Child);

impl Guard {
    fn of(group: Pid) -> io::Result<Self> {
        let watch = "read -r _; kill -s KILL -- \"-$1\"";
        Command::new("sh")
            .args(["-c", watch, "guard", &group.as_raw_pid().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map(Self)
    }

    fn dismiss(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const PAUSE: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(10);
/// How long a server may take to end after SIGTERM, and its kernel after SIGKILL.
const TO_STOP: Duration = Duration::from_secs(5);
const TO_DIE: Duration = Duration::from_secs(2);
