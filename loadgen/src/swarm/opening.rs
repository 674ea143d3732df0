//! The ramp: connects on the plan's schedule, and the opening handshake (RFC 6455 §4.1).

use super::conn::{Conn, Phase};
use super::returning::Returns;
use super::{PIECES, Swarm};
use crate::pacing::Pace;
use bytes::BytesMut;
use halfopen_driver::{Cause, ConnId, Heard, Op, Token};
use halfopen_proto::handshake::{ClientRequest, HeadLimits, ResponseError};
use halfopen_tls::{Failure, Notice};
use halfopen_wheel::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// Connections of a run that open at the same time, at most. The listener's queue is often 4,096;
/// beyond it SYNs are lost and come again after a second.
const OPENING_MAX: usize = 1_024;

/// How long an HTTP answer that refuses is listened to for its first words.
const WORDS_WAIT: Duration = Duration::from_millis(500);

/// The most of it that is kept.
const WORDS_MAX: usize = 4_096;

#[derive(Debug)]
pub(super) struct Opening {
    /// None before the start.
    pace: Option<Pace>,
    /// The connects under way, by token.
    attempts: Vec<Option<Attempt>>,
    free: Vec<u32>,
    /// Connects and handshakes under way.
    under_way: usize,
    under_way_max: usize,
    /// The target that is tried first.
    first_target: usize,
    /// Answers that came in pieces, by index.
    heads: BTreeMap<usize, BytesMut>,
    /// Why TLS failed, by index, until the connection has ended of it.
    tls_failures: BTreeMap<usize, &'static str>,
}

/// A connect under way.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    /// The connection's number in the plan.
    number: u32,
    started: Instant,
    target: usize,
    /// Targets that have refused it.
    refused: usize,
    /// Whether it was here before.
    returns: Returns,
}

impl Opening {
    /// Of one swarm of `swarms`.
    pub(super) fn new(swarms: u32) -> Self {
        Self {
            pace: None,
            attempts: Vec::new(),
            free: Vec::new(),
            under_way: 0,
            under_way_max: (OPENING_MAX / swarms as usize).max(16),
            first_target: 0,
            heads: BTreeMap::new(),
            tls_failures: BTreeMap::new(),
        }
    }

    fn is_full(&self) -> bool {
        self.under_way >= self.under_way_max
    }

    pub(super) fn forget(&mut self, index: usize) {
        self.heads.remove(&index);
        self.tls_failures.remove(&index);
    }

    /// No further connects; those under way are given up.
    pub(super) fn end(&mut self, ops: &mut Vec<Op>) {
        self.pace = None;
        let under_way = self.attempts.iter().enumerate().filter(|(_, attempt)| attempt.is_some());
        ops.extend(under_way.map(|(token, _)| Op::Cancel(Token(token as u32))));
    }

    fn insert(&mut self, attempt: Attempt) -> Token {
        let token = self.free.pop().unwrap_or_else(|| {
            self.attempts.push(None);
            self.attempts.len() as u32 - 1
        });
        self.attempts[token as usize] = Some(attempt);
        Token(token)
    }

    fn remove(&mut self, token: Token) -> Attempt {
        self.free.push(token.0);
        self.attempts[token.0 as usize].take().expect("a token is answered once")
    }
}

impl Swarm {
    pub(super) fn begin_ramp(&mut self, now: Instant) {
        let (rate, total) = (self.plan.connect_rate, u64::from(self.plan.connections));
        self.opening.pace = Some(Pace::limited(now, rate, self.share, total));
    }

    pub(super) fn connect_the_due(&mut self, now: Instant, ops: &mut Vec<Op>) {
        for _ in 0..PIECES {
            if self.opening.is_full() {
                return;
            }
            let Some((number, returns)) = self.next_to_connect(now) else { return };
            self.opening.under_way += 1;
            let target = self.opening.first_target;
            self.connect(Attempt { number, started: now, target, refused: 0, returns }, ops);
        }
    }

    /// Who comes back goes before who comes for the first time.
    fn next_to_connect(&mut self, now: Instant) -> Option<(u32, Returns)> {
        self.returning.take(now).or_else(|| {
            let (number, _) = self.opening.pace.as_mut()?.take(now)?;
            Some((number as u32, Returns::No))
        })
    }

    /// When the next connect is due, unless too many are under way.
    pub(super) fn opening_due(&self) -> Option<Instant> {
        if self.opening.is_full() {
            return None;
        }
        let ramp = self.opening.pace.as_ref().and_then(Pace::due);
        [ramp, self.returning.again_due()].into_iter().flatten().min()
    }

    fn connect(&mut self, attempt: Attempt, ops: &mut Vec<Op>) {
        let to = self.plan.targets[attempt.target];
        let sources = &self.plan.sources;
        let from = (!sources.is_empty()).then(|| sources[attempt.number as usize % sources.len()]);
        let from = from.filter(|source| source.is_ipv4() == to.is_ipv4());
        let deadline = attempt.started + self.plan.connect_timeout;
        let token = self.opening.insert(attempt);
        ops.push(Op::Connect { token, to, from, deadline });
    }

    pub(super) fn refused(&mut self, now: Instant, token: Token, cause: Cause, ops: &mut Vec<Op>) {
        let mut attempt = self.opening.remove(token);
        if self.leaving.is_some() {
            return;
        }
        attempt.refused += 1;
        if !self.moves_on(attempt, cause) {
            return self.failed(now, attempt.number, attempt.returns, connect_failure(cause));
        }
        let next = (attempt.target + 1) % self.plan.targets.len();
        if self.opening.first_target == attempt.target {
            // The others need not knock there first.
            self.opening.first_target = next;
        }
        self.connect(Attempt { target: next, started: now, ..attempt }, ops);
    }

    /// Whether another address of the host is worth a try.
    fn moves_on(&self, attempt: Attempt, cause: Cause) -> bool {
        let elsewhere = !matches!(cause, Cause::Cancelled | Cause::NoDescriptors | Cause::NoPorts);
        elsewhere && attempt.refused < self.plan.targets.len()
    }

    pub(super) fn connected(&mut self, now: Instant, id: ConnId, token: Token, ops: &mut Vec<Op>) {
        let attempt = self.opening.remove(token);
        let index = id.index as usize;
        while self.conns.len() <= index {
            self.conns.push(Conn::vacant());
        }
        let deadline = attempt.started + self.plan.connect_timeout;
        self.conns[index] = Conn {
            phase: Phase::Handshaking { opened: now },
            generation: id.generation,
            number: attempt.number,
            returns: attempt.returns,
            deadline,
            ..Conn::vacant()
        };
        self.occupied += 1;
        if self.leaving.is_some() {
            return self.abort(index, ops);
        }
        if attempt.returns == Returns::No {
            self.ledger.connected(now.saturating_since(attempt.started));
        }
        self.wheel.arm(id.index, deadline);
        let mut out = self.output.lend();
        let encoded = self.with_request(attempt.number, |request| request.encode(&mut out));
        encoded.expect("the plan was resolved with a request that could be encoded");
        self.send(index, out, ops);
    }

    /// What the server answers to the request, in one piece or several; frames may follow it.
    pub(super) fn read_answer(
        &mut self,
        now: Instant,
        index: usize,
        bytes: &mut [u8],
        ops: &mut Vec<Op>,
    ) {
        let Some(mut head) = self.opening.heads.remove(&index) else {
            return self.judge_answer(now, index, bytes, ops);
        };
        head.extend_from_slice(bytes);
        self.judge_answer(now, index, &mut head, ops);
    }

    fn judge_answer(&mut self, now: Instant, index: usize, bytes: &mut [u8], ops: &mut Vec<Op>) {
        let number = self.conns[index].number;
        match self.with_request(number, |r| r.check_response(bytes, &HeadLimits::default())) {
            Ok(None) => {
                self.opening.heads.insert(index, BytesMut::from(&*bytes));
            }
            Ok(Some((_, taken))) => {
                self.opened(now, index);
                self.read_frames(now, index, &mut bytes[taken..], ops);
            }
            Err(error) => self.answered_otherwise(now, index, &error, bytes, ops),
        }
    }

    fn opened(&mut self, now: Instant, index: usize) {
        let conn = &mut self.conns[index];
        let Phase::Handshaking { opened } = conn.phase else { unreachable!("it shakes hands") };
        conn.phase = Phase::Living;
        let started = conn.deadline - self.plan.connect_timeout;
        let returns = std::mem::replace(&mut conn.returns, Returns::No);
        conn.deadline = Instant::FAR;
        conn.place = self.living.len() as u32;
        self.living.push(index as u32);
        self.wheel.disarm(index as u32);
        self.opening.under_way -= 1;
        match returns {
            Returns::No => self.ledger.opened(now.saturating_since(opened)),
            Returns::Churn => self.ledger.came_back(returns, now.saturating_since(started)),
            Returns::Herd => self.ledger.came_back(returns, self.since_the_herd(now)),
        }
        self.owe_hello(index);
        self.join_the_loop(now, index);
        self.await_rhythm(now, index);
    }

    /// It is no WebSocket server, or does not want us. If nobody else has told why, the first words
    /// of its answer are waited for.
    fn answered_otherwise(
        &mut self,
        now: Instant,
        index: usize,
        error: &ResponseError,
        bytes: &[u8],
        ops: &mut Vec<Op>,
    ) {
        let example = &mut self.ledger.tally.failure_example;
        let is_first = example.is_none();
        example.get_or_insert_with(|| match bytes {
            // A fatal alert (RFC 8446 §5.1, §6): content type 21, version 3.x.
            [21, 3, ..] => "the server answers with a TLS alert: use wss://".into(),
            _ => error.to_string(),
        });
        self.failed_in_handshake(now, index, answer_failure(error));
        if !(is_first && is_wordless(error)) {
            return self.abort(index, ops);
        }
        self.opening.heads.insert(index, BytesMut::from(bytes));
        let until = now + WORDS_WAIT;
        self.conns[index].phase = Phase::Refused;
        self.conns[index].deadline = until;
        self.wheel.arm(index as u32, until);
    }

    /// More of an answer that refuses.
    pub(super) fn read_refusal(&mut self, index: usize, bytes: &[u8], ops: &mut Vec<Op>) {
        let number = self.conns[index].number;
        let Some(head) = self.opening.heads.get_mut(&index) else { return };
        head.extend_from_slice(bytes);
        let head = &self.opening.heads[&index];
        match self.with_request(number, |r| r.check_response(head, &HeadLimits::default())) {
            Err(error) if !is_wordless(&error) => {
                self.ledger.tally.failure_example = Some(error.to_string());
            }
            _ if head.len() < WORDS_MAX => return,
            _ => {}
        }
        self.abort(index, ops);
    }

    pub(super) fn handshake_is_due(
        &mut self,
        now: Instant,
        index: usize,
        heard: Heard,
        ops: &mut Vec<Op>,
    ) {
        let conn = &mut self.conns[index];
        let timeout = self.plan.connect_timeout;
        if heard.silent_since(now, conn.deadline - timeout, timeout) {
            self.failed_in_handshake(now, index, "handshake_timeout".into());
            return self.abort(index, ops);
        }
        // We may be late ourselves: what has come by now is to be heard first.
        self.wheel.arm(index as u32, now + Duration::from_millis(1));
    }

    /// Counts what the layer that speaks TLS below knows of a connection.
    pub fn heed(&mut self, id: ConnId, notice: &Notice<'_>) {
        match notice {
            Notice::Established(tls) => {
                let name = format!("{} {}", tls.version, tls.cipher);
                *self.ledger.tally.secured.entry(name).or_default() += 1;
            }
            Notice::Failed(failure) => self.tls_failed(id, failure),
        }
    }

    /// The layer ends the connection, and the end is counted when it comes.
    fn tls_failed(&mut self, id: ConnId, failure: &Failure) {
        let Some(index) = self.index_of(id) else { return };
        self.ledger.tally.failure_example.get_or_insert_with(|| failure.to_string());
        if let Phase::Handshaking { .. } = self.conns[index].phase {
            self.opening.tls_failures.insert(index, failure.reason());
        }
    }

    pub(super) fn ended_in_handshake(&mut self, now: Instant, index: usize, cause: Cause) {
        let reason = match cause {
            Cause::Fin => "closed_in_handshake",
            _ => "reset_in_handshake",
        };
        self.failed_in_handshake(now, index, reason.into());
    }

    fn failed_in_handshake(&mut self, now: Instant, index: usize, reason: String) {
        let conn = &mut self.conns[index];
        let returns = std::mem::replace(&mut conn.returns, Returns::No);
        let number = conn.number;
        let tls = self.opening.tls_failures.remove(&index);
        self.failed(now, number, returns, tls.map_or(reason, Into::into));
    }

    fn failed(&mut self, now: Instant, number: u32, returns: Returns, reason: String) {
        self.opening.under_way -= 1;
        if returns == Returns::No {
            return self.ledger.failed(reason);
        }
        self.ledger.failed_to_come_back(returns, reason);
        self.try_again(now, number, returns);
    }

    /// Does something with the request of the connection `number`, which is made anew each time
    /// and not kept.
    fn with_request<T>(&self, number: u32, what: impl FnOnce(&ClientRequest<'_>) -> T) -> T {
        let seed = self.plan.seed.rotate_left(32) ^ u64::from(number);
        let nonce = fastrand::Rng::with_seed(seed).u128(..).to_be_bytes();
        self.plan.with_request(number, nonce, what)
    }
}

pub(crate) fn connect_failure(cause: Cause) -> String {
    let reason = match cause {
        Cause::NobodyListens => "refused",
        Cause::Unreachable => "unreachable",
        Cause::Deadline | Cause::TimedOut => "connect_timeout",
        Cause::Reset | Cause::Fin | Cause::Aborted => "reset",
        Cause::Cancelled => "cancelled",
        Cause::NoDescriptors => "no_descriptors",
        Cause::NoPorts => "no_ports",
        Cause::Os(errno) => return format!("os_error_{errno}"),
    };
    reason.into()
}

pub(crate) fn answer_failure(error: &ResponseError) -> String {
    match error {
        ResponseError::Status { code, .. } => format!("status_{code}"),
        _ => "not_websocket".into(),
    }
}

fn is_wordless(error: &ResponseError) -> bool {
    matches!(error, ResponseError::Status { body, .. } if body.is_empty())
}
