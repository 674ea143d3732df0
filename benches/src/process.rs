//! A program on a core of its own, and what it used.

use crate::floor::Reading;
use anyhow::{Context, bail, ensure};
use halfopen_loadgen::sample::cpu;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A child that is killed with its owner: it has told all that was asked of it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it on one core, with all its threads: a child inherits the cores of its parent.
    pub(crate) fn start(core: usize, command: &mut Command) -> anyhow::Result<Self> {
        let mine = sched_getaffinity(None)?;
        let mut one = CpuSet::new();
        one.set(core);
        sched_setaffinity(None, &one).with_context(|| format!("pinning to core {core}"))?;
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        sched_setaffinity(None, &mine)?;
        let mut child = child.with_context(|| format!("starting {command:?}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("no pipes");
        };
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    pub(crate) fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "it ended without a word");
        Ok(line.trim_end().to_owned())
    }

    pub(crate) fn ask(&mut self) -> anyhow::Result<Reading> {
        self.input.write_all(b"\n")?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::of_process(self.child.id()).context("it ended early")
    }

    /// Asks it to end; [`Process::report`] has what it has to tell.
    pub(crate) fn interrupt(&self) -> anyhow::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::INT)?)
    }

    /// What it prints before it ends by itself, or because it was asked to.
    pub(crate) fn report(mut self) -> anyhow::Result<serde_json::Value> {
        let report = serde_json::from_reader(&mut self.output).context("reading its report")?;
        let status = self.child.wait()?;
        ensure!(matches!(status.code(), Some(0 | 4 | 130)), "{status}");
        Ok(report)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
