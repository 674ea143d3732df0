//! Those who are not dead, or come back: the slow who answer each ping late, those at whom nothing
//! arrives for a while (`flap`), and the blackholed who are revived to learn whether they were found.
//!
//! Whoever comes back asks with a ping of its own. What comes first tells its fate: the pong, that the
//! server still has it; a Close frame, FIN or RST, that it was given up meanwhile. What else arrives
//! then (pings that the server's kernel sent again) proves nothing.

use super::{NO_CODE, Phase, Swarm};
use crate::death::Death;
use crate::plan::Between;
use crate::record::{Back, Sight, Victim};
use halfopen_driver::{Cause, Op, Severance};
use halfopen_proto::{CloseCode, Incoming};
use halfopen_wheel::Instant;
use std::time::Duration;

/// How long a pong or a question waits for a send that is in flight.
const AGAIN: Duration = Duration::from_millis(1);

/// The fraction of the golden ratio: its multiples lie apart from each other, however many.
const GOLDEN: f64 = 0.618_033_988_75;

impl Swarm {
    /// How long the victim, the `number`th of all, stays away; none: for ever.
    pub(super) fn absence(&self, death: Death, number: u64) -> Option<Duration> {
        match death {
            Death::Flap => Some(self.plan.flap_for),
            Death::Blackhole => {
                let place = |ages: Between| ages.at((number as f64 * GOLDEN).fract());
                self.plan.revive.map(place)
            }
            _ => None,
        }
    }

    pub(super) fn look_again_at(&mut self, index: usize, at: Instant) {
        self.conns[index].deadline = at;
        self.wheel.arm(index as u32, at);
    }

    fn victim(&mut self, number: u32) -> &mut Victim {
        &mut self.ledger.tally.victims[number as usize]
    }

    /// Whether somebody is at home who reads.
    pub(super) fn is_spared(&self, victim: u32) -> bool {
        let victim = &self.ledger.tally.victims[victim as usize];
        victim.death == Death::Slow || victim.back.is_some()
    }

    /// A victim's time has come: to answer, or to come back.
    pub(super) fn dead_is_due(
        &mut self,
        now: Instant,
        index: usize,
        number: u32,
        ops: &mut Vec<Op>,
    ) {
        if self.conns[index].in_flight {
            return self.look_again_at(index, now + AGAIN);
        }
        if self.victim(number).death == Death::Slow {
            self.victim(number).owed = None;
            return self.answer_late(index, ops);
        }
        let id = self.id_of(index);
        self.victim(number).back = Some(Back { at: now, alive: None });
        ops.push(Op::Sever { id, how: Severance::Undrop });
        self.ask_whether_it_lives(index, ops);
    }

    fn answer_late(&mut self, index: usize, ops: &mut Vec<Op>) {
        let mut out = self.output.lend();
        self.say_pong(index, &mut out);
        if out.is_empty() {
            self.output.take_home(halfopen_driver::Chunk::Own(out));
        } else {
            self.send(index, out, ops);
        }
    }

    fn ask_whether_it_lives(&mut self, index: usize, ops: &mut Vec<Op>) {
        let mut out = self.output.lend();
        let (stamp, key) = (self.rng.u32(..), self.rng.u32(..).to_ne_bytes());
        self.conns[index].stamp = stamp;
        self.conns[index].ws.encode_ping(&stamp.to_be_bytes(), key, &mut out);
        self.send(index, out, ops);
    }

    /// Frames for one who is at home.
    pub(super) fn heard_by_the_spared(
        &mut self,
        now: Instant,
        index: usize,
        number: u32,
        mut bytes: &mut [u8],
        ops: &mut Vec<Op>,
    ) {
        loop {
            let ws = &mut self.conns[index].ws;
            let Ok(Some(incoming)) = ws.receive(&mut bytes, &self.limits, &mut self.scratch) else {
                break;
            };
            let closes = match &incoming {
                Incoming::Ping(_) => self.asked_of_the_spared(now, index, number),
                Incoming::Pong(payload) => {
                    self.answered_the_spared(now, index, number, payload);
                    false
                }
                Incoming::Close(code, _) => {
                    let code = code.map_or(NO_CODE, CloseCode::get);
                    self.fate_is_seen(now, number, Sight::Closed(code));
                    true
                }
                Incoming::Text(_) | Incoming::Binary(_) => false,
            };
            self.scratch.reclaim(incoming);
            if closes {
                return self.abort(index, ops);
            }
        }
        self.flush(now, index, ops);
    }

    fn answered_the_spared(&mut self, now: Instant, index: usize, number: u32, payload: &[u8]) {
        let exact = payload == self.conns[index].stamp.to_be_bytes();
        if let Some(back) = self.victim(number).back.as_mut().filter(|_| exact) {
            back.alive.get_or_insert(now);
        }
    }

    /// The slow answer later; those who are back, at once. Never closes.
    fn asked_of_the_spared(&mut self, now: Instant, index: usize, number: u32) -> bool {
        self.take_ping(now, index);
        if self.victim(number).death == Death::Slow && self.victim(number).owed.is_none() {
            let delay = self.plan.pong_delay.at(self.rng.f64());
            self.victim(number).owed = Some(delay);
            self.look_again_at(index, now + delay);
        }
        false
    }

    /// What has become of a victim, as far as it reaches the client.
    pub(super) fn fate_is_seen(&mut self, now: Instant, number: u32, sight: Sight) {
        let victim = self.victim(number);
        if victim.client_saw.is_none() {
            (victim.client_saw, victim.sight) = (Some(now), Some(sight));
            self.ledger.end_seen();
        }
    }

    pub(super) fn end_of_the_dead(&mut self, now: Instant, number: u32, cause: Cause) {
        match cause {
            Cause::Fin => self.fate_is_seen(now, number, Sight::Fin),
            Cause::Reset => self.fate_is_seen(now, number, Sight::Reset),
            _ => {}
        }
    }

    /// Whether it is a victim that answers pings at once.
    pub(super) fn is_back(&self, index: usize) -> bool {
        let Phase::Dead(victim) = self.conns[index].phase else { return false };
        self.ledger.tally.victims[victim as usize].back.is_some()
    }
}
