//! The server's pings and our own.

use super::Swarm;
use super::conn::Moment;
use halfopen_driver::Op;
use halfopen_wheel::Instant;

impl Swarm {
    /// The answer is owed now, and goes with the next flush. While we leave, its interval tells how
    /// busy we and the server are with that, and is not taken.
    pub(super) fn take_ping(&mut self, now: Instant, index: usize) {
        let conn = &mut self.conns[index];
        let before = conn.pinged.instant().filter(|_| self.leaving.is_none());
        self.ledger.pinged(now, before);
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

    /// Sends its own ping, unless one is unanswered or a chunk is in flight: then it is left out.
    pub(super) fn ping(&mut self, now: Instant, index: usize, ops: &mut Vec<Op>) {
        let conn = &mut self.conns[index];
        if !conn.asked.is_never() || conn.in_flight {
            return;
        }
        conn.stamp = self.rng.u32(..);
        conn.asked = Moment::at(now);
        conn.ping_in_flight = true;
        let mut out = self.output.lend();
        let key = self.rng.u32(..).to_ne_bytes();
        conn.ws.encode_ping(&conn.stamp.to_be_bytes(), key, &mut out);
        self.send(index, out, ops);
        self.ledger.own_ping_sent();
    }

    /// An answer to the newest ping of the server has been encoded.
    pub(super) fn answered(&mut self, index: usize) {
        let conn = &mut self.conns[index];
        self.ledger.answered(conn.answered.is_never());
        conn.answered = conn.pinged;
    }
}
