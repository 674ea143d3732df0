//! Connections that end by our own will and come back: with churn a few all the time, politely; in a
//! herd many at once, by RST. Neither is a death, and neither is a loss.
//!
//! The way of one: it is sent away, and its old self ends; then its number waits for its time among
//! those who are to come `again`, and is connected like everybody else. Who fails comes again later.

use super::conn::Phase;
use super::{PIECES, Swarm};
use crate::chance;
use crate::pacing::Pace;
use crate::plan::Backoff;
use halfopen_driver::{ConnId, Op};
use halfopen_wheel::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// Who cannot come back tries again after this time, or after a backoff drawn anew.
const RETRY: Duration = Duration::from_secs(1);

/// So often it is drawn who leaves, before the departure is left out.
const DRAWS: u32 = 64;

/// How long a server may take to end a connection that we have closed politely.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why a connection comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returns {
    /// It does not, or it is here for the first time.
    No,
    Churn,
    Herd,
}

#[derive(Debug, Default)]
pub(super) struct Returning {
    churn: Option<Pace>,
    /// When the herd will be dropped.
    herd_due: Option<Instant>,
    /// When it was.
    herd_from: Instant,
    /// Who of it is still here.
    dropping: Vec<ConnId>,
    /// How many of it have ended.
    ended: u64,
    /// Those who will come back, by when and by number.
    again: BTreeMap<(Instant, u32), Returns>,
}

impl Returning {
    /// When somebody is to be sent away.
    pub(super) fn due(&self) -> Option<Instant> {
        let now = (!self.dropping.is_empty()).then(Instant::default);
        let churn = self.churn.as_ref().and_then(Pace::due);
        [now, churn, self.herd_due].into_iter().flatten().min()
    }

    /// When somebody is to come back.
    pub(super) fn again_due(&self) -> Option<Instant> {
        self.again.keys().next().map(|&(at, _)| at)
    }

    /// Who is to come back by now: its number, and why.
    pub(super) fn take(&mut self, now: Instant) -> Option<(u32, Returns)> {
        self.again_due().filter(|&at| at <= now)?;
        let ((_, number), returns) = self.again.pop_first()?;
        Some((number, returns))
    }

    /// Nobody is sent away any more, and nobody comes back.
    pub(super) fn end(&mut self) {
        *self = Self { herd_from: self.herd_from, ..Self::default() };
    }
}

impl Swarm {
    pub(super) fn begin_returning(&mut self, from: Instant) {
        self.returning.churn = self.plan.churn.map(|rate| Pace::endless(from, rate, self.share));
        self.returning.herd_due = self.plan.herd.map(|herd| from + herd.at);
    }

    pub(super) fn churn_the_due(&mut self, now: Instant, ops: &mut Vec<Op>) {
        for _ in 0..PIECES {
            if self.returning.churn.as_mut().and_then(|pace| pace.take(now)).is_none() {
                return;
            }
            let Some(index) = self.who_leaves() else { continue };
            self.send_away(index, Phase::Leaving, Returns::Churn);
            self.conns[index].deadline = now + GOODBYE;
            self.wheel.arm(index as u32, now + GOODBYE);
            self.flush(now, index, ops);
        }
    }

    /// Anybody who lives and is not to die, if one of so many draws finds them.
    fn who_leaves(&mut self) -> Option<usize> {
        let draws = if self.living.is_empty() { 0 } else { DRAWS };
        let drawn = (0..draws).map(|_| self.living[self.rng.usize(..self.living.len())]);
        let mut spared = drawn.filter(|&index| !self.dying.is_doomed(index));
        spared.next().map(|index| index as usize)
    }

    pub(super) fn drop_the_herd(&mut self, now: Instant, ops: &mut Vec<Op>) {
        if let Some(herd) =
            self.plan.herd.filter(|_| self.returning.herd_due.is_some_and(|at| at <= now))
        {
            self.choose_the_herd(now, herd.share);
        }
        for _ in 0..PIECES {
            let Some(id) = self.returning.dropping.pop() else { return };
            // It may have been lost meanwhile.
            let index = self.index_of(id).filter(|&index| self.conns[index].phase == Phase::Living);
            if let Some(index) = index {
                self.send_away(index, Phase::Gone, Returns::Herd);
                ops.push(Op::Abort { id });
            }
        }
    }

    fn choose_the_herd(&mut self, now: Instant, share: f64) {
        let mut chosen = self.living.clone();
        self.rng.shuffle(&mut chosen);
        chosen.truncate((chosen.len() as f64 * share).round() as usize);
        self.returning.dropping =
            chosen.into_iter().map(|index| self.id_of(index as usize)).collect();
        self.returning.herd_due = None;
        self.returning.herd_from = now;
    }

    fn send_away(&mut self, index: usize, into: Phase, returns: Returns) {
        self.ledger.sent_away(returns, !self.conns[index].answered.is_never());
        self.take_from_the_living(index, into);
        self.conns[index].returns = returns;
    }

    /// A connection has ended; if it was sent away, its number comes back in its time.
    pub(super) fn ended_away(&mut self, now: Instant, index: usize) {
        let (number, returns) = (self.conns[index].number, self.conns[index].returns);
        let at = match returns {
            Returns::No => return,
            Returns::Churn => now,
            Returns::Herd => self.return_of_the_herd(number),
        };
        self.come_again(at, number, returns);
    }

    /// When one of the herd comes back: after its backoff, or in its turn at the connect rate.
    fn return_of_the_herd(&mut self, number: u32) -> Instant {
        let nth = self.share.number(self.returning.ended);
        self.returning.ended += 1;
        let wait = match self.plan.herd.and_then(|herd| herd.backoff) {
            Some(backoff) => within(backoff, chance::unit(self.plan.seed, number.into())),
            None => Duration::from_secs_f64(nth as f64 / self.plan.connect_rate),
        };
        self.returning.herd_from + wait
    }

    /// It could not come back, and tries again.
    pub(super) fn try_again(&mut self, now: Instant, number: u32, returns: Returns) {
        let backoff = self.plan.herd.and_then(|herd| herd.backoff);
        let wait = match backoff.filter(|_| returns == Returns::Herd) {
            Some(backoff) => within(backoff, self.rng.f64()).max(Duration::from_millis(1)),
            None => RETRY,
        };
        self.come_again(now + wait, number, returns);
    }

    fn come_again(&mut self, at: Instant, number: u32, returns: Returns) {
        if !self.is_ending() {
            self.returning.again.insert((at, number), returns);
        }
    }

    /// When the herd was dropped.
    pub(super) fn since_the_herd(&self, now: Instant) -> Duration {
        now.saturating_since(self.returning.herd_from)
    }
}

fn within(Backoff { least, most }: Backoff, part: f64) -> Duration {
    least + (most - least).mul_f64(part)
}
