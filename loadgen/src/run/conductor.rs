//! What happens when: from what the swarms show to the orders that they get. No clock, no thread.

use super::phase::{Ended, Phase, Span};
use crate::plan::{KillAt, Plan, Watch};
use crate::swarm::{Order, Snapshot};
use halfopen_wheel::Instant;
use std::sync::Arc;
use std::time::Duration;

/// So many connects that all failed, and not one that did not, are enough to give up.
const HOPELESS: u64 = 64;

/// The first death comes that long after the ramp, where the server does not ping.
const KILL_AFTER: Duration = Duration::from_secs(1);

/// How long a ping on every connection is waited for, where the interval is not known: longer than
/// the usual ones.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a detection is predicted, the dead are watched that much longer than it says.
const WATCH_BEYOND: Duration = Duration::from_secs(5);

/// And that long where nothing is predicted.
const WATCH_BLINDLY: Duration = Duration::from_secs(150);

/// How long answers to the last messages are waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Every swarm is told this.
    Tell(Order),
    /// The watch is to learn the server's sockets.
    Map,
}

/// What is seen at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct View {
    pub(super) swarms: Snapshot,
    /// The watch knows the end of every victim.
    pub(super) all_found: bool,
    pub(super) interrupted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Ramp,
    /// Messages and pings go on; deaths may be still to come.
    Steady,
    /// The victims are being located.
    Choosing,
    Dying,
    Watching {
        /// When the last one died.
        since: Instant,
    },
    /// The last answers are waited for.
    Draining {
        until: Instant,
    },
    Leaving,
}

/// The course of one run.
#[derive(Debug)]
pub(super) struct Conductor {
    plan: Arc<Plan>,
    stage: Stage,
    ramp_end: Instant,
    phases: Vec<Span>,
    ended: Option<Ended>,
}

impl Conductor {
    pub(super) fn new(plan: Arc<Plan>, now: Instant) -> Self {
        let phases = vec![Span { phase: Phase::Ramp, start: now, end: now }];
        Self { plan, stage: Stage::Ramp, ramp_end: now, phases, ended: None }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phases.last().expect("there is one from the start").phase
    }

    /// The phases, the last one ending at `now`, and why the run ended.
    pub(super) fn finish(mut self, now: Instant) -> (Vec<Span>, Ended) {
        self.phases.last_mut().expect("there is one from the start").end = now;
        (self.phases, self.ended.unwrap_or(Ended::Interrupted))
    }

    /// Looks at the run, and says what is to be done now. It is called every few milliseconds.
    pub(super) fn step(&mut self, now: Instant, view: &View) -> Vec<Action> {
        if let Some(ended) = self.premature_end(view) {
            return self.end(now, ended);
        }
        match self.stage {
            Stage::Ramp => self.ramp(now, view),
            Stage::Steady => self.steady(now, view),
            Stage::Choosing => self.choosing(now, view),
            Stage::Dying => self.dying(now, view),
            Stage::Watching { since } => self.watching(now, view, since),
            Stage::Draining { until } => self.draining(now, view, until),
            Stage::Leaving => Vec::new(),
        }
    }

    fn premature_end(&self, view: &View) -> Option<Ended> {
        if self.ended.is_some() {
            return None;
        }
        let Snapshot { opened, failed, lost, .. } = view.swarms;
        let ramped = self.stage != Stage::Ramp || self.has_ramped(view);
        let hopeless = ramped || failed >= HOPELESS.min(self.plan.connections.into());
        if view.interrupted {
            Some(Ended::Interrupted)
        } else if opened == 0 && hopeless {
            Some(Ended::NoneOpened)
        } else if lost > 0 && view.swarms.living() == 0 && hopeless {
            Some(Ended::ServerLost)
        } else {
            None
        }
    }

    fn has_ramped(&self, view: &View) -> bool {
        view.swarms.opened + view.swarms.failed >= u64::from(self.plan.connections)
    }

    fn ramp(&mut self, now: Instant, view: &View) -> Vec<Action> {
        if !self.has_ramped(view) {
            return Vec::new();
        }
        self.ramp_end = now;
        self.enter(now, Phase::Steady);
        self.stage = Stage::Steady;
        vec![Action::Tell(Order::Traffic { from: now })]
    }

    fn steady(&mut self, now: Instant, view: &View) -> Vec<Action> {
        if self.plan.kills_total() > 0 {
            if !self.is_time_to_kill(now, view) {
                return Vec::new();
            }
            self.stage = Stage::Choosing;
            return vec![Action::Tell(Order::Choose)];
        }
        if self.has_lasted(now) { self.end(now, Ended::Complete) } else { Vec::new() }
    }

    fn is_time_to_kill(&self, now: Instant, view: &View) -> bool {
        let after = |time| self.ramp_end + time <= now;
        match (self.plan.kill_at, self.plan.server_ping.map(|ping| ping.interval)) {
            (KillAt::After(time), _) => after(time),
            (KillAt::Auto, Some(None)) => after(KILL_AFTER),
            (KillAt::Auto, Some(Some(interval))) => {
                view.swarms.all_answered() || after(interval * 2 + WATCH_BEYOND)
            }
            (KillAt::Auto, None) => view.swarms.all_answered() || after(PATIENCE),
        }
    }

    fn choosing(&mut self, now: Instant, view: &View) -> Vec<Action> {
        if view.swarms.ready_to_die < self.plan.kills_total() {
            return Vec::new();
        }
        self.enter(now, Phase::Deaths);
        self.stage = Stage::Dying;
        vec![Action::Map, Action::Tell(Order::Kill { from: now })]
    }

    fn dying(&mut self, now: Instant, view: &View) -> Vec<Action> {
        if view.swarms.killed + view.swarms.kills_missed >= self.plan.kills_total() {
            self.enter(now, Phase::Watch);
            self.stage = Stage::Watching { since: now };
        }
        Vec::new()
    }

    fn watching(&mut self, now: Instant, view: &View, since: Instant) -> Vec<Action> {
        if self.has_watched(now, view, since) && self.has_lasted(now) {
            return self.end(now, Ended::Complete);
        }
        Vec::new()
    }

    fn has_watched(&self, now: Instant, view: &View, since: Instant) -> bool {
        let found = view.all_found || view.swarms.ends_seen == view.swarms.killed;
        let predicted = self.plan.server_ping.and_then(|ping| ping.detection_max());
        let enough = predicted.map_or(WATCH_BLINDLY, |max| max.saturating_add(WATCH_BEYOND));
        match self.plan.watch {
            Watch::Auto => found || since + enough <= now,
            Watch::AtMost(time) => found || since + enough.min(time) <= now,
            Watch::For(time) => since + time <= now,
        }
    }

    fn has_lasted(&self, now: Instant) -> bool {
        self.ramp_end + self.plan.duration <= now
    }

    fn draining(&mut self, now: Instant, view: &View, until: Instant) -> Vec<Action> {
        if view.swarms.messages_waiting > 0 && now < until && !view.interrupted {
            return Vec::new();
        }
        self.stage = Stage::Leaving;
        vec![Action::Tell(Order::Leave)]
    }

    fn end(&mut self, now: Instant, ended: Ended) -> Vec<Action> {
        self.ended = Some(ended);
        self.enter(now, Phase::End);
        self.stage = Stage::Draining { until: now + LAST_ANSWERS };
        vec![Action::Tell(Order::Hush)]
    }

    fn enter(&mut self, now: Instant, phase: Phase) {
        self.phases.last_mut().expect("there is one from the start").end = now;
        self.phases.push(Span { phase, start: now, end: now });
    }
}
