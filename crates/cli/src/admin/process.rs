//! What concerns the process and not its server, by the names that all Prometheus clients use.

use halfopen_server::metrics::Exposition;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::time::Duration;

/// Appends start, CPU, memory and descriptors.
pub(super) fn expose(to: &mut Exposition) {
    if let Some(start) = start() {
        let help = "When the process began, in seconds since 1970.";
        to.gauge("process_start_time_seconds", help, start);
    }
    to.counter("process_cpu_seconds_total", "CPU time of all threads.", cpu());
    if let Some(bytes) = resident_bytes() {
        to.gauge("process_resident_memory_bytes", "Memory of the process in RAM.", bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The directory itself is open while it is read.
        to.gauge("process_open_fds", "Open descriptors.", open.count().saturating_sub(1));
    }
    if let Some(max) = getrlimit(Resource::Nofile).current {
        to.gauge("process_max_fds", "Descriptors that may be open (RLIMIT_NOFILE).", max);
    }
}

fn cpu() -> f64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32).as_secs_f64()
}

/// The second number of /proc/self/statm, in pages.
fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * page_size() as u64)
}

/// When the kernel started the process: its own ticks since boot, and when that was.
fn start() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name may hold anything, parentheses too; behind it stand numbers.
    let numbers = stat.rsplit_once(") ")?.1;
    let ticks: f64 = numbers.split(' ').nth(19)?.parse().ok()?;
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<f64>().ok()? + ticks / clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn the_process_began_before_now_and_not_long_ago() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let start = start().unwrap();
        // The moment of boot is told in whole seconds.
        assert!(start < now + 2.0 && now - start < 3600.0, "{start} {now}");
    }
}
