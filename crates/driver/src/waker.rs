use rustix::event::{EventfdFlags, eventfd};
use rustix::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Makes an engine's driver deliver [`Event::Woken`](crate::Event::Woken), from any thread.
///
/// Wakes that come before the driver has looked share one event.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Inner>);

/// The driver's end of a [`Waker`].
#[derive(Debug)]
pub struct WakeSource(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    event: OwnedFd,
    pending: AtomicBool,
}

impl Waker {
    /// A waker and the source that a driver is run with.
    ///
    /// # Errors
    /// The error of eventfd(2): no descriptor is free.
    pub fn new() -> std::io::Result<(Self, WakeSource)> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let inner = Arc::new(Inner { event, pending: AtomicBool::new(false) });
        Ok((Self(inner.clone()), WakeSource(inner)))
    }

    /// Wakes the driver. Everything written before this call is seen by the engine in `Woken`.
    pub fn wake(&self) {
        if !self.0.pending.swap(true, Ordering::AcqRel) {
            // It can only fail when the counter is full, and then the event is on its way.
            let _ = io::write(&self.0.event, &1u64.to_ne_bytes());
        }
    }
}

impl WakeSource {
    /// Whether somebody has called [`Waker::wake`] since the last [`clear`](Self::clear). For
    /// drivers that wait on something else than the descriptor.
    pub fn is_pending(&self) -> bool {
        self.0.pending.load(Ordering::Acquire)
    }

    /// Takes back the signal, once the descriptor was readable; call it before `Woken` is handed
    /// over, so that no wake is lost in between.
    pub fn clear(&self) {
        let mut count = [0; 8];
        let _ = io::read(&self.0.event, &mut count);
        // After the read: a wake in between sees `true`, writes nothing, and is covered by this turn.
        self.0.pending.swap(false, Ordering::AcqRel);
    }
}

impl AsFd for WakeSource {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }
}
