//! Deadlines, and how far a driver has listened.

use crate::drivers::Driver;
use crate::rig::{A_WHILE, config, own};
use halfopen_driver::{ConnId, Engine, Event, Heard, Op};
use halfopen_wheel::{Instant, clock};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

on_every_driver! {
    what_arrived_before_heard_until_has_been_handed_over,
    a_send_is_told_before_the_answer_to_it,
    a_deadline_may_move_earlier_and_is_repeated_while_it_stays_in_the_past,
    a_long_row_of_arrivals_does_not_keep_a_deadline_waiting,
}

/// Asks at a deadline, and stands still until the answer is there.
#[derive(Default)]
struct Asking {
    open: Option<ConnId>,
    asked: bool,
    deadline: Option<Instant>,
    told: Vec<&'static str>,
}

impl Engine for Asking {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => ops.push(Op::Accept(true)),
            Event::Opened { id, .. } => {
                self.open = Some(id);
                self.deadline = Some(now);
            }
            Event::Sent { .. } => self.told.push("sent"),
            Event::Received { .. } => {
                self.told.push("answered");
                ops.push(Op::Stop);
            }
            _ => {}
        }
    }

    fn on_deadline(&mut self, _now: Instant, _heard: Heard, ops: &mut Vec<Op>) {
        let id = self.open.expect("it has a deadline once a connection is open");
        if std::mem::replace(&mut self.asked, true) {
            std::thread::sleep(A_WHILE);
            self.deadline = None;
        } else {
            ops.push(Op::Send { id, chunk: own(b"?") });
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

fn a_send_is_told_before_the_answer_to_it(driver: Driver) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let answer = std::thread::spawn(move || {
        peer.read_exact(&mut [0]).unwrap();
        peer.write_all(b"!").unwrap();
        peer
    });
    let (_waker, config) = config(1, Some(Arc::new(listener)));
    let mut engine = Asking::default();
    driver.run(&mut engine, config).unwrap();
    assert_eq!(engine.told, ["sent", "answered"]);
    drop(answer.join().unwrap());
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

fn what_arrived_before_heard_until_has_been_handed_over(driver: Driver) {
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
    let (_waker, config) = config(PEERS as u32, Some(Arc::new(listener)));
    let mut engine = Listening {
        written,
        heard: vec![0; PEERS],
        opened: vec![Instant::FAR; PEERS],
        deadline: Instant::FAR,
        passes: 0,
        fresh: 0,
    };
    driver.run(&mut engine, config).unwrap();
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

fn a_deadline_may_move_earlier_and_is_repeated_while_it_stays_in_the_past(driver: Driver) {
    let (waker, config) = config(1, None);
    let mut engine = Impatient { deadline: Instant::FAR, called: Vec::new() };
    waker.wake();
    waker.wake();
    driver.run(&mut engine, config).unwrap();
    assert_eq!(engine.called.len(), 4);
}

/// Reads from all at once, works for a while at each arrival, and is always due.
struct Laborious {
    open: Vec<ConnId>,
    deadline: Instant,
    heard: usize,
    /// Arrivals since the last deadline.
    row: usize,
}

const CROWD: usize = 100;

/// Four of them are more than a turn hands over while something is due.
const LABOUR: Duration = Duration::from_micros(300);

/// The four, and those between two looks at the clock.
const ROW_MAX: usize = 4 + 2 * 32;

impl Engine for Laborious {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => ops.push(Op::Accept(true)),
            Event::Opened { id, .. } => {
                self.open.push(id);
                ops.push(Op::Pause { id });
                if self.open.len() == CROWD {
                    self.deadline = now;
                }
            }
            Event::Received { .. } => {
                std::thread::sleep(LABOUR);
                (self.heard, self.row) = (self.heard + 1, self.row + 1);
                assert!(self.row <= ROW_MAX, "{} arrivals, and something was due", self.row);
                if self.heard == CROWD {
                    ops.push(Op::Stop);
                }
            }
            _ => {}
        }
    }

    fn on_deadline(&mut self, _now: Instant, _heard: Heard, ops: &mut Vec<Op>) {
        self.row = 0;
        ops.extend(self.open.drain(..).map(|id| Op::Resume { id }));
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

fn a_long_row_of_arrivals_does_not_keep_a_deadline_waiting(driver: Driver) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut peers = Vec::from_iter((0..CROWD).map(|_| TcpStream::connect(address).unwrap()));
    peers.iter_mut().for_each(|peer| peer.write_all(b"!").unwrap());
    let (_waker, config) = config(CROWD as u32, Some(Arc::new(listener)));
    let mut engine = Laborious { open: Vec::new(), deadline: Instant::FAR, heard: 0, row: 0 };
    driver.run(&mut engine, config).unwrap();
    assert_eq!(engine.heard, CROWD);
}
