//! What a peer's bytes do: those of the request, see there, and then frames.

use crate::hosted::Hosted;
use crate::output::CONTROL_FRAME_MAX;
use crate::peer::Shared;
use crate::session::{Phase, Session};
use crate::{App, End, Peer};
use halfopen_proto::{CloseCode, Incoming, Message, Violation};
use halfopen_wheel::Instant;

/// The code of a Close frame without one (RFC 6455 §7.1.5).
const NO_CODE: u16 = 1005;

impl Peer<'_> {
    /// Bytes have come, whatever they are: the peer lives.
    pub(crate) fn received<A: App>(&mut self, hosted: &mut Hosted<A>, bytes: &mut [u8]) {
        if self.session.beat.heard(self.now) {
            self.answered();
        }
        if bytes.is_empty() {
            // A record layer below us has taken them, and has nothing to show for it yet.
            return;
        }
        match self.session.phase {
            Phase::Handshake | Phase::Refusing => self.request(hosted, bytes),
            Phase::Open if self.session.paused => self.hold(bytes),
            Phase::Open | Phase::Closing => self.frames_or_hold(hosted, bytes),
            Phase::Vacant | Phase::Ending | Phase::Aborted => {}
        }
    }

    /// A ping was answered. The wheel lets go of what was to be looked at if it were not, or had not
    /// left: that moment comes for nobody, and by then nothing of this connection is in the cache.
    fn answered(&mut self) {
        if self.session.armed >= self.session.beat.next_ping() {
            return;
        }
        let deadline = self.session.deadline(&self.shared.config);
        if deadline > self.session.armed && deadline != Instant::FAR {
            self.session.armed = deadline;
            self.shared.wheel.rearm(self.id.index, deadline);
        }
    }

    pub(crate) fn frames_or_hold<A: App>(&mut self, hosted: &mut Hosted<A>, input: &mut [u8]) {
        let unread = self.frames(hosted, input);
        self.hold(&input[input.len() - unread..]);
    }

    /// Does what the frames in `input` say, until the peer has to read first. How many bytes at the
    /// end were not looked at.
    pub(crate) fn frames<A: App>(&mut self, hosted: &mut Hosted<A>, mut input: &mut [u8]) -> usize {
        while matches!(self.session.phase, Phase::Open | Phase::Closing) {
            if self.is_held_back() {
                return input.len();
            }
            let Session { conn, .. } = &mut *self.session;
            match conn.receive(&mut input, &self.shared.config.limits, &mut self.shared.scratch) {
                Ok(Some(incoming)) => self.incoming(hosted, incoming),
                Ok(None) => {
                    self.note_unfinished();
                    return 0;
                }
                Err(violation) => self.fail(&violation),
            }
        }
        0
    }

    /// A message that is begun has a time to be whole.
    fn note_unfinished(&mut self) {
        if self.session.conn.is_mid_message() {
            let work = self.session.work(&mut self.shared.pool);
            work.message_since.get_or_insert(self.now);
        } else if let Some(work) = &mut self.session.work {
            work.message_since = None;
        }
    }

    fn incoming<A: App>(&mut self, hosted: &mut Hosted<A>, incoming: Incoming<'_>) {
        match &incoming {
            Incoming::Text(text) => self.message(hosted, Message::Text(text)),
            Incoming::Binary(payload) => self.message(hosted, Message::Binary(payload)),
            Incoming::Ping(_) => self.ping(),
            Incoming::Pong(payload) => self.pong(payload),
            Incoming::Close(code, _) => self.close_received(*code),
        }
        self.shared.scratch.reclaim(incoming);
    }

    fn message<A: App>(&mut self, hosted: &mut Hosted<A>, message: Message<'_>) {
        self.shared.stats.messages_received += 1;
        self.shared.stats.payload_received += message.as_bytes().len() as u64;
        if let Some(work) = &mut self.session.work {
            work.message_since = None;
        }
        if self.session.phase != Phase::Open {
            return;
        }
        if let Some(idle) = self.shared.config.idle_timeout {
            self.session.until = self.now + idle;
        }
        hosted.tell(self.id.index, |app, state| app.on_message(self, state, message));
    }

    fn ping(&mut self) {
        self.shared.stats.pings_received += 1;
        let Session { work, conn, .. } = &mut *self.session;
        let Shared { pool, scratch, .. } = &mut *self.shared;
        work.get_or_insert_with(|| pool.lend_work()).pong(conn, scratch, pool);
    }

    /// Any byte is life, but only an exact stamp tells a round trip.
    fn pong(&mut self, payload: &[u8]) {
        let Some(heartbeat) = self.shared.config.heartbeat else {
            return self.shared.stats.pongs_unsolicited += 1;
        };
        let oldest = heartbeat.interval.saturating_add(heartbeat.timeout);
        let rtt = self.shared.stamps.open(self.id, payload, self.now, oldest);
        match rtt.filter(|_| self.session.pongs_due > 0) {
            Some(rtt) => {
                self.session.pongs_due -= 1;
                self.session.spoke_before &= self.session.pongs_due > 0;
                self.shared.stats.pongs_matched += 1;
                self.shared.note_rtt(rtt);
                self.session.beat.measured(rtt);
            }
            None => self.shared.stats.pongs_unsolicited += 1,
        }
    }

    fn close_received(&mut self, code: Option<CloseCode>) {
        // The answer echoes the code; none is sent if the peer answers ours.
        if self.encode_close(code, "") {
            self.shared.stats.count_close(code.map_or(NO_CODE, CloseCode::get));
        }
        self.end(End::Closed);
    }

    /// The peer broke the protocol: behind the answers to what it said before, it is told so, and
    /// nothing else any more.
    fn fail(&mut self, violation: &Violation) {
        let Session { work, conn, .. } = &mut *self.session;
        let pool = &mut self.shared.pool;
        let work = work.get_or_insert_with(|| pool.lend_work());
        if work.append(CONTROL_FRAME_MAX, pool, |out| conn.fail(violation, [0; 4], out)) {
            self.shared.stats.count_close(violation.close_code().get());
        }
        self.end(End::Violation);
        self.hurry();
    }
}
