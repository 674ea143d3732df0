//! What the kernel allows this process.

use super::Finding;
use halfopen_loadgen::report::number::{bytes, count};
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};

/// The soft limit is raised to the hard one by every command that opens connections.
pub(super) fn descriptors() -> Finding {
    let limit = getrlimit(Resource::Nofile);
    let number = |limit: Option<u64>| limit.map_or("unlimited".into(), count);
    let words = format!(
        "{} (soft limit {}, raised by itself): so many connections by default; a larger number given explicitly takes more rings. For good: nofile in /etc/security/limits.conf",
        number(limit.maximum),
        number(limit.current)
    );
    match limit.maximum {
        Some(hard) if hard < 11_000 => Finding::bad("descriptors", words, DESCRIPTORS),
        _ => Finding::good("descriptors", words).more(DESCRIPTORS),
    }
}

pub(super) fn locked_memory() -> Finding {
    match getrlimit(Resource::Memlock).current {
        None => Finding::good("locked memory", "unlimited"),
        Some(limit) => {
            let words = format!(
                "{}: bounds the queues of rings without privilege. For good: memlock in /etc/security/limits.conf",
                bytes(limit as f64)
            );
            match limit >= 2 << 20 {
                true => Finding::good("locked memory", words).more(LOCKED_MEMORY),
                false => Finding::bad("locked memory", words, LOCKED_MEMORY),
            }
        }
    }
}

/// What only a privileged program may do here; nothing that is needed by default.
pub(super) fn privilege() -> Finding {
    let is_admin =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_ADMIN));
    match is_admin {
        true => Finding::good("privilege", "CAP_NET_ADMIN: TCP_REPAIR works, so a host can vanish"),
        false => Finding::good(
            "privilege",
            "no CAP_NET_ADMIN: no TCP_REPAIR, so no host can vanish; every other death works without",
        )
        .more(ADMIN),
    }
}

pub(super) const ADMIN: &str = "sudo setcap cap_net_admin+ep \"$(command -v halfopen)\"";

/// As root, in the shell that starts the program.
pub(super) const DESCRIPTORS: &str = "ulimit -n 1048576";
pub(super) const LOCKED_MEMORY: &str = "ulimit -l unlimited";
