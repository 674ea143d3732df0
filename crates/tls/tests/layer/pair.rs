//! Two layers joined by a wire made of memory, each around an engine that does what a test says.

use crate::identity::LOCALHOST;
use bytes::BytesMut;
use halfopen_driver::{CHUNK_MAX, Cause, Chunk, ConnId, Engine, Event, Heard, Op, Opening, Token};
use halfopen_tls::{ClientTls, Notice, ServerTls, Tls};
use halfopen_wheel::Instant;
use std::mem::take;

pub(crate) const ID: ConnId = ConnId { index: 3, generation: 7 };

/// What an engine was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Opened,
    Established,
    Failed(String),
    Received(Vec<u8>),
    Sent(usize, Instant),
    Closed(Cause),
}

/// An engine that writes down what it is told, and asks for what it was given to ask for.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) told: Vec<Told>,
    /// Asked for at the next event.
    pub(crate) asks: Vec<Op>,
}

impl Script {
    /// All that was in `Received`.
    pub(crate) fn heard(&self) -> Vec<u8> {
        let bytes = self.told.iter().filter_map(|told| match told {
            Told::Received(bytes) => Some(bytes.as_slice()),
            _ => None,
        });
        bytes.collect::<Vec<_>>().concat()
    }

    pub(crate) fn was(&self, is_it: impl Fn(&Told) -> bool) -> usize {
        self.told.iter().filter(|told| is_it(told)).count()
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        self.told.iter().find_map(|told| match told {
            Told::Failed(words) => Some(words.as_str()),
            _ => None,
        })
    }
}

impl Engine for Script {
    fn on_event(&mut self, _now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        ops.append(&mut self.asks);
        self.told.push(match event {
            Event::Opened { .. } => Told::Opened,
            Event::Received { bytes, .. } => {
                let told = Told::Received(bytes.to_vec());
                // The memory is lent: whoever unmasks in place must be able to write into it.
                bytes.fill(0xdd);
                told
            }
            Event::Sent { chunk, at, .. } => Told::Sent(chunk.as_bytes().len(), at),
            Event::Closed { cause, .. } => Told::Closed(cause),
            Event::Started | Event::Woken => return,
            other => panic!("nobody asked for {other:?}"),
        });
    }

    fn on_deadline(&mut self, _now: Instant, _heard: Heard, ops: &mut Vec<Op>) {
        ops.append(&mut self.asks);
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

/// One end, with a driver that is a test.
pub(crate) struct End {
    pub(crate) layer: Tls<Script>,
    /// What has left and not arrived.
    pub(crate) wire: Vec<u8>,
    pub(crate) in_flight: Option<Chunk>,
    pub(crate) sends: usize,
    pub(crate) shut: bool,
    pub(crate) aborted: bool,
    now: u64,
}

impl End {
    pub(crate) fn server(tls: ServerTls) -> Self {
        Self::new(Tls::server(Script::default(), tls))
    }

    pub(crate) fn client(tls: ClientTls) -> Self {
        Self::new(Tls::client(Script::default(), tls))
    }

    fn new(layer: Tls<Script>) -> Self {
        let layer = layer.telling(|script, id, notice| {
            assert_eq!(id, ID);
            script.told.push(match notice {
                Notice::Established(_) => Told::Established,
                Notice::Failed(failure) => Told::Failed(format!("{} {failure}", failure.reason())),
            });
        });
        let (wire, in_flight) = (Vec::new(), None);
        Self { layer, wire, in_flight, sends: 0, shut: false, aborted: false, now: 0 }
    }

    pub(crate) fn now(&mut self) -> Instant {
        self.now += 1;
        Instant::from_nanos(self.now)
    }

    /// Tells the layer, and carries out what it asks for, within the contract.
    pub(crate) fn tell(&mut self, event: Event<'_>) {
        let (now, mut ops) = (self.now(), Vec::new());
        self.layer.on_event(now, event, &mut ops);
        for op in ops {
            match op {
                Op::Send { id, chunk } => {
                    assert_eq!(id, ID);
                    assert!(self.in_flight.is_none(), "one send in flight");
                    assert!(!self.shut, "nothing is sent behind FIN");
                    assert!((1..=CHUNK_MAX).contains(&chunk.as_bytes().len()));
                    if !self.aborted {
                        self.wire.extend_from_slice(chunk.as_bytes());
                    }
                    self.in_flight = Some(chunk);
                    self.sends += 1;
                }
                Op::Shutdown { .. } => {
                    assert!(!self.shut, "one FIN");
                    self.shut = true;
                }
                Op::Abort { .. } => {
                    assert!(!self.aborted, "one RST");
                    self.aborted = true;
                }
                other => panic!("nobody asked for {other:?}"),
            }
        }
    }

    /// The engine asks for something.
    pub(crate) fn ask(&mut self, op: Op) {
        self.layer_engine(|script| script.asks.push(op));
        self.tell(Event::Woken);
    }

    fn layer_engine(&mut self, change: impl FnOnce(&mut Script)) {
        change(self.layer.engine_mut());
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.ask(Op::Send { id: ID, chunk: Chunk::Own(BytesMut::from(bytes)) });
    }

    /// The kernel has taken what is in flight.
    pub(crate) fn bring_home(&mut self) -> bool {
        let Some(chunk) = self.in_flight.take() else { return false };
        let at = Instant::from_nanos(self.now);
        self.tell(Event::Sent { id: ID, chunk, at });
        true
    }

    pub(crate) fn hear(&mut self, bytes: &mut [u8]) {
        self.tell(Event::Received { id: ID, bytes });
    }

    /// The connection is gone; what is in flight comes home first.
    pub(crate) fn close(&mut self, cause: Cause) {
        self.bring_home();
        self.tell(Event::Closed { id: ID, cause });
        assert_eq!(self.layer.sessions(), 0);
    }

    pub(crate) fn script(&self) -> &Script {
        self.layer.engine()
    }
}

/// Both ends of one connection.
pub(crate) struct Pair {
    pub(crate) client: End,
    pub(crate) server: End,
}

impl Pair {
    /// Connected by TCP.
    pub(crate) fn new(client: ClientTls, server: ServerTls) -> Self {
        let mut pair = Self { client: End::client(client), server: End::server(server) };
        pair.client.tell(Event::Opened { id: ID, by: Opening::Connected(Token(0)) });
        pair.server.tell(Event::Opened { id: ID, by: Opening::Accepted });
        pair
    }

    /// Connected by TLS.
    pub(crate) fn established() -> Self {
        let mut pair = Self::new(LOCALHOST.client(), LOCALHOST.server());
        pair.settle();
        for end in [&pair.client, &pair.server] {
            assert_eq!(end.script().told, [Told::Opened, Told::Established]);
        }
        pair
    }

    /// Carries everything that is under way, whole.
    pub(crate) fn settle(&mut self) {
        self.carry(|| usize::MAX);
    }

    /// Carries everything that is under way, in pieces as long as `piece` says.
    pub(crate) fn carry(&mut self, mut piece: impl FnMut() -> usize) {
        loop {
            let mut moved = carry_one_way(&mut self.client, &mut self.server, &mut piece);
            moved |= carry_one_way(&mut self.server, &mut self.client, &mut piece);
            moved |= self.client.bring_home();
            moved |= self.server.bring_home();
            if !moved {
                return;
            }
        }
    }
}

fn carry_one_way(from: &mut End, to: &mut End, piece: &mut impl FnMut() -> usize) -> bool {
    let mut wire = take(&mut from.wire);
    let mut rest = &mut wire[..];
    let moved = !rest.is_empty();
    while !rest.is_empty() {
        let (now, later) = rest.split_at_mut(piece().clamp(1, rest.len()));
        to.hear(now);
        rest = later;
    }
    moved
}
