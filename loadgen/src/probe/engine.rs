//! The connections of a probe as an engine: it connects them one after the other, has each play its
//! role, and leaves when everything is known or the time is over.

use super::Settings;
use super::diary::{Diary, How, Role};
use super::findings::Findings;
use super::interval::Intervals;
use super::link::Link;
use super::player::{GOODBYE, Player, State, Tools};
use super::verdict::Verdict;
use crate::plan::Plan;
use crate::swarm::{answer_failure, connect_failure};
use bytes::BytesMut;
use halfopen_driver::{Cause, ConnId, Engine, Event, Heard, Op, Token};
use halfopen_proto::handshake::HeadLimits;
use halfopen_tls::Notice;
use halfopen_wheel::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often the diaries are read.
const LOOK: Duration = Duration::from_millis(50);

/// Connections are opened within this time, at irregular moments, so that a server which visits all
/// of them together can be told from one that counts from each opening.
const OPENING: Duration = Duration::from_secs(1);

/// The fraction of the golden ratio: its multiples lie apart from each other, however many.
const GOLDEN: f64 = 0.618_033_988_75;

/// The engine of a probe.
#[derive(Debug)]
pub struct Probe {
    plan: Arc<Plan>,
    max_wait: Duration,
    players: Vec<Player>,
    tools: Tools,
    link: Arc<Link>,
    begun: Instant,
    next_look: Instant,
    /// Since when it takes its leave.
    left: Option<Instant>,
    interrupted: bool,
    failed: BTreeMap<String, u64>,
    failure_example: Option<String>,
    /// The most by which a look was late.
    late: Duration,
    stopped: bool,
}

impl Probe {
    /// A probe of the plan's URL with as many connections as it says. Masking keys and nonces come
    /// from `seed`, which has to be drawn anew for each run in the field (RFC 6455 §5.3).
    pub fn new(plan: Arc<Plan>, settings: Settings, seed: u64, link: Arc<Link>) -> Self {
        let talks = settings.message.is_some();
        let players = (0..plan.connections).map(|number| Player::new(Role::of(number, talks)));
        Self {
            players: players.collect(),
            plan,
            max_wait: settings.max_wait,
            tools: Tools::new(seed, settings.message),
            link,
            begun: Instant::default(),
            next_look: Instant::FAR,
            left: None,
            interrupted: false,
            failed: BTreeMap::new(),
            failure_example: None,
            late: Duration::ZERO,
            stopped: false,
        }
    }

    /// What it has found out, after the run.
    pub fn into_findings(self) -> Findings {
        Findings {
            url: self.plan.url.clone(),
            begun: self.begun,
            ended: self.left.unwrap_or(self.next_look),
            diaries: self.players.into_iter().map(|player| player.diary).collect(),
            failed: self.failed,
            failure_example: self.failure_example,
            rtts: self.tools.rtts,
            late: self.late,
            interrupted: self.interrupted,
            talked: self.tools.message.is_some(),
        }
    }

    fn begin(&mut self, now: Instant) {
        (self.begun, self.next_look) = (now, now + LOOK);
        for (number, player) in self.players.iter_mut().enumerate() {
            let moment = (number as f64 * GOLDEN).fract();
            player.state = State::Waiting(now + OPENING.mul_f64(moment));
        }
    }

    fn index_of(&self, id: ConnId) -> Option<usize> {
        self.players.iter().position(|player| player.id == Some(id))
    }

    fn connect(&mut self, now: Instant, index: usize, refused: usize, ops: &mut Vec<Op>) {
        let (targets, sources) = (&self.plan.targets, &self.plan.sources);
        let to = targets[refused % targets.len()];
        let from = (!sources.is_empty()).then(|| sources[index % sources.len()]);
        let from = from.filter(|source| source.is_ipv4() == to.is_ipv4());
        let deadline = now + self.plan.connect_timeout;
        self.players[index].state = State::Connecting { refused };
        ops.push(Op::Connect { token: Token(index as u32), to, from, deadline });
    }

    fn refused(&mut self, now: Instant, index: usize, cause: Cause, ops: &mut Vec<Op>) {
        let State::Connecting { refused } = self.players[index].state else { return };
        let refused = refused + 1;
        if self.left.is_none() && cause != Cause::Cancelled && refused < self.plan.targets.len() {
            return self.connect(now, index, refused, ops);
        }
        self.players[index].closed();
        self.fail(connect_failure(cause));
    }

    fn fail(&mut self, reason: String) {
        if self.left.is_none() {
            *self.failed.entry(reason).or_default() += 1;
        }
    }

    fn connected(&mut self, now: Instant, index: usize, id: ConnId, ops: &mut Vec<Op>) {
        let player = &mut self.players[index];
        player.id = Some(id);
        if self.left.is_some() {
            return ops.push(Op::Abort { id });
        }
        player.give_up = Some(now + self.plan.connect_timeout);
        let mut request = BytesMut::new();
        let nonce = self.tools.rng.u128(..).to_be_bytes();
        player.nonce = nonce;
        let encoded =
            self.plan.with_request(index as u32, nonce, |asked| asked.encode(&mut request));
        encoded.expect("the plan was resolved with a request that could be encoded");
        player.ask(request, ops);
    }

    fn received(&mut self, now: Instant, index: usize, bytes: &mut [u8], ops: &mut Vec<Op>) {
        let player = &mut self.players[index];
        match &mut player.state {
            State::Handshaking { head } => {
                head.extend_from_slice(bytes);
                let head = std::mem::take(head);
                self.read_answer(now, index, head, ops);
            }
            State::Open => player.read(now, bytes, &mut self.tools),
            _ => {}
        }
        self.players[index].flush(now, &mut self.tools, ops);
    }

    fn read_answer(&mut self, now: Instant, index: usize, mut head: BytesMut, ops: &mut Vec<Op>) {
        let player = &mut self.players[index];
        let judged = self.plan.with_request(index as u32, player.nonce, |asked| {
            let answer = asked.check_response(&head, &HeadLimits::default());
            answer
                .map(|answer| answer.map(|(_, taken)| taken))
                .map_err(|error| (answer_failure(&error), error.to_string()))
        });
        match judged {
            Ok(None) => player.state = State::Handshaking { head },
            Ok(Some(taken)) => {
                player.opened(now);
                player.read(now, &mut head[taken..], &mut self.tools);
                player.speak(now);
            }
            Err((reason, example)) => {
                self.failure_example = Some(example);
                self.fail(reason);
                self.abort(index, ops);
            }
        }
    }

    fn closed(&mut self, now: Instant, index: usize, cause: Cause) {
        let player = &mut self.players[index];
        match player.state {
            State::Handshaking { .. } => {
                let reason = if cause == Cause::Fin { "closed" } else { "reset" };
                self.fail(format!("{reason}_in_handshake"));
            }
            State::Open if self.left.is_none() => {
                player.diary.ended(now, if cause == Cause::Fin { How::Fin } else { How::Reset });
            }
            _ => {}
        }
        self.players[index].closed();
    }

    /// What the layer that speaks TLS below knows of a connection: it ends the one that has failed.
    pub fn heed(&mut self, id: ConnId, notice: &Notice<'_>) {
        let (Notice::Failed(failure), Some(index)) = (notice, self.index_of(id)) else { return };
        if matches!(self.players[index].state, State::Handshaking { .. }) {
            self.failure_example = Some(failure.to_string());
            self.fail(failure.reason().into());
            self.players[index].state = State::Parting;
            self.players[index].give_up = None;
        }
    }

    fn abort(&mut self, index: usize, ops: &mut Vec<Op>) {
        let player = &mut self.players[index];
        player.state = State::Parting;
        player.give_up = None;
        ops.extend(player.id.map(|id| Op::Abort { id }));
    }

    fn play(&mut self, now: Instant, index: usize, heard: Heard, ops: &mut Vec<Op>) {
        if matches!(self.players[index].state, State::Waiting(due) if due <= now) {
            self.connect(now, index, 0, ops);
        }
        self.players[index].speak(now);
        self.players[index].flush(now, &mut self.tools, ops);
        if self.players[index].give_up.is_some_and(|at| at <= now) {
            self.give_up(now, index, heard, ops);
        }
    }

    fn give_up(&mut self, now: Instant, index: usize, heard: Heard, ops: &mut Vec<Op>) {
        let timeout = self.plan.connect_timeout;
        if matches!(self.players[index].state, State::Handshaking { .. }) {
            let asked = self.players[index].give_up.unwrap_or(now) - timeout;
            if !heard.silent_since(now, asked, timeout) {
                // We may be late ourselves: what has come by now is to be heard first.
                self.players[index].give_up = Some(asked + timeout + Duration::from_millis(1));
                return;
            }
            self.fail("handshake_timeout".into());
        }
        self.abort(index, ops);
    }

    /// Reads the diaries: those who speak may have to hurry, and all may be known.
    fn look(&mut self, now: Instant, ops: &mut Vec<Op>) {
        self.late = self.late.max(now.saturating_since(self.next_look));
        self.next_look = now + LOOK;
        let diaries: Vec<Diary> = self.players.iter().map(|player| player.diary.clone()).collect();
        if let Some(interval) = Intervals::of(&diaries).mean() {
            self.players.iter_mut().for_each(|player| player.hurry(now, interval));
        }
        self.link.show(&diaries);
        let over = now >= self.begun + self.max_wait;
        let nobody = self.players.iter().all(|player| matches!(player.state, State::Gone));
        if over || nobody || Verdict::of(&diaries, now).complete {
            self.leave(now, ops);
        }
    }

    fn leave(&mut self, now: Instant, ops: &mut Vec<Op>) {
        if self.left.is_some() {
            return;
        }
        self.left = Some(now);
        for index in 0..self.players.len() {
            match self.players[index].state {
                State::Waiting(_) => self.players[index].closed(),
                State::Connecting { .. } => ops.push(Op::Cancel(Token(index as u32))),
                State::Handshaking { .. } => self.abort(index, ops),
                State::Open => {
                    self.players[index].part(now);
                    self.players[index].flush(now, &mut self.tools, ops);
                }
                State::Parting | State::Gone => {}
            }
        }
    }

    /// The run ends when nobody is left, or has taken too long to go.
    fn stop_if_all_left(&mut self, now: Instant, ops: &mut Vec<Op>) {
        let Some(left) = self.left else { return };
        let gone = self.players.iter().all(|player| matches!(player.state, State::Gone));
        if !self.stopped && (gone || now >= left + GOODBYE * 2) {
            self.stopped = true;
            ops.push(Op::Stop);
        }
    }
}

impl Engine for Probe {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => self.begin(now),
            Event::Opened { id, by: halfopen_driver::Opening::Connected(token) } => {
                self.connected(now, token.0 as usize, id, ops);
            }
            Event::Opened { .. } => unreachable!("a probe listens nowhere"),
            Event::Refused { token, cause } => self.refused(now, token.0 as usize, cause, ops),
            Event::Received { id, bytes } => {
                if let Some(index) = self.index_of(id) {
                    self.received(now, index, bytes, ops);
                }
            }
            Event::Sent { id, .. } => {
                if let Some(index) = self.index_of(id) {
                    self.players[index].sent();
                    self.players[index].flush(now, &mut self.tools, ops);
                }
            }
            Event::Closed { id, cause } => {
                if let Some(index) = self.index_of(id) {
                    self.closed(now, index, cause);
                }
            }
            Event::Woken if self.link.is_interrupted() => {
                self.interrupted = true;
                self.leave(now, ops);
            }
            Event::Woken | Event::Probed { .. } | Event::Located { .. } => {}
        }
        self.stop_if_all_left(now, ops);
    }

    fn on_deadline(&mut self, now: Instant, heard: Heard, ops: &mut Vec<Op>) {
        for index in 0..self.players.len() {
            self.play(now, index, heard, ops);
        }
        if self.left.is_none() && self.next_look <= now {
            self.look(now, ops);
        }
        self.stop_if_all_left(now, ops);
    }

    fn deadline(&self) -> Option<Instant> {
        if self.stopped {
            return None;
        }
        let own = self.left.map_or(self.next_look, |left| left + GOODBYE * 2);
        self.players.iter().filter_map(Player::due).chain([own]).min()
    }
}
