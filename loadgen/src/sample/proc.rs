//! What /proc tells of the machine and of a process. What cannot be read is none, never zero.

use std::fs::read_to_string;

/// Memory of a process, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Everything resident: VmRSS.
    pub rss: u64,
    /// Of that, what no file stands behind: RssAnon. Heap and stacks; this grows with connections.
    pub anon: u64,
}

/// Memory of the process `pid`.
pub fn memory(pid: u32) -> Option<Memory> {
    parse_status(&read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn parse_status(text: &str) -> Option<Memory> {
    let kilobytes = |name| field(text, name).map(|value| value * 1024);
    Some(Memory { rss: kilobytes("VmRSS:")?, anon: kilobytes("RssAnon:")? })
}

/// Memory that the kernel holds for its own objects, bytes: all of slab, and the pages of TCP's
/// queues.
pub fn kernel_memory() -> Option<u64> {
    let slab = field(&read_to_string("/proc/meminfo").ok()?, "Slab:")? * 1024;
    let pages = parse_tcp_pages(&read_to_string("/proc/net/sockstat").ok()?)?;
    Some(slab + pages * rustix::param::page_size() as u64)
}

fn parse_tcp_pages(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("TCP:"))?;
    let mut words = line.split_whitespace().skip_while(|&word| word != "mem");
    words.nth(1)?.parse().ok()
}

/// Time that the machine has spent, in ticks of USER_HZ summed over the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineTicks {
    /// Cores that are there.
    pub cores: u32,
    /// Idle, waiting for a disk included. The kernel keeps this one exactly, unlike the busy
    /// columns, which it samples at the tick.
    pub idle: u64,
    /// Taken by the hypervisor for others.
    pub steal: u64,
}

/// Where the machine's time went.
pub fn machine() -> Option<MachineTicks> {
    parse_stat(&read_to_string("/proc/stat").ok()?)
}

fn parse_stat(text: &str) -> Option<MachineTicks> {
    let all = text.lines().find(|line| line.starts_with("cpu "))?;
    let column = |n: usize| all.split_whitespace().nth(n)?.parse::<u64>().ok();
    let is_core = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    Some(MachineTicks {
        cores: text.lines().filter(is_core).count() as u32,
        idle: column(4)? + column(5)?,
        steal: column(8)?,
    })
}

/// Packets and bytes that the loopback interface has carried. Its bytes begin at the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Packets, each counted once.
    pub packets: u64,
    /// Bytes, without link headers.
    pub bytes: u64,
}

/// What `lo` has carried.
pub fn loopback() -> Option<Carried> {
    parse_dev(&read_to_string("/proc/net/dev").ok()?, "lo")
}

fn parse_dev(text: &str, device: &str) -> Option<Carried> {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(device))?;
    let mut columns = line.strip_prefix(':')?.split_whitespace().map(str::parse);
    let (bytes, packets) = (columns.next()?.ok()?, columns.next()?.ok()?);
    Some(Carried { packets, bytes })
}

/// TCP's counters in this network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpCounters {
    /// Segments sent, without those sent again.
    pub sent: u64,
    /// Segments sent again.
    pub retransmitted: u64,
    /// Packets dropped for a TTL below the socket's minimum: what a `blackhole` swallows.
    pub ttl_dropped: u64,
}

/// TCP's counters.
pub fn tcp() -> Option<TcpCounters> {
    let snmp = read_to_string("/proc/net/snmp").ok()?;
    let netstat = read_to_string("/proc/net/netstat").ok()?;
    Some(TcpCounters {
        sent: counter(&snmp, "Tcp:", "OutSegs")?,
        retransmitted: counter(&snmp, "Tcp:", "RetransSegs")?,
        ttl_dropped: counter(&netstat, "TcpExt:", "TCPMinTTLDrop")?,
    })
}

/// The value under a name, in a table of two lines, names above values.
fn counter(text: &str, table: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(table));
    let (names, values) = (lines.next()?, lines.next()?);
    let column = names.split_whitespace().position(|word| word == name)?;
    values.split_whitespace().nth(column)?.parse().ok()
}

/// The number behind a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "Name:\tx\nVmRSS:\t    1016 kB\nRssAnon:\t     64 kB\n";
        assert_eq!(parse_status(text), Some(Memory { rss: 1016 * 1024, anon: 64 * 1024 }));
        assert_eq!(parse_status("Name:\tzombie\n"), None);
    }

    #[test]
    fn the_machine_counts_its_cores_and_its_idle_ticks() {
        let text = "cpu  6614 28342 7310 388200 1600 0 101 23 0 0\n\
                    cpu0 1 2 3 4 5 6 7 8 9 10\ncpu1 1 2 3 4 5 6 7 8 9 10\nintr 5\n";
        assert_eq!(parse_stat(text), Some(MachineTicks { cores: 2, idle: 389_800, steal: 23 }));
    }

    #[test]
    fn an_interface_is_found_by_its_whole_name() {
        let text =
            "Inter-| Receive\n face |bytes packets\n  lo0: 1 2 0\n    lo: 4325533 77213 0 0\n";
        assert_eq!(parse_dev(text, "lo0"), Some(Carried { packets: 2, bytes: 1 }));
        assert_eq!(parse_dev("    lo: 43 7 0 0\n", "lo"), Some(Carried { packets: 7, bytes: 43 }));
        assert_eq!(parse_dev(text, "eth0"), None);
    }

    #[test]
    fn a_counter_is_found_under_its_name() {
        let text = "TcpExt: A B C\nTcpExt: 1 2 3\nIpExt: B\nIpExt: 9\n";
        assert_eq!(counter(text, "TcpExt:", "B"), Some(2));
        assert_eq!(counter(text, "TcpExt:", "D"), None);
    }

    #[test]
    fn queues_are_counted_in_pages() {
        let text =
            "sockets: used 16\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 7\nUDP: inuse 0 mem 3\n";
        assert_eq!(parse_tcp_pages(text), Some(7));
    }

    #[test]
    fn this_machine_can_be_read() {
        assert!(memory(std::process::id()).unwrap().rss > 0);
        assert!(machine().unwrap().cores > 0);
        assert!(loopback().is_some() && tcp().is_some() && kernel_memory().is_some());
    }
}
