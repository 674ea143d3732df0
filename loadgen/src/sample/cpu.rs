//! CPU time of processes, to the nanosecond, by the scheduler's own account.
//!
//! The account of a whole process holds the threads that have ended too, which a sum over its
//! threads would lose; it belongs to the kernel, so any user may read anybody's. A clock tick would
//! be no measure: beside timers that follow the tick its columns are wrong by tens of percent.
#![allow(unsafe_code)] // rustix has no call for the clock of another process.

use rustix::time::{ClockId, clock_gettime};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// CPU time of this process so far.
pub fn own() -> Duration {
    since_zero(clock_gettime(ClockId::ProcessCPUTime))
}

/// CPU time of the calling thread so far.
pub fn thread() -> Duration {
    since_zero(clock_gettime(ClockId::ThreadCPUTime))
}

/// CPU time of the process `pid` so far, its children not included; none if there is none.
pub fn of_process(pid: u32) -> Option<Duration> {
    let pid = libc::pid_t::try_from(pid).ok()?;
    let mut clock = 0;
    // SAFETY: the call writes one clockid_t, for which `clock` has room.
    if unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) } != 0 {
        return None;
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec, for which `time` has room; a clock of a process that
    // is gone is answered by an error.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return None;
    }
    Some(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

fn since_zero(time: rustix::time::Timespec) -> Duration {
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Processes and all that they started.
///
/// A process that ends between two readings keeps the last account that was read of it, so the sum
/// never falls; what it used after that reading is lost.
#[derive(Debug, Default)]
pub struct Tree {
    roots: Vec<u32>,
    accounts: BTreeMap<u32, Duration>,
}

impl Tree {
    /// The processes `roots` and their descendants.
    pub fn new(roots: Vec<u32>) -> Self {
        Self { roots, accounts: BTreeMap::new() }
    }

    /// Those that live now.
    pub fn living(&self) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        let mut unseen = self.roots.clone();
        while let Some(pid) = unseen.pop() {
            if found.insert(pid) {
                unseen.extend(children(pid));
            }
        }
        found
    }

    /// CPU time of all of them so far; none if none was ever there.
    pub fn cpu(&mut self, living: &BTreeSet<u32>) -> Option<Duration> {
        for &pid in living {
            if let Some(time) = of_process(pid) {
                self.accounts.insert(pid, time);
            }
        }
        (!self.accounts.is_empty()).then(|| self.accounts.values().sum())
    }
}

/// The children of every thread of `pid`, where the kernel lists them.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn work_shows_in_the_account_of_this_process() {
        let pid = std::process::id();
        let before = of_process(pid).unwrap();
        let mine = thread();
        while thread() - mine < Duration::from_millis(2) {
            std::hint::black_box(0);
        }
        let after = of_process(pid).unwrap();
        assert!(after - before >= Duration::from_millis(2));
        assert!(own() >= after);
    }

    #[test]
    fn a_process_that_is_not_there_has_no_account() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert_eq!(of_process(pid), None);
        assert_eq!(Tree::new(vec![pid]).cpu(&[pid].into()), None);
    }

    #[test]
    fn a_tree_holds_the_children_and_remembers_the_dead() {
        // The shell says when its child runs; both live until their input ends. (Without the
        // detour the child of a shell without job control reads /dev/null.)
        let mut shell = Command::new("sh")
            .args(["-c", "exec 3<&0; cat <&3 & echo; wait"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0];
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut line).unwrap();
        let mut tree = Tree::new(vec![shell.id()]);
        let living = tree.living();
        assert!(living.len() >= 2 && living.contains(&shell.id()), "{living:?}");
        let alive = tree.cpu(&living).unwrap();
        assert!(alive > Duration::ZERO);
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert!(tree.cpu(&tree.living()).unwrap() >= alive);
    }
}
