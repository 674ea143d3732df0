//! Messages, sent on an open-loop schedule by the living in turn or in a closed loop, and their
//! answers.

use super::PIECES;
use super::Swarm;
use super::closed_loop::ClosedLoop;
use super::line::Line;
use crate::pacing::Pace;
use crate::plan::{Expect, Size, Stall};
use halfopen_driver::Op;
use halfopen_wheel::Instant;

/// Digits in front of a message that tell its intended time in hex: no two of a connection are
/// alike, so that an echo can be told from another message.
const STAMP: usize = 16;

/// The schedule, and the text of messages.
#[derive(Debug)]
pub(super) struct Traffic {
    pace: Option<Pace>,
    /// When nothing is sent, from the first message on.
    stall: Option<(Instant, Stall)>,
    /// Whose turn it is, among the living.
    turn: usize,
    pub(super) closed_loop: Option<ClosedLoop>,
    size: Size,
    seed: u64,
    /// As long as the longest message.
    text: String,
}

impl Traffic {
    pub(super) fn new(size: &Size, seed: u64) -> Self {
        let text = "The quick brown fox jumps over the lazy dog. ".chars().cycle().take(size.max());
        Self {
            pace: None,
            stall: None,
            turn: 0,
            closed_loop: None,
            size: size.clone(),
            seed,
            text: text.collect(),
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let due = self.pace.as_ref()?.due()?;
        Some(self.stall.map_or(due, |(from, stall)| stall.put_off(from, due)))
    }

    /// The moment at which the next message was to be sent, if that is over and nothing holds it up.
    fn take(&mut self, now: Instant) -> Option<Instant> {
        self.due().filter(|&due| due <= now)?;
        self.pace.as_mut()?.take(now).map(|(_, intended)| intended)
    }

    pub(super) fn end(&mut self) {
        self.pace = None;
        self.closed_loop = None;
    }

    /// The message that was to be sent at `intended`.
    pub(super) fn text_of(&mut self, intended: Instant) -> &str {
        let size = self.size_of(intended);
        let length = size.min(STAMP);
        let mut stamp = [0; STAMP];
        // A short one has the last digits only: the first change too seldom.
        for (place, digit) in stamp[..length].iter_mut().rev().enumerate() {
            *digit = b"0123456789abcdef"[(intended.as_nanos() >> (4 * place)) as usize % 16];
        }
        let stamp = std::str::from_utf8(&stamp[..length]).expect("hex digits");
        self.text.replace_range(..length, stamp);
        &self.text[..size]
    }

    /// Bytes of that message.
    pub(super) fn size_of(&self, intended: Instant) -> usize {
        self.size.of(self.seed, intended.as_nanos())
    }
}

impl Swarm {
    pub(super) fn begin_traffic(&mut self, from: Instant) {
        let plan = &self.plan;
        self.traffic.closed_loop = plan.window.map(ClosedLoop::new);
        self.traffic.stall = plan.fault.stall.map(|stall| (from, stall));
        self.traffic.pace = plan.message_rate.as_ref().map(|rate| {
            let series = (plan.arrivals, plan.seed);
            Pace::shaped(from, (rate, plan.duration), series, self.share)
        });
    }

    pub(super) fn send_the_due(&mut self, now: Instant, ops: &mut Vec<Op>) {
        for _ in 0..PIECES {
            let Some(intended) = self.traffic.take(now) else { return };
            if !self.queue_message(now, intended, ops) {
                self.ledger.tally.messages_skipped += 1;
            }
        }
    }

    fn queue_message(&mut self, now: Instant, intended: Instant, ops: &mut Vec<Op>) -> bool {
        if self.living.is_empty() {
            return false;
        }
        self.plan.fault.nap.into_iter().for_each(std::thread::sleep);
        self.traffic.turn = (self.traffic.turn + 1) % self.living.len();
        let index = self.living[self.traffic.turn] as usize;
        let queued = self.lines.push(&mut self.conns[index].line, intended);
        self.flush(now, index, ops);
        self.show_waiting();
        queued
    }

    /// The chunk that held them is home.
    pub(super) fn messages_are_sent(&mut self, index: usize, at: Instant) {
        let (ledger, line) = (&mut self.ledger, &mut self.conns[index].line);
        let told = |intended| ledger.message_sent(at.saturating_since(intended));
        self.lines.settle(line, at, told);
        if self.plan.expect == Expect::None {
            while self.lines.pop_sent(line).is_some() {}
            self.show_waiting();
        }
    }

    pub(super) fn take_message(&mut self, now: Instant, index: usize, bytes: &[u8]) {
        self.ledger.message_received();
        let line = self.conns[index].line;
        if !self.answers(&line, bytes) {
            self.ledger.tally.messages_unasked += u64::from(self.plan.expect != Expect::None);
            return;
        }
        if let Some(waiting) = self.lines.pop_sent(&mut self.conns[index].line) {
            if !waiting.settled {
                self.ledger.message_sent(waiting.sent.saturating_since(waiting.intended));
            }
            let latency = now.saturating_since(waiting.intended);
            let latency = self.plan.window.is_none().then_some(latency);
            self.ledger.message_answered(latency, now.saturating_since(waiting.sent));
            self.show_waiting();
            self.go_round(now, index);
        }
    }

    /// Whether `bytes` answer the oldest message that waits in `line`.
    fn answers(&mut self, line: &Line, bytes: &[u8]) -> bool {
        let Some(oldest) = self.lines.oldest_sent(line) else { return false };
        match self.plan.expect {
            Expect::Any => true,
            Expect::Echo => self.traffic.text_of(oldest.intended).as_bytes() == bytes,
            Expect::None => false,
        }
    }

    pub(super) fn show_waiting(&self) {
        self.ledger.meter.messages_waiting.set(self.lines.len() as u64);
    }
}
