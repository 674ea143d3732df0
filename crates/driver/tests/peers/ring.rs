//! What only the io_uring driver can get wrong: small rings, few buffers, the way to a full table.

use crate::drivers::{Driver, EPOLL, IO_URING, WITHOUT_MIN_WAIT};
use crate::rig::{A_WHILE, PATIENCE, Rig, Seen, config, connect, own, reset, unanswering};
use halfopen_driver::ring::{self, Feature, Features, Options};
use halfopen_driver::{Cause, Config, ConnId, Counters, Engine, Event, Heard, Op, Opening, Token};
use halfopen_wheel::Instant;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

const TINY: Options = Options {
    submissions: 8,
    completions: 16,
    buffers: 2,
    buffers_max: 2,
    buffer_bytes: 64,
    quiet: Duration::ZERO,
    cheap_cancels_max: 1 << 16,
};

fn tiny(connections_max: u32) -> Rig {
    tiny_without(Features::NONE, connections_max)
}

fn tiny_without(without: Features, connections_max: u32) -> Rig {
    Rig::with(connections_max, move |relay, config| {
        ring::run_with(relay, Config { without, ..config }, TINY)
    })
}

/// Connections whose peers have all sent `bytes`, and which all begin to be read at once.
fn flood(rig: &Rig, count: usize, bytes: &[u8]) -> Vec<(TcpStream, ConnId)> {
    let mut peers: Vec<_> = (0..count).map(|_| rig.peer()).collect();
    rig.wish(peers.iter().map(|&(_, id)| Op::Pause { id }));
    // Where the last one is, the first ones were paused.
    let last = peers[count - 1].1;
    rig.wish([Op::Locate { id: last }]);
    assert!(matches!(rig.next(), Seen::Located(..)));
    for (peer, _) in &mut peers {
        peer.write_all(bytes).unwrap();
    }
    rig.nothing_for_a_while();
    rig.wish(peers.iter().map(|&(_, id)| Op::Resume { id }));
    peers
}

/// Receives until each of the connections has sent as many bytes.
fn hear_all(rig: &Rig, peers: &[(TcpStream, ConnId)], bytes: &[u8]) {
    let mut heard: HashMap<ConnId, Vec<u8>> = HashMap::new();
    while heard.values().map(Vec::len).sum::<usize>() < peers.len() * bytes.len() {
        let Seen::Received(id, part) = rig.next() else { panic!("not received") };
        heard.entry(id).or_default().extend(part);
    }
    assert!(peers.iter().all(|(_, id)| heard[id] == bytes));
}

#[test]
fn exhausted_buffers_delay_bytes_and_lose_none() {
    let rig = tiny(8);
    let bytes: Vec<u8> = (0..2000u32).map(|n| (n % 251) as u8).collect();
    let peers = flood(&rig, 8, &bytes);
    hear_all(&rig, &peers, &bytes);
    assert!(rig.counters.buffers_exhausted.value() > 0);
    rig.stop();
}

/// A crowd says something and is reset.
fn crowd_that_is_reset(rig: &Rig) {
    let mut peers: Vec<_> = (0..CROWD).map(|_| rig.peer()).collect();
    for (peer, _) in &mut peers {
        peer.write_all(b"last words").unwrap();
    }
    peers.into_iter().for_each(|(peer, _)| reset(peer));
    let mut ended = 0;
    while ended < CROWD {
        match rig.next() {
            Seen::Received(_, part) => assert_eq!(part, b"last words"),
            Seen::Closed(_, cause) => {
                assert_eq!(cause, Cause::Reset);
                ended += 1;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_reset_behind_bytes_for_which_no_buffer_was_free_is_told() {
    let rig = tiny(CROWD as u32);
    // The ring may be quick enough to have a buffer for each.
    for _ in 0..100 {
        crowd_that_is_reset(&rig);
    }
    assert!(rig.counters.buffers_exhausted.value() > 0);
    rig.stop();
}

/// Reads from all at once, and after the first bytes from the last one only.
struct Favouring {
    open: Vec<ConnId>,
    deadline: Instant,
    heard: bool,
}

/// Two buffers, so that nearly all of them are starved.
const CROWD: usize = 32;

impl Engine for Favouring {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => ops.push(Op::Accept(true)),
            Event::Opened { id, .. } => {
                self.open.push(id);
                ops.push(Op::Pause { id });
                if self.open.len() == CROWD {
                    self.deadline = now + A_WHILE;
                }
            }
            Event::Received { id, .. } if id == self.open[CROWD - 1] => ops.push(Op::Stop),
            Event::Received { .. } if !std::mem::replace(&mut self.heard, true) => {
                let others = self.open[..CROWD - 1].iter();
                ops.extend(others.map(|&id| Op::Pause { id }));
            }
            _ => {}
        }
    }

    fn on_deadline(&mut self, now: Instant, _heard: Heard, ops: &mut Vec<Op>) {
        assert!(!self.heard, "the last one has lost its place");
        ops.extend(self.open.iter().map(|&id| Op::Resume { id }));
        self.deadline = now + PATIENCE;
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

#[test]
fn who_was_paused_while_starved_takes_nobodys_turn() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut peers = Vec::from_iter((0..CROWD).map(|_| TcpStream::connect(address).unwrap()));
    peers.iter_mut().for_each(|peer| peer.write_all(&[7; 64]).unwrap());
    let (_waker, config) = config(CROWD as u32, Some(Arc::new(listener)));
    let counters = config.counters.clone();
    let mut engine = Favouring { open: Vec::new(), deadline: Instant::FAR, heard: false };
    let options = Options { submissions: 256, completions: 512, ..TINY };
    ring::run_with(&mut engine, config, options).unwrap();
    assert!(counters.buffers_exhausted.value() > 0);
}

/// One buffer at first: every turn wants more than there are.
#[test]
fn buffers_become_more_under_load_and_fewer_again_without() {
    let options = Options { buffers: 1, buffers_max: 64, ..Options::default() };
    let rig = Rig::with(32, move |relay, config| ring::run_with(relay, config, options));
    let bytes = [7; 100];
    let mut peers = flood(&rig, 32, &bytes);
    hear_all(&rig, &peers, &bytes);
    assert!(rig.counters.buffers.value() >= 8);
    let (peer, id) = &mut peers[0];
    let mut rounds = 0;
    // One byte at a time needs one buffer at a time.
    while rig.counters.buffers.value() > 4 {
        peer.write_all(b"!").unwrap();
        rig.received(*id, 1);
        rounds += 1;
        assert!(rounds < 50_000, "{} in use", rig.counters.buffers.value());
    }
    rig.stop();
}

#[test]
fn a_completion_queue_that_overflows_loses_nothing() {
    overflow(Features::NONE);
}

/// Here the kernel posts when it likes, and an overflow ends whatever went on.
#[test]
fn an_overflow_ends_multishot_requests_and_they_go_on() {
    overflow(Features::of(&[Feature::DeferTaskrun, Feature::CoopTaskrun]));
}

fn overflow(without: Features) {
    let rig = tiny_without(without, 200);
    let peers = flood(&rig, 200, b"one of many");
    hear_all(&rig, &peers, b"one of many");
    rig.wish(peers.iter().map(|&(_, id)| Op::Probe { id }));
    for (_, id) in &peers {
        assert_eq!(rig.next(), Seen::Probed(*id, 0));
    }
    rig.wish(peers.iter().map(|&(_, id)| Op::Send { id, chunk: own(b"to many") }));
    for _ in &peers {
        assert!(matches!(rig.next(), Seen::Sent(_, 7)));
    }
    rig.wish(peers.iter().map(|&(_, id)| Op::Abort { id }));
    for _ in &peers {
        assert!(matches!(rig.next(), Seen::Closed(_, Cause::Aborted)));
    }
    assert!(rig.counters.overflows.value() > 0);
    rig.stop();
}

/// Connects, says its number, and waits for an answer and the end.
fn visitor(address: SocketAddr, number: u8) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(&[number]).unwrap();
        let mut answer = [0];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [number]);
    })
}

/// Answers each connection's first byte only when the table is full or nobody else is expected.
struct Host {
    here: Vec<(ConnId, u8)>,
    room: usize,
    expected: usize,
    seen: usize,
}

impl Engine for Host {
    fn on_event(&mut self, _now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => ops.push(Op::Accept(true)),
            Event::Received { id, bytes } => {
                self.here.push((id, bytes[0]));
                self.seen += 1;
                if self.here.len() == self.room || self.seen == self.expected {
                    let answers = self.here.iter();
                    ops.extend(answers.map(|&(id, byte)| Op::Send { id, chunk: own(&[byte]) }));
                }
            }
            Event::Closed { id, .. } => {
                self.here.retain(|&(here, _)| here != id);
                if self.here.is_empty() && self.seen == self.expected {
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

/// The table fills twice and a half.
#[test]
fn nobody_who_comes_to_a_full_table_is_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let visitors: Vec<_> = (0..250).map(|number| visitor(address, number as u8)).collect();
    let (_waker, config) = config(100, Some(Arc::new(listener)));
    let counters = config.counters.clone();
    let mut host = Host { here: Vec::new(), room: 100, expected: 250, seen: 0 };
    ring::run_with(&mut host, config, TINY).unwrap();
    for visitor in visitors {
        visitor.join().unwrap();
    }
    assert!(counters.table_full.value() > 0);
}

#[test]
fn who_was_taken_when_a_connect_took_the_last_room_is_kept() {
    for _ in 0..20 {
        let rig = tiny(2);
        rig.wish([Op::Accept(true)]);
        let (silent, _crowd) = unanswering();
        let to = silent.local_addr().unwrap().as_socket().unwrap();
        rig.wish([connect(1, to, Duration::from_secs(20))]);
        let mut peers = [0, 1].map(|_| TcpStream::connect(rig.address).unwrap());
        let mut opened = Vec::new();
        let mut refused = 0;
        while (opened.len(), refused) != (2, 1) {
            match rig.next() {
                Seen::Opened(id, Opening::Accepted) => opened.push(id),
                // The second where both peers were faster than the connect.
                Seen::Refused(Token(1), Cause::Cancelled | Cause::NoDescriptors) => refused += 1,
                other => panic!("{other:?}"),
            }
            rig.wish([Op::Cancel(Token(1))]);
        }
        for (id, peer) in opened.into_iter().zip(&mut peers) {
            rig.wish([Op::Send { id, chunk: own(b"welcome") }]);
            assert_eq!(rig.next(), Seen::Sent(id, 7));
            peer.read_exact(&mut [0; 7]).unwrap();
        }
        rig.stop();
    }
}

/// The kernel's word that it has put work off may outlive the work.
#[test]
fn a_driver_to_which_nothing_comes_makes_no_calls() {
    let rig = Rig::with(8, ring::run);
    let (mut peer, _) = rig.peer();
    for _ in 0..10 {
        for _ in 0..500 {
            peer.write_all(b"x").unwrap();
        }
        let mut heard = 0;
        while heard < 500 {
            let Seen::Received(_, bytes) = rig.next() else { panic!("not received") };
            heard += bytes.len();
        }
        let before = rig.counters.syscalls.value();
        rig.nothing_for_a_while();
        let calls = rig.counters.syscalls.value() - before;
        assert!(calls <= 16, "{calls} calls while nothing came");
    }
}

/// Answers, until the driver has waited for several arrivals at once.
struct Answering {
    counters: Arc<Counters>,
    deadline: Instant,
}

impl Engine for Answering {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => {
                self.deadline = now + PATIENCE;
                ops.push(Op::Accept(true));
            }
            Event::Received { .. } if self.counters.gathers.value() > 0 => ops.push(Op::Stop),
            Event::Received { id, .. } => ops.push(Op::Send { id, chunk: own(b"!") }),
            _ => {}
        }
    }

    fn on_deadline(&mut self, _now: Instant, _heard: Heard, _ops: &mut Vec<Op>) {
        panic!("it never waited for several");
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

/// Asks anew at each answer, until all connections are gone.
struct Asking {
    to: SocketAddr,
    peers: u32,
}

impl Engine for Asking {
    fn on_event(&mut self, _now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => {
                ops.extend((0..self.peers).map(|token| connect(token, self.to, PATIENCE)));
            }
            Event::Opened { id, .. } | Event::Received { id, .. } => {
                ops.push(Op::Send { id, chunk: own(b"?") });
            }
            Event::Closed { .. } | Event::Refused { .. } => {
                self.peers -= 1;
                if self.peers == 0 {
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
fn at_high_load_several_arrivals_are_waited_for() {
    wait_for_several(IO_URING);
}

#[test]
fn at_high_load_several_are_waited_for_also_by_short_waits() {
    wait_for_several(WITHOUT_MIN_WAIT);
}

fn wait_for_several(driver: Driver) {
    const PEERS: u32 = 200;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut asking = Asking { to: listener.local_addr().unwrap(), peers: PEERS };
    let asker = std::thread::spawn(move || {
        let (_waker, config) = config(PEERS, None);
        EPOLL.run(&mut asking, config).unwrap();
    });
    let (_waker, config) = config(PEERS, Some(Arc::new(listener)));
    let counters = config.counters.clone();
    let mut engine = Answering { counters: counters.clone(), deadline: Instant::FAR };
    driver.run(&mut engine, config).unwrap();
    assert!(counters.gathers.value() > 0);
    asker.join().unwrap();
}

/// There are enough connections to wait for several of them, but only one speaks.
#[test]
fn at_low_load_nobody_waits_for_others() {
    let rig = Rig::with(64, ring::run);
    let mut peers: Vec<_> = (0..64).map(|_| rig.peer()).collect();
    rig.nothing_for_a_while();
    let before = rig.counters.gathers.value();
    let (peer, id) = &mut peers[0];
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(1));
        peer.write_all(b"?").unwrap();
        rig.received(*id, 1);
    }
    assert_eq!(rig.counters.gathers.value(), before);
    rig.stop();
}
