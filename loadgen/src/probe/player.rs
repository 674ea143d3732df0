//! One connection of a probe on the wire: where it stands, what it owes, and what it says next.

use super::diary::{Diary, How, Role};
use bytes::BytesMut;
use halfopen_driver::{Chunk, ConnId, Op};
use halfopen_proto::{
    CloseCode, Connection, Incoming, Limits, Message, Role as Side, Scratch, Violation,
};
use halfopen_wheel::Instant;
use std::time::Duration;

/// From one word to the next, as long as the server's interval is not known.
pub(super) const PERIOD: Duration = Duration::from_secs(1);

/// Nobody speaks more often than that.
const PERIOD_MIN: Duration = Duration::from_millis(50);

/// How long a server may take to end TCP after the Close frames.
pub(super) const GOODBYE: Duration = Duration::from_secs(2);

/// The code that stands for a Close frame without a code (RFC 6455 §7.1.5).
const NO_CODE: u16 = 1005;

/// Where it stands.
#[derive(Debug)]
pub(super) enum State {
    /// To be connected then.
    Waiting(Instant),
    /// Under way, after so many targets have refused.
    Connecting { refused: usize },
    /// The beginning of the server's answer.
    Handshaking { head: BytesMut },
    /// Frames go both ways.
    Open,
    /// A Close frame was said or heard: TCP is to end.
    Parting,
    /// It is over.
    Gone,
}

#[derive(Debug)]
pub(super) struct Player {
    pub(super) diary: Diary,
    pub(super) state: State,
    pub(super) id: Option<ConnId>,
    /// When its handshake or its farewell has taken too long.
    pub(super) give_up: Option<Instant>,
    /// When it speaks next.
    pub(super) next_word: Option<Instant>,
    /// Of its request.
    pub(super) nonce: [u8; 16],
    ws: Connection,
    in_flight: bool,
    pong_due: bool,
    word_due: bool,
    close_due: bool,
    /// The Close frame that tells the server its fault.
    last: BytesMut,
}

/// What players share.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) rng: fastrand::Rng,
    /// What talkers say; none: there are no talkers.
    pub(super) message: Option<String>,
    /// Round trips of the pingers' pings.
    pub(super) rtts: Vec<Duration>,
    scratch: Scratch,
    limits: Limits,
}

/// Round trips that are kept.
const RTTS_MAX: usize = 10_000;

impl Tools {
    pub(super) fn new(seed: u64, message: Option<String>) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            message,
            rtts: Vec::new(),
            scratch: Scratch::default(),
            limits: Limits::default(),
        }
    }

    fn key(&mut self) -> [u8; 4] {
        self.rng.u32(..).to_ne_bytes()
    }

    /// A pong of ours: its payload is when the ping was sent.
    fn note_pong(&mut self, now: Instant, payload: &[u8]) {
        let Ok(stamp) = payload.try_into().map(u64::from_be_bytes) else { return };
        let rtt = now.saturating_since(Instant::from_nanos(stamp));
        if self.rtts.len() < RTTS_MAX {
            self.rtts.push(rtt);
        }
    }
}

impl Player {
    pub(super) fn new(role: Role) -> Self {
        Self {
            diary: Diary::new(role),
            state: State::Gone,
            id: None,
            give_up: None,
            next_word: None,
            nonce: [0; 16],
            ws: Connection::new(Side::Client),
            in_flight: false,
            pong_due: false,
            word_due: false,
            close_due: false,
            last: BytesMut::new(),
        }
    }

    /// The request goes out.
    pub(super) fn ask(&mut self, request: BytesMut, ops: &mut Vec<Op>) {
        self.state = State::Handshaking { head: BytesMut::new() };
        self.send(request, ops);
    }

    /// The handshake is done.
    pub(super) fn opened(&mut self, now: Instant) {
        self.state = State::Open;
        self.give_up = None;
        self.diary.opened = Some(now);
        if self.diary.role.speaks() {
            self.diary.speaks(now, PERIOD);
            self.next_word = Some(now);
        }
    }

    /// Frames have come.
    pub(super) fn read(&mut self, now: Instant, mut bytes: &mut [u8], tools: &mut Tools) {
        loop {
            match self.ws.receive(&mut bytes, &tools.limits, &mut tools.scratch) {
                Ok(None) => return,
                Ok(Some(incoming)) => {
                    self.take_in(now, &incoming);
                    if let Incoming::Pong(payload) = &incoming {
                        tools.note_pong(now, payload);
                    }
                    tools.scratch.reclaim(incoming);
                }
                Err(violation) => return self.fail(now, &violation, tools),
            }
        }
    }

    fn take_in(&mut self, now: Instant, incoming: &Incoming<'_>) {
        match incoming {
            Incoming::Text(_) | Incoming::Binary(_) => self.diary.heard(now),
            Incoming::Ping(_) => self.pong_due |= self.diary.pinged(now),
            Incoming::Pong(_) => {}
            Incoming::Close(code, reason) => {
                let code = code.map_or(NO_CODE, CloseCode::get);
                self.diary.ended(now, How::Close { code, reason: (*reason).to_owned() });
                self.part(now);
            }
        }
    }

    fn fail(&mut self, now: Instant, violation: &Violation, tools: &mut Tools) {
        self.diary.ended(now, How::Violation(violation.to_string()));
        self.ws.fail(violation, tools.key(), &mut self.last);
        self.part(now);
    }

    /// Says goodbye, or answers it.
    pub(super) fn part(&mut self, now: Instant) {
        self.state = State::Parting;
        self.close_due = true;
        self.next_word = None;
        self.give_up = Some(now + GOODBYE);
    }

    /// Speaks, if it is time.
    pub(super) fn speak(&mut self, now: Instant) {
        let due = self.next_word.is_some_and(|due| due <= now);
        if let Some(words) = self.diary.words.filter(|_| due) {
            self.word_due = true;
            self.next_word = Some(now + words.period);
        }
    }

    /// Speaks three times in `interval`, which lies between two pings of the server.
    pub(super) fn hurry(&mut self, now: Instant, interval: Duration) {
        let Some((words, next)) = self.diary.words.zip(self.next_word) else { return };
        let period = (interval / 3).clamp(PERIOD_MIN, PERIOD);
        if period < words.period * 4 / 5 {
            self.diary.speaks(now, period);
            self.next_word = Some(next.min(now + period));
        }
    }

    /// A chunk is home.
    pub(super) fn sent(&mut self) {
        self.in_flight = false;
    }

    /// Sends what it has to say, unless a send is in flight: then that is said when it comes home.
    pub(super) fn flush(&mut self, now: Instant, tools: &mut Tools, ops: &mut Vec<Op>) {
        if self.in_flight || !matches!(self.state, State::Open | State::Parting) {
            return;
        }
        let mut out = BytesMut::new();
        if std::mem::take(&mut self.pong_due) {
            self.ws.encode_pong(tools.key(), &mut tools.scratch, &mut out);
        }
        if std::mem::take(&mut self.word_due) {
            self.say_word(now, tools, &mut out);
        }
        if std::mem::take(&mut self.close_due) {
            self.ws.encode_close(Some(CloseCode::NORMAL), "", tools.key(), &mut out);
        }
        let failed = !self.last.is_empty();
        out.extend_from_slice(&self.last.split());
        if !out.is_empty() {
            self.send(out, ops);
        }
        if let Some(id) = self.id.filter(|_| failed) {
            ops.push(Op::Shutdown { id });
        }
    }

    fn say_word(&mut self, now: Instant, tools: &mut Tools, out: &mut BytesMut) {
        let key = tools.key();
        match (self.diary.role, &tools.message) {
            (Role::Pinger, _) => {
                self.ws.encode_ping(&now.as_nanos().to_be_bytes(), key, out);
            }
            (Role::Talker, Some(message)) => {
                self.ws.encode(Message::Text(message), key, out);
            }
            _ => {}
        }
    }

    fn send(&mut self, out: BytesMut, ops: &mut Vec<Op>) {
        let Some(id) = self.id else { return };
        self.in_flight = true;
        ops.push(Op::Send { id, chunk: Chunk::Own(out) });
    }

    /// The connection is gone.
    pub(super) fn closed(&mut self) {
        self.state = State::Gone;
        (self.id, self.give_up, self.next_word) = (None, None, None);
    }

    /// When something of it is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let connect = match self.state {
            State::Waiting(due) => Some(due),
            _ => None,
        };
        [connect, self.give_up, self.next_word].into_iter().flatten().min()
    }
}
