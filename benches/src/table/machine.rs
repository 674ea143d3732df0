//! Where a measurement took place, and of what.

use anyhow::Context;
use halfopen_loadgen::report::schema::Env;
use halfopen_proto::simd;
use serde::Serialize;
use std::fs::read_to_string;
use std::process::Command;

/// The machine, the compiler and the code.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// The processor, as it calls itself.
    pub cpu: Option<String>,
    /// Its cores.
    pub cores: u32,
    /// The best instruction set that halfopen has kernels for and the processor has.
    pub kernels: String,
    /// Whether the machine is a virtual one.
    pub vm: Option<bool>,
    /// The kernel's release.
    pub kernel: String,
    /// The compiler.
    pub rustc: String,
    /// The commit, with `-dirty` behind it if there were changes.
    pub commit: String,
    /// How many tasks wanted a core, over the minute before the measurement: 0 is a quiet machine.
    pub load_before: Option<f64>,
}

impl Machine {
    /// This one, now.
    ///
    /// # Errors
    /// There is no compiler or no repository.
    pub fn here() -> anyhow::Result<Self> {
        let env = Env::here(true);
        let load = read_to_string("/proc/loadavg").ok();
        Ok(Self {
            cpu: env.cpu,
            cores: env.cores,
            kernels: format!("{:?}", simd::level()),
            vm: env.vm,
            kernel: env.kernel,
            rustc: line_of("rustc", &["--version"])?,
            commit: line_of("git", &["describe", "--always", "--dirty", "--abbrev=12"])?,
            load_before: load.and_then(|load| load.split(' ').next()?.parse().ok()),
        })
    }

    /// What speaks against a machine that did something else before.
    pub fn doubt(&self) -> Option<String> {
        let load = self.load_before.filter(|&load| load > LOAD_QUIET)?;
        Some(format!(
            "the machine was not quiet: {load} tasks wanted a core in the minute before, and a quiet \
             one has at most {LOAD_QUIET}"
        ))
    }
}

/// So many tasks may have wanted a core, in the minute before a measurement.
const LOAD_QUIET: f64 = 1.0;

/// The first line that a program prints.
fn line_of(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("starting {program}"))?;
    anyhow::ensure!(output.status.success(), "{program} {arguments:?}: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_no_answer() {
        assert!(line_of("rustc", &["--no-such-flag"]).is_err());
        assert!(line_of("rustc", &["--version"]).unwrap().starts_with("rustc "));
    }
}
