//! The machine as a whole.

use super::network::CONNECTIONS;
use super::{Finding, number};
use halfopen_loadgen::report::number::{bytes, count};
use rustix::system::uname;
use std::fs;

pub(super) fn kernel() -> Finding {
    let name = uname();
    let release = name.release().to_string_lossy().into_owned();
    Finding::good("kernel", format!("Linux {release}"))
}

pub(super) fn cores() -> Finding {
    match std::thread::available_parallelism().map_or(1, usize::from) {
        1 => Finding::bad(
            "cores",
            "1: server and load have to share it, and what is measured is doubtful",
            "taskset -cp 0-63 $$",
        ),
        cores => Finding::good("cores", format!("{cores}: server and load each have their own")),
    }
}

/// What is free, and how many connections that is. A container may have less than its machine.
pub(super) fn memory() -> Finding {
    let free = meminfo("MemAvailable").unwrap_or(u64::MAX);
    let bound = CGROUPS.iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    let free = free.min(bound.unwrap_or(u64::MAX));
    let words = format!(
        "{} free: room for some {} idle connections, or {} with both ends here",
        bytes(free as f64),
        rounded(free / SERVER_SIDE_BYTES),
        rounded(free / BOTH_SIDES_BYTES)
    );
    match free >= 256 << 20 {
        true => Finding::good("memory", words),
        false => Finding::bad("memory", words, "ps -eo rss,comm --sort=-rss | head"),
    }
}

/// A socket is a file, also where it takes no descriptor.
pub(super) fn files() -> Finding {
    let max = number("fs/file-max").unwrap_or(u64::MAX);
    let ceiling = number("fs/nr_open").unwrap_or(1 << 20);
    let words = format!(
        "{} in all processes together, and a process can be allowed {} descriptors",
        if max > 1 << 40 { "any number".into() } else { count(max) },
        count(ceiling)
    );
    let change = "sysctl -w fs.file-max=4000000 fs.nr_open=4000000";
    Finding::of(max >= 3 * CONNECTIONS, "open files", words, change)
}

/// In bytes.
pub(super) fn meminfo(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1024)
}

/// Two digits are more than is known.
fn rounded(connections: u64) -> String {
    let unit = 10u64.pow(connections.max(1).ilog10().saturating_sub(1));
    count(connections / unit * unit)
}

/// Kernel memory and ours, of an idle connection whose peer is elsewhere, and of one whose peer is
/// here.
const SERVER_SIDE_BYTES: u64 = 5_000;
const BOTH_SIDES_BYTES: u64 = 10_000;
/// The memory limit of a container, of either kind; `max` is none.
const CGROUPS: [&str; 2] =
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
