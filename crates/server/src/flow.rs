//! Back-pressure: what a peer costs that reads more slowly than is sent to it.
//!
//! ```text
//!                       queue > output_max                     half of it has gone
//!   read ── answer ──▶ wait:  pause; what came stays unread ──────────────────────▶ read on
//!                      drop:  what is sent is dropped, and counted
//!                      close: the queue is dropped; Close 1008 goes behind the chunk in flight
//! ```
//!
//! The bound is asked before a message and not after it, so one message may go beyond it. What was
//! received and not looked at is kept as bytes: an app that answers a byte with a megabyte is asked
//! once, and not once for each message of the buffer. A peer that takes nothing at all is found by
//! the output timeout, whatever the policy.

use crate::hosted::Hosted;
use crate::session::Phase;
use crate::{App, Config, Delivery, End, Peer, SlowConsumer};
use bytes::Buf;
use halfopen_driver::Op;
use halfopen_proto::CloseCode;
use std::mem::take;

impl Peer<'_> {
    /// Whether a message of `len` bytes may be queued. If not, the policy has been carried out.
    #[inline]
    pub(crate) fn make_room(&mut self, len: usize) -> Delivery {
        let little_waits = self.session.queued() <= self.shared.config.output_max;
        if little_waits && self.session.phase == Phase::Open {
            return Delivery::Queued;
        }
        self.make_room_by_policy(len)
    }

    #[cold]
    fn make_room_by_policy(&mut self, len: usize) -> Delivery {
        if self.session.phase != Phase::Open {
            return Delivery::Closing;
        }
        let Config { output_max, slow_consumer, .. } = self.shared.config;
        let bound = match slow_consumer {
            SlowConsumer::Wait => output_max.saturating_mul(2),
            SlowConsumer::Drop | SlowConsumer::Close => output_max,
        };
        if !self.is_beyond(bound) {
            return Delivery::Queued;
        }
        if slow_consumer == SlowConsumer::Drop {
            self.shared.stats.messages_dropped += 1;
            self.shared.stats.payload_dropped += len as u64;
            return Delivery::Dropped;
        }
        // Behind all that waits, the Close frame would never be seen.
        self.drop_output();
        self.close_for(End::SlowConsumer, CloseCode::POLICY, "too slow");
        Delivery::Closing
    }

    /// Whether the next frame has to stay unread.
    pub(crate) fn is_held_back(&mut self) -> bool {
        let Config { output_max, slow_consumer, .. } = self.shared.config;
        self.session.queued() > output_max
            && slow_consumer == SlowConsumer::Wait
            && self.session.phase == Phase::Open
            && self.is_beyond(output_max)
    }

    /// What waits only for the end of this call is not what the peer has left lying.
    fn is_beyond(&mut self, bound: usize) -> bool {
        if self.session.queued() > bound {
            self.flush();
        }
        self.session.queued() > bound
    }

    /// Keeps bytes that came and are not looked at yet.
    pub(crate) fn hold(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let pool = &mut self.shared.pool;
        let work = self.session.work.get_or_insert_with(|| pool.lend_work());
        if work.held.capacity() == 0 {
            work.held = pool.lend();
        }
        work.held.extend_from_slice(bytes);
    }

    /// Stops reading from a peer whose queue is full, and goes on when there is room.
    pub(crate) fn throttle<A: App>(&mut self, hosted: &mut Hosted<A>) {
        if self.session.paused {
            self.read_on(hosted);
        } else if self.is_held_back() {
            self.session.paused = true;
            self.shared.stats.pauses += 1;
            self.ops.push(Op::Pause { id: self.id });
        }
    }

    fn read_on<A: App>(&mut self, hosted: &mut Hosted<A>) {
        if !self.may_read_on() {
            return;
        }
        let work = self.session.work.as_mut();
        let mut held = work.map_or_else(Default::default, |work| take(&mut work.held));
        while !held.is_empty() && self.may_read_on() {
            let unread = self.frames(hosted, &mut held);
            held.advance(held.len() - unread);
            self.flush();
        }
        if !held.is_empty() {
            self.session.work(&mut self.shared.pool).held = held;
            return;
        }
        self.shared.pool.give_read(held);
        if self.session.phase != Phase::Aborted {
            self.session.unpause(self.now, &self.shared.config);
            self.ops.push(Op::Resume { id: self.id });
        }
    }

    /// Half of the queue has gone; or the peer's Close and FIN are to be heard.
    fn may_read_on(&self) -> bool {
        let half = self.shared.config.output_max / 2;
        self.session.phase != Phase::Open || self.session.queued() <= half
    }
}
