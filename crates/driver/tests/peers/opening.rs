//! Beginnings of connections, and the table that holds them.

use crate::drivers::Driver;
use crate::rig::{PATIENCE, Relay, Rig, Seen, config, connect, own, reset, unanswering};
use halfopen_driver::{Cause, ConnId, Engine, Error, Event, Heard, Op, Opening, Token};
use halfopen_wheel::{Instant, clock};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

on_every_driver! {
    a_full_table_takes_nobody_until_there_is_room,
    nobody_is_taken_while_accepting_is_off,
    a_connect_opens_from_the_address_that_was_asked_for,
    a_connect_that_comes_to_nothing_is_refused_by_its_cause,
    a_table_beyond_the_descriptor_limit_is_refused,
    slots_are_used_again_and_again,
    connections_come_to_all_who_share_a_listener,
}

fn a_full_table_takes_nobody_until_there_is_room(driver: Driver) {
    let rig = Rig::new(driver, 2);
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

fn nobody_is_taken_while_accepting_is_off(driver: Driver) {
    let rig = Rig::new(driver, 4);
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

fn a_connect_opens_from_the_address_that_was_asked_for(driver: Driver) {
    let rig = Rig::new(driver, 4);
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

fn a_connect_that_comes_to_nothing_is_refused_by_its_cause(driver: Driver) {
    let rig = Rig::new(driver, 8);
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

fn a_table_beyond_the_descriptor_limit_is_refused(driver: Driver) {
    let (_waker, config) = config(u32::MAX, None);
    let (seen, _) = channel();
    let mut relay = Relay { seen, wishes: Arc::default(), last: Instant::from_nanos(0) };
    let refused = driver.run(&mut relay, config);
    assert!(matches!(refused, Err(Error::Descriptors { wanted: u32::MAX, .. })));
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

fn slots_are_used_again_and_again(driver: Driver) {
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
    let (_waker, config) = config(2, Some(Arc::new(listener)));
    let mut churn = Churn { target: 3 * EACH, ..Churn::default() };
    driver.run(&mut churn, config).unwrap();
    for peer in peers {
        peer.join().unwrap();
    }
    assert!(churn.open.len() <= 2);
    assert!(churn.open.iter().all(Option::is_none));
}

fn connections_come_to_all_who_share_a_listener(driver: Driver) {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    let rigs = [0, 1].map(|_| {
        let (waker, mut config) = config(2000, Some(listener.clone()));
        config.listener_shared = true;
        Rig::on(waker, config, move |relay, config| driver.run(relay, config))
    });
    for rig in &rigs {
        // Both must be waiting before anybody comes.
        rig.wish([Op::Accept(true)]);
        rig.nothing_for_a_while();
    }
    let _peers: Vec<_> = (0..2000).map(|_| TcpStream::connect(address).unwrap()).collect();
    for rig in &rigs {
        for _ in 0..200 {
            assert!(matches!(rig.next(), Seen::Opened(..)));
        }
    }
    rigs.into_iter().for_each(Rig::stop);
}
