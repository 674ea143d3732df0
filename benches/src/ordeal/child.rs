//! A process that belongs to a measurement.

use anyhow::{Context, bail, ensure};
use std::fs::{read_dir, read_to_string};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// What the scheduler has given to the threads that a process has now, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduled {
    /// They were on a core.
    pub ran: Duration,
    /// They could have run, and waited for one.
    pub waited: Duration,
}

impl Scheduled {
    /// What came after `before`. Threads that have ended since are not in it.
    pub fn since(self, before: Self) -> Self {
        let ran = self.ran.saturating_sub(before.ran);
        Self { ran, waited: self.waited.saturating_sub(before.waited) }
    }
}

/// A child process, killed with its owner.
#[derive(Debug)]
pub struct Child {
    process: Process,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Starts it.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = spawned.with_context(|| format!("starting {command:?}"))?;
        let Some(output) = process.stdout.take() else { bail!("it has no output") };
        let input = process.stdin.take();
        Ok(Self { process, input, output: BufReader::new(output) })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The time that its threads had on a core and waited for one, by `/proc/PID/task/*/schedstat`.
    ///
    /// # Errors
    /// It has ended, or the kernel keeps no such account.
    pub fn scheduled(&self) -> anyhow::Result<Scheduled> {
        let tasks = format!("/proc/{}/task", self.pid());
        let mut all = Scheduled::default();
        for task in read_dir(&tasks).with_context(|| format!("reading {tasks}"))? {
            let path = task?.path().join("schedstat");
            let text = match read_to_string(&path) {
                // The kernel's workers for a ring are among the threads, and come and go.
                Err(error) if is_gone(&error) => continue,
                text => text.with_context(|| format!("reading {path:?}"))?,
            };
            let mut nanoseconds = text.split_whitespace().map(str::parse);
            let (Some(Ok(ran)), Some(Ok(waited))) = (nanoseconds.next(), nanoseconds.next()) else {
                bail!("{path:?} is no account of a thread: {text:?}");
            };
            all.ran += Duration::from_nanos(ran);
            all.waited += Duration::from_nanos(waited);
        }
        Ok(all)
    }

    /// Its next line.
    ///
    /// # Errors
    /// It ended without one.
    pub fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "it ended without a word");
        Ok(line.trim_end().to_owned())
    }

    /// Where it listens, by its first line: a word of it is the address, behind `ws://` or alone.
    ///
    /// # Errors
    /// It ended, or says no address.
    pub fn listens(&mut self) -> anyhow::Result<SocketAddr> {
        let line = self.line()?;
        let mut words = line.split(' ').map(|word| word.trim_start_matches("ws://"));
        let address = words.find_map(|word| word.parse().ok());
        address.with_context(|| format!("there is no address in {line:?}"))
    }

    /// Says a line to it, and takes its answer.
    ///
    /// # Errors
    /// It has ended.
    pub fn ask(&mut self, question: &str) -> anyhow::Result<String> {
        let input = self.input.as_mut().context("its input is closed")?;
        writeln!(input, "{question}")?;
        self.line()
    }

    /// All that it says until it ends. Its input ends at once.
    ///
    /// # Errors
    /// It failed.
    pub fn finish(mut self) -> anyhow::Result<String> {
        self.input = None;
        let mut rest = String::new();
        self.output.read_to_string(&mut rest)?;
        let status = self.process.wait()?;
        ensure!(status.success(), "{status}");
        Ok(rest)
    }
}

/// The thread has ended since it was listed, or since its file was opened.
fn is_gone(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
