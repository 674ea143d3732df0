//! Where a run takes place.

use super::schema::Env;
use rustix::process::{Resource, getrlimit};
use std::fs::read_to_string;

impl Env {
    /// This machine. `loopback`: client and server talk over the loopback interface.
    pub fn here(loopback: bool) -> Self {
        let cpuinfo = read_to_string("/proc/cpuinfo").ok();
        let uname = rustix::system::uname();
        Self {
            kernel: uname.release().to_string_lossy().into_owned(),
            arch: uname.machine().to_string_lossy().into_owned(),
            cpu: cpuinfo.as_deref().and_then(model),
            cores: crate::sample::proc::machine().map_or(1, |machine| machine.cores),
            memory_bytes: read_to_string("/proc/meminfo").ok().as_deref().and_then(total_memory),
            loopback,
            vm: cpuinfo.as_deref().and_then(is_virtual),
            descriptors_max: getrlimit(Resource::Nofile).maximum,
        }
    }

    /// What stands in every title, because figures of one kind say nothing of another.
    pub fn label(&self) -> String {
        let path = if self.loopback { "loopback" } else { "network" };
        match self.vm {
            Some(true) => format!("{path}, VM"),
            Some(false) => format!("{path}, bare metal"),
            None => path.to_owned(),
        }
    }
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

fn model(cpuinfo: &str) -> Option<String> {
    value(cpuinfo, "model name").map(str::to_owned)
}

/// x86 has a flag for it; where there are no flags it is not known.
fn is_virtual(cpuinfo: &str) -> Option<bool> {
    Some(value(cpuinfo, "flags")?.split_whitespace().any(|flag| flag == "hypervisor"))
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let kilobytes: u64 = value(meminfo, "MemTotal")?.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_machine_is_known_by_its_flag() {
        let vm = "processor\t: 0\nmodel name\t: Some CPU @ 2GHz\nflags\t\t: fpu hypervisor sse\n";
        assert_eq!(is_virtual(vm), Some(true));
        assert_eq!(is_virtual("flags\t\t: fpu hypervisorish\n"), Some(false));
        assert_eq!(is_virtual("Features\t: fp asimd\n"), None);
        assert_eq!(model(vm).as_deref(), Some("Some CPU @ 2GHz"));
        assert_eq!(total_memory("MemTotal:       24684 kB\n"), Some(24684 * 1024));
    }

    #[test]
    fn the_label_names_path_and_machine() {
        let mut env = Env::here(true);
        env.vm = Some(true);
        assert_eq!(env.label(), "loopback, VM");
        (env.loopback, env.vm) = (false, None);
        assert_eq!(env.label(), "network");
    }
}
