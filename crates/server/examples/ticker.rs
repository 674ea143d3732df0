//! One thread publishes, thousands listen: how often, and how late does it come?
//!
//! ```sh
//! cargo run --release -p halfopen-server --example ticker          # or: … ticker SUBSCRIBERS SECONDS
//! ```
//!
//! The subscribers are in the same process, on a thread of their own: an [`Engine`] like the server's
//! shards. Lateness counts from the moment for which a tick was planned, on one clock for both.

use bytes::BytesMut;
use halfopen_driver::{
    Chunk, ConnId, Counters, DriverKind, Engine, Event, Heard, Op, Token, WakeSource, Waker,
};
use halfopen_proto::handshake::{ClientRequest, HeadLimits};
use halfopen_proto::{Connection, Incoming, Limits, Role, Scratch};
use halfopen_server::{
    Accept, App, Handshake, Instant, Mailbox, Message, Peer, Rejection, Server, ServerConfig,
};
use halfopen_wheel::clock;
use hdrhistogram::Histogram;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Ticks a second.
const RATE: u32 = 5;

const TOPIC: &str = "ticks";

struct Ticker;

impl App for Ticker {
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_open(&mut self, peer: &mut Peer<'_>, _state: &mut ()) {
        peer.subscribe(TOPIC).expect("one subscription is allowed");
    }

    fn on_message(&mut self, _peer: &mut Peer<'_>, _state: &mut (), _message: Message<'_>) {}
}

/// Publishes the moment for which each tick was planned. Blocks while the server has no room.
fn publish(mailbox: &Mailbox, until: &AtomicBool) {
    let mut planned = clock::now();
    while !until.load(Ordering::Relaxed) {
        planned = planned + Duration::from_secs(1) / RATE;
        thread::sleep(planned.saturating_since(clock::now()));
        let tick = planned.as_nanos().to_string();
        if mailbox.publish(TOPIC, Message::Text(&tick)).wait().is_err() {
            return;
        }
    }
}

/// What the subscribers tell the main thread.
struct Seen {
    listening: AtomicU32,
    lost: AtomicU32,
    lateness_ns: Mutex<Histogram<u64>>,
}

/// All subscribers.
struct Crowd {
    server: SocketAddr,
    wanted: u32,
    asked: u32,
    clients: Vec<Client>,
    scratch: Scratch,
    seen: Arc<Seen>,
    over: Arc<AtomicBool>,
}

enum Client {
    Gone,
    /// What has come of the answer to its request.
    Asking(BytesMut),
    Listening(Connection),
}

/// Connects that are under way at one time.
const CONNECTS: u32 = 64;

impl Crowd {
    fn connect(&mut self, now: Instant, ops: &mut Vec<Op>) {
        if self.asked < self.wanted {
            let (token, to) = (Token(self.asked), self.server);
            let deadline = now + Duration::from_secs(20);
            ops.push(Op::Connect { token, to, from: None, deadline });
            self.asked += 1;
        }
    }

    fn opened(&mut self, id: ConnId, ops: &mut Vec<Op>) {
        let index = id.index as usize;
        if self.clients.len() <= index {
            self.clients.resize_with(index + 1, || Client::Gone);
        }
        self.clients[index] = Client::Asking(BytesMut::new());
        let mut request = BytesMut::new();
        self.request().encode(&mut request).expect("a valid request");
        ops.push(Op::Send { id, chunk: Chunk::Own(request) });
    }

    /// The nonce only keeps caches out, and there are none.
    fn request(&self) -> ClientRequest<'static> {
        ClientRequest { host: "localhost", target: "/", ..Default::default() }
    }

    fn received(&mut self, now: Instant, index: usize, bytes: &mut [u8]) {
        let request = self.request();
        match &mut self.clients[index] {
            Client::Gone => {}
            Client::Listening(conn) => listen(conn, now, bytes, &mut self.scratch, &self.seen),
            Client::Asking(head) => {
                head.extend_from_slice(bytes);
                let answer = request.check_response(head, &HeadLimits::default());
                let Some((_, len)) = answer.expect("the server accepts") else { return };
                let mut rest = head.split_off(len);
                let mut conn = Connection::new(Role::Client);
                listen(&mut conn, now, &mut rest, &mut self.scratch, &self.seen);
                self.clients[index] = Client::Listening(conn);
                self.seen.listening.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Notes how late each tick is.
fn listen(
    conn: &mut Connection,
    now: Instant,
    mut bytes: &mut [u8],
    scratch: &mut Scratch,
    seen: &Seen,
) {
    let mut lateness = seen.lateness_ns.lock().unwrap_or_else(PoisonError::into_inner);
    let limits = Limits::default();
    while let Some(incoming) = conn.receive(&mut bytes, &limits, scratch).expect("valid frames") {
        if let Incoming::Text(text) = &incoming {
            let planned = Instant::from_nanos(text.parse().expect("a number"));
            lateness.saturating_record(now.saturating_since(planned).as_nanos() as u64);
        }
        scratch.reclaim(incoming);
    }
}

impl Engine for Crowd {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => (0..CONNECTS).for_each(|_| self.connect(now, ops)),
            Event::Opened { id, .. } => {
                self.opened(id, ops);
                self.connect(now, ops);
            }
            Event::Received { id, bytes } => self.received(now, id.index as usize, bytes),
            Event::Refused { .. } => {
                self.seen.lost.fetch_add(1, Ordering::Relaxed);
                self.connect(now, ops);
            }
            Event::Closed { id, .. } => {
                self.clients[id.index as usize] = Client::Gone;
                self.seen.lost.fetch_add(1, Ordering::Relaxed);
            }
            Event::Woken if self.over.load(Ordering::Relaxed) => ops.push(Op::Stop),
            _ => {}
        }
    }

    fn on_deadline(&mut self, _now: Instant, _heard: Heard, _ops: &mut Vec<Op>) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

/// Runs the subscribers until they are told that it is over.
fn subscribe(mut crowd: Crowd, wake: WakeSource) {
    let config = halfopen_driver::Config {
        listener: None,
        listener_shared: false,
        wake,
        connections_max: crowd.wanted,
        counters: Arc::new(Counters::default()),
        without: halfopen_driver::ring::Features::NONE,
    };
    DriverKind::Auto.run(&mut crowd, config).expect("the subscribers' driver runs");
}

/// One line for each second.
fn report(seen: &Seen, second: u64) {
    let mut lateness = seen.lateness_ns.lock().unwrap_or_else(PoisonError::into_inner);
    let at = |quantile| Duration::from_nanos(lateness.value_at_quantile(quantile));
    println!(
        "{second:3} s  {:7} messages/s  late: p50 {:.1?}  p99 {:.1?}  max {:.1?}",
        lateness.len(),
        at(0.5),
        at(0.99),
        Duration::from_nanos(lateness.max())
    );
    lateness.reset();
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let wanted = args.next().unwrap_or("10000".into()).parse()?;
    let seconds: u64 = args.next().unwrap_or("10".into()).parse()?;

    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(&ServerConfig { listen, ..Default::default() }, |_shard| Ticker)?;
    println!("listening on ws://{}", server.local_addr());

    let lateness_ns = Mutex::new(Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?);
    let (listening, lost) = (AtomicU32::new(0), AtomicU32::new(0));
    let seen = Arc::new(Seen { listening, lost, lateness_ns });
    let over = Arc::new(AtomicBool::new(false));
    let (waker, wake) = Waker::new()?;
    let crowd = Crowd {
        server: server.local_addr(),
        wanted,
        asked: 0,
        clients: Vec::new(),
        scratch: Scratch::default(),
        seen: seen.clone(),
        over: over.clone(),
    };
    let subscribers = thread::spawn(move || subscribe(crowd, wake));
    let come = || seen.listening.load(Ordering::Relaxed) + seen.lost.load(Ordering::Relaxed);
    while come() < wanted {
        thread::sleep(Duration::from_millis(20));
    }
    println!("{} subscribers", seen.listening.load(Ordering::Relaxed));

    let (mailbox, until) = (server.mailbox(), over.clone());
    let publisher = thread::spawn(move || publish(&mailbox, &until));
    for second in 1..=seconds {
        thread::sleep(Duration::from_secs(1));
        report(&seen, second);
    }
    over.store(true, Ordering::Relaxed);
    publisher.join().map_err(|_| "the publisher panicked")?;
    server.handle().stop();
    let outcome = server.join();
    waker.wake();
    subscribers.join().map_err(|_| "the subscribers panicked")?;
    outcome.error.map_or(Ok(()), |error| Err(error.into()))
}
