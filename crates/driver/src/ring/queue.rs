//! The ring, and all memory that the kernel may touch on its behalf.
//!
//! This file and its `requests` promise: a chunk is owned here from the moment in which its send is
//! queued until it is taken by the [`Landed`] that the completion which ends it makes; buffers live as
//! long as a receive may fill them; addresses and times live until the system call has returned
//! that submitted their request. That holds whatever the caller does, also when it panics.
#![allow(unsafe_code)] // memory shared with the kernel

mod buffers;
mod requests;
mod slots;

use super::Options;
use super::completion::{Completion, Kind, Of, Sending};
use super::features::{Feature, Features};
use super::pace::GATHER;
use crate::{ConnId, Counters, Error};
use buffers::Buffers;
use halfopen_wheel::{Instant, clock};
use io_uring::opcode::FixedFdInstall;
use io_uring::types::{CancelBuilder, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue};
use slab::Slab;
use slots::Slots;
use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// How long stopping waits for the kernel to let go of what it was given.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many completions are known before their turn: enough for the memory of the last of them to
/// come before it is its turn, few enough for the CPU to keep account of.
const AHEAD: usize = 8;

/// A wait that is given no end is given this one, where it has to have one.
const LONG: Duration = Duration::from_secs(3600);

/// After so many calls that left no completion the kernel's word that there is deferred work is not
/// believed. It raises that flag after it has queued the work: a call on another core that does the
/// work in between leaves the flag raised, and nothing behind it, until something else arrives.
const BARREN: u32 = 2;

/// How long a system call may wait for completions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    /// Not at all.
    No,
    /// For one, until this moment or for ever.
    Until(Option<Instant>),
    /// For so many; after [`GATHER`] for one; until this moment or for ever.
    Gather(u32, Option<Instant>),
}

pub(super) struct Queue {
    ring: IoUring,
    features: Features,
    slots: Slots,
    buffers: ManuallyDrop<Buffers>,
    /// Sends under way, and those that are over and not told of yet.
    sends: ManuallyDrop<Slab<Sending>>,
    /// How many are under way.
    under_way: u32,
    /// Receives that the kernel may still fill buffers for.
    receives: u32,
    /// Sends whose first bytes wait for the next system call.
    unstamped: Vec<u32>,
    /// When the last system call was made.
    stamped: Instant,
    /// What requests point to that were not submitted yet. Boxed, because it must not move.
    #[expect(clippy::vec_box)]
    arguments: Vec<Box<Arguments>>,
    /// Completions that were taken out of the ring's own queue to look ahead.
    ahead: VecDeque<cqueue::Entry>,
    /// How many system calls in a row have left no completion.
    barren: u32,
    failure: Option<io::Error>,
    counters: Arc<Counters>,
}

/// The name of a send that is over. The chunk stays where it is until it is told of: carried along
/// by value it would be copied at each station, and each copy wait for the one before.
#[derive(Debug)]
pub(super) struct Landed(u32);

/// What a connect points to.
struct Arguments {
    to: socket2::SockAddr,
    from: Option<socket2::SockAddr>,
    patience: Timespec,
}

impl Queue {
    /// A ring with these features, and where they say so with a table of `slots` direct descriptors.
    pub(super) fn new(
        options: Options,
        features: Features,
        slots: u32,
        counters: Arc<Counters>,
    ) -> Result<Self, Error> {
        let ring = set_up(options, features).map_err(refusal)?;
        let buffers =
            Buffers::new(&options).map_err(|error| Error::Os { doing: "making buffers", error })?;
        let queue = Self {
            ring,
            features,
            slots: Slots::new(features.has(Feature::Direct)),
            buffers: ManuallyDrop::new(buffers),
            sends: ManuallyDrop::default(),
            under_way: 0,
            receives: 0,
            unstamped: Vec::new(),
            stamped: Instant::from_nanos(0),
            arguments: Vec::new(),
            ahead: VecDeque::with_capacity(AHEAD),
            barren: 0,
            failure: None,
            counters,
        };
        // SAFETY: `drop` frees the buffers only after all receives have ended, else never.
        let registered = unsafe { queue.buffers.register(&queue.ring.submitter()) };
        registered.map_err(|error| shortage_in("registering buffers with io_uring", error))?;
        if features.has(Feature::Direct) {
            let registered = queue.ring.submitter().register_files_sparse(slots);
            registered.map_err(|error| shortage_in("registering a table of connections", error))?;
        }
        Ok(queue)
    }

    /// Whether the kernel can wait for several completions and be content with one.
    pub(super) fn has_min_wait(&self) -> bool {
        self.ring.params().is_feature_min_timeout()
    }

    /// Whether the kernel can make an ordinary descriptor of a direct one.
    pub(super) fn can_install(&self) -> bool {
        let mut known = io_uring::Probe::new();
        let told = self.ring.submitter().register_probe(&mut known);
        told.is_ok() && known.is_supported(FixedFdInstall::CODE)
    }

    /// Whether it is a ring with this feature.
    pub(super) fn has(&self, feature: Feature) -> bool {
        self.features.has(feature)
    }

    /// Submits what is queued and lets the kernel do its deferred work; waits if there is none.
    /// Gives back the moment before the call.
    pub(super) fn enter(&mut self, wait: Wait) -> Result<Instant, Error> {
        let begun = self.stamp();
        let outcome = match wait {
            Wait::No => self.call(0, begun, None),
            Wait::Until(deadline) => self.call(1, begun, deadline),
            Wait::Gather(want, deadline) => self.call(want, begun, deadline),
        };
        self.submitted(outcome);
        let (_, submissions, completions) = self.ring.split();
        let is_barren = completions.is_empty() && !submissions.cq_overflow();
        self.barren = if is_barren { self.barren.saturating_add(1) } else { 0 };
        match self.failure.take() {
            Some(error) => Err(Error::Os { doing: "waiting on io_uring", error }),
            None => Ok(begun),
        }
    }

    /// How many buffers are in use.
    pub(super) fn buffers_count(&self) -> usize {
        self.buffers.count()
    }

    /// A buffer was missing.
    pub(super) fn more_buffers(&mut self) {
        self.buffers.grow();
    }

    /// What a receive has put into a buffer that a completion has named.
    pub(super) fn bytes(&mut self, buffer: u16, length: usize) -> &mut [u8] {
        self.buffers.bytes(buffer, length)
    }

    /// The send that is over.
    pub(super) fn sending(&mut self, landed: &Landed) -> &mut Sending {
        &mut self.sends[landed.0 as usize]
    }

    /// Takes a send that is over out of the ring's memory.
    pub(super) fn take(&mut self, landed: Landed) -> Sending {
        self.sends.remove(landed.0 as usize)
    }

    /// Gives a buffer back; the kernel sees it with the next call.
    pub(super) fn give_back(&mut self, buffer: u16) {
        self.buffers.give_back(buffer);
    }

    /// Sees to room for `entries` more in the submission queue; in vain only if the ring is broken.
    fn make_room(&mut self, entries: usize) {
        loop {
            let queued = self.ring.submission();
            if queued.capacity() - queued.len() >= entries || self.failure.is_some() {
                return;
            }
            drop(queued);
            self.submit();
        }
    }

    /// Hands what is queued to the kernel now.
    fn submit(&mut self) {
        let begun = self.stamp();
        let outcome = self.call(0, begun, None);
        self.submitted(outcome);
    }

    /// The clock, also for the sends that go out now.
    fn stamp(&mut self) -> Instant {
        let now = clock::now();
        for key in self.unstamped.drain(..) {
            self.sends[key as usize].at = Some(now);
        }
        self.stamped = now;
        now
    }

    /// When the last system call was made: the latest moment at which a send can have left.
    pub(super) fn stamped(&self) -> Instant {
        self.stamped
    }

    fn call(&mut self, want: u32, now: Instant, deadline: Option<Instant>) -> io::Result<usize> {
        self.counters.syscalls.add(1);
        self.buffers.publish();
        self.counters.buffers.set(self.buffers.count() as u64);
        let queued = self.ring.submission().len() as u32;
        let submitter = self.ring.submitter();
        let flags = EnterFlags::GETEVENTS.bits();
        let (deadline, min_wait) = self.patience(want, now, deadline);
        let Some(deadline) = deadline else {
            // SAFETY: no argument is passed.
            return unsafe { submitter.enter::<libc::sigset_t>(queued, want, flags, None) };
        };
        let patience = Timespec::from(deadline.saturating_since(now));
        let arguments = SubmitArgs::new().min_wait_usec(min_wait).timespec(&patience);
        let flags = flags | EnterFlags::EXT_ARG.bits();
        // SAFETY: the arguments are of the type that EXT_ARG stands for, and outlive the call.
        unsafe { submitter.enter(queued, want, flags, Some(&arguments)) }
    }

    /// Until when a call waits, and how many microseconds for more than one completion.
    ///
    /// A kernel that cannot be content with one after a while is asked for all of them and called
    /// back then: where several are waited for, something is about to come anyway.
    fn patience(&self, want: u32, now: Instant, until: Option<Instant>) -> (Option<Instant>, u32) {
        let until = until.filter(|&until| until != Instant::FAR);
        let gathered = now + GATHER;
        match until {
            _ if want <= 1 => (until, 0),
            Some(until) if until <= gathered => (Some(until), 0),
            _ if !self.has(Feature::MinWait) => (Some(gathered), 0),
            _ => (Some(until.unwrap_or(now + LONG)), GATHER.as_micros() as u32),
        }
    }

    /// A call has returned. What the kernel could not take now it takes with the next call.
    fn submitted(&mut self, outcome: io::Result<usize>) {
        let queued = self.ring.submission();
        if queued.cq_overflow() {
            self.counters.overflows.add(1);
        }
        if queued.is_empty() {
            self.arguments.clear();
        }
        drop(queued);
        let Err(error) = outcome else { return };
        let passing = [libc::ETIME, libc::EINTR, libc::EAGAIN, libc::EBUSY];
        if !error.raw_os_error().is_some_and(|errno| passing.contains(&errno)) {
            self.failure = Some(error);
        }
    }

    /// Whether there are completions, here or in the kernel's hands.
    pub(super) fn is_waiting(&mut self) -> bool {
        self.is_at_hand() || (self.ring.submission().taskrun() && self.barren < BARREN)
    }

    /// Whether the kernel has put off no work, by its own word. Without the flag for it work is done
    /// behind our back, and nothing can be said without a call.
    pub(super) fn has_nothing_put_off(&mut self) -> bool {
        let has_flag = self.has(Feature::CoopTaskrun) || self.has(Feature::DeferTaskrun);
        has_flag && !self.ring.submission().taskrun()
    }

    /// Whether there are completions that need no waiting. Work that the kernel has put off is no
    /// reason for a call of its own: a call that waits does it first.
    pub(super) fn is_at_hand(&mut self) -> bool {
        let (_, submissions, completions) = self.ring.split();
        !self.ahead.is_empty() || !completions.is_empty() || submissions.cq_overflow()
    }

    /// Whether something that was asked for was not submitted yet.
    pub(super) fn is_submitted(&mut self) -> bool {
        self.ring.submission().is_empty()
    }

    /// Takes the next completion out of the queue. `foresee` is told whom one is about that comes
    /// a little later.
    pub(super) fn next(&mut self, foresee: impl Fn(ConnId)) -> Option<Completion> {
        while self.ahead.len() < AHEAD {
            let next = self.ring.completion().next();
            let Some(entry) = next else { break };
            if let Some(id) = self.about(&entry) {
                foresee(id);
            }
            self.ahead.push_back(entry);
        }
        let entry = self.ahead.pop_front()?;
        let (kind, id) = Kind::parse(entry.user_data());
        let (result, more) = (entry.result(), cqueue::more(entry.flags()));
        if matches!(kind, Kind::Accept | Kind::Socket) {
            // SAFETY: the kernel has just made it for this request, and this names it once.
            unsafe { self.slots.made(result) };
        }
        let of = match kind {
            Kind::Nobody => Of::Nobody,
            Kind::Accept => Of::Accept,
            Kind::Listener => Of::Listener,
            Kind::Socket => Of::Socket(id.index),
            Kind::Connect => Of::Connect(id.index),
            Kind::Receive => {
                let left = cqueue::sock_nonempty(entry.flags());
                Of::Receive(id, (self.received(more, &entry), left))
            }
            Kind::Send => {
                // A send has one completion, and the kernel is done with the chunk.
                self.under_way -= 1;
                Of::Send(self.sends[id.index as usize].id, Landed(id.index))
            }
            Kind::Poll => Of::Poll(id),
            Kind::Shutdown => Of::Shutdown(id),
            Kind::Close => Of::Close(id),
            Kind::Check => Of::Check(id),
            Kind::Probe => Of::Probe(id),
            Kind::Locate => Of::Locate(id, installed(result)),
            Kind::Diagnose => Of::Diagnose(id, installed(result)),
            Kind::Wake => Of::Wake,
        };
        Some(Completion { of, result, more })
    }

    /// Whose memory the completion will want; none where it is seldom enough to wait for.
    fn about(&self, entry: &cqueue::Entry) -> Option<ConnId> {
        match Kind::parse(entry.user_data()) {
            (Kind::Receive | Kind::Poll, id) => Some(id),
            (Kind::Send, key) => Some(self.sends.get(key.index as usize)?.id),
            _ => None,
        }
    }

    fn received(&mut self, more: bool, entry: &cqueue::Entry) -> Option<u16> {
        self.receives -= u32::from(!more);
        let buffer = cqueue::buffer_select(entry.flags())?;
        // SAFETY: this is the completion that names it, and it is out of the queue.
        unsafe { self.buffers.take(buffer) };
        Some(buffer)
    }

    /// Ends everything that is under way, and closes all sockets.
    ///
    /// Dropping the ring would do so too, but some time later and without a word, while chunks
    /// and buffers are freed.
    fn end(&mut self) {
        let until = clock::now() + PATIENCE;
        loop {
            // First what waits in the queue, because only what was submitted is cancelled.
            if self.enter(Wait::No).is_err() {
                return;
            }
            let everything = CancelBuilder::any();
            // What it says is not needed: what counts is that everything comes to an end.
            let _ = self
                .ring
                .submitter()
                .register_sync_cancel(Some(Timespec::from(PATIENCE)), everything);
            let soon = clock::now() + Duration::from_millis(20);
            let wait = if self.is_quiet() { Wait::No } else { Wait::Until(Some(soon)) };
            if self.enter(wait).is_err() {
                return;
            }
            while self.next(|_| {}).is_some() {}
            if self.is_quiet() || clock::now() > until {
                break;
            }
        }
        // Nobody else holds them any more, so each is closed before the call returns.
        let _ = self.ring.submitter().unregister_files();
        self.slots.close();
    }

    /// Whether the kernel holds nothing that we own.
    fn is_quiet(&self) -> bool {
        self.under_way == 0 && self.receives == 0
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.end();
        if self.is_quiet() {
            // SAFETY: dropped once, here, and by `is_quiet` the kernel uses neither.
            unsafe {
                ManuallyDrop::drop(&mut self.buffers);
                ManuallyDrop::drop(&mut self.sends);
            }
        }
        // Else they are leaked: the kernel may come back to them.
    }
}

/// The descriptor that a FIXED_FD_INSTALL made.
fn installed(result: i32) -> Option<OwnedFd> {
    // SAFETY: the kernel has just made it for this request, and this is its one completion.
    (result >= 0).then(|| unsafe { OwnedFd::from_raw_fd(result) })
}

/// A ring that does deferred work, at best, only when we ask for completions: then whatever arrives
/// costs no interrupt of ours, and a full completion queue ends no multishot receive.
fn set_up(options: Options, features: Features) -> io::Result<IoUring> {
    if !features.has(Feature::DeferTaskrun) {
        return build(options, features, false);
    }
    newest_first(|newest| build(options, features, newest))
}

/// DEFER_TASKRUN is of Linux 6.1, and NO_SQARRAY, a little less memory, of 6.6.
fn newest_first(build: impl Fn(bool) -> io::Result<IoUring>) -> io::Result<IoUring> {
    match build(true) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => build(false),
        built => built,
    }
}

fn build(options: Options, features: Features, newest: bool) -> io::Result<IoUring> {
    let mut ring = IoUring::builder();
    ring.setup_cqsize(options.completions).setup_submit_all();
    if features.has(Feature::DeferTaskrun) {
        ring.setup_single_issuer().setup_defer_taskrun();
    }
    if newest {
        ring.setup_no_sqarray();
    }
    if features.has(Feature::CoopTaskrun) || features.has(Feature::DeferTaskrun) {
        ring.setup_coop_taskrun().setup_taskrun_flag();
    }
    ring.build(options.submissions)
}

fn refusal(error: io::Error) -> Error {
    shortage(error, |error| match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM | libc::EACCES | libc::EINVAL) => Error::RingRefused(error),
        _ => Error::Os { doing: "setting up a ring", error },
    })
}

/// What this process is short of, else what `otherwise` makes of the error.
fn shortage(error: io::Error, otherwise: impl FnOnce(io::Error) -> Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENOMEM) => Error::LockedMemory(error),
        Some(libc::EMFILE | libc::ENFILE) => Error::NoDescriptors(error),
        _ => otherwise(error),
    }
}

fn shortage_in(doing: &'static str, error: io::Error) -> Error {
    shortage(error, |error| Error::Os { doing, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(us: u64) -> Instant {
        Instant::from_nanos(us * 1_000)
    }

    fn patience(features: &[Feature], want: u32, until: Option<u64>) -> (Option<Instant>, u32) {
        let features = Features::of(features);
        let queue = Queue::new(Options::default(), features, 1, Arc::default()).unwrap();
        queue.patience(want, us(1_000), until.map(us))
    }

    fn failing(errno: i32) -> io::Result<IoUring> {
        Err(io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn a_ring_defers_its_work_where_the_kernel_lacks_only_what_is_newer() {
        let defers = Features::of(&[Feature::DeferTaskrun]);
        let old = |newest| match newest {
            true => failing(libc::EINVAL),
            false => build(Options::default(), defers, false),
        };
        let mut ring = newest_first(old).unwrap();
        let nop = io_uring::opcode::Nop::new().build().user_data(7);
        // SAFETY: it points to nothing.
        unsafe { ring.submission().push(&nop) }.unwrap();
        ring.submit_and_wait(1).unwrap();
        assert_eq!(ring.completion().next().unwrap().user_data(), 7);

        let short = |newest: bool| failing(if newest { libc::ENOMEM } else { libc::EINVAL });
        assert_eq!(newest_first(short).err().unwrap().raw_os_error(), Some(libc::ENOMEM));
        let older = newest_first(|_| failing(libc::EINVAL)).err().unwrap();
        assert_eq!(older.raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn who_waits_for_one_waits_to_the_end() {
        for features in [&[][..], &[Feature::MinWait]] {
            assert_eq!(patience(features, 1, None), (None, 0));
            assert_eq!(patience(features, 0, Some(9_000)), (Some(us(9_000)), 0));
        }
    }

    #[test]
    fn who_waits_for_several_is_content_with_one_after_a_while() {
        let min_wait = [Feature::MinWait];
        assert_eq!(patience(&min_wait, 8, Some(9_000)), (Some(us(9_000)), 200));
        assert_eq!(patience(&min_wait, 8, Some(1_200)), (Some(us(1_200)), 0));
        assert_eq!(patience(&min_wait, 8, None), (Some(us(1_000) + LONG), 200));
        let far = Queue::new(Options::default(), Features::of(&min_wait), 1, Arc::default());
        let far = far.unwrap().patience(8, us(1_000), Some(Instant::FAR));
        assert_eq!(far, (Some(us(1_000) + LONG), 200));
    }

    #[test]
    fn where_the_kernel_cannot_be_content_with_one_it_calls_back_after_that_while() {
        assert_eq!(patience(&[], 8, Some(9_000)), (Some(us(1_200)), 0));
        assert_eq!(patience(&[], 8, Some(1_100)), (Some(us(1_100)), 0));
        assert_eq!(patience(&[], 8, None), (Some(us(1_200)), 0));
    }
}
