//! Operations on the runtime's ring; each carries a tag that comes back with its result.
//!
//! tokio-uring's own operations end in a future for each kind. Here all of them end in one queue,
//! in the order in which the kernel told their completions, because the contract of the seam is
//! about order.

use crate::{Cause, ConnId, Token};
use halfopen_wheel::{Instant, clock};
use io_uring_of_tokio::{cqueue, opcode, squeue, types};
use rustix::event::PollFlags;
use socket2::SockAddr;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio_uring::{OneshotOutputTransform, UnsubmittedOneshot};

/// What an operation was for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tag {
    /// A connection has something to read, or its end has come.
    Readable(ConnId),
    /// The end of a connection that is paused has come.
    Ended(ConnId),
    /// A send is over.
    Sent(ConnId),
    /// A connect is over.
    Connected(ConnId),
    /// A connect is to be given up, if it has not ended.
    GiveUp(ConnId),
    /// The listener has connections.
    Listener,
    /// Accepting, put off for want of descriptors, may be tried again.
    AcceptAgain,
    /// Somebody used the waker.
    Wake,
    /// This moment has come.
    Timer(Instant),
    /// All that arrived before this moment is in front of this tag.
    Heard(Instant),
    /// An answer, told by ourselves.
    Closed(ConnId),
    /// An answer, told by ourselves.
    Refused(Token, Cause),
    /// An answer, told by ourselves.
    Probed(ConnId, u32),
    /// An answer is to be given.
    Locate(ConnId),
    /// A turn has left something over.
    GoOn,
}

/// Tags and results, in the order of the completions.
#[derive(Default)]
pub(super) struct Completions {
    queue: RefCell<VecDeque<(Tag, i32)>>,
    waiting: RefCell<Option<Waker>>,
    flagged: Cell<bool>,
    /// When the loop let go of the thread, since that was last asked.
    let_go: Cell<Option<Instant>>,
}

impl Completions {
    /// The oldest.
    pub(super) fn next(&self) -> Option<(Tag, i32)> {
        self.queue.borrow_mut().pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Waits until something came since the last time.
    ///
    /// It is also the only place where the loop lets go of the thread, and what makes the runtime
    /// hand its submissions to the kernel: it does so only when no task is ready. So nothing here
    /// may make the loop ready but a completion.
    pub(super) async fn arrived(&self) {
        std::future::poll_fn(|context| {
            if self.flagged.take() {
                return Poll::Ready(());
            }
            *self.waiting.borrow_mut() = Some(context.waker().clone());
            if self.let_go.get().is_none() {
                self.let_go.set(Some(clock::now()));
            }
            Poll::Pending
        })
        .await;
    }

    /// When the loop last let go of the thread, and so the runtime handed to the kernel what had
    /// been submitted before; none if it has not since the last call.
    pub(super) fn handed_over(&self) -> Option<Instant> {
        self.let_go.take()
    }

    fn push(&self, tag: Tag, result: i32) {
        self.queue.borrow_mut().push_back((tag, result));
        self.flagged.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

/// Submits operations whose results land in one queue.
#[derive(Clone, Default)]
pub(super) struct Ops(Rc<Completions>);

impl Ops {
    pub(super) fn completions(&self) -> &Completions {
        &self.0
    }

    /// Fires once when `what` is true of the descriptor, or an error or hang-up is.
    pub(super) fn poll(&self, tag: Tag, fd: BorrowedFd<'_>, what: PollFlags) {
        let fd = types::Fd(fd.as_raw_fd());
        self.submit(tag, opcode::PollAdd::new(fd, u32::from(what.bits())).build(), None);
    }

    /// Sends all of `bytes`, or ends with an error, or short where an error came after some.
    ///
    /// The caller keeps `bytes` where they are until the result has come or the runtime is gone.
    pub(super) fn send(&self, tag: Tag, fd: BorrowedFd<'_>, bytes: &[u8]) {
        let fd = types::Fd(fd.as_raw_fd());
        let send = opcode::Send::new(fd, bytes.as_ptr(), bytes.len() as u32);
        self.submit(tag, send.flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL).build(), None);
    }

    /// Connects the socket.
    pub(super) fn connect(&self, tag: Tag, fd: BorrowedFd<'_>, to: SockAddr) {
        let to = Box::new(to);
        let fd = types::Fd(fd.as_raw_fd());
        let connect = opcode::Connect::new(fd, to.as_ptr().cast(), to.len());
        self.submit(tag, connect.build(), Some(to));
    }

    /// Comes back when `at` has come.
    pub(super) fn timer(&self, tag: Tag, at: Instant) {
        let time = Box::new(types::Timespec::from(Duration::from_nanos(at.as_nanos())));
        let timeout = opcode::Timeout::new(&raw const *time).flags(types::TimeoutFlags::ABS);
        self.submit(tag, timeout.build(), Some(time));
    }

    /// Comes back after everything that was submitted before has been begun.
    pub(super) fn later(&self, tag: Tag) {
        self.submit(tag, opcode::Nop::new().build(), None);
    }

    /// Comes back after two trips through the ring, one after the other; see
    /// [`silence`](super::silence).
    pub(super) fn later_twice(&self, tag: Tag) {
        let completions = self.0.clone();
        tokio_uring::spawn(async move {
            for _ in 0..2 {
                in_flight(opcode::Nop::new().build(), None).await;
            }
            completions.push(tag, 0);
        });
    }

    /// The entry joins the submission queue now, in the order of the calls; the task only waits.
    fn submit(&self, tag: Tag, entry: squeue::Entry, kept: Kept) {
        let flight = in_flight(entry, kept);
        let completions = self.0.clone();
        tokio_uring::spawn(async move {
            let result = flight.await;
            completions.push(tag, result);
        });
    }
}

/// What the kernel reads from when an entry is submitted; the runtime keeps it.
type Kept = Option<Box<dyn Any>>;

struct ResultOnly;

impl OneshotOutputTransform for ResultOnly {
    type Output = i32;
    type StoredData = Kept;

    fn transform_oneshot_output(self, _kept: Kept, completion: cqueue::Entry) -> i32 {
        completion.result()
    }
}

fn in_flight(entry: squeue::Entry, kept: Kept) -> impl Future<Output = i32> {
    UnsubmittedOneshot::new(kept, ResultOnly, entry).submit()
}
