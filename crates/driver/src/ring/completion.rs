//! What the kernel says when a request is over, and the 64 bits by which it names the request.

use super::queue::Landed;
use crate::ConnId;
use halfopen_wheel::Instant;
use std::os::fd::OwnedFd;

/// A completion, with all that comes back with it.
#[derive(Debug)]
pub(super) struct Completion {
    pub(super) of: Of,
    /// As in the completion queue: a count or a descriptor, or an errno value below zero.
    pub(super) result: i32,
    /// A multishot request goes on.
    pub(super) more: bool,
}

/// Which request a completion belongs to.
#[derive(Debug)]
pub(super) enum Of {
    /// Nobody asks for the outcome.
    Nobody,
    /// An accept; the result is the slot of the connection.
    Accept,
    /// Somebody waits at the listener.
    Listener,
    /// The socket of an attempt to connect; the result is its slot.
    Socket(u32),
    /// An attempt to connect, or what had to go before it.
    Connect(u32),
    /// A receive, the buffer that was filled, and whether it left something in the socket.
    Receive(ConnId, (Option<u16>, bool)),
    /// A send, whose memory is ours again.
    Send(ConnId, Landed),
    /// A poll; the result is a mask.
    Poll(ConnId),
    /// The end of our own stream.
    Shutdown(ConnId),
    /// The close of a slot.
    Close(ConnId),
    /// The send of nothing that has failed: the connection does not stand any more.
    Check(ConnId),
    /// SIOCOUTQ; the result is a count.
    Probe(ConnId),
    /// The descriptor made for [`Op::Locate`](crate::Op::Locate).
    Locate(ConnId, Option<OwnedFd>),
    /// The descriptor made to read a connection's error.
    Diagnose(ConnId, Option<OwnedFd>),
    /// The waker's descriptor is readable.
    Wake,
}

/// A chunk on its way.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) id: ConnId,
    pub(super) slot: u32,
    /// How many bytes the kernel has taken.
    pub(super) done: u32,
    /// When the first of them were handed over; none before that.
    pub(super) at: Option<Instant>,
    pub(super) chunk: crate::Chunk,
}

/// The first 8 bits of `user_data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Nobody,
    Accept,
    Listener,
    Socket,
    Connect,
    Receive,
    Send,
    Poll,
    Shutdown,
    Close,
    Check,
    Probe,
    Locate,
    Diagnose,
    Wake,
}

impl Kind {
    const ALL: [Self; 15] = [
        Self::Nobody,
        Self::Accept,
        Self::Listener,
        Self::Socket,
        Self::Connect,
        Self::Receive,
        Self::Send,
        Self::Poll,
        Self::Shutdown,
        Self::Close,
        Self::Check,
        Self::Probe,
        Self::Locate,
        Self::Diagnose,
        Self::Wake,
    ];

    /// The name of the only request of its kind.
    pub(super) const fn alone(self) -> u64 {
        (self as u64) << 56
    }

    /// The name of a request for a connection: 8 bits of kind, 32 of generation, 24 of index.
    pub(super) const fn of(self, id: ConnId) -> u64 {
        self.alone() | (id.generation as u64) << 24 | id.index as u64
    }

    /// The name of a request for an entry of a slab.
    pub(super) const fn at(self, key: u32) -> u64 {
        self.alone() | key as u64
    }

    /// The kind, and the connection (or in its index the slab's key).
    pub(super) fn parse(user_data: u64) -> (Self, ConnId) {
        let kind = Self::ALL[(user_data >> 56) as usize];
        let index = user_data as u32 & crate::INDEX_MAX;
        (kind, ConnId { index, generation: (user_data >> 24) as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_as_it_was_made() {
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
            let id = ConnId { index: crate::INDEX_MAX, generation: u32::MAX - 1 };
            assert_eq!(Kind::parse(kind.of(id)), (kind, id));
            assert_eq!(Kind::parse(kind.at(7)), (kind, ConnId { index: 7, generation: 0 }));
        }
    }
}
