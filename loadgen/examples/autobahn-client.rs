//! Our client side under the Autobahn test suite: `wstest -m fuzzingserver` plays a server that does
//! everything that is allowed and much that is not, and judges what its client makes of it.
//!
//! ```text
//! autobahn-client ADDRESS DRIVER AGENT [tls]
//! ```
//!
//! The suite gives its orders by path, one connection each: `/getCaseCount` answers with a number;
//! on `/runCase?case=N` the client echoes; `/updateReports` has the verdicts written. `.ci/conformance`
//! runs both sides.

use bytes::BytesMut;
use halfopen_driver::ring::Features;
use halfopen_driver::{
    CHUNK_MAX, Cause, Chunk, Config, ConnId, Counters, DriverKind, Engine, Event, Heard, Op, Token,
    Waker,
};
use halfopen_proto::handshake::{ClientRequest, HeadLimits};
use halfopen_proto::{Connection, Incoming, Limits, Message, Role, Scratch, Violation, frame_len};
use halfopen_tls::{ClientTls, Tls, Trust};
use halfopen_wheel::Instant;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(cases) => println!("{cases} cases"),
        Err(error) => {
            eprintln!("autobahn-client: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Runs all cases; how many there were.
fn run(arguments: &[String]) -> Result<u32, Failure> {
    let (address, driver, agent, is_secure) = match arguments {
        [address, driver, agent] => (address, driver, agent, false),
        [address, driver, agent, tls] if tls == "tls" => (address, driver, agent, true),
        _ => return Err("usage: autobahn-client ADDRESS DRIVER AGENT [tls]".into()),
    };
    let driver = DriverKind::ALL.into_iter().find(|kind| kind.name() == driver);
    let driver = driver.ok_or_else(|| format!("there is no driver {:?}", arguments[1]))?;
    let (_waker, wake) = Waker::new()?;
    let config = Config {
        listener: None,
        listener_shared: false,
        wake,
        connections_max: 4,
        counters: Arc::<Counters>::default(),
        without: Features::NONE,
    };
    let mut client = Client::new(address.parse()?, agent);
    if is_secure {
        let tls = ClientTls::new("localhost", &Trust::Anyone)?;
        driver.run(&mut Tls::client(&mut client, tls), config)?;
    } else {
        driver.run(&mut client, config)?;
    }
    client.outcome.expect("it stops with an outcome")
}

type Failure = Box<dyn std::error::Error>;

/// What a connection is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Errand {
    Count,
    Case(u32),
    Report,
}

/// Does one errand after the other, each on a connection of its own.
struct Client {
    to: SocketAddr,
    agent: String,
    errand: Errand,
    /// What the suite answered to [`Errand::Count`].
    cases: Option<u32>,
    session: Option<Session>,
    scratch: Scratch,
    outcome: Option<Result<u32, Failure>>,
}

impl Client {
    fn new(to: SocketAddr, agent: &str) -> Self {
        Self {
            to,
            agent: agent.into(),
            errand: Errand::Count,
            cases: None,
            session: None,
            scratch: Scratch::default(),
            outcome: None,
        }
    }

    fn connect(&mut self, now: Instant, ops: &mut Vec<Op>) {
        let deadline = now + Duration::from_secs(5);
        ops.push(Op::Connect { token: Token(0), to: self.to, from: None, deadline });
    }

    fn target(&self) -> String {
        let agent = &self.agent;
        match self.errand {
            Errand::Count => "/getCaseCount".into(),
            Errand::Case(case) => format!("/runCase?case={case}&agent={agent}"),
            Errand::Report => format!("/updateReports?agent={agent}"),
        }
    }

    /// The connection of one errand is gone: on to the next.
    fn closed(&mut self, now: Instant, cause: Cause, ops: &mut Vec<Op>) {
        let session = self.session.take().expect("it was open");
        if !session.is_open {
            return self
                .stop(Err(format!("{:?} in the handshake: {cause:?}", self.errand).into()), ops);
        }
        let cases = match (self.cases, session.number) {
            (Some(cases), _) | (None, Some(cases)) => cases,
            (None, None) => return self.stop(Err("the suite told no number of cases".into()), ops),
        };
        self.cases = Some(cases);
        self.errand = match self.errand {
            Errand::Report => return self.stop(Ok(cases), ops),
            Errand::Count if cases > 0 => Errand::Case(1),
            Errand::Case(done) if done < cases => Errand::Case(done + 1),
            _ => Errand::Report,
        };
        self.connect(now, ops);
    }

    fn stop(&mut self, outcome: Result<u32, Failure>, ops: &mut Vec<Op>) {
        self.outcome = Some(outcome);
        ops.push(Op::Stop);
    }
}

impl Engine for Client {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => self.connect(now, ops),
            Event::Opened { id, .. } => {
                let echoes = matches!(self.errand, Errand::Case(_));
                let session = Session::new(id, self.to.to_string(), self.target(), echoes);
                self.session.insert(session).flush(ops);
            }
            Event::Refused { cause, .. } => {
                self.stop(Err(format!("cannot connect to {}: {cause:?}", self.to).into()), ops);
            }
            Event::Received { bytes, .. } => {
                let session = self.session.as_mut().expect("it is open");
                if let Err(error) = session.received(bytes, &mut self.scratch) {
                    let failed = format!("{:?}: {error}", self.errand);
                    return self.stop(Err(failed.into()), ops);
                }
                session.flush(ops);
            }
            Event::Sent { .. } => {
                let session = self.session.as_mut().expect("it is open");
                session.in_flight = false;
                session.flush(ops);
            }
            Event::Closed { cause, .. } => self.closed(now, cause, ops),
            Event::Probed { .. } | Event::Located { .. } | Event::Woken => {}
        }
    }

    fn on_deadline(&mut self, _now: Instant, _heard: Heard, _ops: &mut Vec<Op>) {}

    /// Whoever started this bounds the time.
    fn deadline(&self) -> Option<Instant> {
        None
    }
}

/// One connection.
struct Session {
    id: ConnId,
    host: String,
    target: String,
    nonce: [u8; 16],
    /// The beginning of the server's answer.
    head: BytesMut,
    is_open: bool,
    conn: Connection,
    /// Messages are sent back; else the number is taken that one tells.
    echoes: bool,
    number: Option<u32>,
    /// Pongs jump the queue.
    pongs: BytesMut,
    queue: VecDeque<BytesMut>,
    in_flight: bool,
    failed: bool,
    fin_said: bool,
}

/// The most payload in a frame of ours: a frame is a chunk at most.
const FRAGMENT_MAX: usize = CHUNK_MAX - (frame_len(Role::Client, CHUNK_MAX) - CHUNK_MAX);

impl Session {
    fn new(id: ConnId, host: String, target: String, echoes: bool) -> Self {
        let mut session = Self {
            id,
            host,
            target,
            nonce: random(),
            head: BytesMut::new(),
            is_open: false,
            conn: Connection::new(Role::Client),
            echoes,
            number: None,
            pongs: BytesMut::new(),
            queue: VecDeque::new(),
            in_flight: false,
            failed: false,
            fin_said: false,
        };
        let mut request = BytesMut::new();
        session.request().encode(&mut request).expect("an address and a path can be encoded");
        session.queue.push_back(request);
        session
    }

    fn request(&self) -> ClientRequest<'_> {
        let (host, target) = (&self.host, &self.target);
        ClientRequest { host, target, nonce: self.nonce, ..ClientRequest::default() }
    }

    fn received(&mut self, bytes: &mut [u8], scratch: &mut Scratch) -> Result<(), Failure> {
        if self.is_open {
            self.frames(bytes, scratch);
            return Ok(());
        }
        self.head.extend_from_slice(bytes);
        let mut head = std::mem::take(&mut self.head);
        match self.request().check_response(&head, &HeadLimits::default())? {
            Some((_, size)) => {
                self.is_open = true;
                self.frames(&mut head[size..], scratch);
            }
            None => self.head = head,
        }
        Ok(())
    }

    fn frames(&mut self, mut input: &mut [u8], scratch: &mut Scratch) {
        loop {
            match self.conn.receive(&mut input, &Limits::default(), scratch) {
                Ok(Some(incoming)) => {
                    self.answer(&incoming, scratch);
                    scratch.reclaim(incoming);
                }
                Ok(None) => return,
                Err(violation) => return self.fail(&violation),
            }
        }
    }

    fn answer(&mut self, incoming: &Incoming<'_>, scratch: &mut Scratch) {
        match incoming {
            Incoming::Text(text) if self.echoes => self.echo(Message::Text(text)),
            Incoming::Text(text) => self.number = text.parse().ok(),
            Incoming::Binary(bytes) => self.echo(Message::Binary(bytes)),
            Incoming::Ping(_) => {
                self.conn.encode_pong(random(), scratch, &mut self.pongs);
            }
            Incoming::Pong(_) => {}
            Incoming::Close(..) => self.say(|conn, out| conn.encode_close(None, "", random(), out)),
        }
    }

    fn echo(&mut self, message: Message<'_>) {
        for fragment in message.fragments(FRAGMENT_MAX) {
            self.say(|conn, out| conn.encode_fragment(fragment, random(), out));
        }
    }

    /// What was said before goes before.
    fn fail(&mut self, violation: &Violation) {
        self.say(|conn, out| conn.fail(violation, random(), out));
        self.failed = true;
    }

    fn say(&mut self, encode: impl FnOnce(&mut Connection, &mut BytesMut) -> bool) {
        let mut out = BytesMut::new();
        if encode(&mut self.conn, &mut out) {
            self.queue.push_back(out);
        }
    }

    fn flush(&mut self, ops: &mut Vec<Op>) {
        if self.in_flight {
            return;
        }
        let id = self.id;
        let pongs = self.pongs.split_to(self.pongs.len().min(CHUNK_MAX));
        let next = if pongs.is_empty() { self.queue.pop_front() } else { Some(pongs) };
        if let Some(chunk) = next {
            self.in_flight = true;
            ops.push(Op::Send { id, chunk: Chunk::Own(chunk) });
        }
        // A connection that has failed is ended by us, behind the Close frame; else the server ends
        // TCP first (RFC 6455 §7.1.1).
        let is_last = self.queue.is_empty() && self.pongs.is_empty();
        if self.failed && is_last && !self.fin_said {
            self.fin_said = true;
            ops.push(Op::Shutdown { id });
        }
    }
}

/// Masking keys are drawn from a strong source, a fresh one for each frame (RFC 6455 §5.3).
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .expect("the kernel has random bytes");
    bytes
}
