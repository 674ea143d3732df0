//! One connection while something happens to it.

use crate::hosted::Hosted;
use crate::mailbox::Inbox;
use crate::output::{CONTROL_FRAME_MAX, Pool};
use crate::row::Row;
use crate::session::{Fin, Phase, Session};
use crate::stamp::StampKey;
use crate::timers::{Timer, Timers};
use crate::topics::Topics;
use crate::{
    Admission, App, Config, Context, End, Frame, PeerId, Refusal, Rtt, SendError, Stats,
    SubscribeError,
};
use fastrand::Rng;
use halfopen_driver::{Chunk, ConnId, Op};
use halfopen_proto::handshake::Rejection;
use halfopen_proto::{CloseCode, Message, Scratch};
use halfopen_wheel::{Instant, Wheel};
use std::sync::Arc;
use std::time::Duration;

/// What the connections of a shard share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) inbox: Inbox,
    pub(crate) config: Config,
    pub(crate) admission: Arc<Admission>,
    pub(crate) wheel: Wheel,
    pub(crate) pool: Pool,
    pub(crate) topics: Topics,
    pub(crate) timers: Timers,
    pub(crate) scratch: Scratch,
    pub(crate) rng: Rng,
    pub(crate) stamps: StampKey,
    pub(crate) stats: Stats,
    /// Round trips that are not in `stats` yet.
    pub(crate) rtts: Row,
    /// Connections that hold no place of the admission.
    pub(crate) refusing: u32,
    pub(crate) draining: bool,
}

impl Shared {
    pub(crate) fn note_rtt(&mut self, rtt: Duration) {
        self.rtts.note(rtt.as_nanos() as u64, &mut self.stats.rtt_ns);
    }
}

/// What became of a message that was given to [`Peer::send`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is on its way, or waits for its turn.
    Queued,
    /// The peer's queue was full, and the message was dropped.
    Dropped,
    /// The connection is closing, perhaps because its queue was full: nothing more is sent.
    Closing,
}

/// A connection, lent to an [`App`] for the time of one call.
///
/// What is sent gathers, and leaves when the call is over.
#[derive(Debug)]
pub struct Peer<'a> {
    pub(crate) id: ConnId,
    pub(crate) now: Instant,
    pub(crate) session: &'a mut Session,
    pub(crate) shared: &'a mut Shared,
    pub(crate) ops: &'a mut Vec<Op>,
}

impl Peer<'_> {
    /// The connection's name, unique in its server.
    pub fn id(&self) -> PeerId {
        PeerId { shard: self.shared.inbox.number, conn: self.id }
    }

    /// The shard that it is a connection of.
    pub fn shard(&mut self) -> Context<'_> {
        Context { now: self.now, shared: self.shared }
    }

    /// The round trips of the server's pings on this connection; none before the first pong.
    pub fn rtt(&self) -> Option<Rtt> {
        self.session.beat.rtt()
    }

    /// The bytes that wait for this peer to read, apart from a chunk of at most 64 KiB that is with
    /// the kernel already.
    pub fn queued(&self) -> usize {
        self.session.queued()
    }

    /// Queues a message, if the peer's queue has room for it; else does what [`SlowConsumer`] says.
    ///
    /// A message longer than 64 KiB goes in fragments (RFC 6455 §5.4), so that a ping or a pong can
    /// pass between them.
    ///
    /// [`SlowConsumer`]: crate::SlowConsumer
    #[inline] // Into the app's handler: an echo of twenty bytes costs little more than the call.
    pub fn send(&mut self, message: Message<'_>) -> Delivery {
        let room = self.make_room(message.as_bytes().len());
        if room != Delivery::Queued {
            return room;
        }
        self.shared.stats.messages_sent += 1;
        self.shared.stats.payload_sent += message.as_bytes().len() as u64;
        let Session { work, conn, .. } = &mut *self.session;
        let pool = &mut self.shared.pool;
        work.get_or_insert_with(|| pool.lend_work()).message(conn, message, pool);
        Delivery::Queued
    }

    /// As [`send`](Self::send), of a message that is encoded already. A long one is not copied.
    pub fn send_frame(&mut self, frame: &Frame) -> Delivery {
        let room = self.make_room(frame.payload_len());
        if room != Delivery::Queued {
            return room;
        }
        self.shared.stats.messages_sent += 1;
        self.shared.stats.payload_sent += frame.payload_len() as u64;
        let pool = &mut self.shared.pool;
        self.session.work.get_or_insert_with(|| pool.lend_work()).frame(frame, pool);
        Delivery::Queued
    }

    /// From now on the connection gets what is published on `topic`, until it unsubscribes or ends.
    /// Once is enough.
    ///
    /// A subscriber that reads too slowly is treated like any other peer that does.
    ///
    /// # Errors
    /// It has [`Config::subscriptions_max`] already, the name is longer than 256 bytes, or the
    /// connection is closing.
    pub fn subscribe(&mut self, topic: &str) -> Result<(), SubscribeError> {
        if self.session.phase != Phase::Open {
            return Err(SubscribeError::Closing);
        }
        let Shared { topics, inbox, config, .. } = &mut *self.shared;
        let since = inbox.post().next_number();
        topics.subscribe(self.id.index, topic, since, config.subscriptions_max)
    }

    /// Ends a subscription; whether there was one.
    pub fn unsubscribe(&mut self, topic: &str) -> bool {
        self.shared.topics.unsubscribe(self.id.index, topic)
    }

    /// Sends a message to all subscribers of a topic on all shards, after this call. See
    /// [`Mailbox::publish`](crate::Mailbox::publish).
    ///
    /// # Errors
    /// [`SendError::Full`] if a shard has no room for it; then nobody gets it.
    pub fn publish(&mut self, topic: &str, message: impl Into<Frame>) -> Result<(), SendError> {
        self.shard().publish(topic, message)
    }

    /// Has [`App::on_peer_timer`](crate::App::on_peer_timer) called with this number once, `after`
    /// from now or up to a tick later; not any more when it was set to before.
    pub fn set_timer(&mut self, timer: u8, after: Duration) {
        let timer = Timer::Peer(self.id.index, timer);
        self.shared.timers.set(self.now, timer, self.now + after);
    }

    /// Takes a timer back; whether it was set.
    pub fn clear_timer(&mut self, timer: u8) -> bool {
        self.shared.timers.clear(Timer::Peer(self.id.index, timer))
    }

    /// Begins the closing handshake, behind what was sent before. `reason` is cut at 123 bytes.
    ///
    /// A slow reader gets all of it while it reads: it has the output timeout for each chunk, and
    /// from when the last has left, the close timeout to answer. A drain gives it no more than the
    /// close timeout for everything. Messages that it sends meanwhile are dropped.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        if self.session.phase != Phase::Open {
            return;
        }
        self.strike_off();
        self.encode_close(Some(code), reason);
        self.shared.stats.count_close(code.get());
        self.part(Phase::Closing);
    }

    /// Whatever is said from now on is the last: it has the time that it takes, unless this is a
    /// closing already that was to be short.
    fn part(&mut self, phase: Phase) {
        let is_hurried = self.session.is_parting() && self.session.until != Instant::FAR;
        self.session.phase = phase;
        self.session.until = Instant::FAR;
        if !self.session.in_flight {
            self.session.sent_at = self.now;
        }
        if is_hurried {
            self.hurry();
        }
    }

    /// The closing ends in the close timeout, whatever is on its way.
    pub(crate) fn hurry(&mut self) {
        if self.session.is_parting() {
            let end = self.now + self.shared.config.close_timeout;
            self.session.until = self.session.until.min(end);
        }
    }

    /// Nothing can be sent to it any more, and other threads are to know.
    fn strike_off(&self) {
        if let Some(roll) = self.shared.inbox.post().roll() {
            roll.strike(self.id);
        }
    }

    pub(crate) fn encode_close(&mut self, code: Option<CloseCode>, reason: &str) -> bool {
        let Session { work, conn, .. } = &mut *self.session;
        let pool = &mut self.shared.pool;
        let work = work.get_or_insert_with(|| pool.lend_work());
        work.append(CONTROL_FRAME_MAX, pool, |out| conn.encode_close(code, reason, [0; 4], out))
    }

    /// Answers a request with an HTTP error.
    pub(crate) fn refuse(&mut self, refusal: Refusal, end: End, rejection: &Rejection) {
        *self.shared.stats.refused.entry(refusal).or_default() += 1;
        let pool = &mut self.shared.pool;
        let work = self.session.work.get_or_insert_with(|| pool.lend_work());
        pool.give(std::mem::take(&mut work.head));
        work.head_of_http(pool, |out| rejection.encode(out));
        self.end(end);
    }

    /// What is queued is the last that we say: FIN follows it, and what comes is dropped.
    ///
    /// The server ends TCP first (RFC 6455 §7.1.1), and aborts if the peer does not follow.
    pub(crate) fn end(&mut self, end: End) {
        self.strike_off();
        self.session.end.get_or_insert(end);
        self.session.fin = Fin::Wanted;
        self.part(Phase::Ending);
    }

    /// Drops everything: nothing can be delivered to this peer, or it had its time.
    pub(crate) fn abort(&mut self, end: End) {
        self.strike_off();
        self.session.end.get_or_insert(end);
        self.session.phase = Phase::Aborted;
        self.session.until = Instant::FAR;
        self.drop_output();
        self.ops.push(Op::Abort { id: self.id });
    }

    pub(crate) fn drop_output(&mut self) {
        if let Some(work) = &mut self.session.work {
            work.clear_output(&mut self.shared.pool);
        }
    }

    /// The end of every event: what has gathered goes out, and the wheel learns the deadline.
    pub(crate) fn settle<A: App>(&mut self, hosted: &mut Hosted<A>) {
        if self.is_settled() {
            return;
        }
        self.flush();
        self.throttle(hosted);
        self.session.forget_old_probe(&self.shared.config);
        if let Some(work) = self.session.work.take_if(|work| work.is_idle()) {
            self.shared.pool.give_work(work);
        }
        let deadline = self.session.deadline(&self.shared.config);
        if deadline < self.session.armed {
            self.session.armed = deadline.max(self.soon());
            self.shared.wheel.arm(self.id.index, self.session.armed);
        }
    }

    /// Nothing would come of it: so it is after the flush of a ping and after its pong. Who is at rest
    /// and waits on the wheel is never due sooner than it waits for.
    fn is_settled(&self) -> bool {
        let is_settled = self.session.armed != Instant::FAR && self.session.is_at_rest();
        debug_assert!(
            !is_settled
                || self.session.deadline(&self.shared.config).max(self.soon())
                    >= self.session.armed
        );
        is_settled
    }

    /// What is due already and could not be done comes up again at the next tick.
    fn soon(&self) -> Instant {
        self.now + Duration::from_nanos(1)
    }

    pub(crate) fn flush(&mut self) {
        if self.session.in_flight || self.session.phase == Phase::Aborted {
            return;
        }
        let has_control = self.has_control();
        let chunk = if has_control { Some(self.lend_for_control()) } else { self.next_chunk() };
        if let Some(chunk) = chunk {
            self.session.in_flight = true;
            self.session.sent_at = self.now;
            self.ops.push(Op::Send { id: self.id, chunk });
        }
        if has_control {
            self.say_control();
        }
        if self.session.fin == Fin::Wanted && self.session.queued() == 0 {
            self.session.fin = Fin::Said;
            self.ops.push(Op::Shutdown { id: self.id });
        }
    }

    /// Control frames jump the queue.
    fn has_control(&self) -> bool {
        let is_wanted = self.session.ping_wanted || self.session.conn.owes_pong();
        is_wanted && self.session.phase == Phase::Open
    }

    /// Each chunk ends at the border of a frame.
    fn next_chunk(&mut self) -> Option<Chunk> {
        let work = self.session.work.as_mut()?;
        let chunk = work.take_pongs().map(Chunk::Own).or_else(|| work.pop())?;
        self.session.spoke = true;
        Some(chunk)
    }

    fn lend_for_control(&mut self) -> Chunk {
        let pongs = self.session.work.as_mut().and_then(|work| work.take_pongs());
        Chunk::Own(pongs.unwrap_or_else(|| self.shared.pool.lend()))
    }

    /// Fills the chunk where it lies among the operations: moved as soon as it is written, it would
    /// have the CPU wait for all its stores.
    fn say_control(&mut self) {
        let Some(Op::Send { chunk: Chunk::Own(out), .. }) = self.ops.last_mut() else { return };
        let Session { conn, .. } = &mut *self.session;
        conn.encode_pong([0; 4], &mut self.shared.scratch, out);
        self.session.spoke |= !out.is_empty();
        if std::mem::take(&mut self.session.ping_wanted) {
            let stamp = self.shared.stamps.seal(self.id, self.now);
            self.session.conn.encode_ping(&stamp, [0; 4], out);
            self.session.ping_aboard = true;
            // Its pong may be heard before its flush is told.
            self.session.pongs_due = self.session.pongs_due.saturating_add(1);
        }
    }
}
