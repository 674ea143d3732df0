//! Runs the benches' programs, round after round.

use super::reading::{self, Reading};
use super::{Bench, Row};
use crate::contest::ROUND;
use anyhow::{Context, bail, ensure};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The benches that are contests.
pub const BENCHES: [&str; 5] = ["mask", "text", "decode", "encode", "handshake"];

/// How many times as many rounds a row has that the machine blurs: those beyond the caches, where
/// others share the memory.
pub const BLURRED_FACTOR: usize = 5;
/// By how much a row's *again* is off its median in half of the rounds, if it is blurred.
pub const BLURRED_MIN: f64 = 0.01;

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which benches, of [`BENCHES`].
    pub benches: Vec<String>,
    /// How many rounds.
    pub rounds: usize,
    /// How long each id is run before it is measured.
    pub warm_up: Duration,
    /// How long it is measured.
    pub measurement: Duration,
    /// A pattern of ids, if not all are meant.
    pub filter: Option<String>,
    /// The cargo profile to build with; only `bench` measures anything.
    pub profile: String,
}

/// A bench that was built.
struct Program {
    name: String,
    path: PathBuf,
}

/// Builds the benches, runs them round after round, and reads what they needed.
///
/// # Errors
/// A bench does not build, or finds a wrong answer.
pub fn run(plan: &Plan) -> anyhow::Result<Vec<Reading>> {
    let programs = build(plan)?;
    let home = env::temp_dir().join(format!("halfopen-rounds-{}", std::process::id()));
    let readings = measure(plan, &programs, &home);
    let _ = fs::remove_dir_all(&home);
    readings
}

fn measure(plan: &Plan, programs: &[Program], home: &Path) -> anyhow::Result<Vec<Reading>> {
    let mut ids = Vec::new();
    for program in programs {
        ids.extend(program.ids()?);
    }
    let mut readings = Vec::new();
    for round in 0..plan.rounds {
        for program in programs {
            let began = Instant::now();
            program.measure(plan, plan.filter.as_deref(), round, home)?;
            let seconds = began.elapsed().as_secs();
            eprintln!("round {} of {}: {} in {seconds} s", round + 1, plan.rounds, program.name);
        }
        readings.extend(reading::read(home, &baseline(round), &ids)?);
    }
    let blurred = blurred(&readings);
    for round in plan.rounds..plan.rounds * BLURRED_FACTOR {
        let Some(rows) = &blurred else { break };
        for program in programs {
            program.measure(plan, Some(rows), round, home)?;
        }
        readings.extend(reading::read(home, &baseline(round), &ids)?);
    }
    Ok(readings)
}

/// A pattern of the ids of the rows, if there are any, in which halfopen beside halfopen was off by
/// [`BLURRED_MIN`] in half of the rounds.
fn blurred(readings: &[Reading]) -> Option<String> {
    let mut patterns = Vec::new();
    for bench in Bench::all(readings) {
        let is_blurred = |row: &Row| row.again_off().is_some_and(|off| off >= BLURRED_MIN);
        for row in bench.rows.iter().filter(|row| is_blurred(row)) {
            eprintln!("more rounds: {} {}", bench.name, row.name);
            // No name has a character in it that a pattern takes for more than itself.
            patterns.push(format!("^{}/[^/]+/{}$", bench.name, row.name));
        }
    }
    (!patterns.is_empty()).then(|| patterns.join("|"))
}

fn baseline(round: usize) -> String {
    format!("round-{}", round + 1)
}

/// Builds them with their rivals.
fn build(plan: &Plan) -> anyhow::Result<Vec<Program>> {
    let benches = &plan.benches;
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["bench", "--locked", "--no-run", "--message-format=json"]);
    command.args(["--package=halfopen-benches", "--features=rivals"]);
    command.arg(format!("--profile={}", plan.profile));
    command.args(benches.iter().map(|bench| format!("--bench={bench}")));
    let output = command.stderr(Stdio::inherit()).output().context("starting cargo")?;
    ensure!(output.status.success(), "the benches do not build");
    benches.iter().map(|bench| find(bench, &output.stdout)).collect()
}

/// The bench's program, by what cargo says of it.
fn find(bench: &str, messages: &[u8]) -> anyhow::Result<Program> {
    for message in messages.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let message: serde_json::Value = serde_json::from_slice(message)?;
        let target = &message["target"];
        if target["name"] == bench && target["kind"][0] == "bench" {
            let path = message["executable"].as_str().context("a bench is a program")?;
            return Ok(Program { name: bench.to_owned(), path: path.into() });
        }
    }
    bail!("cargo has built no bench {bench}")
}

impl Program {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.arg("--bench").env(ROUND, "0");
        command
    }

    /// What it would measure, in its order.
    fn ids(&self) -> anyhow::Result<Vec<String>> {
        let output = self.command().arg("--list").output()?;
        ensure!(output.status.success(), "{}: {}", self.name, output.status);
        let text = String::from_utf8(output.stdout)?;
        Ok(text
            .lines()
            .filter_map(|line| line.strip_suffix(": benchmark"))
            .map(str::to_owned)
            .collect())
    }

    fn measure(
        &self,
        plan: &Plan,
        filter: Option<&str>,
        round: usize,
        home: &Path,
    ) -> anyhow::Result<()> {
        let mut command = self.command();
        command.env(ROUND, round.to_string()).env("CRITERION_HOME", home);
        command.args(["--noplot", "--quiet", "--sample-size=10", "--nresamples=1000"]);
        command.arg(format!("--save-baseline={}", baseline(round)));
        command.arg(format!("--warm-up-time={}", plan.warm_up.as_secs_f64()));
        command.arg(format!("--measurement-time={}", plan.measurement.as_secs_f64()));
        command.args(filter);
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}\n{said}", self.name, output.status);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{OURS, OURS_AGAIN};

    #[test]
    fn a_row_that_differs_from_itself_is_measured_in_more_rounds() {
        let mut readings = Vec::new();
        for (calm, wild) in [(100.0, 90.0), (100.4, 115.0), (250.0, 100.0), (99.9, 105.0)] {
            for (row, again) in [("1 KiB/at 0", calm), ("16 MiB/at 0", wild)] {
                for (contestant, ns) in [(OURS, 100.0), (OURS_AGAIN, again)] {
                    let (bench, contestant, row) = ("mask".into(), contestant.into(), row.into());
                    readings.push(Reading { bench, contestant, row, elements: 1, bytes: 1, ns });
                }
            }
        }
        assert_eq!(blurred(&readings).as_deref(), Some("^mask/[^/]+/16 MiB/at 0$"));
        assert_eq!(blurred(&readings[..2]), None);
    }

    #[test]
    fn the_program_of_a_bench_is_told_from_a_library_of_its_name() {
        let messages = br#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"mask"},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["bench"],"name":"mask"},"executable":"/x/mask-1"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(find("mask", messages).unwrap().path, PathBuf::from("/x/mask-1"));
        assert!(find("text", messages).is_err());
    }
}
