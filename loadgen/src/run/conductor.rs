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

/// To learn the server's sockets takes the client's core for some milliseconds, in which it sees
/// pings late; an interval and so much more after it, each connection has seen a later one.
const SETTLED: Duration = Duration::from_millis(100);

/// Where a detection is predicted, the dead are watched that much longer than it says.
const WATCH_BEYOND: Duration = Duration::from_secs(5);

/// And that long where nothing is predicted.
const WATCH_BLINDLY: Duration = Duration::from_secs(150);

/// It is looked at every few milliseconds: where it was not for so long, the machine stood still, and
/// the server with it where it is the same.
const STOOD_STILL: Duration = Duration::from_millis(250);

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
    /// The watch has been told to learn the server's sockets; when it has, the next step comes.
    Mapping,
    /// Messages and pings go on; deaths may be still to come.
    Steady,
    /// The victims are being located.
    Choosing,
    Dying,
    Watching {
        /// When the last one died, and later by the time for which the machine stood still since.
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
    /// When every connection had been tried and, where some are to die, the sockets were known.
    ramp_end: Instant,
    /// When it was looked at last.
    seen: Instant,
    phases: Vec<Span>,
    ended: Option<Ended>,
}

impl Conductor {
    pub(super) fn new(plan: Arc<Plan>, now: Instant) -> Self {
        let phases = vec![Span { phase: Phase::Ramp, start: now, end: now }];
        Self { plan, stage: Stage::Ramp, ramp_end: now, seen: now, phases, ended: None }
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
        let gap = now.saturating_since(std::mem::replace(&mut self.seen, now));
        if let Stage::Watching { since } = &mut self.stage
            && gap >= STOOD_STILL
        {
            *since = *since + gap;
        }
        if let Some(ended) = self.premature_end(view) {
            return self.end(now, ended);
        }
        match self.stage {
            Stage::Ramp => self.ramp(now, view),
            Stage::Mapping => self.begin_steady(now),
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
        let Snapshot { opened, failed, lost, killed, left, came_back, .. } = view.swarms;
        let some_return = left > came_back;
        let ramped = self.stage != Stage::Ramp || self.has_ramped(view);
        let hopeless = ramped || failed >= HOPELESS.min(self.plan.own_connections().into());
        // Where nobody was to live, the dead are watched all the same.
        let all_killed = killed > 0 && opened <= self.plan.own_kills();
        if view.interrupted {
            Some(Ended::Interrupted)
        } else if opened == 0 && hopeless {
            Some(Ended::NoneOpened)
        } else if lost > 0 && view.swarms.living() == 0 && hopeless && !all_killed && !some_return {
            Some(Ended::ServerLost)
        } else {
            None
        }
    }

    fn has_ramped(&self, view: &View) -> bool {
        view.swarms.opened + view.swarms.failed >= u64::from(self.plan.own_connections())
    }

    fn ramp(&mut self, now: Instant, view: &View) -> Vec<Action> {
        if !self.has_ramped(view) {
            return Vec::new();
        }
        if self.plan.own_kills() == 0 {
            return self.begin_steady(now);
        }
        self.stage = Stage::Mapping;
        vec![Action::Map]
    }

    fn begin_steady(&mut self, now: Instant) -> Vec<Action> {
        self.ramp_end = now;
        self.enter(now, Phase::Steady);
        self.stage = Stage::Steady;
        vec![Action::Tell(Order::Traffic { from: now })]
    }

    fn steady(&mut self, now: Instant, view: &View) -> Vec<Action> {
        if self.plan.own_kills() > 0 {
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
                let all = view.swarms.all_answered() && after(interval + SETTLED);
                all || after(interval * 2 + WATCH_BEYOND)
            }
            (KillAt::Auto, None) => view.swarms.all_answered() || after(PATIENCE),
        }
    }

    fn choosing(&mut self, now: Instant, view: &View) -> Vec<Action> {
        if view.swarms.ready_to_die < self.plan.own_kills() {
            return Vec::new();
        }
        self.enter(now, Phase::Deaths);
        self.stage = Stage::Dying;
        vec![Action::Tell(Order::Kill { from: now })]
    }

    fn dying(&mut self, now: Instant, view: &View) -> Vec<Action> {
        if view.swarms.killed + view.swarms.kills_missed >= self.plan.own_kills() {
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
        // Who comes back has to be asked what has become of it.
        let back = self.plan.absence_max().map(|absence| absence.saturating_add(WATCH_BEYOND));
        let enough = enough.max(back.unwrap_or_default());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::death::Death;
    use crate::plan::{Amount, Asked, ServerPing, resolve};

    const START: Instant = Instant::from_nanos(1_000_000_000);

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn plan(asked: Asked) -> Arc<Plan> {
        let asked = Asked { connections: 100, ..asked };
        Arc::new(resolve(&asked).unwrap())
    }

    fn asked() -> Asked {
        Asked { duration: secs(30), ..Asked::new("ws://127.0.0.1:1/") }
    }

    fn killing() -> Asked {
        Asked {
            kills: vec![(Death::Freeze, Amount::Count(10))],
            duration: Duration::ZERO,
            ..asked()
        }
    }

    fn pinging() -> Option<ServerPing> {
        Some(ServerPing { interval: Some(secs(5)), timeout: secs(3) })
    }

    fn silent() -> Option<ServerPing> {
        Some(ServerPing { interval: None, timeout: secs(3) })
    }

    fn open(opened: u64) -> Snapshot {
        Snapshot { opened, failed: 100 - opened, ..Snapshot::default() }
    }

    /// A run that is looked at every 20 ms.
    struct Rehearsal {
        conductor: Conductor,
        now: Instant,
        view: View,
        done: Vec<Action>,
    }

    impl Rehearsal {
        fn new(asked: Asked) -> Self {
            let conductor = Conductor::new(plan(asked), START);
            Self { conductor, now: START, view: View::default(), done: Vec::new() }
        }

        fn with(mut self, swarms: Snapshot) -> Self {
            self.view.swarms = swarms;
            self
        }

        /// Lets time pass until `action` comes: after how long, in seconds; none within 1,000.
        fn until(&mut self, action: Action) -> Option<f64> {
            let from = self.now;
            for _ in 0..50_000 {
                let actions = self.conductor.step(self.now, &self.view);
                self.done.extend(&actions);
                if actions.contains(&action) {
                    return Some(self.now.saturating_since(from).as_secs_f64());
                }
                self.now = self.now + Duration::from_millis(20);
            }
            None
        }

        fn until_the_end(&mut self) -> Option<f64> {
            self.until(Action::Tell(Order::Hush))
        }

        fn kill_all(&mut self) {
            self.until(Action::Tell(Order::Choose)).unwrap();
            self.view.swarms.ready_to_die = 10;
            self.conductor.step(self.now, &self.view);
            self.view.swarms.killed = 10;
            self.conductor.step(self.now, &self.view);
        }

        fn finish(mut self) -> (Vec<Phase>, Ended) {
            assert_eq!(self.until(Action::Tell(Order::Leave)).map(|_| ()), Some(()));
            let (spans, ended) = self.conductor.finish(self.now);
            assert!(spans.windows(2).all(|pair| pair[0].end == pair[1].start));
            (spans.iter().map(|span| span.phase).collect(), ended)
        }
    }

    #[test]
    fn without_deaths_it_lasts_as_long_as_planned() {
        let mut run = Rehearsal::new(asked()).with(open(99));
        assert_eq!(run.until_the_end(), Some(30.0));
        assert!(matches!(run.done[0], Action::Tell(Order::Traffic { .. })));
        let (phases, ended) = run.finish();
        assert_eq!(phases, [Phase::Ramp, Phase::Steady, Phase::End]);
        assert_eq!(ended, Ended::Complete);
    }

    #[test]
    fn the_ramp_waits_for_the_last_connection() {
        let swarms = Snapshot { opened: 98, failed: 1, ..Snapshot::default() };
        let mut run = Rehearsal::new(asked()).with(swarms);
        assert_eq!(run.until_the_end(), None);
    }

    #[test]
    fn deaths_begin_when_every_connection_has_answered_a_ping() {
        let mut run = Rehearsal::new(Asked { server_ping: pinging(), ..killing() }).with(open(100));
        run.view.swarms.answered_a_ping = 99;
        for _ in 0..100 {
            assert!(!run.conductor.step(START, &run.view).contains(&Action::Tell(Order::Choose)));
        }
        run.view.swarms.answered_a_ping = 100;
        // And once more after the sockets were mapped.
        assert_eq!(run.until(Action::Tell(Order::Choose)), Some(5.1));
    }

    #[test]
    fn deaths_wait_an_interval_after_the_sockets_were_mapped_however_long_that_took() {
        let mut run = Rehearsal::new(Asked { server_ping: pinging(), ..killing() }).with(open(100));
        run.view.swarms.answered_a_ping = 100;
        assert_eq!(run.until(Action::Map), Some(0.0));
        run.now = run.now + secs(4);
        assert_eq!(run.until(Action::Tell(Order::Choose)), Some(5.1));
    }

    #[test]
    fn a_table_of_when_deaths_begin_if_not_all_answer() {
        let after = KillAt::After(secs(7));
        for (kill_at, server_ping, expected) in [
            (KillAt::Auto, silent(), 1.0),
            (KillAt::Auto, pinging(), 15.0),
            (KillAt::Auto, None, 60.0),
            (after, silent(), 7.0),
            (after, pinging(), 7.0),
        ] {
            let mut run =
                Rehearsal::new(Asked { kill_at, server_ping, ..killing() }).with(open(100));
            run.until(Action::Tell(Order::Choose)).unwrap();
            let waited = run.now.saturating_since(START).as_secs_f64();
            assert!((waited - expected).abs() < 0.03, "{kill_at:?} {server_ping:?}: {waited}");
        }
    }

    #[test]
    fn victims_die_when_all_are_located_and_sockets_were_mapped_long_before() {
        let mut run = Rehearsal::new(Asked { server_ping: silent(), ..killing() }).with(open(100));
        run.view.swarms.ready_to_die = 9;
        assert_eq!(run.until(Action::Map), Some(0.0));
        run.until(Action::Tell(Order::Choose)).unwrap();
        for _ in 0..100 {
            assert_eq!(run.conductor.step(run.now, &run.view), []);
        }
        run.view.swarms.ready_to_die = 10;
        let kill = Action::Tell(Order::Kill { from: run.now });
        assert_eq!(run.conductor.step(run.now, &run.view), [kill]);
    }

    #[test]
    fn a_table_of_watches() {
        let (most, exactly) = (Watch::AtMost(secs(6)), Watch::For(secs(6)));
        for (watch, server_ping, found, expected) in [
            (Watch::Auto, pinging(), true, 0.0),
            (Watch::Auto, pinging(), false, 13.0),
            (Watch::Auto, silent(), false, 150.0),
            (Watch::Auto, None, false, 150.0),
            (most, pinging(), false, 6.0),
            (most, silent(), true, 0.0),
            (exactly, pinging(), true, 6.0),
            (exactly, silent(), false, 6.0),
        ] {
            let mut run = Rehearsal::new(Asked { watch, server_ping, ..killing() }).with(open(100));
            run.kill_all();
            run.view.all_found = found;
            let watched = run.until_the_end().unwrap();
            assert!((watched - expected).abs() < 0.03, "{watch:?} {server_ping:?}: {watched}");
            let (phases, _) = run.finish();
            assert_eq!(phases, Phase::ALL);
        }
    }

    #[test]
    fn a_machine_that_stood_still_is_given_that_time_to_find_the_dead() {
        let mut run = Rehearsal::new(Asked { server_ping: pinging(), ..killing() }).with(open(100));
        run.kill_all();
        run.now = run.now + secs(7);
        let watched = run.until_the_end().unwrap();
        assert!((watched - 13.0).abs() < 0.03, "{watched} after the stall");
    }

    #[test]
    fn deaths_that_the_client_sees_itself_need_no_other_watch() {
        let mut run = Rehearsal::new(Asked { server_ping: pinging(), ..killing() }).with(open(100));
        run.kill_all();
        run.view.swarms.ends_seen = 10;
        assert_eq!(run.until_the_end(), Some(0.0));
    }

    #[test]
    fn a_planned_duration_goes_on_after_the_dead_are_found() {
        let asked = Asked { duration: secs(40), server_ping: silent(), ..killing() };
        let mut run = Rehearsal::new(asked).with(open(100));
        run.kill_all();
        run.view.all_found = true;
        run.until_the_end().unwrap();
        let a_step = Duration::from_millis(20);
        assert_eq!(run.now.saturating_since(START), secs(40) + a_step, "from the mapping's end");
    }

    #[test]
    fn premature_ends_have_their_reasons() {
        let lost = Snapshot { lost: 90, killed: 10, ..open(100) };
        let table = [
            (Snapshot { failed: 64, ..Snapshot::default() }, Ended::NoneOpened),
            (open(0), Ended::NoneOpened),
            (lost, Ended::ServerLost),
            (Snapshot { lost: 5, failed: 70, opened: 5, ..Snapshot::default() }, Ended::ServerLost),
        ];
        for (swarms, expected) in table {
            let mut run = Rehearsal::new(killing()).with(swarms);
            assert_eq!(run.until_the_end(), Some(0.0));
            assert_eq!(run.finish().1, expected);
        }
        let all_killed = Snapshot { killed: 100, ..open(100) };
        assert_eq!(Rehearsal::new(asked()).with(all_killed).until_the_end(), Some(30.0));
    }

    #[test]
    fn a_herd_that_is_away_is_no_server_that_is_lost() {
        let away = Snapshot { lost: 5, left: 95, ..open(100) };
        assert_eq!(Rehearsal::new(asked()).with(away).until_the_end(), Some(30.0));
        let mut run = Rehearsal::new(asked()).with(Snapshot { lost: 100, came_back: 95, ..away });
        assert_eq!(run.until_the_end(), Some(0.0));
        assert_eq!(run.finish().1, Ended::ServerLost);
    }

    #[test]
    fn where_all_were_to_die_the_loss_of_some_before_does_not_end_the_watch() {
        let kills = vec![(Death::Freeze, Amount::Count(100))];
        let asked = Asked { kills, watch: Watch::For(secs(6)), ..killing() };
        let mut run = Rehearsal::new(asked).with(Snapshot { lost: 4, ..open(100) });
        run.until(Action::Tell(Order::Choose)).unwrap();
        run.view.swarms.ready_to_die = 100;
        run.conductor.step(run.now, &run.view);
        run.view.swarms = Snapshot { killed: 96, kills_missed: 4, ..run.view.swarms };
        run.conductor.step(run.now, &run.view);
        assert_eq!(run.until_the_end(), Some(6.0));
        assert_eq!(run.finish().1, Ended::Complete);
    }

    #[test]
    fn an_interrupt_ends_it_at_any_time() {
        for opened in [0, 50, 100] {
            let swarms = Snapshot { opened, ..Snapshot::default() };
            let mut run = Rehearsal::new(killing()).with(swarms);
            run.conductor.step(START, &run.view);
            run.view.interrupted = true;
            assert_eq!(run.until_the_end(), Some(0.0));
            assert_eq!(run.finish().1, Ended::Interrupted);
        }
    }
}
