//! One core's connections: the engine that a driver runs.
//!
//! The shard finds the session that an event is about, lends it out as a [`Peer`], and settles it
//! afterwards: what has gathered is sent, and the wheel learns the new deadline.

use crate::deliver::Letters;
use crate::drain::{Before, Drain};
use crate::handle::Command;
use crate::hosted::Hosted;
use crate::mailbox::{Exchange, Inbox};
use crate::notice::Notices;
use crate::output::Pool;
use crate::peer::Shared;
use crate::post::Post;
use crate::row::Row;
use crate::session::{Phase, Session};
use crate::stamp::StampKey;
use crate::timers::{Timer, Timers, Visit};
use crate::topics::Topics;
use crate::{Admission, App, Config, Context, DrainReport, End, Peer, PeerId, ShardHandle, Stats};
use fastrand::Rng;
use halfopen_driver::{Cause, ConnId, Engine, Event, Heard, Op, Waker, prefetch};
use halfopen_proto::{CloseCode, Scratch};
use halfopen_tls::Notice;
use halfopen_wheel::{Instant, Wheel};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// The connections whose time has come that one call of `on_deadline` looks at. The driver
/// measures the time and calls again.
pub(crate) const VISITS_MAX: usize = 48;

/// The connections that one thread serves, their wheel and their app.
#[derive(Debug)]
pub struct Shard<A: App> {
    hosted: Hosted<A>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) shared: Shared,
    pub(crate) letters: Letters,
    commands: Receiver<Command>,
    drain: Option<Drain>,
    /// Where the shard stood when its drain began.
    before: Option<Before>,
    /// What became of it.
    report: Option<DrainReport>,
    notices: Notices,
    /// Connections that hold a place of the admission.
    open: u32,
    accepting: bool,
    stopped: bool,
}

impl<A: App> Shard<A> {
    /// The only shard of its server, and the handle by which other threads speak to it. `waker` is
    /// that of the driver which will run it.
    pub fn new(
        config: Config,
        admission: Arc<Admission>,
        waker: Waker,
        app: A,
    ) -> (Self, ShardHandle) {
        let post = Post::new(waker, config.mailbox_letters, config.mailbox_bytes);
        Self::member(config, admission, Arc::new([post]), 0, app)
    }

    /// One shard of several, which share `admission` and `exchange`.
    pub(crate) fn member(
        config: Config,
        admission: Arc<Admission>,
        exchange: Exchange,
        number: u16,
        app: A,
    ) -> (Self, ShardHandle) {
        let inbox = Inbox { exchange: exchange.clone(), number };
        let (handle, commands) = ShardHandle::new(inbox.post().waker().clone(), exchange);
        let mut rng = Rng::with_seed(config.seed);
        let mut shared = Shared {
            inbox,
            config,
            admission,
            wheel: Wheel::new(config.wheel_of_beats(), Instant::from_nanos(0)),
            pool: Pool::default(),
            topics: Topics::default(),
            timers: Timers::new(config.wheel()),
            scratch: Scratch::default(),
            stamps: StampKey::new(rng.u64(..)),
            rng,
            stats: Stats::default(),
            rtts: Row::default(),
            refusing: 0,
            draining: false,
        };
        // Room for all, so that the table never moves: what is not used is no memory yet.
        let room = config.connections_max + config.refusals_max;
        let sessions = Vec::with_capacity(room as usize);
        shared.wheel.reserve(room);
        let hosted = Hosted::new(app, room);
        let shard = Self {
            hosted,
            sessions,
            shared,
            letters: Letters::default(),
            commands,
            drain: None,
            before: None,
            report: None,
            notices: Notices::default(),
            open: 0,
            accepting: false,
            stopped: false,
        };
        (shard, handle)
    }

    /// What the shard has done so far.
    pub fn stats(&self) -> Stats {
        let pooled_bytes = (self.shared.pool.bytes() + self.shared.scratch.bytes()) as u64;
        let open = u64::from(self.open);
        let mut stats = Stats { open, pooled_bytes, ..self.shared.stats.clone() };
        self.shared.rtts.record(&mut stats.rtt_ns);
        stats
    }

    /// What became of the connections, once the shard has drained or was stopped amid it.
    pub fn drain_report(&self) -> Option<&DrainReport> {
        self.report.as_ref()
    }

    /// The app.
    pub fn app(&self) -> &A {
        &self.hosted.app
    }

    /// Counts what the layer that speaks TLS below has told.
    pub(crate) fn heed(&mut self, notice: &Notice<'_>) {
        let Stats { tls_handshakes, tls_failures, .. } = &mut self.shared.stats;
        match notice {
            Notice::Established(_) => *tls_handshakes += 1,
            Notice::Failed(_) => *tls_failures += 1,
        }
    }

    /// Lends the session of `id` to `act`, if it is there.
    pub(crate) fn with(
        &mut self,
        now: Instant,
        id: ConnId,
        ops: &mut Vec<Op>,
        act: impl FnOnce(&mut Peer<'_>, &mut Hosted<A>),
    ) {
        let Some(session) = self.sessions.get_mut(id.index as usize) else { return };
        if session.generation != id.generation || session.phase == Phase::Vacant {
            return;
        }
        let mut peer = Peer { id, now, session, shared: &mut self.shared, ops };
        act(&mut peer, &mut self.hosted);
        peer.settle(&mut self.hosted);
    }

    /// The wheel begins at the clock's zero; it is turned to the present.
    fn started(&mut self, now: Instant) {
        let due = self.shared.wheel.pop(now);
        assert_eq!(due, None, "nothing waits before the start");
        self.hosted.app.on_start(&mut Context { now, shared: &mut self.shared });
    }

    fn opened(&mut self, now: Instant, id: ConnId, ops: &mut Vec<Op>) {
        self.shared.stats.accepted += 1;
        let is_admitted = !self.shared.draining && self.shared.admission.enter();
        let phase = if is_admitted { Phase::Handshake } else { Phase::Refusing };
        if is_admitted {
            self.open += 1;
            self.shared.stats.peak = self.shared.stats.peak.max(u64::from(self.open));
        } else {
            self.shared.refusing += 1;
        }
        let index = id.index as usize;
        if self.sessions.len() <= index {
            self.sessions.resize_with(index + 1, Session::vacant);
        }
        assert_eq!(self.sessions[index].phase, Phase::Vacant, "{id:?} is open already");
        self.sessions[index] = Session::opened(id, phase, now, &self.shared.config);
        self.with(now, id, ops, |_, _| {});
    }

    fn closed(&mut self, now: Instant, id: ConnId, cause: Cause) {
        let Some(session) = self.sessions.get_mut(id.index as usize) else { return };
        assert_eq!(session.generation, id.generation, "the last event of {id:?} comes once");
        let mut session = std::mem::replace(session, Session::vacant());
        self.shared.wheel.disarm(id.index);
        self.shared.topics.forget(id.index);
        self.shared.timers.forget(id.index);
        if let Some(roll) = self.shared.inbox.post().roll() {
            roll.strike(id);
        }
        if let Some(work) = session.work.take() {
            self.shared.pool.give_work(work);
        }
        if session.admitted {
            self.open -= 1;
            self.shared.admission.leave();
        } else {
            self.shared.refusing -= 1;
        }
        let end = session.end.unwrap_or_else(|| end_of(cause));
        *self.shared.stats.ended.entry(end).or_default() += 1;
        self.notices.stir(now, end);
        let state = session.opened.then(|| self.hosted.release(id.index)).flatten();
        if let Some(state) = state {
            let id = PeerId { shard: self.shared.inbox.number, conn: id };
            let mut context = Context { now, shared: &mut self.shared };
            self.hosted.app.on_close(&mut context, id, state, end);
        }
    }

    fn commanded(&mut self, now: Instant, ops: &mut Vec<Op>) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Drain(window) => self.begin_drain(now, window),
                Command::Stop => self.stop(now, ops),
                // Who asked may have gone.
                Command::Snapshot(answer) => drop(answer.try_send(self.stats())),
            }
        }
    }

    fn begin_drain(&mut self, now: Instant, window: Duration) {
        if !std::mem::replace(&mut self.shared.draining, true) {
            let open = u64::from(self.open + self.shared.refusing);
            self.before = Some(Before::new(now, open, &self.shared.stats));
            self.hosted.app.on_drain(&mut Context { now, shared: &mut self.shared }, window);
            self.hear_last_words(now);
        }
        let id = |(index, session): (usize, &Session)| {
            let id = ConnId { index: index as u32, generation: session.generation };
            (session.phase != Phase::Vacant).then_some(id)
        };
        let mut order: Vec<_> = self.sessions.iter().enumerate().filter_map(id).collect();
        self.shared.rng.shuffle(&mut order);
        self.drain = Some(Drain::new(order, now, window));
    }

    /// Sends those away whose turn has come.
    fn go_on_draining(&mut self, now: Instant, ops: &mut Vec<Op>) {
        if self.drain.is_none() || !self.has_heard_last_words() {
            return;
        }
        for _ in 0..VISITS_MAX {
            let Some(id) = self.drain.as_mut().and_then(|drain| drain.pop(now)) else { return };
            self.with(now, id, ops, |peer, _| peer.send_away());
        }
    }

    fn stop(&mut self, now: Instant, ops: &mut Vec<Op>) {
        if !std::mem::replace(&mut self.stopped, true) {
            self.report = self.before.as_ref().map(|before| before.report(now, &self.shared.stats));
            self.notices.tell_rest(&self.shared.stats);
            ops.push(Op::Stop);
        }
    }

    /// Does what the app's timers are for.
    fn ring(&mut self, now: Instant, ops: &mut Vec<Op>) {
        for _ in 0..VISITS_MAX {
            match self.shared.timers.visit(now) {
                None => return,
                Some(Visit::Early) => {}
                Some(Visit::Due(Timer::App(timer))) => {
                    self.hosted.app.on_timer(&mut Context { now, shared: &mut self.shared }, timer);
                }
                Some(Visit::Due(Timer::Peer(index, timer))) => {
                    let generation = self.sessions[index as usize].generation;
                    let id = ConnId { index, generation };
                    self.with(now, id, ops, |peer, hosted| peer.ring(hosted, timer));
                }
            }
        }
    }

    /// Takes connections while there is a place for them, however many wait for a refusal; and when
    /// there is none, while there is room to refuse them.
    ///
    /// A shard whose own table is full leaves them to the others, unless those are full as well.
    fn admit(&mut self, ops: &mut Vec<Op>) {
        let Shared { config, admission, refusing, draining, .. } = &self.shared;
        let is_wanted = if admission.is_full() {
            *refusing < config.refusals_max
        } else {
            self.open < config.connections_max
        };
        // Another shard may take the place before it is filled, each time.
        let has_room = self.open + *refusing < config.connections_max + config.refusals_max;
        let accepting = is_wanted && has_room && !draining;
        if accepting != self.accepting {
            self.accepting = accepting;
            ops.push(Op::Accept(accepting));
        }
    }

    /// What every call ends with.
    fn finish(&mut self, now: Instant, ops: &mut Vec<Op>) {
        if self.stopped {
            return;
        }
        self.admit(ops);
        if self.shared.draining && self.open == 0 && self.shared.refusing == 0 {
            self.stop(now, ops);
        }
    }
}

impl<A: App> Engine for Shard<A> {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => self.started(now),
            Event::Opened { id, .. } => self.opened(now, id, ops),
            Event::Received { id, bytes } => {
                self.with(now, id, ops, |peer, hosted| peer.received(hosted, bytes));
            }
            Event::Sent { id, chunk, at } => {
                self.with(now, id, ops, |peer, _| peer.sent(chunk, at));
            }
            Event::Probed { id, queued } => self.with(now, id, ops, |peer, _| peer.probed(queued)),
            Event::Closed { id, cause } => self.closed(now, id, cause),
            Event::Woken => {
                self.keep_roll();
                self.deliver(now, ops);
                self.commanded(now, ops);
            }
            Event::Located { id, ends } => {
                self.with(now, id, ops, |peer, hosted| peer.located(hosted, ends));
            }
            Event::Refused { .. } => {}
        }
        self.finish(now, ops);
    }

    fn on_deadline(&mut self, now: Instant, heard: Heard, ops: &mut Vec<Op>) {
        let mut due = [0; VISITS_MAX];
        let sessions = &self.sessions;
        let count = self.shared.wheel.pop_many(now, &mut due, |index| {
            prefetch(&sessions[index as usize]);
        });
        for &index in &due[..count] {
            let session = &mut self.sessions[index as usize];
            session.armed = Instant::FAR;
            let id = ConnId { index, generation: session.generation };
            self.with(now, id, ops, |peer, _| peer.expire(heard));
        }
        self.go_on_draining(now, ops);
        self.ring(now, ops);
        if self.letters.backlog.is_some() {
            self.deliver(now, ops);
        }
        self.notices.tell(now, &self.shared.stats);
        self.finish(now, ops);
    }

    fn deadline(&self) -> Option<Instant> {
        let drain = self.drain.as_ref().and_then(Drain::deadline);
        let timers = self.shared.timers.deadline();
        let notice = self.notices.deadline();
        let due = [self.shared.wheel.next_wake(), drain, timers, notice, self.letters.backlog];
        due.into_iter().flatten().min()
    }

    fn foresee(&self, id: ConnId) {
        if let Some(session) = self.sessions.get(id.index as usize) {
            prefetch(session);
        }
    }
}

impl Peer<'_> {
    /// A timer of this connection fires.
    fn ring<A: App>(&mut self, hosted: &mut Hosted<A>, timer: u8) {
        if self.session.phase == Phase::Open {
            let index = self.id.index;
            hosted.tell(index, |app, state| app.on_peer_timer(self, state, timer));
        }
    }

    /// The shard drains, and this one's turn has come.
    fn send_away(&mut self) {
        match self.session.phase {
            Phase::Handshake | Phase::Refusing => self.refuse_for_now(),
            Phase::Open => self.close(CloseCode::GOING_AWAY, "the server is going away"),
            Phase::Vacant | Phase::Closing | Phase::Ending | Phase::Aborted => {}
        }
        self.hurry();
    }
}

/// How a connection ended of which only the driver knows.
fn end_of(cause: Cause) -> End {
    match cause {
        Cause::Fin => End::Fin,
        Cause::Reset => End::Reset,
        Cause::TimedOut => End::TimedOut,
        _ => End::Error,
    }
}
