//! The loop: what has happened, what the engine is told, what is due, and the wait.

use super::driver::{Driver, failed};
use super::news::News;
use super::poll::Wait;
use crate::ring::silence::Silence;
use crate::{ConnId, Engine, Error, Event, Op};
use halfopen_wheel::{Instant, clock};
use std::time::Duration;

/// How long deadlines are worked at in a turn.
const DEADLINES_BUDGET: Duration = Duration::from_micros(200);

/// After so long what is due is worked at amid the arrivals.
const ARRIVALS_BUDGET: Duration = Duration::from_millis(1);

/// Reading the clock costs a hundredth of what a system call does.
const NEWS_PER_CLOCK: u32 = 32;

struct Turns<'a, E> {
    engine: &'a mut E,
    driver: &'a mut Driver,
    silence: Silence,
    /// Since when arrivals have been handed over, and nothing that was due worked at.
    since: Instant,
    /// The engine takes long for an event: the clock is read for each.
    is_slow: bool,
    ops: Vec<Op>,
}

/// Turns until the engine says stop.
pub(super) fn run<E: Engine>(engine: &mut E, driver: &mut Driver) -> Result<(), Error> {
    let now = clock::now();
    let silence = Silence::new(now);
    let mut turns = Turns { engine, driver, silence, since: now, is_slow: false, ops: Vec::new() };
    turns.tell_news();
    while !turns.driver.stopped {
        turns.turn()?;
    }
    Ok(())
}

impl<E: Engine> Turns<'_, E> {
    fn turn(&mut self) -> Result<(), Error> {
        let begun = self.look();
        self.driver.expire_attempts(begun);
        self.driver.mind_the_door(begun);
        let wait = self.plan(begun);
        let carried = self.driver.backlog.len();
        self.driver.counters.syscalls.add(1);
        let all = self.driver.poll.wait(wait).map_err(|errno| failed("waiting by epoll", errno))?;
        let returned = self.look();
        self.since = returned;

        self.hand_over();
        self.read_carried(carried);
        self.tell_news();
        let dry = all && self.driver.backlog.is_empty();
        self.silence.listened(begun, self.driver.now, dry);
        // After a sleep nobody knows yet what has come since it began.
        if wait == Wait::No {
            self.work_at_deadlines();
        }
        self.driver.counters.turns.add(clock::now().saturating_since(returned));
        Ok(())
    }

    /// Reads the clock, and sees whether it is to be read for each event.
    fn look(&mut self) -> Instant {
        let now = clock::now();
        let most = if self.is_slow { ARRIVALS_BUDGET / NEWS_PER_CLOCK } else { ARRIVALS_BUDGET };
        self.is_slow = self.silence.looked(now) > most;
        self.driver.now = now;
        now
    }

    /// How long to wait: not while there is something to do.
    fn plan(&self, now: Instant) -> Wait {
        let driver = &self.driver;
        let due = self.engine.deadline();
        let busy = !driver.news.is_empty() || !driver.backlog.is_empty();
        if busy || due.is_some_and(|due| due <= now) {
            return Wait::No;
        }
        let alarms = [due, driver.attempts.alarm(), driver.door.alarm()];
        Wait::Until(alarms.into_iter().flatten().min())
    }

    /// Hands over what has happened.
    fn hand_over(&mut self) {
        for number in 0.. {
            let Some((key, mask)) = self.driver.poll.event(number) else { return };
            if self.driver.stopped {
                return;
            }
            if let Some(id) = self.driver.on_event(key, mask) {
                self.read(id);
            }
            self.work_amid_arrivals();
        }
    }

    /// Reads those that were cut short in earlier turns, or that read again.
    fn read_carried(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(id) = self.driver.next_carried() {
                self.read(id);
            }
            self.work_amid_arrivals();
        }
    }

    fn read(&mut self, id: ConnId) {
        if self.driver.stopped {
            return;
        }
        let Some(length) = self.driver.read(id) else { return };
        self.look();
        // What has come may be the answer to it.
        if let Some((chunk, at)) = self.driver.take_sent(id) {
            self.tell(Event::Sent { id, chunk, at });
            if self.driver.stopped || self.driver.is_aborted(id) {
                return;
            }
        }
        self.driver.counters.events.add(1);
        let (now, bytes) = (self.driver.now, &mut self.driver.buffer[..length]);
        self.engine.on_event(now, Event::Received { id, bytes }, &mut self.ops);
        self.carry_out();
    }

    /// Tells the engine what is new. What comes of that is for the next turn: an engine whose every
    /// send is taken at once would never let the others in.
    fn tell_news(&mut self) {
        for told in 0..self.driver.news.len() as u32 {
            if self.is_slow || told.is_multiple_of(NEWS_PER_CLOCK) {
                self.look();
                self.work_amid_arrivals();
            }
            let Some(news) = self.driver.news.pop() else { return };
            match news {
                News::Started => self.tell(Event::Started),
                News::Opened(id, by) => self.tell(Event::Opened { id, by }),
                News::Refused(token, cause) => self.tell(Event::Refused { token, cause }),
                News::Sent(id, chunk, at) => self.tell(Event::Sent { id, chunk, at }),
                News::Probed(id, queued) => self.tell(Event::Probed { id, queued }),
                News::Located(id, ends) => self.tell(Event::Located { id, ends }),
                News::Closed(id) => self.close(id),
                News::Woken => self.tell(Event::Woken),
                News::Told => {}
            }
        }
    }

    /// Gives back the place and the descriptor, and tells.
    fn close(&mut self, id: ConnId) {
        let Some(mut connection) = self.driver.table.remove(id) else { return };
        let (cause, stranded) = (connection.cause(), connection.take_home());
        self.driver.counters.syscalls.add(1);
        drop(connection);
        if let Some(sending) = stranded {
            self.tell(Event::Sent { id, chunk: sending.chunk, at: sending.at });
        }
        self.tell(Event::Closed { id, cause });
    }

    fn tell(&mut self, event: Event<'_>) {
        if self.driver.stopped {
            return;
        }
        self.driver.counters.events.add(1);
        self.engine.on_event(self.driver.now, event, &mut self.ops);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        for op in self.ops.drain(..) {
            if !self.driver.stopped {
                self.driver.carry_out(op);
            }
        }
    }

    /// A long row of arrivals does not keep what is due waiting. How far we have listened is what was
    /// known before the row.
    fn work_amid_arrivals(&mut self) {
        if self.driver.now.saturating_since(self.since) > ARRIVALS_BUDGET {
            self.work_at_deadlines();
            self.since = self.driver.now;
        }
    }

    /// Works at what is due for its share of the time. Where the engine does nothing, because it is
    /// not known yet who is silent, or wants somebody to be read again, that comes first.
    fn work_at_deadlines(&mut self) {
        let begun = self.look();
        while !self.driver.stopped
            && self.engine.deadline().is_some_and(|due| due <= self.driver.now)
        {
            let now = self.driver.now;
            self.engine.on_deadline(now, self.silence.heard(now), &mut self.ops);
            let idle = self.ops.is_empty();
            self.carry_out();
            self.driver.now = clock::now();
            let spent = self.driver.now.saturating_since(begun) > DEADLINES_BUDGET;
            if idle || spent || !self.driver.backlog.is_empty() {
                return;
            }
        }
    }
}
