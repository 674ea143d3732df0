//! What this kernel has of io_uring, found out by trying.
//!
//! Flags of the ring are tried from the best downwards. That a receive goes on cannot be asked of a
//! kernel: one byte is sent through a pair of sockets, and it is looked whether it does.

use super::features::{Fallback, Feature, Features, Lack};
use super::queue::{Queue, Wait};
use super::{Options, completion};
use crate::{ConnId, Error};
use halfopen_wheel::clock;
use socket2::{Domain, Socket, Type};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::panic::resume_unwind;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

/// What the driver uses here, and what it does without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What is used.
    pub features: Features,
    /// What is not.
    pub fallbacks: Vec<Fallback>,
}

/// Finds out what a driver that is to do `without` some features uses on this kernel. The kernel is
/// asked once in the life of the process.
///
/// # Errors
/// As [`run`](super::run) where the kernel gives no ring at all, or refuses to register its buffers
/// or to wait on it.
pub fn probe(without: Features) -> Result<Probe, Error> {
    static KERNEL: OnceLock<Vec<Fallback>> = OnceLock::new();
    let lacks = match KERNEL.get() {
        Some(lacks) => lacks,
        None => {
            // A ring that goes interrupts its owner's blocking calls (EINTR), so it is not to be a
            // thread that only starts a server.
            let asked = thread::scope(|scope| scope.spawn(ask_the_kernel).join());
            let lacks = asked.unwrap_or_else(|panic| resume_unwind(panic))?;
            KERNEL.get_or_init(|| lacks)
        }
    };
    Ok(combine(without, lacks))
}

/// What is lacking by the kernel's word or by ours. A ring that defers its work has no use for the
/// rung below, so that one is a fall-back only where it was come down to.
fn combine(without: Features, lacks: &[Fallback]) -> Probe {
    let told = |feature| match lacks.iter().find(|lack| lack.feature == feature) {
        Some(&lack) => Some(lack),
        None => without.has(feature).then_some(Fallback { feature, why: Lack::Asked }),
    };
    let lack = |feature| match feature {
        // Whoever is not asked by the ring has to be a descriptor.
        Feature::Direct => {
            told(feature).or_else(|| Some(Fallback { feature, ..told(Feature::SocketCommands)? }))
        }
        feature => told(feature),
    };
    let lacking = |feature| lack(feature).is_some();
    let features = Feature::ALL.into_iter().filter(|&feature| !lacking(feature)).collect();
    let defers = !lacking(Feature::DeferTaskrun);
    let fallbacks = Feature::ALL.into_iter().filter_map(lack);
    let counts = |fallback: &Fallback| !(defers && fallback.feature == Feature::CoopTaskrun);
    Probe { features, fallbacks: fallbacks.filter(counts).collect() }
}

fn ask_the_kernel() -> Result<Vec<Fallback>, Error> {
    let mut lacks = Vec::new();
    let mut lack = |feature, errno| lacks.push(Fallback { feature, why: Lack::Kernel(errno) });
    let ladder = [
        Features::of(&[Feature::DeferTaskrun, Feature::CoopTaskrun]),
        Features::of(&[Feature::CoopTaskrun]),
        Features::NONE,
    ];
    let rungs = ladder.map(ring);
    for (feature, rung) in [Feature::DeferTaskrun, Feature::CoopTaskrun].into_iter().zip(&rungs) {
        if let Err(error) = rung {
            lack(feature, errno(error));
        }
    }
    let Some(at) = rungs.iter().position(Result::is_ok) else {
        let [_, _, plain] = rungs;
        return Err(plain.err().expect("none of them is a ring"));
    };
    if let Err(errno) = try_multishot(ladder[at])? {
        lack(Feature::Multishot, errno);
    }
    if let Err(errno) = try_socket_command(ladder[at])? {
        lack(Feature::SocketCommands, errno);
    }
    if let Err(error) = Queue::new(TINY, ladder[at].with(Feature::Direct), 1, Arc::default()) {
        lack(Feature::Direct, errno(&error));
    }
    if !rungs[at].as_ref().is_ok_and(Queue::has_min_wait) {
        lack(Feature::MinWait, libc::EINVAL);
    }
    Ok(lacks)
}

fn ring(features: Features) -> Result<Queue, Error> {
    Queue::new(TINY, features, 0, Arc::default())
}

/// Whether a receive goes on after its first byte; if not, the kernel's word for it. An error where
/// not even a receive can be tried.
fn try_multishot(features: Features) -> Result<Result<(), i32>, Error> {
    let failed = |error| Error::Os { doing: "trying a receive on io_uring", error };
    let mut queue = ring(features.with(Feature::Multishot))?;
    let (ours, mut theirs) = UnixStream::pair().map_err(failed)?;
    theirs.write_all(b"?").map_err(failed)?;
    queue.receive(ConnId { index: 0, generation: 0 }, ours.as_raw_fd() as u32);
    queue.enter(Wait::Until(Some(clock::now() + PATIENCE)))?;
    Ok(match queue.next(|_| {}) {
        Some(completion::Completion { result: 1, more: true, .. }) => Ok(()),
        Some(completion) if completion.result < 0 => Err(-completion.result),
        _ => Err(libc::EOPNOTSUPP),
    })
}

/// Whether the ring can be asked for what waits in a socket's queue; if not, the kernel's word for
/// it.
fn try_socket_command(features: Features) -> Result<Result<(), i32>, Error> {
    let failed = |error| Error::Os { doing: "trying a socket command on io_uring", error };
    let mut queue = ring(features)?;
    // It knows of no peer and has sent nothing, which is an answer.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)
        .or_else(|_| Socket::new(Domain::IPV6, Type::STREAM, None))
        .map_err(failed)?;
    queue.probe(ConnId { index: 0, generation: 0 }, socket.as_raw_fd() as u32);
    queue.enter(Wait::Until(Some(clock::now() + PATIENCE)))?;
    let result = queue.next(|_| {}).map_or(-libc::EOPNOTSUPP, |completion| completion.result);
    Ok(if result < 0 { Err(-result) } else { Ok(()) })
}

fn errno(error: &Error) -> i32 {
    match error {
        Error::RingRefused(error) | Error::LockedMemory(error) | Error::Os { error, .. } => {
            error.raw_os_error().unwrap_or(libc::EINVAL)
        }
        _ => libc::EINVAL,
    }
}

/// A byte through a pair of sockets is there before it is asked for.
const PATIENCE: Duration = Duration::from_secs(1);

const TINY: Options = Options {
    submissions: 8,
    completions: 16,
    buffers: 1,
    buffers_max: 1,
    buffer_bytes: 64,
    quiet: Duration::MAX,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn lack(feature: Feature, errno: i32) -> Fallback {
        Fallback { feature, why: Lack::Kernel(errno) }
    }

    #[test]
    fn what_the_kernel_lacks_is_told_before_what_was_asked_for() {
        let everything = combine(Features::NONE, &[]);
        assert_eq!(everything.features, Feature::ALL.into_iter().collect());
        assert_eq!(everything.fallbacks, []);

        let without = Features::of(&[Feature::Multishot, Feature::Direct]);
        let probe = combine(without, &[lack(Feature::Direct, 22)]);
        let asked = Fallback { feature: Feature::Multishot, why: Lack::Asked };
        assert_eq!(probe.fallbacks, [asked, lack(Feature::Direct, 22)]);
        assert!(probe.features.has(Feature::DeferTaskrun));
        assert!(!probe.features.has(Feature::Direct));
    }

    #[test]
    fn who_cannot_be_asked_by_the_ring_has_to_be_a_descriptor() {
        let asked = |feature| Fallback { feature, why: Lack::Asked };
        let commands = Features::of(&[Feature::SocketCommands]);
        let probe = combine(commands, &[]);
        assert_eq!(probe.fallbacks, [Feature::SocketCommands, Feature::Direct].map(asked));
        assert!(!probe.features.has(Feature::Direct));

        let lacks = [Feature::SocketCommands, Feature::Direct].map(|feature| lack(feature, 95));
        assert_eq!(combine(commands, &lacks[..1]).fallbacks, lacks);
        assert_eq!(
            combine(Features::of(&[Feature::Direct]), &lacks[..1]).fallbacks[1].why,
            Lack::Asked
        );
    }

    #[test]
    fn the_rung_below_is_missed_only_by_who_comes_down_to_it() {
        let coop = Features::of(&[Feature::CoopTaskrun]);
        assert_eq!(combine(coop, &[]).fallbacks, []);
        let probe = combine(coop, &[lack(Feature::DeferTaskrun, 22)]);
        assert_eq!(probe.fallbacks.len(), 2);
        assert!(!probe.features.has(Feature::DeferTaskrun));
    }

    #[test]
    fn this_kernel_is_asked_and_what_is_forced_is_done_without() {
        let kernel = probe(Features::NONE).unwrap();
        for feature in Feature::ALL {
            let forced = probe(Features::of(&[feature])).unwrap();
            assert!(!forced.features.has(feature));
            assert!(
                kernel.features.without(forced.features).has(feature)
                    == kernel.features.has(feature)
            );
        }
    }
}
