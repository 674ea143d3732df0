//! Cores, shared out between server and load.

/// The cores that this process may use.
pub(crate) fn own_cores() -> Vec<usize> {
    let set = rustix::thread::sched_getaffinity(None).unwrap_or_default();
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect()
}

/// One half for the server, one for the load; nothing where there is but one core.
pub(crate) fn share_cores(cores: &[usize]) -> (Vec<usize>, Vec<usize>) {
    if cores.len() < 2 {
        return (Vec::new(), Vec::new());
    }
    let (server, load) = cores.split_at(cores.len() / 2);
    (server.to_vec(), load.to_vec())
}

/// As `--cpu` takes them.
pub(crate) fn cpu_list(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_load_share_no_core() {
        assert_eq!(share_cores(&[0]), (vec![], vec![]));
        assert_eq!(share_cores(&[0, 1]), (vec![0], vec![1]));
        assert_eq!(share_cores(&[2, 3, 6]), (vec![2], vec![3, 6]));
    }
}
