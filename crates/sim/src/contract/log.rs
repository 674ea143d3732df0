use halfopen_driver::{Cause, ConnId, Ends, Event, Heard, Opening, Token};
use halfopen_wheel::Instant;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What an engine was told: an [`Event`] that can be kept, or a deadline.
#[derive(Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Told {
    Started,
    Opened { id: ConnId, by: Opening },
    Refused { token: Token, cause: Cause },
    Received { id: ConnId, bytes: Vec<u8> },
    Sent { id: ConnId, len: usize, at: Instant },
    Probed { id: ConnId, queued: u32 },
    Located { id: ConnId, ends: Option<Ends> },
    Closed { id: ConnId, cause: Cause },
    Woken,
    Deadline { heard: Heard },
}

impl From<Event<'_>> for Told {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Started => Self::Started,
            Event::Opened { id, by } => Self::Opened { id, by },
            Event::Refused { token, cause } => Self::Refused { token, cause },
            Event::Received { id, bytes } => Self::Received { id, bytes: bytes.to_vec() },
            Event::Sent { id, chunk, at } => Self::Sent { id, len: chunk.as_bytes().len(), at },
            Event::Probed { id, queued } => Self::Probed { id, queued },
            Event::Located { id, ends } => Self::Located { id, ends },
            Event::Closed { id, cause } => Self::Closed { id, cause },
            Event::Woken => Self::Woken,
        }
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => write!(f, "Started"),
            Self::Opened { id, by } => write!(f, "Opened {id:?} {by:?}"),
            Self::Refused { token, cause } => write!(f, "Refused {token:?} {cause:?}"),
            Self::Received { id, bytes } => write!(f, "Received {id:?} {} B", bytes.len()),
            Self::Sent { id, len, at } => write!(f, "Sent {id:?} {len} B at {at:?}"),
            Self::Probed { id, queued } => write!(f, "Probed {id:?} {queued}"),
            Self::Located { id, ends } => write!(f, "Located {id:?} {ends:?}"),
            Self::Closed { id, cause } => write!(f, "Closed {id:?} {cause:?}"),
            Self::Woken => write!(f, "Woken"),
            Self::Deadline { heard } => write!(f, "Deadline {heard:?}"),
        }
    }
}

/// Everything that one engine was told, in order; shared with the thread that runs it.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<(Instant, Told)>>>);

impl Log {
    pub(super) fn push(&self, now: Instant, told: Told) {
        self.lock().push((now, told));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, Told)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it.
    pub fn told(&self) -> Vec<(Instant, Told)> {
        self.lock().clone()
    }

    /// How often something was told.
    pub fn count(&self, is_it: impl Fn(&Told) -> bool) -> usize {
        self.lock().iter().filter(|(_, told)| is_it(told)).count()
    }

    /// Why connections ended, in order.
    pub fn ends(&self) -> Vec<Cause> {
        let cause = |(_, told): &(Instant, Told)| match told {
            Told::Closed { cause, .. } => Some(*cause),
            _ => None,
        };
        self.lock().iter().filter_map(cause).collect()
    }

    /// Why connects came to nothing, in order.
    pub fn refusals(&self) -> Vec<Cause> {
        let cause = |(_, told): &(Instant, Told)| match told {
            Told::Refused { cause, .. } => Some(*cause),
            _ => None,
        };
        self.lock().iter().filter_map(cause).collect()
    }

    /// All bytes that were received, over all connections.
    pub fn bytes(&self) -> Vec<u8> {
        let lock = self.lock();
        let received = lock.iter().filter_map(|(_, told)| match told {
            Told::Received { bytes, .. } => Some(bytes.as_slice()),
            _ => None,
        });
        received.collect::<Vec<_>>().concat()
    }

    /// The last lines, for a message.
    pub fn tail(&self) -> String {
        let lock = self.lock();
        let last = lock.iter().skip(lock.len().saturating_sub(20));
        last.map(|(at, told)| format!("  {at:?} {told:?}\n")).collect()
    }
}
