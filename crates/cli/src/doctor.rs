//! `doctor`: what this machine allows, and the command that changes it.

mod machine;
mod network;
mod process;
mod trial;

use crate::exit::{Exit, Failure, Outcome};
use crate::publish::print;
use crate::words::wrapped;
use serde_json::json;
use std::fs;

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    /// Whether it is good enough for what the commands do by default.
    good: bool,
    words: String,
    /// The command that changes it.
    change: Option<String>,
}

/// Looks at everything, tries what can be tried, and tells.
pub(crate) fn run(json: bool) -> Outcome {
    let mut findings = vec![machine::kernel(), machine::cores(), machine::memory()];
    findings.extend([machine::files(), process::descriptors(), process::locked_memory()]);
    findings.extend([process::privilege(), network::ports(), network::backlog()]);
    findings.extend([network::tcp_memory(), network::orphans()]);
    findings.extend(network::tracked());
    findings.extend([network::sock_diag(), network::events()]);
    findings.extend(trial::drivers());
    findings.extend(trial::deaths());
    if json {
        print(&document(&findings))?;
    } else {
        findings.iter().try_for_each(|finding| print(&finding.text()))?;
    }
    match findings.iter().filter(|finding| !finding.good).count() {
        0 => Ok(Exit::Done),
        bad => Err(Failure::run(format!("{bad} of {} are not as they should be", findings.len()))
            .next("the lines with ! above name the command that changes each")),
    }
}

impl Finding {
    fn good(what: &'static str, words: impl Into<String>) -> Self {
        Self { what, good: true, words: words.into(), change: None }
    }

    fn bad(what: &'static str, words: impl Into<String>, change: impl Into<String>) -> Self {
        Self { what, good: false, words: words.into(), change: Some(change.into()) }
    }

    /// Good or bad, and in either case the command for more of it.
    fn of(
        good: bool,
        what: &'static str,
        words: impl Into<String>,
        change: impl Into<String>,
    ) -> Self {
        Self { good, ..Self::bad(what, words, change) }
    }

    fn more(mut self, change: impl Into<String>) -> Self {
        self.change = Some(change.into());
        self
    }

    fn text(&self) -> String {
        let mark = if self.good { ' ' } else { '!' };
        let mut text = format!("{mark} {:<14} {}", self.what, wrapped(&self.words, INDENT));
        if let Some(change) = &self.change {
            let change = wrapped(&format!("more: {change}"), INDENT);
            text.push_str(&format!("\n{:INDENT$}{change}", ""));
        }
        text
    }
}

fn document(findings: &[Finding]) -> String {
    let list: Vec<_> = findings
        .iter()
        .map(|finding| {
            json!({
                "what": finding.what,
                "good": finding.good,
                "found": finding.words,
                "change": finding.change,
            })
        })
        .collect();
    json!({ "schema": "halfopen.doctor/1", "findings": list }).to_string()
}

fn sysctl(name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/sys/{name}")).ok()
}

fn number(name: &str) -> Option<u64> {
    sysctl(name)?.trim().parse().ok()
}

/// Where the words begin.
const INDENT: usize = 17;
