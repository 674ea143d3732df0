//! The loop: all that has completed, then what is due, then the ring again.

use super::completion::Sending;
use super::driver::{Driver, News};
use super::pace::Pace;
use super::queue::Wait;
use super::silence::Silence;
use crate::{Engine, Error, Event, Op};
use halfopen_wheel::{Instant, clock};
use std::time::Duration;

/// How long deadlines are worked at in a turn while completions wait.
const DEADLINES_BUDGET: Duration = Duration::from_micros(200);

/// Reading the clock for each event would be a twentieth of the CPU of a server that pings.
const EVENTS_PER_CLOCK: u32 = 32;

/// So many completions are handed over in a turn, and what has come meanwhile in the next: where
/// each brings a request, the ring is entered again and again to make room, and never falls empty.
const COMPLETIONS_MAX: u32 = 1024;

/// And no more after so long, if something is due.
const ARRIVALS_BUDGET: Duration = Duration::from_millis(1);

struct Turns<'a, E> {
    engine: &'a mut E,
    driver: &'a mut Driver,
    silence: Silence,
    pace: Pace,
    /// When the last call into the ring that ends a turn returned.
    begun: Instant,
    /// The engine takes long for an event: the clock is read for each.
    is_slow: bool,
    ops: Vec<Op>,
}

/// Turns until the engine says stop.
pub(super) fn run<E: Engine>(engine: &mut E, driver: &mut Driver) -> Result<(), Error> {
    let now = clock::now();
    let silence = Silence::new(now);
    let pace = Pace::new(now);
    let mut turns =
        Turns { engine, driver, silence, pace, begun: now, is_slow: false, ops: Vec::new() };
    while !turns.driver.stopped {
        turns.turn()?;
    }
    Ok(())
}

impl<E: Engine> Turns<'_, E> {
    fn turn(&mut self) -> Result<(), Error> {
        let mut now = self.begun;
        if !self.driver.news.is_empty() {
            now = clock::now();
            self.tell_all(now);
        }
        self.hand_over(now);
        let now = self.work_at_deadlines()?;
        if self.driver.stopped {
            return Ok(());
        }
        self.end_turn(now)
    }

    /// Hands over what has completed. What came with one call into the ring came at one time, but a
    /// long row of it takes time itself.
    fn hand_over(&mut self, begun: Instant) {
        let mut now = begun;
        for number in 1..=COMPLETIONS_MAX {
            let Some(completion) = self.next_completion() else { return };
            // No send may be said to have left later than now.
            now = now.max(self.driver.queue.stamped());
            let looks = self.is_slow || number.is_multiple_of(EVENTS_PER_CLOCK);
            if looks {
                now = self.look();
            }
            self.driver.complete(completion, now);
            self.tell_all(now);
            if looks && now.saturating_since(begun) > ARRIVALS_BUDGET && self.is_due(now) {
                return;
            }
        }
    }

    /// Reads the clock, and sees whether it is to be read for each event.
    fn look(&mut self) -> Instant {
        let now = clock::now();
        let most = if self.is_slow { ARRIVALS_BUDGET / EVENTS_PER_CLOCK } else { ARRIVALS_BUDGET };
        self.is_slow = self.silence.looked(now) > most;
        now
    }

    fn next_completion(&mut self) -> Option<super::completion::Completion> {
        let Self { engine, driver, .. } = self;
        if driver.stopped {
            return None;
        }
        let Driver { queue, table, .. } = &mut **driver;
        queue.next(|id| {
            table.foresee(id);
            engine.foresee(id);
        })
    }

    /// Tells the engine what is new, and carries out what it says to each.
    fn tell_all(&mut self, now: Instant) {
        while !self.driver.stopped
            && let Some(news) = self.driver.news.pop_front()
        {
            self.tell(now, news);
        }
    }

    fn tell(&mut self, now: Instant, news: News) {
        let event = match news {
            News::Received(id, buffer, length) => {
                self.tell_bytes(now, id, buffer, length);
                return;
            }
            News::Started => Event::Started,
            News::Opened(id, by) => Event::Opened { id, by },
            News::Refused(token, cause) => Event::Refused { token, cause },
            News::Sent(id, landed) => {
                let Sending { chunk, at, .. } = self.driver.queue.take(landed);
                Event::Sent { id, chunk, at: at.unwrap_or(now) }
            }
            News::Stranded(id, chunk, at) => Event::Sent { id, chunk, at },
            News::Probed(id, queued) => Event::Probed { id, queued },
            News::Located(id, ends) => Event::Located { id, ends },
            News::Closed(id, cause) => Event::Closed { id, cause },
            News::Woken => Event::Woken,
        };
        self.driver.counters.events.add(1);
        self.engine.on_event(now, event, &mut self.ops);
        self.carry_out(now);
    }

    fn tell_bytes(&mut self, now: Instant, id: crate::ConnId, buffer: u16, length: usize) {
        let driver = &mut *self.driver;
        // What came after an abort is dropped.
        if driver.table.at(id).is_some_and(|connection| connection.is_heard()) {
            driver.counters.events.add(1);
            driver.counters.bytes_in.add(length as u64);
            let bytes = driver.queue.bytes(buffer, length);
            self.engine.on_event(now, Event::Received { id, bytes }, &mut self.ops);
        }
        driver.queue.give_back(buffer);
        self.carry_out(now);
    }

    fn carry_out(&mut self, now: Instant) {
        if self.ops.len() > 1 {
            self.foresee_ops();
        }
        for op in self.ops.drain(..) {
            if !self.driver.stopped {
                self.driver.carry_out(op, now);
            }
        }
    }

    /// A row of pings goes to connections that have nothing in common.
    fn foresee_ops(&self) {
        for op in &self.ops {
            if let Op::Send { id, .. } = op {
                self.driver.table.foresee(*id);
            }
        }
    }

    /// Works at what is due for as long as nothing waits, or for its share of the time. Gives back
    /// the present moment.
    ///
    /// Each call is preceded by one into the ring, which submits what the last one wanted and finds
    /// out whether anybody has been heard meanwhile; unless there is nothing to submit, and the
    /// ring tells without a call that nothing waits. Where the engine does nothing because it is
    /// not known yet who is silent, what waits is handed over first.
    fn work_at_deadlines(&mut self) -> Result<Instant, Error> {
        let begun = self.look();
        let mut now = begun;
        while !self.driver.stopped && self.is_due(now) {
            self.driver.prepare(now);
            now = self.listen()?;
            self.engine.on_deadline(now, self.silence.heard(now), &mut self.ops);
            let idle = self.ops.is_empty();
            self.carry_out(now);
            self.tell_all(now);
            now = clock::now();
            let spent = now.saturating_since(begun) > DEADLINES_BUDGET;
            if (idle || spent) && self.driver.queue.is_waiting() {
                break;
            }
        }
        Ok(now)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.engine.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// Submits, and sleeps if there is nothing to do.
    fn end_turn(&mut self, now: Instant) -> Result<(), Error> {
        self.driver.prepare(now);
        self.driver.counters.turns.add(now.saturating_since(self.begun));
        let arrivals = std::mem::take(&mut self.driver.arrivals);
        let want = self.pace.want(now, arrivals, self.driver.table.len());
        let alarm = self.engine.deadline().into_iter().chain(self.driver.door.alarm()).min();
        let busy = self.driver.is_busy();
        let wait = match want {
            _ if busy => Wait::No,
            1 => Wait::Until(alarm),
            _ => {
                self.driver.counters.gathers.add(1);
                Wait::Gather(want, alarm)
            }
        };
        self.begun = self.enter(wait)?;
        Ok(())
    }

    /// Submits what is wanted and finds out who has been heard. Gives back the moment after it.
    fn listen(&mut self) -> Result<Instant, Error> {
        let now = clock::now();
        if !self.driver.is_known_dry() {
            return self.enter(Wait::No);
        }
        self.silence.listened(now, now, true);
        Ok(now)
    }

    /// Gives back the moment after the call.
    fn enter(&mut self, wait: Wait) -> Result<Instant, Error> {
        let begun = self.driver.queue.enter(wait)?;
        let now = clock::now();
        self.silence.listened(begun, now, self.driver.is_dry());
        Ok(now)
    }
}
