//! What time does to a connection, and what comes home from the driver.

use crate::heartbeat::Verdict;
use crate::probe::{Probe, gap};
use crate::session::{Phase, Wait};
use crate::{End, Peer};
use halfopen_driver::{Chunk, Heard, Op};
use halfopen_proto::CloseCode;
use halfopen_wheel::Instant;

impl Peer<'_> {
    /// The connection came up on the wheel: does what is due, if anything is.
    pub(crate) fn expire(&mut self, heard: Heard) {
        if matches!(self.session.phase, Phase::Vacant | Phase::Aborted) {
            return;
        }
        self.expire_phase(heard);
        self.expire_message(heard);
        self.expire_wait(heard);
        self.expire_beat(heard);
    }

    fn expire_phase(&mut self, heard: Heard) {
        let (patience, end) = self.session.patience(&self.shared.config);
        let until = self.session.phase_deadline();
        if until > self.now || !heard.silent_since(self.now, until - patience, patience) {
            return;
        }
        match self.session.phase {
            Phase::Open => self.close_for(end, CloseCode::GOING_AWAY, "idle"),
            _ => self.abort(end),
        }
    }

    fn expire_message(&mut self, heard: Heard) {
        let timeout = self.shared.config.message_timeout;
        let due = self.session.message_deadline(&self.shared.config);
        let is_due = due <= self.now && heard.silent_since(self.now, due - timeout, timeout);
        if is_due {
            self.close_for(End::MessageTimeout, CloseCode::POLICY, "the message took too long");
        }
    }

    pub(crate) fn close_for(&mut self, end: End, code: CloseCode, reason: &str) {
        self.session.end.get_or_insert(end);
        self.close(code, reason);
        self.hurry();
    }

    fn expire_beat(&mut self, heard: Heard) {
        let Some(heartbeat) = self.session.heartbeat(&self.shared.config) else {
            return;
        };
        let asked = self.session.beat.asked();
        let verdict = self.session.beat.check(self.now, heard, heartbeat, &mut self.shared.rng);
        match (verdict, asked) {
            (Verdict::Ping, _) => self.session.ping_wanted = true,
            (Verdict::Silent, Some(asked)) => {
                let due = asked + heartbeat.timeout;
                self.abort_silent(due);
            }
            _ => {}
        }
    }

    fn expire_wait(&mut self, heard: Heard) {
        let wait = self.session.wait(&self.shared.config);
        let Some(wait) = wait.filter(|wait| wait.deadline <= self.now) else {
            return;
        };
        let last = self.session.work.as_ref().and_then(|work| work.probe);
        let asked = last.filter(|probe| probe.about == wait.about).and_then(|probe| probe.asked());
        if let Some(asked) = asked {
            // An answer that never comes must not keep the dead alive.
            if heard.silent_since(self.now, asked, gap(wait.timeout)) {
                self.looked(wait, None);
            }
            return;
        }
        // An early look harms nobody; one that may condemn waits until we have listened.
        let is_early = self.now < wait.about + wait.timeout;
        if is_early || heard.silent_since(self.now, wait.about, wait.timeout) {
            self.look(wait);
        }
    }

    fn look(&mut self, wait: Wait) {
        let in_flight = self.session.in_flight;
        let probe = &mut self.session.work(&mut self.shared.pool).probe;
        let last = probe.filter(|probe| probe.about == wait.about);
        let mut next = last.unwrap_or_else(|| Probe::new(wait.about, wait.timeout));
        next.ask(self.now, in_flight);
        *probe = Some(next);
        self.ops.push(Op::Probe { id: self.id });
    }

    /// The kernel tells what the peer has not acknowledged.
    pub(crate) fn probed(&mut self, queued: u32) {
        if let Some(wait) = self.session.wait(&self.shared.config) {
            self.looked(wait, Some(queued));
        }
    }

    fn looked(&mut self, wait: Wait, queued: Option<u32>) {
        let probe = self.session.work.as_mut().and_then(|work| work.probe.as_mut());
        let Some(probe) = probe.filter(|probe| probe.about == wait.about) else { return };
        if probe.answer(queued) {
            let due = probe.end();
            self.give_up(wait, due);
        }
    }

    fn give_up(&mut self, wait: Wait, due: Instant) {
        match wait.end {
            End::Silent => self.abort_silent(due),
            end => self.abort(end),
        }
    }

    fn abort_silent(&mut self, due: Instant) {
        let late = self.now.saturating_since(due);
        self.shared.stats.lateness_ns.saturating_record(late.as_nanos() as u64);
        self.abort(End::Silent);
    }

    /// A chunk came home. The clock of the ping in it started when it was handed to the kernel.
    pub(crate) fn sent(&mut self, chunk: Chunk, at: Instant) {
        if let Some(probe) = self.session.work.as_mut().and_then(|work| work.probe.as_mut()) {
            probe.came_home(chunk.as_bytes().len());
        }
        self.shared.pool.give_chunk(chunk);
        self.session.in_flight = false;
        if self.session.is_parting() {
            self.session.sent_at = self.now;
        }
        if !std::mem::take(&mut self.session.ping_aboard) {
            return;
        }
        self.shared.stats.pings_sent += 1;
        self.session.spoke_before |= std::mem::take(&mut self.session.spoke);
        if let Some(heartbeat) = &self.shared.config.heartbeat {
            self.session.beat.left(at, heartbeat, &mut self.shared.rng);
        }
    }
}
