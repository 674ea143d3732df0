//! The layer: an engine around an engine.
//!
//! An event of the driver goes through the link that it is about, and what it means there is told to
//! the engine; what the engine then asks for goes back through the links it names. Nothing is told
//! to the engine from within its own operations: what it sends on a connection whose end is closed
//! already stays here, and comes home before `Closed`, as a send that failed.

use crate::link::Link;
use crate::pool::Pool;
use crate::session::{Established, Session};
use crate::{ClientTls, Failure, ServerTls};
use bytes::BytesMut;
use halfopen_driver::{Cause, Chunk, ConnId, Engine, Event, Heard, Op, Opening, prefetch};
use halfopen_wheel::Instant;
use std::mem::take;

/// An engine that speaks TLS to its driver, around one that does not.
///
/// - `Opened` is told when TCP is open, so that the engine's patience covers the handshake; what the
///   engine sends before that is done waits for it. To pause a connection amid it holds it up.
/// - A chunk goes out in as many sends as its records need, and comes home with the last.
/// - `Received` is what was in the records of one arrival together. It is empty where bytes came
///   that made no record whole: they are life, too.
/// - `Shutdown` says close_notify, then FIN. The peer's close_notify is answered in the same way, and
///   the connection ends with its FIN. One that ends without passes for ended all the same: WebSocket
///   has a Close of its own to tell the two apart.
/// - A session that fails sends its alert and ends; [`Notice::Failed`] tells why. A client aborts
///   behind the alert, a server waits for the peer's FIN as long as its engine waits.
pub struct Tls<E> {
    engine: E,
    server: Option<ServerTls>,
    client: Option<ClientTls>,
    told: fn(&mut E, ConnId, &Notice<'_>),
    /// By index.
    links: Vec<Option<Box<Link>>>,
    pool: Pool,
    /// Where the plaintext of one arrival lies while the engine looks at it.
    plain: BytesMut,
    /// What the engine asks for in one call.
    asked: Vec<Op>,
}

/// What the layer knows of a connection beside its bytes.
#[derive(Debug)]
pub enum Notice<'a> {
    /// Its handshake is done.
    Established(Established),
    /// Its session has failed, and `Closed` follows.
    Failed(&'a Failure),
}

impl<E: Engine> Tls<E> {
    /// Around an engine that accepts.
    pub fn server(engine: E, tls: ServerTls) -> Self {
        Self::new(engine, Some(tls), None)
    }

    /// Around an engine that connects.
    pub fn client(engine: E, tls: ClientTls) -> Self {
        Self::new(engine, None, Some(tls))
    }

    /// Around an engine that does both.
    pub fn both(engine: E, server: ServerTls, client: ClientTls) -> Self {
        Self::new(engine, Some(server), Some(client))
    }

    fn new(engine: E, server: Option<ServerTls>, client: Option<ClientTls>) -> Self {
        Self {
            engine,
            server,
            client,
            told: |_, _, _| {},
            links: Vec::new(),
            pool: Pool::default(),
            plain: BytesMut::new(),
            asked: Vec::new(),
        }
    }

    /// Has the engine told what the layer knows: by `told`, before the event that shows it.
    #[must_use]
    pub fn telling(self, told: fn(&mut E, ConnId, &Notice<'_>)) -> Self {
        Self { told, ..self }
    }

    /// The engine.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// The engine, to be changed.
    pub fn engine_mut(&mut self) -> &mut E {
        &mut self.engine
    }

    /// The engine back.
    pub fn into_engine(self) -> E {
        self.engine
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.links.iter().flatten().count()
    }

    /// The memory that connections hold beside their sessions: for records that are not whole, or
    /// wait to be sent.
    pub fn held_bytes(&self) -> usize {
        self.links.iter().flatten().map(|link| link.held_bytes()).sum()
    }

    /// The memory that is kept to be used again; bounded.
    pub fn pooled_bytes(&self) -> usize {
        self.pool.bytes() + self.plain.capacity()
    }

    fn opened(&mut self, now: Instant, id: ConnId, by: Opening, ops: &mut Vec<Op>) {
        let session = match (by, &self.server, &self.client) {
            (Opening::Accepted, Some(tls), _) => Session::Server(tls.connection()),
            (Opening::Connected(_), _, Some(tls)) => Session::Client(tls.connection()),
            _ => panic!("{by:?}, and this layer plays another role"),
        };
        let index = id.index as usize;
        if self.links.len() <= index {
            self.links.resize_with(index + 1, || None);
        }
        let mut link = Box::new(Link::new(id.generation, session));
        link.begin(&mut self.pool);
        self.links[index] = Some(link);
        self.tell(now, Event::Opened { id, by }, ops);
        self.flush(id, ops);
    }

    fn received(&mut self, now: Instant, id: ConnId, bytes: &mut [u8], ops: &mut Vec<Op>) {
        let Some(link) = find(&mut self.links, id) else { return };
        let mut plain = take(&mut self.plain);
        let is_life = link.is_established();
        link.hear(bytes, &mut plain, &mut self.pool);
        let (established, is_life) = (link.newly_established(), is_life && !link.is_deaf());
        if let Some(established) = established {
            (self.told)(&mut self.engine, id, &Notice::Established(established));
        }
        if is_life || !plain.is_empty() {
            self.tell(now, Event::Received { id, bytes: &mut plain }, ops);
        }
        plain.clear();
        self.plain = plain;
        self.flush(id, ops);
    }

    fn sent(&mut self, now: Instant, id: ConnId, records: Chunk, at: Instant, ops: &mut Vec<Op>) {
        let Some(link) = find(&mut self.links, id) else { return };
        if let Some(chunk) = link.came_home(records, &mut self.pool) {
            self.tell(now, Event::Sent { id, chunk, at }, ops);
        }
        self.flush(id, ops);
    }

    fn closed(&mut self, now: Instant, id: ConnId, cause: Cause, ops: &mut Vec<Op>) {
        let chunk = find(&mut self.links, id).and_then(|link| link.bury(&mut self.pool));
        self.links[id.index as usize] = None;
        if let Some(chunk) = chunk {
            self.tell(now, Event::Sent { id, chunk, at: now }, ops);
        }
        self.tell(now, Event::Closed { id, cause }, ops);
    }

    /// Tells the engine something, and passes on what it asks for.
    fn tell(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        let mut asked = take(&mut self.asked);
        self.engine.on_event(now, event, &mut asked);
        self.pass_on(asked, ops);
    }

    fn pass_on(&mut self, mut asked: Vec<Op>, ops: &mut Vec<Op>) {
        for op in asked.drain(..) {
            self.pass(op, ops);
        }
        self.asked = asked;
    }

    fn pass(&mut self, op: Op, ops: &mut Vec<Op>) {
        match op {
            Op::Send { id, chunk } => {
                if let Some(link) = find(&mut self.links, id) {
                    link.send(chunk);
                    self.flush(id, ops);
                }
            }
            Op::Shutdown { id } => {
                if let Some(link) = find(&mut self.links, id) {
                    link.shut_down();
                    self.flush(id, ops);
                }
            }
            Op::Abort { id } => {
                if let Some(link) = find(&mut self.links, id) {
                    link.abort(id, &mut self.pool, ops);
                }
            }
            other => ops.push(other),
        }
    }

    /// Sends what a link has to send, and tells if it has failed.
    fn flush(&mut self, id: ConnId, ops: &mut Vec<Op>) {
        let Some(link) = find(&mut self.links, id) else { return };
        link.flush(id, &mut self.pool, ops);
        if let Some(error) = link.take_failure() {
            let failure = Failure::new(error);
            (self.told)(&mut self.engine, id, &Notice::Failed(&failure));
        }
    }
}

/// The link of that name; none if it is gone.
fn find(links: &mut [Option<Box<Link>>], id: ConnId) -> Option<&mut Link> {
    let link = links.get_mut(id.index as usize)?.as_deref_mut()?;
    (link.generation == id.generation).then_some(link)
}

impl<E: Engine> Engine for Tls<E> {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Opened { id, by } => self.opened(now, id, by, ops),
            Event::Received { id, bytes } => self.received(now, id, bytes, ops),
            Event::Sent { id, chunk, at } => self.sent(now, id, chunk, at, ops),
            Event::Closed { id, cause } => self.closed(now, id, cause, ops),
            other => self.tell(now, other, ops),
        }
    }

    fn on_deadline(&mut self, now: Instant, heard: Heard, ops: &mut Vec<Op>) {
        let mut asked = take(&mut self.asked);
        self.engine.on_deadline(now, heard, &mut asked);
        self.pass_on(asked, ops);
    }

    fn deadline(&self) -> Option<Instant> {
        self.engine.deadline()
    }

    fn foresee(&self, id: ConnId) {
        if let Some(Some(link)) = self.links.get(id.index as usize) {
            prefetch(&**link);
        }
        self.engine.foresee(id);
    }
}
