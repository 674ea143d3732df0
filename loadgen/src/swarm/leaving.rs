//! The end of a run: the living say goodbye, everything else is aborted, and nothing lingers.

use super::conn::Phase;
use super::{PIECES, Swarm};
use halfopen_driver::Op;
use halfopen_wheel::Instant;
use std::time::Duration;

/// How long servers may take to answer our goodbyes.
const GOODBYE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Leaving {
    /// The next index to be visited.
    next: usize,
    /// When those who have not gone are aborted.
    by: Instant,
    /// This is the second visit: everybody left is aborted.
    last: bool,
    /// All have been visited this time.
    visited: bool,
    stopped: bool,
}

impl Leaving {
    pub(super) fn due(&self) -> Option<Instant> {
        Some(if self.visited { self.by } else { Instant::default() })
    }
}

impl Swarm {
    pub(super) fn begin_leaving(&mut self, now: Instant, ops: &mut Vec<Op>) {
        if self.leaving.is_some() {
            return;
        }
        self.traffic.end();
        self.returning.end();
        self.dying.end();
        self.opening.end(ops);
        let by = now + GOODBYE;
        self.leaving = Some(Leaving { next: 0, by, last: false, visited: false, stopped: false });
    }

    pub(super) fn leave_on(&mut self, now: Instant, ops: &mut Vec<Op>) {
        let Some(leaving) = &mut self.leaving else { return };
        if leaving.visited && leaving.by <= now {
            *leaving =
                Leaving { next: 0, by: Instant::FAR, last: true, visited: false, stopped: false };
        }
        let (first, last) = (leaving.next, leaving.last);
        let end = (first + PIECES).min(self.conns.len());
        leaving.next = end;
        leaving.visited = end == self.conns.len();
        for index in first..end {
            self.bid_farewell(now, index, last, ops);
        }
        self.stop_if_all_left(ops);
    }

    fn bid_farewell(&mut self, now: Instant, index: usize, last: bool, ops: &mut Vec<Op>) {
        match self.conns[index].phase {
            Phase::Free | Phase::Gone => {}
            Phase::Living if !last => {
                self.take_from_the_living(index, Phase::Leaving);
                self.flush(now, index, ops);
            }
            _ => self.abort(index, ops),
        }
    }

    /// The run ends when nobody is left, or after the last visit.
    pub(super) fn stop_if_all_left(&mut self, ops: &mut Vec<Op>) {
        let Some(leaving) = &mut self.leaving else { return };
        if leaving.visited && (leaving.last || self.occupied == 0) && !leaving.stopped {
            leaving.stopped = true;
            ops.push(Op::Stop);
        }
    }
}
