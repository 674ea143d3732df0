//! What the machine has to allow for so many connections, with the command that changes it.

use rustix::process::{Resource, geteuid, getrlimit};
use serde::Serialize;

/// Kernel memory of both ends of an idle connection, and what server and generator keep of it.
const BYTES_A_PAIR: u64 = 11 * 1024;

/// Pages of TCP's account that a pair may hold: both ends keep one for what passed last, and the
/// kernel begins to save at two thirds of the limit.
const PAGES_A_PAIR: u64 = 4;

/// Memory of a ring's queues that is charged to RLIMIT_MEMLOCK.
const BYTES_A_RING: u64 = 200 * 1024;

/// Something that the machine has to allow.
#[derive(Clone, Debug, Serialize)]
pub struct Want {
    /// What it is called.
    pub name: &'static str,
    /// What it is.
    pub found: Option<u64>,
    /// What it has to be at the least.
    pub wanted: u64,
    /// The command that changes it, or what else to do.
    pub remedy: String,
}

impl Want {
    /// Whether the machine allows it. What cannot be read is not there, and bounds nothing.
    pub fn is_met(&self) -> bool {
        self.found.is_none_or(|found| found >= self.wanted)
    }
}

/// All that `connections` want, spread over so many rings a side.
pub fn wants(connections: u32, rings: u32) -> Vec<Want> {
    let (connections, rings) = (u64::from(connections), u64::from(rings));
    let mut wants = vec![
        available_memory(connections),
        tcp_memory(connections),
        Want {
            name: "fs.file-max",
            found: sysctl("fs/file-max", 0),
            wanted: 2 * connections + 10_000,
            remedy: format!("sysctl -w fs.file-max={}", 2 * connections + 100_000),
        },
        Want {
            name: "net.core.somaxconn",
            found: sysctl("net/core/somaxconn", 0),
            wanted: 4_096,
            remedy: "sysctl -w net.core.somaxconn=4096".into(),
        },
        Want {
            name: "net.ipv4.tcp_max_syn_backlog",
            found: sysctl("net/ipv4/tcp_max_syn_backlog", 0),
            wanted: 1_024,
            remedy: "sysctl -w net.ipv4.tcp_max_syn_backlog=4096".into(),
        },
        Want {
            name: "net.netfilter.nf_conntrack_max",
            found: tracked_connections(),
            wanted: connections + 10_000,
            remedy: format!("sysctl -w net.netfilter.nf_conntrack_max={}", 2 * connections),
        },
    ];
    if !geteuid().is_root() {
        wants.extend([locked_memory(rings), destroyed_sockets()]);
    }
    wants
}

/// How many connections are tracked at most; none where none is.
fn tracked_connections() -> Option<u64> {
    sysctl("net/netfilter/nf_conntrack_count", 0).filter(|&count| count > 0)?;
    sysctl("net/netfilter/nf_conntrack_max", 0)
}

fn available_memory(connections: u64) -> Want {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = kilobytes.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    Want {
        name: "memory available, bytes",
        found: kilobytes.map(|kilobytes| kilobytes * 1024),
        wanted: connections * BYTES_A_PAIR,
        remedy: "more memory, or fewer connections".into(),
    }
}

fn tcp_memory(connections: u64) -> Want {
    let pages = connections * PAGES_A_PAIR;
    Want {
        name: "net.ipv4.tcp_mem, third value, pages",
        found: sysctl("net/ipv4/tcp_mem", 2),
        wanted: pages,
        remedy: format!("sysctl -w net.ipv4.tcp_mem='{pages} {pages} {pages}'"),
    }
}

fn locked_memory(rings: u64) -> Want {
    let wanted = 2 * rings * BYTES_A_RING;
    Want {
        name: "RLIMIT_MEMLOCK, bytes",
        found: Some(getrlimit(Resource::Memlock).current.unwrap_or(u64::MAX)),
        wanted,
        remedy: format!("ulimit -l {} (as root), or run it as root", wanted / 1024),
    }
}

fn destroyed_sockets() -> Want {
    Want {
        name: "net.core.rmem_max",
        found: sysctl("net/core/rmem_max", 0),
        wanted: 64 << 20,
        remedy: format!("sysctl -w net.core.rmem_max={}", 64 << 20),
    }
}

/// A number of a sysctl that may have several.
fn sysctl(path: &str, place: usize) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/sys/{path}")).ok()?;
    text.split_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handful_of_connections_wants_nothing_that_a_machine_has_not() {
        for want in wants(10, 1).iter().filter(|want| want.name.starts_with("memory")) {
            assert!(want.found.is_some() && want.is_met(), "{want:?}");
        }
    }

    #[test]
    fn what_cannot_be_met_comes_with_a_command() {
        let wants = wants(u32::MAX, 200_000);
        let memory = wants.iter().find(|want| want.name.contains("tcp_mem")).unwrap();
        assert!(!memory.is_met(), "{memory:?}");
        assert!(
            memory.remedy.starts_with("sysctl -w net.ipv4.tcp_mem='17179869180 "),
            "{memory:?}"
        );
    }
}
