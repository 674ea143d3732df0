//! A shard's letter box: any thread puts letters in, the shard takes them out.
//!
//! It is bounded in letters and in bytes. Who finds it full may leave a waker, and is woken in turn
//! as room comes; one that was woken and gives up wakes the next. When the box is empty all are woken:
//! who was woken may do nothing about it for as long as somebody likes, and no letter is left for
//! whose sake the shard would come again. The shard takes a bounded number of letters at a time, and
//! holds the lock for no longer than that takes.

use crate::Frame;
use halfopen_driver::{ConnId, Waker};
use halfopen_proto::CloseCode;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task;

/// What is asked of a shard on behalf of a connection or a topic.
#[derive(Clone, Debug)]
pub(crate) enum Letter {
    Send { to: ConnId, frame: Frame },
    Close { to: ConnId, code: CloseCode, reason: Box<str> },
    Publish { topic: Arc<str>, frame: Frame },
}

impl Letter {
    /// The bytes that it keeps, about.
    fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Send { frame, .. } => frame.wire_len(),
                Self::Close { reason, .. } => reason.len(),
                Self::Publish { topic, frame } => topic.len() + frame.wire_len(),
            }
    }
}

/// A place among those that wait.
pub(crate) type Ticket = u64;

#[derive(Debug)]
pub(crate) struct Post {
    waker: Waker,
    letters_max: usize,
    bytes_max: usize,
    queue: Mutex<Queue>,
    roll_wanted: AtomicBool,
    roll: OnceLock<Roll>,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    letters: VecDeque<Letter>,
    bytes: usize,
    /// How many letters were taken out.
    taken: u64,
    closed: bool,
    waiting: BTreeMap<Ticket, task::Waker>,
    tickets: Ticket,
}

impl Post {
    pub(crate) fn new(waker: Waker, letters_max: usize, bytes_max: usize) -> Self {
        Self {
            waker,
            letters_max: letters_max.max(1),
            bytes_max,
            queue: Mutex::default(),
            roll_wanted: AtomicBool::new(false),
            roll: OnceLock::new(),
        }
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing under the lock panics half way.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A letter that is larger than all the room goes alone.
    pub(crate) fn has_room(&self, queue: &Queue, letter: &Letter) -> bool {
        let fits = queue.bytes + letter.weight() <= self.bytes_max;
        queue.letters.len() < self.letters_max && (fits || queue.letters.is_empty())
    }

    /// Takes out up to `most` letters, and wakes as many of those who wait as there may be room for,
    /// or all if none is left.
    pub(crate) fn collect(&self, into: &mut VecDeque<Letter>, most: usize) {
        let mut queue = self.lock();
        let count = queue.letters.len().min(most);
        for letter in queue.letters.drain(..count) {
            into.push_back(letter);
        }
        queue.taken += count as u64;
        let weight: usize = into.iter().rev().take(count).map(Letter::weight).sum();
        queue.bytes -= weight;
        let room = match queue.letters.len() {
            0 => usize::MAX,
            left => self.letters_max - left,
        };
        let woken = if count > 0 { queue.pop_waiting(room) } else { Vec::new() };
        drop(queue);
        woken.into_iter().for_each(task::Waker::wake);
    }

    /// The number of the next letter that is put in; the first that is taken out is number 0.
    pub(crate) fn next_number(&self) -> u64 {
        let queue = self.lock();
        queue.taken + queue.letters.len() as u64
    }

    /// Who had a place among those that wait wants it no more. Was it woken for room that it leaves
    /// unused, the next is.
    pub(crate) fn withdraw(&self, ticket: Ticket) {
        let mut queue = self.lock();
        let own = queue.leave(ticket);
        let next = if own.is_none() { queue.pop_waiting(1) } else { Vec::new() };
        drop(queue);
        next.into_iter().for_each(task::Waker::wake);
    }

    /// The shard has ended: nothing is taken in any more, and what waits is dropped.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        let letters = std::mem::take(&mut queue.letters);
        queue.bytes = 0;
        let woken = queue.pop_waiting(usize::MAX);
        drop(queue);
        drop(letters);
        woken.into_iter().for_each(task::Waker::wake);
    }

    /// Asks the shard to keep a roll of who is open, from now on.
    pub(crate) fn want_roll(&self) {
        if !self.roll_wanted.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Whether a roll is asked for that is not there yet.
    pub(crate) fn owes_roll(&self) -> bool {
        self.roll_wanted.load(Ordering::Acquire) && self.roll.get().is_none()
    }

    /// Lays the roll out for all to see.
    pub(crate) fn lay_out(&self, roll: Roll) {
        // It is laid out once, by the shard.
        let _ = self.roll.set(roll);
    }

    pub(crate) fn roll(&self) -> Option<&Roll> {
        self.roll.get()
    }
}

impl Queue {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn push(&mut self, letter: Letter) {
        self.bytes += letter.weight();
        self.letters.push_back(letter);
    }

    /// Waits for room, at the place that `ticket` names, or at the end. The waker that stood there is
    /// given back, to be dropped without the lock: it may be the last that holds a task, and with it
    /// a posting that needs the lock to go.
    pub(crate) fn wait(
        &mut self,
        ticket: Option<Ticket>,
        waker: &task::Waker,
    ) -> (Ticket, Option<task::Waker>) {
        let ticket = ticket.unwrap_or_else(|| {
            self.tickets += 1;
            self.tickets
        });
        (ticket, self.waiting.insert(ticket, waker.clone()))
    }

    /// Waits no more. The waker is given back if it was not woken, as by [`wait`](Self::wait).
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<task::Waker> {
        self.waiting.remove(&ticket)
    }

    fn pop_waiting(&mut self, most: usize) -> Vec<task::Waker> {
        let pop = || self.waiting.pop_first().map(|(_, waker)| waker);
        std::iter::from_fn(pop).take(most).collect()
    }
}

/// Which generation of each index is open, for other threads to look at; zero: none. Four bytes for
/// each place in the table, once somebody has asked for it.
#[derive(Debug)]
pub(crate) struct Roll(Box<[AtomicU32]>);

impl Roll {
    pub(crate) fn new(room: u32) -> Self {
        Self((0..room).map(|_| AtomicU32::new(0)).collect())
    }

    pub(crate) fn enter(&self, id: ConnId) {
        self.set(id.index, id.generation);
    }

    pub(crate) fn strike(&self, id: ConnId) {
        self.set(id.index, 0);
    }

    fn set(&self, index: u32, generation: u32) {
        if let Some(place) = self.0.get(index as usize) {
            place.store(generation, Ordering::Release);
        }
    }

    pub(crate) fn has(&self, id: ConnId) -> bool {
        let place = self.0.get(id.index as usize);
        place.is_some_and(|place| place.load(Ordering::Acquire) == id.generation)
    }
}
