//! Messages that wait: first to be sent, then to be answered. All connections of a swarm share one
//! arena, so that an idle connection holds four numbers and no memory.

use halfopen_wheel::Instant;

/// The most messages of one swarm that wait at once, 24 MiB of them. A server that falls farther
/// behind than that is told by messages that were skipped.
const WAITING_MAX: usize = 1 << 20;

/// No place in the arena.
const NONE: u32 = u32::MAX;

/// The messages of one connection, oldest first: some sent and not answered, then those of the
/// chunk in flight, then those that wait to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    oldest: u32,
    /// The first of the chunk in flight.
    in_flight: u32,
    /// The first that waits to be sent.
    unsent: u32,
    newest: u32,
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// When it was to be sent.
    pub(super) intended: Instant,
    /// When it was handed over.
    pub(super) sent: Instant,
    next: u32,
    /// Its chunk is home, so that `sent` is what the driver told.
    pub(super) settled: bool,
}

/// The arena.
#[derive(Debug)]
pub(super) struct Lines {
    places: Vec<Waiting>,
    free: u32,
    len: usize,
}

impl Line {
    pub(super) const EMPTY: Self =
        Self { oldest: NONE, in_flight: NONE, unsent: NONE, newest: NONE };

    /// Whether messages wait to be sent.
    pub(super) fn wants_to_send(&self) -> bool {
        self.unsent != NONE
    }
}

impl Lines {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), free: NONE, len: 0 }
    }

    /// How many wait, over all connections.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Has one more wait to be sent; false if too many wait.
    pub(super) fn push(&mut self, line: &mut Line, intended: Instant) -> bool {
        if self.len == WAITING_MAX {
            return false;
        }
        let place =
            self.take_place(Waiting { intended, sent: intended, next: NONE, settled: false });
        match line.newest {
            NONE => line.oldest = place,
            newest => self.places[newest as usize].next = place,
        }
        line.newest = place;
        if line.unsent == NONE {
            line.unsent = place;
        }
        true
    }

    /// When the next one that waits was to be sent.
    pub(super) fn first_unsent(&self, line: &Line) -> Option<Instant> {
        self.places.get(line.unsent as usize).map(|waiting| waiting.intended)
    }

    /// The next one to be sent, which goes into a chunk at `now`: when it was to be sent.
    pub(super) fn next_unsent(&mut self, line: &mut Line, now: Instant) -> Option<Instant> {
        let place = line.unsent;
        let waiting = self.places.get_mut(place as usize)?;
        // Until the chunk is home: an answer may be heard before that.
        waiting.sent = now;
        line.unsent = waiting.next;
        if line.in_flight == NONE {
            line.in_flight = place;
        }
        Some(waiting.intended)
    }

    /// The chunk in flight was handed over at `at`. Tells each of its messages' intended time.
    pub(super) fn settle(&mut self, line: &mut Line, at: Instant, mut told: impl FnMut(Instant)) {
        let mut place = std::mem::replace(&mut line.in_flight, NONE);
        while place != NONE && place != line.unsent {
            let waiting = &mut self.places[place as usize];
            waiting.sent = at;
            waiting.settled = true;
            told(waiting.intended);
            place = waiting.next;
        }
    }

    /// The oldest that was sent and not answered.
    pub(super) fn oldest_sent(&self, line: &Line) -> Option<Waiting> {
        if line.oldest == line.unsent {
            return None;
        }
        self.places.get(line.oldest as usize).copied()
    }

    /// The oldest that was sent is answered, or wants no answer.
    pub(super) fn pop_sent(&mut self, line: &mut Line) -> Option<Waiting> {
        let waiting = self.oldest_sent(line)?;
        let place = line.oldest;
        line.oldest = waiting.next;
        if line.in_flight == place {
            // All of the chunk is answered if what follows is not sent.
            line.in_flight = if waiting.next == line.unsent { NONE } else { waiting.next };
        }
        if line.newest == place {
            line.newest = NONE;
        }
        self.free_place(place);
        Some(waiting)
    }

    /// Drops all of a connection: how many were sent and not answered.
    pub(super) fn clear(&mut self, line: &mut Line) -> u64 {
        let mut unanswered = 0;
        while self.pop_sent(line).is_some() {
            unanswered += 1;
        }
        let mut place = line.oldest;
        while place != NONE {
            let next = self.places[place as usize].next;
            self.free_place(place);
            place = next;
        }
        *line = Line::EMPTY;
        unanswered
    }

    fn take_place(&mut self, waiting: Waiting) -> u32 {
        self.len += 1;
        let place = self.free;
        if let Some(free) = self.places.get_mut(place as usize) {
            self.free = std::mem::replace(free, waiting).next;
            return place;
        }
        self.places.push(waiting);
        (self.places.len() - 1) as u32
    }

    fn free_place(&mut self, place: u32) {
        self.len -= 1;
        self.places[place as usize].next = std::mem::replace(&mut self.free, place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn an_answer_that_is_heard_before_its_chunk_came_home_is_timed_from_the_hand_over() {
        let (mut lines, mut line) = (Lines::new(), Line::EMPTY);
        lines.push(&mut line, at(5));
        assert!(lines.oldest_sent(&line).is_none(), "not sent yet");
        lines.next_unsent(&mut line, at(8));
        assert_eq!(lines.pop_sent(&mut line).unwrap().sent, at(8));
        lines.settle(&mut line, at(9), |_| unreachable!("it is answered"));
        assert_eq!(lines.len(), 0);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Push,
        Encode,
        Settle,
        Answer,
        Clear,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Push),
            3 => Just(Step::Encode),
            2 => Just(Step::Settle),
            3 => Just(Step::Answer),
            1 => Just(Step::Clear),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        /// Beside three queues: what waits to be sent, what is in flight, what was sent.
        #[test]
        fn a_line_is_three_queues_in_a_row(steps in steps()) {
            let (mut lines, mut line) = (Lines::new(), Line::EMPTY);
            let mut sent: VecDeque<(u64, u64)> = VecDeque::new();
            let mut flying: VecDeque<(u64, u64)> = VecDeque::new();
            let mut unsent: VecDeque<u64> = VecDeque::new();
            for (time, step) in (1u64..).zip(steps) {
                match step {
                    Step::Push => {
                        prop_assert!(lines.push(&mut line, at(time)));
                        unsent.push_back(time);
                    }
                    Step::Encode => {
                        let next = lines.next_unsent(&mut line, at(time));
                        prop_assert_eq!(next, unsent.front().map(|&first| at(first)));
                        flying.extend(unsent.pop_front().map(|first| (first, time)));
                    }
                    Step::Settle => {
                        let mut told = Vec::new();
                        lines.settle(&mut line, at(time), |intended| told.push(intended.as_nanos()));
                        prop_assert_eq!(told, flying.iter().map(|pair| pair.0).collect::<Vec<_>>());
                        sent.extend(flying.drain(..).map(|(intended, _)| (intended, time)));
                    }
                    Step::Answer => {
                        let oldest = sent.pop_front().or_else(|| flying.pop_front());
                        let popped = lines.pop_sent(&mut line);
                        prop_assert_eq!(popped.map(|w| (w.intended.as_nanos(), w.sent.as_nanos())), oldest);
                    }
                    Step::Clear => {
                        prop_assert_eq!(lines.clear(&mut line), (sent.len() + flying.len()) as u64);
                        sent.clear();
                        flying.clear();
                        unsent.clear();
                    }
                }
                prop_assert_eq!(lines.len(), sent.len() + flying.len() + unsent.len());
                prop_assert_eq!(line.wants_to_send(), !unsent.is_empty());
            }
        }
    }
}
