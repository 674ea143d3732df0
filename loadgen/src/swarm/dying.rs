//! Deaths: the victims are chosen and located first, so that whoever watches knows them, and killed
//! on their schedule.

use super::conn::Phase;
use super::ledger::Ledger;
use super::{PIECES, Swarm};
use crate::death::Death;
use crate::pacing::Pace;
use crate::plan::KillTimes;
use crate::record::Victim;
use halfopen_driver::{ConnId, Ends, Op, Severance};
use halfopen_wheel::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Those who are to die, in the order of their deaths.
#[derive(Debug, Default)]
pub(super) struct Dying {
    chosen: Vec<Chosen>,
    /// The places of the chosen among the connections. Another may stand there when one has ended.
    doomed: BTreeSet<u32>,
    /// How many of the chosen have been asked for their addresses.
    asked: usize,
    /// The chosen whose addresses are not known yet, by their place.
    unlocated: BTreeMap<ConnId, usize>,
    /// None before the order to kill.
    pace: Option<Pace>,
    /// How many of the chosen have had their time.
    passed: usize,
}

#[derive(Clone, Copy, Debug)]
struct Chosen {
    /// None where nobody was left to choose.
    id: Option<ConnId>,
    death: Death,
    ends: Option<Ends>,
}

impl Dying {
    pub(super) fn due(&self) -> Option<Instant> {
        if self.asked < self.chosen.len() {
            return Some(Instant::default());
        }
        self.pace.as_ref()?.due()
    }

    /// That connection is gone; if it was to be located, it no longer is.
    pub(super) fn forget(&mut self, id: ConnId, ledger: &mut Ledger) {
        if self.unlocated.remove(&id).is_some() {
            ledger.meter.ready_to_die.add(1);
        }
    }

    /// Whether the connection at `index` is to be left to its death.
    pub(super) fn is_doomed(&self, index: u32) -> bool {
        self.doomed.contains(&index)
    }

    pub(super) fn end(&mut self) {
        self.pace = None;
        self.doomed.clear();
        self.asked = self.chosen.len();
    }
}

impl Swarm {
    /// Chooses at random among the living, each once.
    pub(super) fn choose_victims(&mut self) {
        let deaths = self.plan.deaths();
        let own = (0..self.share.count(deaths.len() as u64)).map(|nth| self.share.number(nth));
        let deaths = own.map(|number| deaths[number as usize]);
        let mut candidates = self.living.clone();
        self.rng.shuffle(&mut candidates);
        let mut candidates = candidates.into_iter();
        let (mut chosen, mut doomed) = (Vec::new(), BTreeSet::new());
        for death in deaths {
            let index = candidates.next();
            let id = index.map(|index| self.id_of(index as usize));
            doomed.extend(index);
            chosen.push(Chosen { id, death, ends: None });
        }
        (self.dying.chosen, self.dying.doomed) = (chosen, doomed);
    }

    pub(super) fn locate_the_chosen(&mut self, ops: &mut Vec<Op>) {
        for _ in 0..PIECES {
            let place = self.dying.asked;
            let Some(chosen) = self.dying.chosen.get(place) else { return };
            self.dying.asked += 1;
            match chosen.id.filter(|&id| self.index_of(id).is_some()) {
                Some(id) => {
                    self.dying.unlocated.insert(id, place);
                    ops.push(Op::Locate { id });
                }
                None => self.ledger.meter.ready_to_die.add(1),
            }
        }
    }

    pub(super) fn located(&mut self, id: ConnId, ends: Option<Ends>) {
        if let Some(place) = self.dying.unlocated.remove(&id) {
            self.dying.chosen[place].ends = ends;
            self.ledger.meter.ready_to_die.add(1);
        }
    }

    pub(super) fn begin_deaths(&mut self, from: Instant) {
        let (total, over) = (self.plan.kills_total(), self.plan.kill_over);
        self.dying.pace = Some(match self.plan.kill_times {
            KillTimes::Even => Pace::spread(from, over, self.share, total),
            KillTimes::Poisson => Pace::poisson(from, over, self.share, total, self.plan.seed),
        });
    }

    pub(super) fn kill_the_due(&mut self, now: Instant, ops: &mut Vec<Op>) {
        for _ in 0..PIECES {
            if self.dying.pace.as_mut().and_then(|pace| pace.take(now)).is_none() {
                return;
            }
            let chosen = self.dying.chosen[self.dying.passed];
            self.dying.passed += 1;
            let index = chosen.id.and_then(|id| self.index_of(id));
            match (index.filter(|&index| self.is_living(index)), chosen.ends) {
                (Some(index), Some(ends)) => self.kill(now, index, chosen.death, ends, ops),
                _ => self.ledger.kill_missed(),
            }
        }
    }

    fn is_living(&self, index: usize) -> bool {
        self.conns[index].phase == Phase::Living
    }

    fn kill(&mut self, now: Instant, index: usize, death: Death, ends: Ends, ops: &mut Vec<Op>) {
        self.links.watch.watch(ends.local, ends.peer);
        let victims = &mut self.ledger.tally.victims;
        let number = victims.len() as u32;
        victims.push(Victim {
            death,
            local: ends.local,
            peer: ends.peer,
            killed: now,
            answered: self.conns[index].answered.instant(),
            client_saw: None,
            sight: None,
            back: None,
            owed: None,
        });
        self.ledger.killed();
        self.take_from_the_living(index, Phase::Dead(number));
        let id = self.id_of(index);
        match death {
            Death::Close => self.flush(now, index, ops),
            Death::Fin => ops.push(Op::Shutdown { id }),
            Death::Reset => {
                // We do it ourselves; nothing more will be heard of it.
                self.ledger.end_seen();
                ops.push(Op::Abort { id });
            }
            Death::Vanish => ops.push(Op::Sever { id, how: Severance::Vanish }),
            Death::Freeze => ops.push(Op::Pause { id }),
            Death::Mute | Death::Slow => {}
            Death::Blackhole | Death::Flap => ops.push(Op::Sever { id, how: Severance::Drop }),
        }
        let among_all = self.share.number(self.dying.passed as u64 - 1);
        if let Some(absence) = self.absence(death, among_all) {
            self.look_again_at(index, now + absence);
        }
    }

    /// What still reaches a victim. The polite one waits for the answer to its Close frame; data for
    /// a program that has ended is answered with RST, as its kernel would; nobody else is at home.
    pub(super) fn heard_by_the_dead(
        &mut self,
        index: usize,
        victim: u32,
        mut bytes: &mut [u8],
        ops: &mut Vec<Op>,
    ) {
        let id = self.id_of(index);
        match self.ledger.tally.victims[victim as usize].death {
            Death::Fin => ops.push(Op::Abort { id }),
            Death::Close => {
                let ws = &mut self.conns[index].ws;
                let had_closed = ws.state() == halfopen_proto::State::Closed;
                while let Ok(Some(_)) = ws.receive(&mut bytes, &self.limits, &mut self.scratch) {}
                if !had_closed && ws.state() == halfopen_proto::State::Closed {
                    ops.push(Op::Shutdown { id });
                }
            }
            Death::Reset
            | Death::Freeze
            | Death::Mute
            | Death::Vanish
            | Death::Blackhole
            | Death::Slow
            | Death::Flap => {}
        }
    }

    /// Whether the connection says goodbye with a Close frame, now or in answer to the server's.
    pub(super) fn may_close(&self, index: usize) -> bool {
        match self.conns[index].phase {
            Phase::Parting | Phase::Leaving => true,
            Phase::Dead(victim) => self.ledger.tally.victims[victim as usize].death == Death::Close,
            _ => false,
        }
    }
}
