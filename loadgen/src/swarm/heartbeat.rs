//! The server's pings and our own.

use super::conn::Moment;
use super::{Phase, Swarm};
use halfopen_driver::Op;
use halfopen_wheel::Instant;
use std::time::Duration;

impl Swarm {
    /// The pong is owed now, and goes with the next flush.
    pub(super) fn take_ping(&mut self, now: Instant, index: usize) {
        let conn = &mut self.conns[index];
        self.ledger.pinged(now, conn.pinged.instant());
        conn.pinged = Moment::at(now);
    }

    /// Only the exact payload of our unanswered ping tells a round trip.
    pub(super) fn take_pong(&mut self, now: Instant, index: usize, payload: &[u8]) {
        let conn = &mut self.conns[index];
        if payload != conn.stamp.to_be_bytes() {
            return;
        }
        if let Some(asked) = std::mem::replace(&mut conn.asked, Moment::NEVER).instant() {
            self.ledger.own_ping_answered(now.saturating_since(asked));
        }
    }

    /// The first of a connection's own pings comes at a random time in the first interval.
    pub(super) fn plan_own_pings(&mut self, now: Instant, index: usize) {
        if let Some(interval) = self.plan.client_ping {
            let phase = self.rng.u64(0..=interval.as_nanos() as u64);
            self.own_ping_next(index, now + Duration::from_nanos(phase));
        }
    }

    /// While one is unanswered, or a chunk is in flight, this one is left out.
    pub(super) fn own_ping_is_due(&mut self, now: Instant, index: usize, ops: &mut Vec<Op>) {
        let Some(interval) = self.plan.client_ping else { return };
        let conn = &mut self.conns[index];
        let behind = now.saturating_since(conn.deadline).as_nanos() / interval.as_nanos();
        let next = conn.deadline + interval.saturating_mul(behind as u32 + 1);
        if conn.asked.is_never() && !conn.in_flight {
            conn.stamp = self.rng.u32(..);
            conn.asked = Moment::at(now);
            conn.ping_in_flight = true;
            let mut out = self.output.lend();
            let key = self.rng.u32(..).to_ne_bytes();
            conn.ws.encode_ping(&conn.stamp.to_be_bytes(), key, &mut out);
            self.send(index, out, ops);
            self.ledger.own_ping_sent();
        }
        self.own_ping_next(index, next);
    }

    fn own_ping_next(&mut self, index: usize, at: Instant) {
        debug_assert_eq!(self.conns[index].phase, Phase::Living);
        self.conns[index].deadline = at;
        self.wheel.arm(index as u32, at);
    }
}
