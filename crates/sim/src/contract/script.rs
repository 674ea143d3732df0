use super::{Log, Told};
use bytes::{Bytes, BytesMut};
use halfopen_driver::{Chunk, ConnId, Engine, Event, Heard, Op, Severance, Token};
use halfopen_wheel::Instant;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// An engine made of a closure.
pub struct Script {
    act: Act,
    hands: Hands,
    log: Option<Log>,
}

type Act = Box<dyn FnMut(&mut Hands, Told) + Send>;

/// What a script acts with.
#[derive(Debug, Default)]
pub struct Hands {
    now: Instant,
    ops: Vec<Op>,
    alarm: Option<Instant>,
}

impl Script {
    pub(super) fn new(act: impl FnMut(&mut Hands, Told) + Send + 'static) -> Self {
        Self { act: Box::new(act), hands: Hands::default(), log: None }
    }

    pub(super) fn logged(mut self, log: Log) -> Self {
        self.log = Some(log);
        self
    }

    fn tell(&mut self, now: Instant, told: Told, ops: &mut Vec<Op>) {
        self.hands.now = now;
        if let Some(log) = &self.log {
            log.push(now, told.clone());
        }
        (self.act)(&mut self.hands, told);
        ops.append(&mut self.hands.ops);
    }
}

impl Engine for Script {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        let mut event = event;
        let told = match &mut event {
            // The memory is lent: whoever unmasks in place must be able to write into it.
            Event::Received { id, bytes } => {
                let told = Told::Received { id: *id, bytes: bytes.to_vec() };
                bytes.fill(0xdd);
                told
            }
            _ => Told::from(event),
        };
        self.tell(now, told, ops);
    }

    fn on_deadline(&mut self, now: Instant, heard: Heard, ops: &mut Vec<Op>) {
        // A script that wants to be called again says so.
        self.hands.alarm = None;
        self.tell(now, Told::Deadline { heard }, ops);
    }

    fn deadline(&self) -> Option<Instant> {
        self.hands.alarm
    }
}

impl Hands {
    /// The time of this call.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Asks to be called after `wait`, once.
    pub fn alarm(&mut self, wait: Duration) {
        self.alarm = Some(self.now + wait);
    }

    /// Pushes any operation.
    pub fn op(&mut self, op: Op) {
        self.ops.push(op);
    }

    /// Takes connections, or no longer.
    pub fn accept(&mut self, accept: bool) {
        self.op(Op::Accept(accept));
    }

    /// Connects, with no deadline to speak of.
    pub fn connect(&mut self, token: u32, to: SocketAddr) {
        self.connect_from(token, to, None, Duration::from_secs(600));
    }

    /// Connects from an address, within a time.
    pub fn connect_from(
        &mut self,
        token: u32,
        to: SocketAddr,
        from: Option<IpAddr>,
        within: Duration,
    ) {
        let (token, deadline) = (Token(token), self.now + within);
        self.op(Op::Connect { token, to, from, deadline });
    }

    /// Sends a copy of `bytes`.
    pub fn send(&mut self, id: ConnId, bytes: &[u8]) {
        self.op(Op::Send { id, chunk: Chunk::Own(BytesMut::from(bytes)) });
    }

    /// Sends bytes that others share.
    pub fn send_shared(&mut self, id: ConnId, bytes: Bytes) {
        self.op(Op::Send { id, chunk: Chunk::Shared(bytes) });
    }

    /// See [`Op::Pause`].
    pub fn pause(&mut self, id: ConnId) {
        self.op(Op::Pause { id });
    }

    /// See [`Op::Resume`].
    pub fn resume(&mut self, id: ConnId) {
        self.op(Op::Resume { id });
    }

    /// See [`Op::Shutdown`].
    pub fn shutdown(&mut self, id: ConnId) {
        self.op(Op::Shutdown { id });
    }

    /// See [`Op::Abort`].
    pub fn abort(&mut self, id: ConnId) {
        self.op(Op::Abort { id });
    }

    /// See [`Op::Sever`].
    pub fn sever(&mut self, id: ConnId, how: Severance) {
        self.op(Op::Sever { id, how });
    }

    /// See [`Op::Stop`].
    pub fn stop(&mut self) {
        self.op(Op::Stop);
    }
}
