//! What this kernel has of io_uring, found out by trying.
//!
//! Flags of the ring are tried from the best downwards. That a receive goes on cannot be asked of a
//! kernel: one byte is sent through a pair of sockets, and it is looked whether it does.

use super::Options;
use super::completion::Completion;
use super::features::{Fallback, Feature, Features, Lack};
use super::queue::{Queue, Wait};
use crate::{ConnId, Error};
use halfopen_wheel::clock;
use socket2::{Domain, Socket, Type};
use std::io::{self, Write};
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

/// Each ring is gone before the next is made: a few at once may be more than the process may have,
/// though one is not.
fn ask_the_kernel() -> Result<Vec<Fallback>, Error> {
    let mut lacks = Vec::new();
    let mut note = |feature, word: Word| {
        let lack = word.err().map(|errno| Fallback { feature, why: Lack::Kernel(errno) });
        lacks.extend(lack);
        lack.is_none()
    };
    let deferring = Features::of(&[Feature::DeferTaskrun, Feature::CoopTaskrun]);
    let cooperative = Features::of(&[Feature::CoopTaskrun]);
    let defers = note(Feature::DeferTaskrun, try_ring(deferring)?);
    let cooperates = note(Feature::CoopTaskrun, try_ring(cooperative)?);
    let best = match (defers, cooperates) {
        (true, _) => deferring,
        (false, true) => cooperative,
        (false, false) => Features::NONE,
    };
    let has_min_wait = ring(best)?.has_min_wait();
    note(Feature::Multishot, try_multishot(best)?);
    note(Feature::SocketCommands, try_socket_command(best)?);
    note(Feature::Direct, try_direct(best)?);
    note(Feature::MinWait, has_min_wait.then_some(()).ok_or(libc::EINVAL));
    Ok(lacks)
}

/// What the kernel says to a trial: nothing, or the `errno` value by which it does not have it.
/// Where something else kept us from trying, it has said nothing.
type Word = Result<(), i32>;

fn try_ring(features: Features) -> Result<Word, Error> {
    match ring(features) {
        Ok(_) => Ok(Ok(())),
        Err(error) => refused(&error).map(Err).ok_or(error),
    }
}

/// The `errno` value, if it is one by which a kernel says that it does not have something, or does
/// not give it. No memory and no descriptor are a shortage of ours.
fn refused(error: &Error) -> Option<i32> {
    let (Error::RingRefused(error) | Error::Os { error, .. }) = error else { return None };
    error.raw_os_error().filter(|errno| REFUSALS.contains(errno))
}

const REFUSALS: [i32; 5] =
    [libc::EINVAL, libc::EOPNOTSUPP, libc::ENOSYS, libc::EPERM, libc::EACCES];

fn ring(features: Features) -> Result<Queue, Error> {
    Queue::new(TINY, features, 1, Arc::default())
}

/// Whether a receive goes on after its first byte. An error where not even a receive can be tried.
fn try_multishot(features: Features) -> Result<Word, Error> {
    let doing = "trying a receive on io_uring";
    let failed = |error| Error::Os { doing, error };
    let mut queue = ring(features.with(Feature::Multishot))?;
    let (ours, mut theirs) = UnixStream::pair().map_err(failed)?;
    theirs.write_all(b"?").map_err(failed)?;
    queue.receive(NOBODY, ours.as_raw_fd() as u32);
    match outcome(&mut queue, doing)? {
        Completion { result: 1, more: false, .. } => Ok(Err(libc::EOPNOTSUPP)),
        Completion { result, .. } => word(result, doing),
    }
}

/// Whether the ring can be asked for what waits in a socket's queue.
fn try_socket_command(features: Features) -> Result<Word, Error> {
    let doing = "trying a socket command on io_uring";
    let mut queue = ring(features)?;
    // It knows of no peer and has sent nothing, which is an answer.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)
        .or_else(|_| Socket::new(Domain::IPV6, Type::STREAM, None))
        .map_err(|error| Error::Os { doing, error })?;
    queue.probe(NOBODY, socket.as_raw_fd() as u32);
    word(outcome(&mut queue, doing)?.result, doing)
}

/// Whether there are direct descriptors, and what makes ordinary ones of them.
fn try_direct(features: Features) -> Result<Word, Error> {
    match ring(features.with(Feature::Direct)) {
        Ok(queue) => Ok(queue.can_install().then_some(()).ok_or(libc::EOPNOTSUPP)),
        Err(error) => refused(&error).map(Err).ok_or(error),
    }
}

/// The completion of the one request that was made.
fn outcome(queue: &mut Queue, doing: &'static str) -> Result<Completion, Error> {
    queue.enter(Wait::Until(Some(clock::now() + PATIENCE)))?;
    let nothing = || Error::Os { doing, error: io::ErrorKind::TimedOut.into() };
    queue.next(|_| {}).ok_or_else(nothing)
}

/// What the result of a request says.
fn word(result: i32, doing: &'static str) -> Result<Word, Error> {
    if result >= 0 {
        return Ok(Ok(()));
    }
    let error = Error::Os { doing, error: io::Error::from_raw_os_error(-result) };
    refused(&error).map(Err).ok_or(error)
}

const NOBODY: ConnId = ConnId { index: 0, generation: 0 };

/// What is asked for is there already.
const PATIENCE: Duration = Duration::from_secs(5);

const TINY: Options = Options {
    submissions: 8,
    completions: 16,
    buffers: 1,
    buffers_max: 1,
    buffer_bytes: 64,
    quiet: Duration::MAX,
    cheap_cancels_max: 0,
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
    fn only_what_the_kernel_says_of_itself_counts_as_lacking() {
        for errno in REFUSALS {
            assert_eq!(word(-errno, "trying").unwrap(), Err(errno));
            let error = Error::RingRefused(io::Error::from_raw_os_error(errno));
            assert_eq!(refused(&error), Some(errno));
        }
        assert_eq!(word(0, "trying").unwrap(), Ok(()));
        for errno in [libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::EINTR] {
            assert!(word(-errno, "trying").is_err());
        }
        let error = io::Error::from_raw_os_error;
        assert_eq!(refused(&Error::LockedMemory(error(libc::ENOMEM))), None);
        assert_eq!(refused(&Error::NoDescriptors(error(libc::EMFILE))), None);
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
