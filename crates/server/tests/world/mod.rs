//! A driver made of memory, and peers that do what a test says: the smallest world in which a shard
//! can be watched. Time stands still unless a test lets it pass.
#![allow(dead_code, reason = "each test file uses its part")]

use bytes::{Bytes, BytesMut};
use halfopen_driver::{
    CHUNK_MAX, Cause, Chunk, ConnId, Ends, Engine, Event, Heard, Op, Opening, WakeSource, Waker,
};
use halfopen_proto::handshake::ClientRequest;
use halfopen_proto::{CloseCode, Connection, Incoming, Limits, Message, Role, Scratch};
use halfopen_server::{Admission, App, Config, Shard, ShardHandle, Stats};
use halfopen_wheel::Instant;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MILLI: Duration = Duration::from_millis(1);
pub(crate) const START: Instant = Instant::from_nanos(86_400_000_000_000);
const KEY: [u8; 4] = [1, 2, 3, 4];

/// What a peer has seen, in words that a test compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
    Fin,
    Reset,
}

/// The other end of a connection.
pub(crate) struct Client {
    pub(crate) id: ConnId,
    pub(crate) conn: Connection,
    scratch: Scratch,
    /// What came and was not looked at.
    inbox: BytesMut,
    /// Pings that came and that the client has not decided about.
    unanswered: Vec<Vec<u8>>,
    pub(crate) seen: Vec<Seen>,
    /// Every chunk that came, by length.
    pub(crate) chunks: Vec<usize>,
    /// Those that others may have got as well; kept, so that no two lie at one place by chance.
    pub(crate) shared: Vec<Bytes>,
    /// Whether what the server sends is taken.
    pub(crate) reads: bool,
    /// What the server's kernel would say is not acknowledged.
    pub(crate) unacknowledged: u32,
    /// What the server's kernel takes for it joins what is not acknowledged.
    pub(crate) hoards: bool,
    in_flight: Option<Chunk>,
    pub(crate) paused: bool,
    pub(crate) closed: Option<Cause>,
    /// Answers pings by itself.
    pub(crate) answers: bool,
    /// Ends TCP when the server does.
    pub(crate) follows_fin: bool,
}

/// A shard, its driver and its peers.
pub(crate) struct World<A: App> {
    pub(crate) shard: Shard<A>,
    pub(crate) handle: ShardHandle,
    pub(crate) admission: Arc<Admission>,
    pub(crate) now: Instant,
    pub(crate) clients: Vec<Client>,
    pub(crate) accepting: bool,
    pub(crate) stopped: bool,
    pub(crate) probes: u32,
    /// The kernel does not answer probes.
    pub(crate) withholds_probes: bool,
    /// How far the driver has listened; none: until now.
    pub(crate) heard: Option<Heard>,
    events: VecDeque<(usize, Happened)>,
    pub(crate) locating: Locating,
    wake: WakeSource,
}

/// What becomes of the question where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locating {
    Answered,
    /// When a test says so.
    Held,
    Forbidden,
}

/// An event that the driver has still to hand over.
enum Happened {
    Sent(Chunk, Instant),
    Probed(u32),
    Located(Ends),
    Closed(Cause),
}

impl<A: App> World<A> {
    pub(crate) fn new(config: Config, app: A) -> Self {
        Self::with_room(config, u64::MAX, app)
    }

    pub(crate) fn with_room(config: Config, connections_max: u64, app: A) -> Self {
        let (waker, wake) = Waker::new().unwrap();
        let admission = Arc::new(Admission::new(connections_max));
        let (shard, handle) = Shard::new(config, admission.clone(), waker, app);
        let mut world = Self {
            shard,
            handle,
            admission,
            now: START,
            clients: Vec::new(),
            accepting: false,
            stopped: false,
            probes: 0,
            withholds_probes: false,
            heard: None,
            events: VecDeque::new(),
            locating: Locating::Answered,
            wake,
        };
        world.event(Event::Started);
        world
    }

    pub(crate) fn stats(&self) -> Stats {
        self.shard.stats()
    }

    /// A connection that has said nothing yet. The number by which a test names it.
    pub(crate) fn connect(&mut self) -> usize {
        assert!(self.accepting, "nobody is accepted");
        self.connect_late()
    }

    /// As `connect`, of one whom the driver took before it was told to stop.
    pub(crate) fn connect_late(&mut self) -> usize {
        let number = self.clients.len();
        let id = ConnId { index: number as u32, generation: 7 };
        self.clients.push(Client::new(id));
        self.event(Event::Opened { id, by: Opening::Accepted });
        number
    }

    /// A connection whose handshake is done.
    pub(crate) fn open(&mut self) -> usize {
        let number = self.connect();
        self.send_raw(number, &request());
        let head = self.take_head(number);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        number
    }

    /// Takes an HTTP head off what came.
    pub(crate) fn take_head(&mut self, number: usize) -> String {
        let inbox = &mut self.clients[number].inbox;
        let end = inbox.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a whole head");
        String::from_utf8(inbox.split_to(end + 4).to_vec()).unwrap()
    }

    /// Whether an HTTP head came that nobody took.
    pub(crate) fn has_head(&self, number: usize) -> bool {
        self.clients[number].inbox.starts_with(b"HTTP/")
    }

    /// Whether a chunk waits for the peer to read.
    pub(crate) fn has_in_flight(&self, number: usize) -> bool {
        self.clients[number].in_flight.is_some()
    }

    /// All that came, as text.
    pub(crate) fn take_text(&mut self, number: usize) -> String {
        String::from_utf8(self.clients[number].inbox.split().to_vec()).unwrap()
    }

    /// The peer's bytes arrive.
    pub(crate) fn send_raw(&mut self, number: usize, bytes: &[u8]) {
        let id = self.clients[number].id;
        let mut bytes = bytes.to_vec();
        self.event(Event::Received { id, bytes: &mut bytes });
    }

    /// The peer sends a message.
    pub(crate) fn send(&mut self, number: usize, message: Message<'_>) {
        let mut out = BytesMut::new();
        self.clients[number].conn.encode(message, KEY, &mut out);
        self.send_raw(number, &out);
    }

    /// The peer sends whatever `encode` writes.
    pub(crate) fn send_with(
        &mut self,
        number: usize,
        encode: impl FnOnce(&mut Connection, &mut BytesMut),
    ) {
        let mut out = BytesMut::new();
        encode(&mut self.clients[number].conn, &mut out);
        self.send_raw(number, &out);
    }

    pub(crate) fn pong(&mut self, number: usize, payload: &[u8]) {
        let mut frame = vec![0x8a, 0x80 | payload.len() as u8, 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        self.send_raw(number, &frame);
    }

    /// The peer's kernel ends the connection.
    pub(crate) fn end(&mut self, number: usize, cause: Cause) {
        if let Some(chunk) = self.clients[number].in_flight.take() {
            self.events.push_back((number, Happened::Sent(chunk, self.now)));
        }
        self.events.push_back((number, Happened::Closed(cause)));
        self.hand_over();
    }

    /// The peer reads again: the chunk in flight arrives.
    pub(crate) fn read_on(&mut self, number: usize) {
        self.clients[number].reads = true;
        if let Some(chunk) = self.clients[number].in_flight.take() {
            self.arrive(number, chunk);
        }
        self.hand_over();
    }

    /// The peer takes one chunk more, and then reads nothing again.
    pub(crate) fn read_once(&mut self, number: usize) {
        let chunk = self.clients[number].in_flight.take().expect("a chunk is in flight");
        self.arrive(number, chunk);
        self.hand_over();
    }

    /// Someone used the waker.
    pub(crate) fn wake(&mut self) {
        self.event(Event::Woken);
    }

    /// Time passes, and the shard is called whenever it asks to be.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.shard.deadline().filter(|due| *due <= end && !self.stopped) {
            self.now = self.now.max(due);
            self.look();
        }
        self.now = end;
    }

    /// One call of `on_deadline`.
    pub(crate) fn look(&mut self) {
        let heard = self.heard.unwrap_or(Heard { until: self.now, busy_since: None });
        let mut ops = Vec::new();
        self.shard.on_deadline(self.now, heard, &mut ops);
        self.act(ops);
        self.hand_over();
    }

    /// What the peer has seen since it was last asked.
    pub(crate) fn seen(&mut self, number: usize) -> Vec<Seen> {
        std::mem::take(&mut self.clients[number].seen)
    }

    fn event(&mut self, event: Event<'_>) {
        let mut ops = Vec::new();
        self.shard.on_event(self.now, event, &mut ops);
        self.act(ops);
        self.hand_over();
    }

    fn hand_over(&mut self) {
        while let Some((number, happened)) = self.events.pop_front() {
            let id = self.clients[number].id;
            let mut ops = Vec::new();
            let event = match happened {
                Happened::Sent(chunk, at) => Event::Sent { id, chunk, at },
                Happened::Probed(queued) => Event::Probed { id, queued },
                Happened::Located(ends) => Event::Located { id, ends: Some(ends) },
                Happened::Closed(cause) => {
                    assert!(self.clients[number].closed.replace(cause).is_none());
                    Event::Closed { id, cause }
                }
            };
            self.shard.on_event(self.now, event, &mut ops);
            self.act(ops);
        }
        self.answer();
        if self.wake.is_pending() && !self.stopped {
            self.wake.clear();
            self.event(Event::Woken);
        }
    }

    fn act(&mut self, ops: Vec<Op>) {
        for op in ops {
            assert!(!self.stopped, "nothing is asked for after Stop: {op:?}");
            match op {
                Op::Accept(accept) => self.accepting = accept,
                Op::Stop => self.stopped = true,
                Op::Send { id, chunk } => self.carry(id, chunk),
                Op::Probe { id } => {
                    self.probes += 1;
                    let queued = self.client(id).unacknowledged;
                    if !self.withholds_probes {
                        self.events.push_back((id.index as usize, Happened::Probed(queued)));
                    }
                }
                Op::Locate { id } => {
                    assert_ne!(self.locating, Locating::Forbidden, "who wants to know of {id:?}");
                    if self.locating == Locating::Answered {
                        self.locate(id);
                    }
                }
                Op::Pause { id } => self.client(id).paused = true,
                Op::Resume { id } => self.client(id).paused = false,
                Op::Shutdown { id } => self.shut_down(id),
                Op::Abort { id } => {
                    self.client(id).seen.push(Seen::Reset);
                    self.end(id.index as usize, Cause::Aborted);
                }
                other => panic!("a server asks for no {other:?}"),
            }
        }
    }

    /// The kernel says where a connection comes from.
    pub(crate) fn locate(&mut self, id: ConnId) {
        self.events.push_back((id.index as usize, Happened::Located(ends(id))));
    }

    fn client(&mut self, id: ConnId) -> &mut Client {
        let client = &mut self.clients[id.index as usize];
        assert!(client.closed.is_none(), "{id:?} is closed");
        client
    }

    fn carry(&mut self, id: ConnId, chunk: Chunk) {
        let len = chunk.as_bytes().len();
        assert!((1..=CHUNK_MAX).contains(&len), "a chunk of {len} bytes");
        let client = self.client(id);
        assert!(client.in_flight.is_none(), "two sends in flight");
        client.chunks.push(len);
        if let Chunk::Shared(bytes) = &chunk {
            client.shared.push(bytes.clone());
        }
        if client.reads {
            self.arrive(id.index as usize, chunk);
        } else {
            client.in_flight = Some(chunk);
        }
    }

    fn arrive(&mut self, number: usize, chunk: Chunk) {
        let client = &mut self.clients[number];
        if client.hoards {
            client.unacknowledged += chunk.as_bytes().len() as u32;
        }
        client.inbox.extend_from_slice(chunk.as_bytes());
        client.look();
        self.events.push_back((number, Happened::Sent(chunk, self.now)));
    }

    fn shut_down(&mut self, id: ConnId) {
        let client = self.client(id);
        client.seen.push(Seen::Fin);
        if client.follows_fin {
            self.events.push_back((id.index as usize, Happened::Closed(Cause::Fin)));
        }
    }

    /// The peers look at what came; those that answer pings do so.
    fn answer(&mut self) {
        for number in 0..self.clients.len() {
            self.clients[number].look();
            for payload in std::mem::take(&mut self.clients[number].unanswered) {
                if self.clients[number].answers && self.clients[number].closed.is_none() {
                    self.pong(number, &payload);
                }
            }
        }
    }
}

impl Client {
    fn new(id: ConnId) -> Self {
        Self {
            id,
            conn: Connection::new(Role::Client),
            scratch: Scratch::default(),
            inbox: BytesMut::new(),
            unanswered: Vec::new(),
            seen: Vec::new(),
            chunks: Vec::new(),
            shared: Vec::new(),
            reads: true,
            unacknowledged: 0,
            hoards: false,
            in_flight: None,
            paused: false,
            closed: None,
            answers: false,
            follows_fin: true,
        }
    }

    /// Reads frames, if what came is no HTTP head.
    fn look(&mut self) {
        if self.inbox.starts_with(b"HTTP/") {
            return;
        }
        let mut bytes = self.inbox.split();
        let mut input = &mut bytes[..];
        let limits = Limits::default();
        while let Some(incoming) =
            self.conn.receive(&mut input, &limits, &mut self.scratch).expect("the server is valid")
        {
            if let Incoming::Ping(payload) = &incoming {
                self.unanswered.push(payload.to_vec());
            }
            self.seen.push(match &incoming {
                Incoming::Text(text) => Seen::Text(text.to_string()),
                Incoming::Binary(bytes) => Seen::Binary(bytes.to_vec()),
                Incoming::Ping(bytes) => Seen::Ping(bytes.to_vec()),
                Incoming::Pong(bytes) => Seen::Pong(bytes.to_vec()),
                Incoming::Close(code, _) => Seen::Close(code.map(CloseCode::get)),
            });
        }
    }
}

/// Where a connection comes from, and goes to.
pub(crate) fn ends(id: ConnId) -> Ends {
    let port = 1024 + id.index as u16;
    Ends { local: ([127, 0, 0, 1], 9001).into(), peer: ([127, 0, 0, 2], port).into() }
}

/// A valid request.
pub(crate) fn request() -> Vec<u8> {
    let request = ClientRequest { host: "localhost", target: "/", ..ClientRequest::default() };
    let mut out = BytesMut::new();
    request.encode(&mut out).unwrap();
    out.to_vec()
}

/// Pings every 10 s with 3 s to answer.
pub(crate) fn config() -> Config {
    let heartbeat = halfopen_server::Heartbeat {
        interval: 10 * SECOND,
        timeout: 3 * SECOND,
        ..Default::default()
    };
    Config { heartbeat: Some(heartbeat), seed: 11, ..Config::default() }
}

/// As [`config`], without pings.
pub(crate) fn unpinged() -> Config {
    Config { heartbeat: None, ..config() }
}
