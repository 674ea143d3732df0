//! The io_uring driver against peers of the standard library, over loopback.

use bytes::{Bytes, BytesMut};
use halfopen_driver::{
    Cause, Chunk, Config, ConnId, Counters, Engine, Error, Event, Heard, Op, Opening, Severance,
    Token, Waker, ring,
};
use halfopen_wheel::{Instant, clock};
use socket2::{Domain, SockRef, Socket, Type};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a test looks at what must not come.
const A_WHILE: Duration = Duration::from_millis(50);

/// An event that can be sent to another thread.
#[derive(Debug, PartialEq)]
enum Seen {
    Started,
    Opened(ConnId, Opening),
    Refused(Token, Cause),
    Received(ConnId, Vec<u8>),
    Sent(ConnId, usize),
    Probed(ConnId, u32),
    Located(ConnId, SocketAddr, SocketAddr),
    Closed(ConnId, Cause),
}

/// An engine that tells a test what happens, and does what the test wants.
struct Relay {
    seen: Sender<Seen>,
    wishes: Arc<Mutex<VecDeque<Op>>>,
    last: Instant,
}

impl Engine for Relay {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        assert!(now >= self.last, "time runs forward");
        self.last = now;
        let seen = match event {
            Event::Started => Seen::Started,
            Event::Opened { id, by } => Seen::Opened(id, by),
            Event::Refused { token, cause } => Seen::Refused(token, cause),
            Event::Received { id, bytes } => Seen::Received(id, bytes.to_vec()),
            Event::Sent { id, chunk, at } => {
                assert!(at <= now);
                Seen::Sent(id, chunk.as_bytes().len())
            }
            Event::Probed { id, queued } => Seen::Probed(id, queued),
            Event::Located { id, ends } => {
                let ends = ends.expect("the kernel knows the ends");
                Seen::Located(id, ends.local, ends.peer)
            }
            Event::Closed { id, cause } => Seen::Closed(id, cause),
            Event::Woken => return ops.extend(self.wishes.lock().unwrap().drain(..)),
        };
        self.seen.send(seen).expect("the test is there");
    }

    fn on_deadline(&mut self, _now: Instant, _heard: Heard, _ops: &mut Vec<Op>) {
        unreachable!("it has no deadline")
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

/// A driver that runs a [`Relay`] on a thread of its own.
struct Rig {
    address: SocketAddr,
    counters: Arc<Counters>,
    seen: Receiver<Seen>,
    wishes: Arc<Mutex<VecDeque<Op>>>,
    waker: Waker,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Rig {
    fn new(connections_max: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (waker, config) = config(connections_max, Some(listener));
        let counters = config.counters.clone();
        let (sender, seen) = channel();
        let wishes = Arc::new(Mutex::new(VecDeque::new()));
        let mut relay =
            Relay { seen: sender, wishes: wishes.clone(), last: Instant::from_nanos(0) };
        let thread = Some(std::thread::spawn(move || ring::run(&mut relay, config)));
        let rig = Self { address, counters, seen, wishes, waker, thread };
        assert_eq!(rig.next(), Seen::Started);
        rig
    }

    fn wish(&self, ops: impl IntoIterator<Item = Op>) {
        self.wishes.lock().unwrap().extend(ops);
        self.waker.wake();
    }

    fn next(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("an event")
    }

    fn nothing_for_a_while(&self) {
        assert_eq!(self.seen.recv_timeout(A_WHILE), Err(RecvTimeoutError::Timeout));
    }

    /// A peer that came through the listener.
    fn peer(&self) -> (TcpStream, ConnId) {
        self.wish([Op::Accept(true)]);
        let peer = TcpStream::connect(self.address).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let Seen::Opened(id, Opening::Accepted) = self.next() else { panic!("not opened") };
        (peer, id)
    }

    fn received(&self, id: ConnId, length: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < length {
            let Seen::Received(from, bytes) = self.next() else { panic!("not received") };
            assert_eq!(from, id);
            all.extend(bytes);
        }
        all
    }

    fn stop(mut self) {
        self.wish([Op::Stop]);
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

fn config(connections_max: u32, listener: Option<TcpListener>) -> (Waker, Config) {
    let (waker, wake) = Waker::new().unwrap();
    let listener = listener.map(Arc::new);
    (waker, Config { listener, wake, connections_max, counters: Arc::default() })
}

fn own(bytes: &[u8]) -> Chunk {
    Chunk::Own(BytesMut::from(bytes))
}

fn reset(peer: TcpStream) {
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
}

fn connect(token: u32, to: SocketAddr, patience: Duration) -> Op {
    Op::Connect { token: Token(token), to, from: None, deadline: clock::now() + patience }
}

/// A listener that answers no SYN any more, and what fills it.
fn unanswering() -> (Socket, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let crowd = (0..4).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address);
        socket
    });
    let crowd = crowd.collect();
    (listener, crowd)
}

#[test]
fn bytes_go_both_ways_in_order() {
    let rig = Rig::new(4);
    let (mut peer, id) = rig.peer();
    let long: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let writer = std::thread::spawn({
        let mut peer = peer.try_clone().unwrap();
        let long = long.clone();
        move || peer.write_all(&long).unwrap()
    });
    assert_eq!(rig.received(id, long.len()), long);
    writer.join().unwrap();
    rig.wish([Op::Send { id, chunk: own(b"one") }]);
    assert_eq!(rig.next(), Seen::Sent(id, 3));
    rig.wish([Op::Send { id, chunk: Chunk::Shared(Bytes::from_static(b"two")) }]);
    assert_eq!(rig.next(), Seen::Sent(id, 3));
    let mut back = [0; 6];
    peer.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"onetwo");
    assert_eq!(rig.counters.bytes_in.value(), long.len() as u64);
    assert_eq!(rig.counters.bytes_out.value(), 6);
    rig.stop();
}

#[test]
fn a_chunk_greater_than_the_kernels_buffer_is_sent_whole() {
    let rig = Rig::new(4);
    let (mut peer, id) = rig.peer();
    let chunk: Vec<u8> = (0..halfopen_driver::CHUNK_MAX).map(|n| (n % 251) as u8).collect();
    for _ in 0..200 {
        rig.wish([Op::Send { id, chunk: own(&chunk) }]);
        let mut back = vec![0; chunk.len()];
        peer.read_exact(&mut back).unwrap();
        assert_eq!(back, chunk);
        assert_eq!(rig.next(), Seen::Sent(id, chunk.len()));
    }
    rig.stop();
}

#[test]
fn a_fin_and_a_reset_end_a_connection_each_by_its_name() {
    let rig = Rig::new(4);
    let (peer, id) = rig.peer();
    drop(peer);
    assert_eq!(rig.next(), Seen::Closed(id, Cause::Fin));
    let (peer, id) = rig.peer();
    reset(peer);
    assert_eq!(rig.next(), Seen::Closed(id, Cause::Reset));
    let (mut peer, id) = rig.peer();
    peer.write_all(b"last words").unwrap();
    drop(peer);
    assert_eq!(rig.received(id, 10), b"last words");
    assert_eq!(rig.next(), Seen::Closed(id, Cause::Fin));
    rig.stop();
}

#[test]
fn a_reset_during_a_send_brings_the_chunk_home_first() {
    let rig = Rig::new(4);
    let (peer, id) = rig.peer();
    fill(&rig, id);
    reset(peer);
    assert!(matches!(rig.next(), Seen::Sent(of, _) if of == id));
    assert_eq!(rig.next(), Seen::Closed(id, Cause::Reset));
    rig.stop();
}

/// Sends until a chunk does not come home, because the peer does not read.
fn fill(rig: &Rig, id: ConnId) {
    let chunk = vec![7; halfopen_driver::CHUNK_MAX];
    loop {
        rig.wish([Op::Send { id, chunk: own(&chunk) }]);
        match rig.seen.recv_timeout(A_WHILE * 4) {
            Ok(seen) => assert_eq!(seen, Seen::Sent(id, chunk.len())),
            Err(_) => return,
        }
    }
}

#[test]
fn an_abort_during_a_send_brings_the_chunk_home_first_and_resets_the_peer() {
    let rig = Rig::new(4);
    let (mut peer, id) = rig.peer();
    fill(&rig, id);
    rig.wish([Op::Abort { id }]);
    assert_eq!(rig.next(), Seen::Sent(id, halfopen_driver::CHUNK_MAX));
    assert_eq!(rig.next(), Seen::Closed(id, Cause::Aborted));
    let error = std::io::copy(&mut peer, &mut std::io::sink()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    rig.stop();
}

#[test]
fn after_an_abort_nothing_is_carried_out_any_more() {
    let rig = Rig::new(4);
    let (_peer, id) = rig.peer();
    rig.wish([Op::Abort { id }, Op::Send { id, chunk: own(b"late") }, Op::Abort { id }]);
    assert_eq!(rig.next(), Seen::Closed(id, Cause::Aborted));
    rig.wish([Op::Send { id, chunk: own(b"too late") }, Op::Probe { id }, Op::Abort { id }]);
    rig.nothing_for_a_while();
    rig.stop();
}

/// Sends to a connection that has ended, before it can know.
struct Crossing {
    sent: usize,
    home: usize,
}

impl Crossing {
    fn send(&mut self, id: ConnId, ops: &mut Vec<Op>) {
        self.sent += 1;
        ops.push(Op::Send { id, chunk: own(b"anybody?") });
    }
}

impl Engine for Crossing {
    fn on_event(&mut self, _now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => ops.push(Op::Accept(true)),
            Event::Opened { id, .. } => self.send(id, ops),
            Event::Sent { id, .. } => {
                self.home += 1;
                self.send(id, ops);
            }
            Event::Closed { .. } => ops.push(Op::Stop),
            _ => {}
        }
    }

    fn on_deadline(&mut self, _now: Instant, _heard: Heard, _ops: &mut Vec<Op>) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

#[test]
fn a_send_that_crosses_with_the_end_comes_home_or_is_gone_with_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    reset(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let (_waker, config) = config(1, Some(listener));
    let mut engine = Crossing { sent: 0, home: 0 };
    ring::run(&mut engine, config).unwrap();
    // The first failed, the second met the end, the third came after all was over.
    assert_eq!((engine.sent, engine.home), (3, 2));
}

#[test]
fn a_paused_connection_is_not_read_but_its_end_is_told() {
    let rig = Rig::new(4);
    let (mut peer, id) = rig.peer();
    rig.wish([Op::Pause { id }, Op::Locate { id }]);
    assert!(matches!(rig.next(), Seen::Located(..)));
    peer.write_all(b"held back").unwrap();
    rig.nothing_for_a_while();
    rig.wish([Op::Resume { id }]);
    assert_eq!(rig.received(id, 9), b"held back");
    rig.wish([Op::Pause { id }, Op::Resume { id }, Op::Pause { id }, Op::Locate { id }]);
    assert!(matches!(rig.next(), Seen::Located(..)));
    drop(peer);
    assert_eq!(rig.next(), Seen::Closed(id, Cause::Fin));

    let (mut peer, id) = rig.peer();
    rig.wish([Op::Pause { id }, Op::Locate { id }]);
    assert!(matches!(rig.next(), Seen::Located(..)));
    peer.write_all(b"held back").unwrap();
    rig.nothing_for_a_while();
    reset(peer);
    assert_eq!(rig.next(), Seen::Closed(id, Cause::Reset));
    rig.stop();
}

#[test]
fn a_shutdown_sends_fin_after_the_send_and_bytes_still_arrive() {
    let rig = Rig::new(4);
    let (mut peer, id) = rig.peer();
    rig.wish([Op::Send { id, chunk: own(b"farewell") }, Op::Shutdown { id }]);
    assert_eq!(rig.next(), Seen::Sent(id, 8));
    let mut all = Vec::new();
    peer.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"farewell");
    peer.write_all(b"and to you").unwrap();
    assert_eq!(rig.received(id, 10), b"and to you");
    drop(peer);
    assert_eq!(rig.next(), Seen::Closed(id, Cause::Fin));
    rig.stop();
}

#[test]
fn a_full_table_takes_nobody_until_there_is_room() {
    let rig = Rig::new(2);
    let (first, first_id) = rig.peer();
    let (_second, second_id) = rig.peer();
    let _third = TcpStream::connect(rig.address).unwrap();
    rig.nothing_for_a_while();
    assert_eq!(rig.counters.table_full.value(), 1);
    rig.wish([connect(1, rig.address, PATIENCE)]);
    assert_eq!(rig.next(), Seen::Refused(Token(1), Cause::NoDescriptors));
    drop(first);
    assert_eq!(rig.next(), Seen::Closed(first_id, Cause::Fin));
    let Seen::Opened(third_id, Opening::Accepted) = rig.next() else { panic!("not opened") };
    assert_eq!(third_id.index, first_id.index);
    assert_ne!(third_id.generation, first_id.generation);
    assert_ne!(third_id.index, second_id.index);
    rig.stop();
}

#[test]
fn nobody_is_taken_while_accepting_is_off() {
    let rig = Rig::new(4);
    let _first = TcpStream::connect(rig.address).unwrap();
    rig.nothing_for_a_while();
    rig.wish([Op::Accept(true)]);
    assert!(matches!(rig.next(), Seen::Opened(_, Opening::Accepted)));
    rig.wish([Op::Accept(false)]);
    rig.nothing_for_a_while();
    let _second = TcpStream::connect(rig.address).unwrap();
    rig.nothing_for_a_while();
    rig.wish([Op::Accept(true)]);
    assert!(matches!(rig.next(), Seen::Opened(_, Opening::Accepted)));
    rig.stop();
}

#[test]
fn a_connect_opens_from_the_address_that_was_asked_for() {
    let rig = Rig::new(4);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let from = IpAddr::V4(Ipv4Addr::new(127, 4, 5, 6));
    let deadline = clock::now() + PATIENCE;
    rig.wish([Op::Connect { token: Token(9), to, from: Some(from), deadline }]);
    let Seen::Opened(id, Opening::Connected(Token(9))) = rig.next() else { panic!("not opened") };
    let (mut peer, address) = listener.accept().unwrap();
    assert_eq!(address.ip(), from);
    rig.wish([Op::Locate { id }]);
    assert_eq!(rig.next(), Seen::Located(id, address, to));
    peer.write_all(b"hello").unwrap();
    assert_eq!(rig.received(id, 5), b"hello");
    rig.stop();
}

#[test]
fn a_connect_that_comes_to_nothing_is_refused_by_its_cause() {
    let rig = Rig::new(8);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    rig.wish([connect(1, nobody, PATIENCE)]);
    assert_eq!(rig.next(), Seen::Refused(Token(1), Cause::NobodyListens));

    let (listener, _crowd) = unanswering();
    let to = listener.local_addr().unwrap().as_socket().unwrap();
    rig.wish([connect(2, to, Duration::from_millis(30))]);
    assert_eq!(rig.next(), Seen::Refused(Token(2), Cause::Deadline));
    rig.wish([connect(3, to, PATIENCE), Op::Cancel(Token(3)), Op::Cancel(Token(4))]);
    assert_eq!(rig.next(), Seen::Refused(Token(3), Cause::Cancelled));
    rig.wish([connect(4, to, PATIENCE)]);
    rig.nothing_for_a_while();
    rig.wish([Op::Cancel(Token(4))]);
    assert_eq!(rig.next(), Seen::Refused(Token(4), Cause::Cancelled));
    let elsewhere = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
    let deadline = clock::now() + PATIENCE;
    rig.wish([Op::Connect { token: Token(5), to, from: Some(elsewhere), deadline }]);
    assert_eq!(rig.next(), Seen::Refused(Token(5), Cause::NoPorts));
    rig.stop();
}

#[test]
fn a_severed_connection_hears_nothing_until_it_is_mended() {
    let rig = Rig::new(4);
    let (mut peer, id) = rig.peer();
    rig.wish([Op::Sever { id, how: Severance::Drop }, Op::Send { id, chunk: own(b"unacked") }]);
    assert_eq!(rig.next(), Seen::Sent(id, 7));
    peer.write_all(b"lost").unwrap();
    rig.nothing_for_a_while();
    rig.wish([Op::Probe { id }]);
    assert_eq!(rig.next(), Seen::Probed(id, 7));
    rig.wish([Op::Sever { id, how: Severance::Undrop }]);
    assert_eq!(rig.received(id, 4), b"lost");
    rig.stop();
}

#[test]
fn a_table_beyond_the_descriptor_limit_is_refused() {
    let (_waker, config) = config(u32::MAX, None);
    let (seen, _) = channel();
    let mut relay = Relay { seen, wishes: Arc::default(), last: Instant::from_nanos(0) };
    let refused = ring::run(&mut relay, config);
    assert!(matches!(refused, Err(Error::Descriptors { wanted: u32::MAX, .. })));
}

#[test]
fn stopping_closes_what_is_open_and_what_is_in_flight() {
    let rig = Rig::new(4);
    let (mut peer, _) = rig.peer();
    let (mut stuck, id) = rig.peer();
    fill(&rig, id);
    let (listener, _crowd) = unanswering();
    let to = listener.local_addr().unwrap().as_socket().unwrap();
    rig.wish([connect(1, to, PATIENCE)]);
    rig.nothing_for_a_while();
    rig.stop();
    assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
    std::io::copy(&mut stuck, &mut std::io::sink()).unwrap();
}

/// Opens and closes connections over few slots, and counts.
#[derive(Default)]
struct Churn {
    open: Vec<Option<ConnId>>,
    closed: u32,
    target: u32,
}

impl Engine for Churn {
    fn on_event(&mut self, _now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => ops.push(Op::Accept(true)),
            Event::Opened { id, .. } => {
                let index = id.index as usize;
                self.open.resize(self.open.len().max(index + 1), None);
                assert_eq!(self.open[index].replace(id), None, "the slot was free");
            }
            Event::Received { id, bytes } => {
                assert_eq!(self.open[id.index as usize], Some(id));
                ops.push(match bytes[0] {
                    b'a' => Op::Abort { id },
                    _ => Op::Send { id, chunk: own(bytes) },
                });
            }
            Event::Closed { id, .. } => {
                assert_eq!(self.open[id.index as usize].take(), Some(id));
                self.closed += 1;
                if self.closed == self.target {
                    ops.push(Op::Stop);
                }
            }
            _ => {}
        }
    }

    fn on_deadline(&mut self, _now: Instant, _heard: Heard, _ops: &mut Vec<Op>) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

#[test]
fn slots_are_used_again_and_again() {
    const EACH: u32 = 2_000;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let peers = [b'a', b'f', b'r'].map(|ending| {
        std::thread::spawn(move || {
            for _ in 0..EACH {
                // Each waits for an answer: the dead are not to fill the queue of the listener.
                let mut peer = TcpStream::connect(address).unwrap();
                peer.write_all(&[ending]).unwrap();
                assert_eq!(peer.read(&mut [0]).is_err(), ending == b'a');
                if ending == b'r' {
                    reset(peer);
                }
            }
        })
    });
    let (_waker, config) = config(2, Some(listener));
    let mut churn = Churn { target: 3 * EACH, ..Churn::default() };
    ring::run(&mut churn, config).unwrap();
    for peer in peers {
        peer.join().unwrap();
    }
    assert!(churn.open.len() <= 2);
    assert!(churn.open.iter().all(Option::is_none));
}

/// Stalls every now and then, and holds the driver to its word at each deadline.
struct Listening {
    /// When each write of each peer had returned.
    written: Arc<Mutex<Vec<Vec<Instant>>>>,
    heard: Vec<usize>,
    opened: Vec<Instant>,
    deadline: Instant,
    passes: usize,
    fresh: usize,
}

const PASSES: usize = 100;

/// Bytes that a peer writes, each by itself, before it waits for an answer: fewer than a congestion
/// window, so that each has arrived when its write returns.
const ROUND: usize = 5;

/// The kernel may put off the arrival of a packet while the machine is busy. Shorter than a stall.
const SLACK: Duration = Duration::from_millis(5);

const STALL: Duration = Duration::from_millis(15);

impl Engine for Listening {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => {
                self.deadline = now;
                ops.push(Op::Accept(true));
            }
            Event::Opened { id, .. } => self.opened[id.index as usize] = now,
            Event::Received { id, bytes } => {
                let heard = &mut self.heard[id.index as usize];
                *heard += bytes.len();
                if heard.is_multiple_of(ROUND) {
                    ops.push(Op::Send { id, chunk: own(b"go on") });
                }
                if heard.is_multiple_of(64) {
                    std::thread::sleep(STALL);
                }
            }
            _ => {}
        }
    }

    fn on_deadline(&mut self, now: Instant, heard: Heard, ops: &mut Vec<Op>) {
        assert!(now >= self.deadline && heard.until <= now);
        let written = self.written.lock().unwrap();
        // Each peer wrote single bytes, so the count of bytes is the count of writes. Who waits at
        // the door has not been asked anything.
        for (index, written) in written.iter().enumerate() {
            let arrived = written.partition_point(|&at| at + SLACK < heard.until);
            let handed_over = self.heard[index];
            let waits = self.opened[index] >= heard.until;
            assert!(waits || handed_over >= arrived, "{handed_over} of {arrived}");
        }
        self.fresh += usize::from(heard.until >= self.deadline);
        self.passes += 1;
        // More than is worked at in one turn, so that each call has a pass of its own.
        self.deadline = now + Duration::from_micros(300 * (1 + self.passes as u64 % 8));
        if self.passes == PASSES {
            ops.push(Op::Stop);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

/// Writes rounds of single bytes until the driver has gone, and notes when.
fn write_rounds(mut peer: TcpStream, written: &Mutex<Vec<Vec<Instant>>>, index: usize) {
    peer.set_nodelay(true).unwrap();
    loop {
        for _ in 0..ROUND {
            if peer.write_all(b"!").is_err() {
                return;
            }
            let now = clock::now();
            written.lock().unwrap()[index].push(now);
        }
        if peer.read_exact(&mut [0; ROUND]).is_err() {
            return;
        }
    }
}

#[test]
fn what_arrived_before_heard_until_has_been_handed_over() {
    const PEERS: usize = 2;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let written = Arc::new(Mutex::new(vec![Vec::new(); PEERS]));
    // Connected and taken in the same order, so that the index is the peer's.
    let peers: Vec<_> = (0..PEERS).map(|_| TcpStream::connect(address).unwrap()).collect();
    let peers: Vec<_> = (0..PEERS)
        .zip(peers)
        .map(|(index, peer)| {
            let written = written.clone();
            std::thread::spawn(move || write_rounds(peer, &written, index))
        })
        .collect();
    let (_waker, config) = config(PEERS as u32, Some(listener));
    let mut engine = Listening {
        written,
        heard: vec![0; PEERS],
        opened: vec![Instant::FAR; PEERS],
        deadline: Instant::FAR,
        passes: 0,
        fresh: 0,
    };
    ring::run(&mut engine, config).unwrap();
    for peer in peers {
        peer.join().unwrap();
    }
    assert!(engine.fresh > 0, "it was dry now and then, and had heard until the deadline");
    assert!(engine.heard.iter().sum::<usize>() > 0);
}

/// Has a far deadline, then a near one.
struct Impatient {
    deadline: Instant,
    called: Vec<Instant>,
}

impl Engine for Impatient {
    fn on_event(&mut self, now: Instant, event: Event<'_>, _ops: &mut Vec<Op>) {
        match event {
            Event::Started => self.deadline = now + Duration::from_secs(3600),
            Event::Woken => self.deadline = now + Duration::from_millis(20),
            _ => {}
        }
    }

    fn on_deadline(&mut self, now: Instant, _heard: Heard, ops: &mut Vec<Op>) {
        assert!(now >= self.deadline);
        self.called.push(now);
        match self.called.len() {
            3 => self.deadline = now + Duration::from_millis(20),
            4 => ops.push(Op::Stop),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

#[test]
fn a_deadline_may_move_earlier_and_is_repeated_while_it_stays_in_the_past() {
    let (waker, config) = config(1, None);
    let mut engine = Impatient { deadline: Instant::FAR, called: Vec::new() };
    waker.wake();
    waker.wake();
    ring::run(&mut engine, config).unwrap();
    assert_eq!(engine.called.len(), 4);
}

#[test]
fn a_panicking_engine_leaves_nothing_in_flight() {
    struct Panics(Vec<u8>);
    impl Engine for Panics {
        fn on_event(&mut self, _now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
            match event {
                Event::Started => ops.push(Op::Accept(true)),
                Event::Opened { id, .. } => ops.push(Op::Send { id, chunk: own(&self.0) }),
                Event::Sent { id, .. } => ops.push(Op::Send { id, chunk: own(&self.0) }),
                Event::Received { .. } => panic!("on purpose"),
                _ => {}
            }
        }
        fn on_deadline(&mut self, _now: Instant, _heard: Heard, _ops: &mut Vec<Op>) {}
        fn deadline(&self) -> Option<Instant> {
            None
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.write_all(b"boom").unwrap();
    let (_waker, config) = config(1, Some(listener));
    let run = std::thread::spawn(move || ring::run(&mut Panics(vec![7; 65536]), config));
    assert!(run.join().is_err());
    let mut sent = Vec::new();
    peer.read_to_end(&mut sent).map_or_else(|error| error.raw_os_error(), |_| None);
    assert!(sent.iter().all(|&byte| byte == 7));
}
