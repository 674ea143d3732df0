//! Letters from other threads and shards, handed out a few at a time.
//!
//! The shard takes them in their order: one that goes to a topic is carried to all its subscribers
//! before the next is looked at. What is left over makes the shard's deadline one that has passed, so
//! that the driver comes back to it as it comes back to everything that is due: for as long as nothing
//! else waits, or some 200 µs.

use crate::post::{Letter, Roll};
use crate::session::{Phase, Session};
use crate::shard::VISITS_MAX;
use crate::{App, Delivery, Shard};
use halfopen_driver::{ConnId, Op};
use halfopen_wheel::Instant;
use std::collections::VecDeque;

/// What a shard has of its letters.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    /// Taken out of the box, and not opened.
    taken: VecDeque<Letter>,
    /// How many were opened, which is the number of the next.
    opened: u64,
    /// Since when some are left over.
    pub(crate) backlog: Option<Instant>,
    /// The number of the first letter that a drain does not wait for.
    last_words: u64,
}

impl<A: App> Shard<A> {
    /// Serves up to [`VISITS_MAX`] letters and subscribers.
    pub(crate) fn deliver(&mut self, now: Instant, ops: &mut Vec<Op>) {
        for _ in 0..VISITS_MAX {
            if let Some((index, frame)) = self.shared.topics.next() {
                let generation = self.sessions[index as usize].generation;
                let id = ConnId { index, generation };
                self.with(now, id, ops, |peer, _| _ = peer.send_frame(&frame));
            } else if !self.open_letter(now, ops) {
                self.letters.backlog = None;
                return;
            }
        }
        self.letters.backlog.get_or_insert(now);
    }

    /// What was posted until now comes before a drain closes anybody.
    pub(crate) fn hear_last_words(&mut self, now: Instant) {
        self.letters.last_words = self.shared.inbox.post().next_number();
        self.letters.backlog.get_or_insert(now);
    }

    /// Whether all that was posted before the drain began is with its receivers.
    pub(crate) fn has_heard_last_words(&self) -> bool {
        let Letters { opened, last_words, .. } = self.letters;
        opened > last_words || (opened == last_words && !self.shared.topics.is_publishing())
    }

    /// Whether there was one.
    fn open_letter(&mut self, now: Instant, ops: &mut Vec<Op>) -> bool {
        if self.letters.taken.is_empty() {
            self.shared.inbox.post().collect(&mut self.letters.taken, VISITS_MAX);
        }
        let Some(letter) = self.letters.taken.pop_front() else { return false };
        let number = self.letters.opened;
        self.letters.opened += 1;
        let mut is_delivered = false;
        match letter {
            Letter::Send { to, frame } => self.with(now, to, ops, |peer, _| {
                is_delivered = peer.send_frame(&frame) != Delivery::Closing;
            }),
            Letter::Close { to, code, reason } => self.with(now, to, ops, |peer, _| {
                is_delivered = peer.session.phase == Phase::Open;
                peer.close(code, &reason);
            }),
            Letter::Publish { topic, frame } => {
                is_delivered = true;
                self.shared.topics.publish(&topic, number, frame);
            }
        }
        self.shared.stats.undeliverable += u64::from(!is_delivered);
        true
    }

    /// Somebody wants to know who is open, from now on.
    pub(crate) fn keep_roll(&self) {
        let post = self.shared.inbox.post();
        if !post.owes_roll() {
            return;
        }
        let config = &self.shared.config;
        let roll = Roll::new(config.connections_max + config.refusals_max);
        let id = |(index, session): (usize, &Session)| {
            let id = ConnId { index: index as u32, generation: session.generation };
            (session.phase == Phase::Open).then_some(id)
        };
        self.sessions.iter().enumerate().filter_map(id).for_each(|id| roll.enter(id));
        post.lay_out(roll);
    }
}
