//! One thread publishes, thousands listen: how often, and how late does it come?
//!
//! ```sh
//! cargo run --release -p halfopen-server --example ticker   # or: … ticker SUBSCRIBERS SECONDS DRIVER
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
    Accept, App, Handshake, Instant, Layout, Mailbox, Message, Peer, Rejection, Server,
    ServerConfig,
};
use halfopen_wheel::clock;
use hdrhistogram::Histogram;
use std::collections::VecDeque;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
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
    /// Until when each has to have its answer, in the order in which they have asked.
    patience: VecDeque<(Instant, ConnId)>,
    scratch: Scratch,
    seen: Arc<Seen>,
    over: Arc<AtomicBool>,
}

enum Client {
    Gone,
    /// What has come of the answer to its request.
    Asking(ConnId, BytesMut),
    Listening(Connection),
}

/// Connects that are under way at one time.
const CONNECTS: u32 = 64;

/// How long a connect may take, and then the answer to the request: a kernel takes connections that
/// its program never accepts.
const PATIENCE: Duration = Duration::from_secs(20);

impl Crowd {
    fn connect(&mut self, now: Instant, ops: &mut Vec<Op>) {
        if self.asked < self.wanted {
            let (token, to) = (Token(self.asked), self.server);
            ops.push(Op::Connect { token, to, from: None, deadline: now + PATIENCE });
            self.asked += 1;
        }
    }

    fn opened(&mut self, now: Instant, id: ConnId, ops: &mut Vec<Op>) {
        let index = id.index as usize;
        if self.clients.len() <= index {
            self.clients.resize_with(index + 1, || Client::Gone);
        }
        self.clients[index] = Client::Asking(id, BytesMut::new());
        self.patience.push_back((now + PATIENCE, id));
        let mut request = BytesMut::new();
        self.request().encode(&mut request).expect("a valid request");
        ops.push(Op::Send { id, chunk: Chunk::Own(request) });
    }

    /// The nonce only keeps caches out, and there are none.
    fn request(&self) -> ClientRequest<'static> {
        ClientRequest { host: "localhost", target: "/", ..Default::default() }
    }

    fn received(&mut self, now: Instant, id: ConnId, bytes: &mut [u8], ops: &mut Vec<Op>) {
        match &mut self.clients[id.index as usize] {
            Client::Gone => {}
            Client::Listening(conn) => listen(conn, now, bytes, &mut self.scratch, &self.seen),
            Client::Asking(_, head) => {
                head.extend_from_slice(bytes);
                let head = std::mem::take(head);
                self.clients[id.index as usize] = self.answered(now, id, head, ops);
            }
        }
    }

    /// What becomes of a client whose answer is, as far as it has come, this.
    fn answered(
        &mut self,
        now: Instant,
        id: ConnId,
        mut head: BytesMut,
        ops: &mut Vec<Op>,
    ) -> Client {
        match self.request().check_response(&head, &HeadLimits::default()) {
            Ok(None) => Client::Asking(id, head),
            Ok(Some((_, len))) => {
                let mut conn = Connection::new(Role::Client);
                listen(&mut conn, now, &mut head[len..], &mut self.scratch, &self.seen);
                self.seen.listening.fetch_add(1, Ordering::Relaxed);
                Client::Listening(conn)
            }
            Err(_refused) => {
                ops.push(Op::Abort { id });
                Client::Gone
            }
        }
    }

    fn closed(&mut self, id: ConnId) {
        let client = std::mem::replace(&mut self.clients[id.index as usize], Client::Gone);
        if let Client::Listening(_) = client {
            self.seen.listening.fetch_sub(1, Ordering::Relaxed);
        }
        self.seen.lost.fetch_add(1, Ordering::Relaxed);
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
                self.opened(now, id, ops);
                self.connect(now, ops);
            }
            Event::Received { id, bytes } => self.received(now, id, bytes, ops),
            Event::Refused { .. } => {
                self.seen.lost.fetch_add(1, Ordering::Relaxed);
                self.connect(now, ops);
            }
            Event::Closed { id, .. } => self.closed(id),
            Event::Woken if self.over.load(Ordering::Relaxed) => ops.push(Op::Stop),
            _ => {}
        }
    }

    /// One at a time: the driver comes back while something is due.
    fn on_deadline(&mut self, _now: Instant, _heard: Heard, ops: &mut Vec<Op>) {
        let Some((_, id)) = self.patience.pop_front() else { return };
        let client = &mut self.clients[id.index as usize];
        if matches!(client, Client::Asking(asking, _) if *asking == id) {
            *client = Client::Gone;
            ops.push(Op::Abort { id });
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.patience.front().map(|(until, _)| *until)
    }
}

/// Runs the subscribers until they are told that it is over.
fn subscribe(
    mut crowd: Crowd,
    driver: DriverKind,
    wake: WakeSource,
) -> Result<(), halfopen_driver::Error> {
    let config = halfopen_driver::Config {
        listener: None,
        listener_shared: false,
        wake,
        connections_max: crowd.wanted,
        counters: Arc::new(Counters::default()),
        without: halfopen_driver::ring::Features::NONE,
    };
    driver.run(&mut crowd, config)
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

/// How many subscribers there is room for. Where connections are descriptors of the process, each
/// takes one at either end.
fn room(server: &Server) -> u32 {
    let Layout { connections_max, descriptors, .. } = server.layout();
    let spare = descriptors.saturating_sub(DESCRIPTORS_SPARE);
    let all = if server.driver().takes_descriptors() { spare / 2 } else { spare };
    connections_max.min(u32::try_from(all).unwrap_or(u32::MAX))
}

/// Descriptors that are no connections, and some for visitors.
const DESCRIPTORS_SPARE: u64 = 128;

/// Waits until each subscriber listens or is lost, or there is nobody left who could tell.
fn wait_for_all<T>(seen: &Seen, wanted: u32, subscribers: &JoinHandle<T>) {
    let come = || seen.listening.load(Ordering::Relaxed) + seen.lost.load(Ordering::Relaxed);
    while come() < wanted && !subscribers.is_finished() {
        thread::sleep(Duration::from_millis(20));
    }
    let [listening, lost] = [&seen.listening, &seen.lost].map(|n| n.load(Ordering::Relaxed));
    println!("{listening} subscribers, {lost} lost");
}

fn driver_named(name: &str) -> Option<DriverKind> {
    [DriverKind::Auto].into_iter().chain(DriverKind::ALL).find(|driver| driver.name() == name)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let asked: u32 = args.next().unwrap_or("10000".into()).parse()?;
    let seconds: u64 = args.next().unwrap_or("10".into()).parse()?;
    let driver = driver_named(&args.next().unwrap_or("auto".into())).ok_or("no such driver")?;

    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = ServerConfig { listen, driver, ..Default::default() };
    let server = Server::start(&config, |_shard| Ticker)?;
    println!("listening on ws://{}", server.local_addr());
    let wanted = asked.min(room(&server));
    if wanted < asked {
        let limit = server.layout().descriptors;
        println!("{wanted} of {asked}: the descriptor limit is {limit} (`ulimit -n` raises it)");
    }

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
        patience: VecDeque::new(),
        scratch: Scratch::default(),
        seen: seen.clone(),
        over: over.clone(),
    };
    let driver = server.driver();
    let subscribers = thread::spawn(move || subscribe(crowd, driver, wake));
    wait_for_all(&seen, wanted, &subscribers);

    let (mailbox, until) = (server.mailbox(), over.clone());
    let publisher = thread::spawn(move || publish(&mailbox, &until));
    for second in (1..=seconds).take_while(|_| !subscribers.is_finished()) {
        thread::sleep(Duration::from_secs(1));
        report(&seen, second);
    }
    over.store(true, Ordering::Relaxed);
    publisher.join().map_err(|_| "the publisher panicked")?;
    server.handle().stop();
    let outcome = server.join();
    waker.wake();
    subscribers.join().map_err(|_| "the subscribers panicked")??;
    outcome.error.map_or(Ok(()), |error| Err(error.into()))
}
