//! A server of ours as a process of its own: started, listened to, watched, stopped.

use crate::exit::Failure;
use crate::tail::Tail;
use halfopen_server::Stats;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A server process. Dropped, it is killed; should this process be killed, it ends by itself,
/// because its stdin ends.
pub(crate) struct ServerProcess {
    child: Child,
    /// Held open for as long as the server shall live.
    _stdin: ChildStdin,
    lines: Receiver<String>,
    errors: Tail,
    announced: Announced,
}

/// What a server says when it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    /// Where.
    pub addr: SocketAddr,
    /// On which driver.
    pub driver: String,
    /// In how many threads.
    pub shards: u16,
    /// Where its metrics are, if they are.
    pub admin: Option<String>,
}

impl ServerProcess {
    /// Starts this program's `serve` on a free port with `flags`, and waits until it listens.
    pub(crate) fn start(flags: &[OsString]) -> Result<Self, Failure> {
        let program = std::env::current_exe()
            .map_err(|e| Failure::run(format!("cannot find this program's own file: {e}")))?;
        let mut child = Command::new(&program)
            .args(["serve", "--listen=127.0.0.1:0", "--drain=0s", "--with-stdin", "--stats-out=-"])
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C goes to the whole group in front; the server shall outlive the measurement.
            .process_group(0)
            .spawn()
            .map_err(|e| Failure::run(format!("cannot start {}: {e}", program.display())))?;
        let lines = lines_of(child.stdout.take().expect("it is piped"));
        let errors = Tail::of(child.stderr.take().expect("it is piped"));
        let stdin = child.stdin.take().expect("it is piped");
        let announced = Announced {
            addr: ([0, 0, 0, 0], 0).into(),
            driver: String::new(),
            shards: 0,
            admin: None,
        };
        let mut server = Self { child, _stdin: stdin, lines, errors, announced };
        server.announced = server.wait_for_word()?;
        Ok(server)
    }

    /// What it said when it began to listen.
    pub(crate) fn announced(&self) -> &Announced {
        &self.announced
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has, though nobody asked it to; with its last words.
    pub(crate) fn died(&mut self) -> Option<Failure> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(obituary("the server process", status, &self.errors.last_words()))
    }

    /// Ends it, and takes over what it counted; none if it had to be killed.
    pub(crate) fn stop(mut self) -> Option<Stats> {
        // The first asks it to close its connections, the second not to wait for them.
        for _ in 0..2 {
            self.signal(Signal::TERM);
            if self.wait(Duration::from_secs(2)).is_some() {
                return self.stats();
            }
        }
        None
    }

    fn wait_for_word(&mut self) -> Result<Announced, Failure> {
        let line = match self.lines.recv_timeout(TO_LISTEN) {
            Ok(line) => line,
            Err(_) => return Err(self.not_started()),
        };
        Announced::read(&line)
            .ok_or_else(|| Failure::run(format!("the server said something unknown: {line}")))
    }

    fn not_started(&mut self) -> Failure {
        if self.wait(Duration::from_secs(1)).is_none() {
            return Failure::run("the server did not begin to listen within 30 s")
                .next("is the machine overloaded? `halfopen serve` alone shows where it hangs");
        }
        let words = self.errors.last_words();
        Failure::run(format!("the server did not start: {}", words.trim_start_matches("error: ")))
    }

    fn stats(&self) -> Option<Stats> {
        let line = self.lines.recv_timeout(Duration::from_secs(2)).ok()?;
        serde_json::from_str(&line).ok()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        // It may be gone already.
        let _ = kill_process(pid, signal);
    }

    fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + patience;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                _ if Instant::now() >= end => return None,
                _ => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Announced {
    /// Reads `listening on ws://127.0.0.1:9001 driver=io-uring shards=2 ping=20s/20s`, or `wss://`.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("listening on ")?.split(' ');
        let (scheme, addr) = words.next()?.split_once("://")?;
        let addr = addr.parse().ok().filter(|_| ["ws", "wss"].contains(&scheme))?;
        let driver = words.next()?.strip_prefix("driver=")?.into();
        let shards = words.next()?.strip_prefix("shards=")?.parse().ok()?;
        let admin = words.find_map(|word| word.strip_prefix("admin=")).map(str::to_owned);
        Some(Self { addr, driver, shards, admin })
    }
}

/// What is said of a server that ended though nobody asked it to.
pub(crate) fn obituary(who: &str, status: ExitStatus, last_words: &str) -> Failure {
    let failure = Failure::run(format!("{who} ended by itself: {status}"));
    match last_words.is_empty() {
        true => failure.next("it said nothing; was it killed (`dmesg` knows of the OOM killer)?"),
        false => failure.next(format!("its last words were\n{last_words}")),
    }
}

fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

const TO_LISTEN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_server_that_listens_is_read() {
        let line = "listening on ws://127.0.0.1:9001 driver=io-uring shards=2 ping=20s/20s";
        let announced = Announced::read(line).unwrap();
        assert_eq!(announced.addr, "127.0.0.1:9001".parse().unwrap());
        assert_eq!((announced.driver.as_str(), announced.shards), ("io-uring", 2));
        assert_eq!(announced.admin, None);
        let with_admin = Announced::read(&format!("{line} admin=http://127.0.0.1:9100")).unwrap();
        assert_eq!(with_admin.admin.as_deref(), Some("http://127.0.0.1:9100"));
        let secure = Announced::read(&line.replace("ws:", "wss:")).unwrap();
        assert_eq!(secure.addr, announced.addr);
        assert_eq!(Announced::read("listening on port 9001"), None);
    }
}
