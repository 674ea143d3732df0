//! The seam between what decides and what touches the kernel.
//!
//! # The contract
//!
//! What every driver promises, and what one suite of tests checks on all of them:
//!
//! 1. **Time.** Every [`Instant`] is CLOCK_MONOTONIC. The `now` of successive calls never
//!    decreases.
//! 2. **Order.** [`Event::Started`] comes first and once. For each connection `Opened` comes first
//!    and once, `Closed` last and once, and never before the send in flight has come home in
//!    `Sent`. Bytes arrive in the order of the stream.
//! 3. **Names.** A [`ConnId`] is an index and a generation. The index is the driver's own, dense
//!    from zero, and may be used again after `Closed`, then with another generation: an operation
//!    on an id that is gone is ignored without a word, because it may have crossed with `Closed`.
//!    A [`Token`] names an outgoing connect, until it is answered by exactly one of `Opened` and
//!    `Refused`.
//! 4. **Receiving.** The memory behind [`Event::Received`] is the driver's and lent for the call.
//!    The engine consumes all of it; it may write into it (unmasking does). A driver never gives
//!    nothing. A record layer between the two does, where bytes came that make no record whole: the
//!    peer lives, and has said nothing yet.
//! 5. **Sending.** One send may be in flight for each connection, of 1 to [`CHUNK_MAX`] bytes. The
//!    chunk comes home in [`Event::Sent`] when the kernel has taken all of it or has failed;
//!    failure is told by the `Closed` that follows. `at` is when the batch that held it was handed
//!    to the kernel. Short sends are finished by the driver.
//! 6. **Pausing.** After `Pause` bytes that were already taken may still arrive; then none until
//!    `Resume`. FIN (where the kernel tells it without reading) and RST are still reported, and end
//!    the connection: bytes that were not read by then are lost, as they would be with RST.
//! 7. **Ending.** The peer's FIN ends the connection: `Closed` with [`Cause::Fin`], once the send
//!    in flight is home. [`Op::Shutdown`] sends FIN after the send in flight; bytes may still
//!    arrive until the peer's FIN, its RST, or an `Abort`. [`Op::Abort`] drops what was not sent,
//!    sends RST where the connection is open, and gives the kernel's memory back at once;
//!    `Closed` with [`Cause::Aborted`] follows.
//! 8. **Silence.** [`Heard::until`] is an instant before which nothing that arrived is still
//!    waiting to be handed over. A driver that was never dry says since when it has worked
//!    ([`Heard::busy_since`]), and what of that may have been no work ([`Busy`]).
//! 9. **Deadlines.** When [`Engine::deadline`] has passed, [`Engine::on_deadline`] is called soon,
//!    and again while it stays in the past, for as long as nothing else waits or about 200 µs in a
//!    turn; so an engine does a few dozen pieces of work in one call, and no more.
//! 10. **Accepting.** After `Accept(false)` connections that were already taken may still come as
//!     `Opened`; then none until `Accept(true)`. A driver whose own table is full stops taking and
//!     goes on by itself when room comes back; it never takes one that it cannot keep.
//! 11. **Waking.** At least one [`Event::Woken`] comes after each [`Waker::wake`]; many wakes may
//!     share one.
//! 12. **Stopping.** After [`Op::Stop`] no further call is made, sockets are closed and `run`
//!     returns.
//!
//! [`Waker::wake`]: crate::Waker::wake

use crate::Busy;
use bytes::{Bytes, BytesMut};
use halfopen_wheel::Instant;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The most bytes in one [`Op::Send`]. An urgent frame waits behind no more than this in our own
/// queue.
pub const CHUNK_MAX: usize = 64 * 1024;

/// The greatest index of a [`ConnId`]: it shares 64 bits of `user_data` with a generation and an
/// operation.
pub const INDEX_MAX: u32 = (1 << 24) - 1;

/// A state machine that a driver runs: the server's shard, the load generator's swarm, a test.
///
/// It reads no clock and does no I/O: it is told what happened and pushes what to do onto `ops`.
/// The operations are carried out in their order, after the call.
pub trait Engine {
    /// Something happened.
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>);

    /// The time given by [`Engine::deadline`] has come. Does a bounded piece of what is due; what
    /// remains leaves `deadline` in the past.
    fn on_deadline(&mut self, now: Instant, heard: Heard, ops: &mut Vec<Op>);

    /// When [`Engine::on_deadline`] wants to be called next.
    fn deadline(&self) -> Option<Instant>;

    /// An event about `id` comes soon, if nothing comes between: the engine may have its memory of
    /// it fetched meanwhile ([`prefetch`](crate::prefetch)). A hint that changes nothing; a driver
    /// need not give it.
    fn foresee(&self, _id: ConnId) {}
}

/// An engine may be lent to a driver, or to a layer that stands between the two.
impl<E: Engine + ?Sized> Engine for &mut E {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        (**self).on_event(now, event, ops);
    }

    fn on_deadline(&mut self, now: Instant, heard: Heard, ops: &mut Vec<Op>) {
        (**self).on_deadline(now, heard, ops);
    }

    fn deadline(&self) -> Option<Instant> {
        (**self).deadline()
    }

    fn foresee(&self, id: ConnId) {
        (**self).foresee(id);
    }
}

/// What happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The driver is ready; the first event.
    Started,
    /// A connection is open.
    Opened {
        /// Its name from now on.
        id: ConnId,
        /// Who opened it.
        by: Opening,
    },
    /// The connect of `token` came to nothing.
    Refused {
        /// The token of the [`Op::Connect`].
        token: Token,
        /// Why.
        cause: Cause,
    },
    /// Bytes have come.
    Received {
        /// From whom.
        id: ConnId,
        /// The driver's memory, lent for this call. Empty only behind a record layer.
        bytes: &'a mut [u8],
    },
    /// A chunk has come home.
    Sent {
        /// To whom it went.
        id: ConnId,
        /// The chunk, whole, to be used again.
        chunk: Chunk,
        /// When the batch that held it was handed to the kernel.
        at: Instant,
    },
    /// The answer to [`Op::Probe`].
    Probed {
        /// About whom.
        id: ConnId,
        /// Bytes that the peer's kernel has not acknowledged yet (SIOCOUTQ); 0 where our own kernel
        /// would not say.
        queued: u32,
    },
    /// The answer to [`Op::Locate`].
    Located {
        /// About whom.
        id: ConnId,
        /// Our own and the peer's address; none if the kernel would not say.
        ends: Option<Ends>,
    },
    /// The connection is gone; the last event of its id.
    Closed {
        /// Which.
        id: ConnId,
        /// Why.
        cause: Cause,
    },
    /// Somebody used the [`Waker`](crate::Waker).
    Woken,
}

/// What to do.
#[derive(Debug)]
pub enum Op {
    /// Take new connections from the listener, or stop taking them. At first none are taken.
    Accept(bool),
    /// Open a connection.
    Connect {
        /// Names the attempt. The engine's to choose, unique among those not answered.
        token: Token,
        /// The peer.
        to: SocketAddr,
        /// The address to come from; any port.
        from: Option<IpAddr>,
        /// When to give up.
        deadline: Instant,
    },
    /// Give up a connect: `Refused` with [`Cause::Cancelled`], or `Opened` if that was faster.
    Cancel(Token),
    /// Send a chunk. At most one is in flight for each connection.
    Send {
        /// To whom.
        id: ConnId,
        /// What.
        chunk: Chunk,
    },
    /// Stop receiving from a connection.
    Pause {
        /// Which.
        id: ConnId,
    },
    /// Receive again.
    Resume {
        /// Which.
        id: ConnId,
    },
    /// Ask how many bytes the peer has not acknowledged.
    Probe {
        /// Which.
        id: ConnId,
    },
    /// Ask for the addresses of a connection. Costs some system calls: for cold paths.
    Locate {
        /// Which.
        id: ConnId,
    },
    /// Send FIN after all that went before.
    Shutdown {
        /// Which.
        id: ConnId,
    },
    /// Drop everything and send RST.
    Abort {
        /// Which.
        id: ConnId,
    },
    /// Make the connection suffer what a broken network would do to it.
    Sever {
        /// Which.
        id: ConnId,
        /// How.
        how: Severance,
    },
    /// End the run.
    Stop,
}

/// How [`Op::Sever`] breaks a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severance {
    /// From now on every packet that arrives is dropped below TCP (IP_MINTTL 255): the peer hears
    /// nothing more, not even an ACK.
    Drop,
    /// Packets arrive again.
    Undrop,
    /// The host forgets the connection at once, as one does that is switched off: not a packet
    /// leaves, and the peer's next one is answered with RST (TCP_REPAIR, then close). `Closed` with
    /// [`Cause::Aborted`] follows. Wants CAP_NET_ADMIN ([`may_vanish`](crate::may_vanish)); without
    /// it the peer is told at once, as by an [`Op::Abort`].
    Vanish,
}

/// Wire bytes on their way.
#[derive(Debug)]
pub enum Chunk {
    /// Bytes of one connection; the memory comes home to be used again.
    Own(BytesMut),
    /// One frame for many peers, encoded once.
    Shared(Bytes),
}

impl Chunk {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// The name of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    /// Dense from zero, at most [`INDEX_MAX`]; used again after `Closed`.
    pub index: u32,
    /// Another one each time that the index is used.
    pub generation: u32,
}

impl std::fmt::Debug for ConnId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}.{}", self.index, self.generation)
    }
}

/// The name of an outgoing connect, chosen by the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u32);

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The peer; it came through the listener.
    Accepted,
    /// We did.
    Connected(Token),
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Our address.
    pub local: SocketAddr,
    /// The peer's address.
    pub peer: SocketAddr,
}

/// Why a connection ended, or never began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The peer sent FIN.
    Fin,
    /// The peer sent RST.
    Reset,
    /// The kernel gave the peer up (ETIMEDOUT: retransmission, keepalive, TCP_USER_TIMEOUT).
    TimedOut,
    /// [`Op::Abort`].
    Aborted,
    /// Nobody listens there (ECONNREFUSED).
    NobodyListens,
    /// No way to the peer (ENETUNREACH, EHOSTUNREACH).
    Unreachable,
    /// The deadline of the connect passed.
    Deadline,
    /// [`Op::Cancel`].
    Cancelled,
    /// No descriptor was free (EMFILE, ENFILE).
    NoDescriptors,
    /// No local port was free (EADDRNOTAVAIL, EADDRINUSE).
    NoPorts,
    /// Any other error of the kernel, by its number.
    Os(i32),
}

impl Cause {
    /// The cause that an `errno` value tells.
    pub fn from_errno(errno: i32) -> Self {
        match errno {
            libc::ECONNRESET | libc::EPIPE => Self::Reset,
            libc::ETIMEDOUT => Self::TimedOut,
            libc::ECONNREFUSED => Self::NobodyListens,
            libc::ENETUNREACH | libc::EHOSTUNREACH => Self::Unreachable,
            libc::EMFILE | libc::ENFILE => Self::NoDescriptors,
            libc::EADDRNOTAVAIL | libc::EADDRINUSE => Self::NoPorts,
            other => Self::Os(other),
        }
    }
}

/// How far a driver has listened.
///
/// "Completions before timers in each turn" does not protect the living: a loop that was stalled
/// comes back to more arrivals than one turn hands over, and deadlines that passed meanwhile.
/// Nobody is declared dead but by [`Heard::silent_since`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Nothing that arrived before this instant is still waiting to be handed over.
    pub until: Instant,
    /// Set while the driver is saturated: it was dry in none of its turns for a while, so `until`
    /// cannot advance.
    pub busy_since: Option<Busy>,
}

impl Heard {
    /// Whether a peer that was asked at `asked` and has not been heard since has had `timeout` to
    /// answer, and we have had the time to hear it.
    ///
    /// A saturated driver owes a second full timeout of work.
    pub fn silent_since(&self, now: Instant, asked: Instant, timeout: Duration) -> bool {
        if asked + timeout <= self.until {
            return true;
        }
        self.busy_since.is_some_and(|busy| busy.has_listened(now, asked, timeout))
    }
}
