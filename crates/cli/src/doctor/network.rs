//! What the kernel's network allows all processes together.

use super::machine::meminfo;
use super::{Finding, number, sysctl};
use halfopen_loadgen::observer::Observer;
use halfopen_loadgen::report::number::{bytes, count};
use rustix::param::page_size;

pub(super) fn ports() -> Finding {
    let range = sysctl("net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = range.split_whitespace().filter_map(|end| end.parse::<u64>().ok());
    let ports = ends.next().zip(ends.next()).map_or(28_232, |(low, high)| high + 1 - low.min(high));
    let words = format!(
        "{} from each source address to each destination; on loopback several sources are used",
        count(ports)
    );
    Finding::good("ports", words).more("sysctl -w net.ipv4.ip_local_port_range='1024 65535'")
}

pub(super) fn backlog() -> Finding {
    let somaxconn = number("net/core/somaxconn").unwrap_or(4096);
    let unanswered = number("net/ipv4/tcp_max_syn_backlog").unwrap_or(1024);
    let words = format!(
        "{} connects can wait to be accepted, and {} for the last packet of their handshake",
        count(somaxconn),
        count(unanswered)
    );
    let change = "sysctl -w net.core.somaxconn=65535 net.ipv4.tcp_max_syn_backlog=65535";
    Finding::of(somaxconn >= WAITING, "backlog", words, change)
}

/// Sockets that their program has let go of and TCP has not: the dead that are closed politely.
pub(super) fn orphans() -> Finding {
    let max = number("net/ipv4/tcp_max_orphans").unwrap_or(65_536);
    let words = format!(
        "{} dead peers that a server closes politely can be waited for; those that this server aborts are none of them",
        count(max)
    );
    let change = "sysctl -w net.ipv4.tcp_max_orphans=1048576";
    Finding::of(max >= CONNECTIONS, "orphans", words, change)
}

/// All queues of all sockets. Half of the memory is what a machine can spare that does nothing else.
pub(super) fn tcp_memory() -> Finding {
    let page = page_size() as u64;
    let text = sysctl("net/ipv4/tcp_mem").unwrap_or_default();
    let max = text.split_whitespace().nth(2).and_then(|pages| pages.parse::<u64>().ok());
    let is_enough = max.is_none_or(|pages| pages * page >= CONNECTIONS * SOCKETS_BYTES);
    let max = max.map_or("unknown".into(), |pages| bytes((pages * page) as f64));
    let half = meminfo("MemTotal").unwrap_or(8 << 30) / 2 / page;
    let change = format!("sysctl -w net.ipv4.tcp_mem='{} {} {half}'", half / 2, half / 4 * 3);
    let words = format!("{max} at the most, for the queues of all sockets");
    Finding::of(is_enough, "TCP's memory", words, change)
}

/// A firewall that tracks connections has a table of its own; none where it tracks nothing.
pub(super) fn tracked() -> Option<Finding> {
    let count_now = number("net/netfilter/nf_conntrack_count")?;
    let max = number("net/netfilter/nf_conntrack_max")?;
    let words = format!(
        "{} of {} entries in the firewall's table: packets of connections beyond it are dropped, if its rules track them",
        count(count_now),
        count(max)
    );
    let change = "sysctl -w net.netfilter.nf_conntrack_max=4194304";
    Some(Finding::of(count_now * 10 < max * 9, "conntrack", words, change))
}

pub(super) fn sock_diag() -> Finding {
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

pub(super) fn events() -> Finding {
    let max = number("net/core/rmem_max").unwrap_or(212_992);
    let words = format!(
        "a queue of {} for {} deaths at one instant; what does not fit is looked up, with some delay",
        bytes(max as f64),
        count(max / EVENT_BYTES)
    );
    Finding::good("events", words).more("sysctl -w net.core.rmem_max=16777216")
}

/// How many connects the load generator begins at a time, at the most.
const WAITING: u64 = 1024;

/// What `lab` opens by default.
pub(super) const CONNECTIONS: u64 = 10_000;

/// What the queues of both ends of a connection take at least, while something is in them.
const SOCKETS_BYTES: u64 = 2 * 4096;

/// What one news of a destroyed socket takes of the queue.
const EVENT_BYTES: u64 = 1_280;
