use super::World;
use super::env::What;
use super::host::Ready;
use halfopen_driver::{Busy, Cause, ConnId, Event, Op, Opening};
use halfopen_wheel::Instant;
use std::time::Duration;

/// How long a turn hands over deadlines while other things wait.
const HOUSEKEEPING: Duration = Duration::from_micros(200);

impl World<'_> {
    /// One turn of a driver's loop, up to the point where it enters the kernel.
    pub(super) fn turn(&mut self, host: usize) {
        let now = self.env.now;
        let this = &mut self.hosts[host];
        if this.stopped || this.turning || this.turn_at != Some(now) {
            return;
        }
        this.turn_at = None;
        let stall = self.stall_of(host);
        if stall > Duration::ZERO {
            self.hosts[host].clock = now + stall;
            return self.schedule(host, now);
        }
        self.hosts[host].turning = true;
        self.hosts[host].clock = now;
        let dry = self.hand_over(host);
        self.listen(host, now, dry);
        self.hosts[host].clock = self.hosts[host].clock + self.stall_of(host);
        self.hand_over_deadlines(host);
        self.env.at(self.hosts[host].clock, What::Submit { host });
    }

    /// How long the loop stands still here: before it listens, or between arrivals and deadlines.
    fn stall_of(&mut self, host: usize) -> Duration {
        let this = &self.hosts[host];
        let Some(every) = self.env.faults.stall_every.filter(|_| !this.steady) else {
            return Duration::ZERO;
        };
        if this.clock < this.next_stall || self.env.rng.bool() {
            return Duration::ZERO;
        }
        let next = this.clock + self.env.up_to(2 * every);
        self.hosts[host].next_stall = next;
        self.env.up_to(self.env.faults.stall_max)
    }

    /// Hands over what has happened, up to the limit. Whether nothing was left.
    fn hand_over(&mut self, host: usize) -> bool {
        let this = &mut self.hosts[host];
        if let Some(wake) = this.wake.as_ref().filter(|wake| wake.is_pending()) {
            wake.clear();
            this.ready.push_back(Ready::Woken);
        }
        let waiting = this.ready.len();
        let amount = waiting.min(self.env.faults.handover_max);
        let mut dry = amount == waiting;
        for _ in 0..amount {
            let Some(ready) = self.hosts[host].ready.pop_front() else { break };
            dry &= self.hand_over_one(host, ready);
        }
        dry && self.hosts[host].disarmed == 0
    }

    fn listen(&mut self, host: usize, now: Instant, dry: bool) {
        let this = &mut self.hosts[host];
        this.heard.busy_since = (!dry).then_some(this.busy);
        if dry {
            this.heard.until = now;
            this.busy = Busy::since(this.clock);
        }
    }

    /// The clock is looked at, before each call of the engine.
    fn look(&mut self, host: usize) {
        let this = &mut self.hosts[host];
        this.busy.looked(this.looked, this.clock);
        this.looked = this.looked.max(this.clock);
        this.heard.busy_since = this.heard.busy_since.map(|_| this.busy);
    }

    fn hand_over_deadlines(&mut self, host: usize) {
        let began = self.hosts[host].clock;
        loop {
            self.look(host);
            let this = &mut self.hosts[host];
            let due = this.engine.deadline().is_some_and(|deadline| deadline <= this.clock);
            if !due || is_stopping(&this.ops) {
                return;
            }
            self.record.deadline(host, this.clock, this.heard);
            let asked = this.ops.len();
            this.engine.on_deadline(this.clock, this.heard, &mut this.ops);
            self.pass_time(host, asked);
            if self.hosts[host].clock.saturating_since(began) >= HOUSEKEEPING {
                return;
            }
        }
    }

    /// What the engine asked for is carried out, and the next turn planned.
    pub(super) fn submit(&mut self, host: usize) {
        self.hosts[host].turning = false;
        for op in std::mem::take(&mut self.hosts[host].ops) {
            self.carry_out(host, op);
            if self.hosts[host].stopped {
                return;
            }
        }
        let this = &self.hosts[host];
        if !this.ready.is_empty() {
            self.schedule(host, self.env.now);
        } else if let Some(deadline) = this.engine.deadline() {
            self.schedule(host, deadline);
        }
    }

    fn tell(&mut self, host: usize, event: Event<'_>) {
        self.look(host);
        let this = &mut self.hosts[host];
        if is_stopping(&this.ops) {
            return;
        }
        self.record.event(host, this.clock, &event);
        let asked = this.ops.len();
        this.engine.on_event(this.clock, event, &mut this.ops);
        self.pass_time(host, asked);
    }

    /// The time that a call takes, and what it has asked for beyond the first `asked`.
    fn pass_time(&mut self, host: usize, asked: usize) {
        let call = self.env.between(self.env.faults.call.clone());
        let this = &mut self.hosts[host];
        let sends = this.ops[asked..].iter().filter(|op| matches!(op, Op::Send { .. })).count();
        let sending = self.env.faults.send * sends as u32;
        this.clock = this.clock + call + sending + self.stall.take();
    }

    /// Whether nothing that had happened by now is left of it.
    fn hand_over_one(&mut self, host: usize, ready: Ready) -> bool {
        match ready {
            Ready::Started => self.tell(host, Event::Started),
            Ready::Woken => self.tell(host, Event::Woken),
            Ready::Accepted(id) => self.open(host, id, Opening::Accepted),
            Ready::Connected(id, token) => self.open(host, id, Opening::Connected(token)),
            Ready::Refused(token, cause) => self.tell(host, Event::Refused { token, cause }),
            Ready::Readable(id) => return self.read(host, id),
            Ready::SendDone(id) => self.bring_home(host, id),
            Ready::Ended(id) => self.end(host, id),
            Ready::Probed(id, queued) => {
                if self.hosts[host].slot(id).is_some() {
                    self.tell(host, Event::Probed { id, queued });
                }
            }
            Ready::Located(id, ends) => {
                if self.hosts[host].slot(id).is_some() {
                    self.tell(host, Event::Located { id, ends });
                }
            }
        }
        true
    }

    fn open(&mut self, host: usize, id: ConnId, by: Opening) {
        let Some(slot) = self.hosts[host].slot(id) else { return };
        slot.open = true;
        self.tell(host, Event::Opened { id, by });
        // It may have spoken, or have gone, before it was handed over.
        self.hosts[host].mark_readable(id);
    }

    fn read(&mut self, host: usize, id: ConnId) -> bool {
        let Some(slot) = self.hosts[host].slot(id) else { return true };
        slot.readable = false;
        let (paused, disarmed, ending) = (slot.paused, slot.disarmed, slot.ending);
        let Some(sock) = slot.sock.and_then(|sock| self.net.socks.get(&sock)) else { return true };
        if ending.is_some() || disarmed {
            return true;
        }
        // A kernel drops what was not read when RST comes, or has handed it over before.
        let (unread, fin, error) = (sock.rx.len(), sock.rx_fin, sock.error);
        if let Some(cause) = error.filter(|_| paused || unread == 0 || self.env.rng.bool()) {
            self.begin_end(host, id, cause);
            return true;
        }
        if unread > 0 && !paused {
            return self.receive(host, id, unread);
        }
        if unread == 0 && fin {
            self.begin_end(host, id, Cause::Fin);
        }
        true
    }

    fn receive(&mut self, host: usize, id: ConnId, unread: usize) -> bool {
        let Some(sock) = self.hosts[host].sock(id) else { return true };
        if self.env.chance(self.env.faults.exhausted) {
            return self.disarm(host, id, sock);
        }
        let amount = self.env.rng.usize(1..=self.env.faults.read_max.min(unread));
        let mut lent = std::mem::take(&mut self.lent);
        lent.resize(amount, 0);
        self.net.read(&mut self.env, sock, &mut lent);
        self.tell(host, Event::Received { id, bytes: &mut lent });
        self.lent = lent;
        self.hosts[host].mark_readable(id);
        amount == unread
    }

    /// No buffer is free: the receive ends, and is armed anew when one is.
    fn disarm(&mut self, host: usize, id: ConnId, sock: u64) -> bool {
        if let Some(slot) = self.hosts[host].slot(id) {
            slot.disarmed = true;
            self.hosts[host].disarmed += 1;
        }
        let wait = self.env.up_to(self.env.faults.exhausted_max);
        self.env.after(wait, What::Rearm { sock });
        false
    }

    pub(super) fn on_rearm(&mut self, sock: u64) {
        let Some((host, id)) = self.owner(sock) else { return };
        let this = &mut self.hosts[host];
        let Some(slot) = this.slot(id) else { return };
        let disarmed = std::mem::take(&mut slot.disarmed);
        this.disarmed -= u32::from(disarmed);
        if this.mark_readable(id) {
            self.schedule(host, self.env.now);
        }
    }

    /// The connection has ended; a FIN leaves the send in flight its time.
    fn begin_end(&mut self, host: usize, id: ConnId, cause: Cause) {
        let Some(slot) = self.hosts[host].slot(id) else { return };
        slot.ending = Some(cause);
        if cause != Cause::Fin || slot.sending.is_none() {
            self.end(host, id);
        }
    }

    fn bring_home(&mut self, host: usize, id: ConnId) {
        let Some(slot) = self.hosts[host].slot(id) else { return };
        let Some(sending) = slot.sending.take_if(|sending| sending.is_done()) else { return };
        let (ending, shutdown, sock) = (slot.ending, slot.shutdown, slot.sock);
        self.tell(host, Event::Sent { id, chunk: sending.chunk, at: sending.at });
        if ending == Some(Cause::Fin) {
            self.end(host, id);
        } else if let Some(sock) = sock.filter(|_| shutdown) {
            self.net.shutdown(&mut self.env, sock);
        }
    }

    /// The chunk comes home, then the end is told; the table has room again.
    fn end(&mut self, host: usize, id: ConnId) {
        let Some(slot) = self.hosts[host].slot(id) else { return };
        let Some(cause) = slot.ending else { return };
        let (sending, sock) = (slot.sending.take(), slot.sock.take());
        if let Some(sending) = sending {
            self.tell(host, Event::Sent { id, chunk: sending.chunk, at: sending.at });
        }
        self.tell(host, Event::Closed { id, cause });
        if let Some(sock) = sock {
            self.net.close(&mut self.env, sock);
        }
        self.release(host, id);
    }
}

/// After [`Op::Stop`] no further call is made.
fn is_stopping(ops: &[Op]) -> bool {
    ops.iter().any(|op| matches!(op, Op::Stop))
}
