//! The closed loop: each connection has a window of messages under way, and sends the next when one
//! is answered. There is no time at which a message was to be sent, so there is no latency from it;
//! the service time stands.

use super::{PIECES, Phase, Swarm};
use halfopen_driver::Op;
use halfopen_wheel::Instant;

/// A closed loop that goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClosedLoop {
    /// Messages of a connection under way.
    window: u32,
    /// The connections below this index have been begun, or begin when they open.
    begun: usize,
}

impl ClosedLoop {
    pub(super) fn new(window: u32) -> Self {
        Self { window, begun: 0 }
    }
}

impl Swarm {
    /// When some of the connections that are open are still to begin.
    pub(super) fn loop_due(&self) -> Option<Instant> {
        let begun = self.traffic.closed_loop?.begun;
        (begun < self.conns.len()).then(Instant::default)
    }

    pub(super) fn begin_the_loops(&mut self, now: Instant, ops: &mut Vec<Op>) {
        for _ in 0..PIECES {
            let all = self.conns.len();
            let Some(closed) = self.traffic.closed_loop.as_mut().filter(|c| c.begun < all) else {
                return;
            };
            let index = closed.begun;
            closed.begun += 1;
            if self.conns[index].phase == Phase::Living {
                self.fill_window(now, index);
                self.flush(now, index, ops);
            }
        }
    }

    /// The connection has opened. If its turn to begin is still to come, it waits for that.
    pub(super) fn join_the_loop(&mut self, now: Instant, index: usize) {
        if self.traffic.closed_loop.is_some_and(|closed| index < closed.begun) {
            self.fill_window(now, index);
        }
    }

    fn fill_window(&mut self, now: Instant, index: usize) {
        for _ in 0..self.traffic.closed_loop.map_or(0, |closed| closed.window) {
            self.queue_in_loop(now, index);
        }
    }

    /// One is answered, and the next takes its place; it goes with the next flush.
    pub(super) fn go_round(&mut self, now: Instant, index: usize) {
        if self.traffic.closed_loop.is_some() {
            self.queue_in_loop(now, index);
        }
    }

    fn queue_in_loop(&mut self, now: Instant, index: usize) {
        let queued = self.lines.push(&mut self.conns[index].line, now);
        self.ledger.tally.messages_skipped += u64::from(!queued);
        self.show_waiting();
    }
}
