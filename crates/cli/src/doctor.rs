//! `doctor`: what this machine allows, and the command that changes it.

mod trial;

use crate::exit::{Exit, Failure, Outcome};
use crate::publish::print;
use crate::words::wrapped;
use halfopen_loadgen::observer::Observer;
use halfopen_loadgen::report::number::{bytes, count};
use rustix::process::{Resource, getrlimit};
use rustix::system::uname;
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
    let mut findings = vec![kernel(), cores(), descriptors(), locked_memory(), ports(), backlog()];
    findings.extend([sock_diag(), events(), tcp_memory()]);
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

    fn more(mut self, change: impl Into<String>) -> Self {
        self.change = Some(change.into());
        self
    }

    fn text(&self) -> String {
        let mark = if self.good { ' ' } else { '!' };
        let mut text = format!("{mark} {:<14} {}", self.what, wrapped(&self.words, INDENT));
        if let Some(change) = &self.change {
            text.push_str(&format!("\n{:INDENT$}more: {change}", ""));
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

fn kernel() -> Finding {
    let name = uname();
    let release = name.release().to_string_lossy().into_owned();
    Finding::good("kernel", format!("Linux {release}"))
}

fn cores() -> Finding {
    match std::thread::available_parallelism().map_or(1, usize::from) {
        1 => Finding::bad(
            "cores",
            "1: server and load have to share it, and what is measured is doubtful",
            "taskset -p $$ shows which cores this shell may use",
        ),
        cores => Finding::good("cores", format!("{cores}: server and load each have their own")),
    }
}

fn descriptors() -> Finding {
    let hard = getrlimit(Resource::Nofile).maximum;
    let words = hard.map_or("unlimited".into(), |hard| {
        format!(
            "{}: so many connections by default; a larger number given explicitly takes more rings",
            count(hard)
        )
    });
    let change = "ulimit -n 1048576 (as root), or `nofile` in /etc/security/limits.conf";
    match hard {
        Some(hard) if hard < 11_000 => Finding::bad("descriptors", words, change),
        _ => Finding::good("descriptors", words).more(change),
    }
}

fn locked_memory() -> Finding {
    let change = "ulimit -l unlimited (as root), or `memlock` in /etc/security/limits.conf";
    match getrlimit(Resource::Memlock).current {
        None => Finding::good("locked memory", "unlimited"),
        Some(limit) => {
            let words =
                format!("{}: bounds the queues of rings without privilege", bytes(limit as f64));
            match limit >= 2 << 20 {
                true => Finding::good("locked memory", words).more(change),
                false => Finding::bad("locked memory", words, change),
            }
        }
    }
}

fn ports() -> Finding {
    let range = sysctl("net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = range.split_whitespace().filter_map(|end| end.parse::<u64>().ok());
    let ports = ends.next().zip(ends.next()).map_or(28_232, |(low, high)| high + 1 - low.min(high));
    let words = format!(
        "{} from each source address to each destination; on loopback several sources are used",
        count(ports)
    );
    Finding::good("ports", words).more("sysctl -w net.ipv4.ip_local_port_range='1024 65535'")
}

fn backlog() -> Finding {
    let somaxconn = number("net/core/somaxconn").unwrap_or(4096);
    let words = format!("{}: so many connects can wait to be accepted", count(somaxconn));
    let change = "sysctl -w net.core.somaxconn=65535";
    match somaxconn >= 1024 {
        true => Finding::good("backlog", words).more(change),
        false => Finding::bad("backlog", words, change),
    }
}

fn sock_diag() -> Finding {
    match Observer::start(1) {
        Ok(observer) => {
            // It has seen nothing, and is not asked.
            let _ = observer.finish();
            Finding::good("sock_diag", "works: the server's sockets can be watched from outside")
        }
        Err(error) => Finding::bad(
            "sock_diag",
            format!("{error}: only what reaches the client can be known of the dead"),
            "modprobe tcp_diag",
        ),
    }
}

fn events() -> Finding {
    let max = number("net/core/rmem_max").unwrap_or(212_992);
    let words = format!(
        "a queue of {} for {} deaths at one instant; what does not fit is looked up, with some delay",
        bytes(max as f64),
        count(max / EVENT_BYTES)
    );
    Finding::good("events", words).more("sysctl -w net.core.rmem_max=16777216")
}

fn tcp_memory() -> Finding {
    let pages = sysctl("net/ipv4/tcp_mem").unwrap_or_default();
    let max = pages.split_whitespace().nth(2).and_then(|pages| pages.parse::<u64>().ok());
    let max = max.map_or("unknown".into(), |pages| bytes(pages as f64 * 4096.0));
    Finding::good("TCP's memory", format!("{max} at the most, for the queues of all sockets"))
        .more("sysctl -w net.ipv4.tcp_mem='LOW PRESSURE MAX' (pages)")
}

fn sysctl(name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/sys/{name}")).ok()
}

fn number(name: &str) -> Option<u64> {
    sysctl(name)?.trim().parse().ok()
}

/// Where the words begin.
const INDENT: usize = 17;
/// What one news of a destroyed socket takes of the queue.
const EVENT_BYTES: u64 = 1_280;
