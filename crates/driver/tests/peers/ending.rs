//! Ends of connections, and of the run.

use crate::drivers::Driver;
use crate::rig::{A_WHILE, PATIENCE, Rig, Seen, config, connect, fill, own, reset, unanswering};
use halfopen_driver::{Cause, ConnId, Engine, Event, Heard, Op, Severance};
use halfopen_wheel::Instant;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

on_every_driver! {
    a_fin_and_a_reset_end_a_connection_each_by_its_name,
    a_reset_right_behind_bytes_is_told,
    a_reset_that_was_lost_is_told_by_the_next_send,
    a_reset_during_a_send_brings_the_chunk_home_first,
    room_and_a_fin_in_one_moment_bring_the_chunk_of_a_paused_connection_home,
    an_abort_during_a_send_brings_the_chunk_home_first_and_resets_the_peer,
    after_an_abort_nothing_is_carried_out_any_more,
    a_send_that_crosses_with_the_end_comes_home_or_is_gone_with_it,
    a_shutdown_never_meets_the_connection_that_comes_after,
    stopping_closes_what_is_open_and_what_is_in_flight,
    a_panicking_engine_leaves_nothing_in_flight,
}

fn a_fin_and_a_reset_end_a_connection_each_by_its_name(driver: Driver) {
    let rig = Rig::new(driver, 4);
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

/// All has happened before the driver takes the connections.
fn a_reset_right_behind_bytes_is_told(driver: Driver) {
    const PEERS: usize = 50;
    let rig = Rig::new(driver, PEERS as u32);
    for _ in 0..PEERS {
        let mut peer = TcpStream::connect(rig.address).unwrap();
        peer.write_all(b"bye").unwrap();
        reset(peer);
    }
    rig.wish([Op::Accept(true)]);
    let mut closed = 0;
    while closed < PEERS {
        closed += usize::from(matches!(rig.next(), Seen::Closed(_, Cause::Reset)));
    }
    rig.stop();
}

/// RST is sent once: where it was lost, nobody knows before something is said.
fn a_reset_that_was_lost_is_told_by_the_next_send(driver: Driver) {
    let rig = Rig::new(driver, 4);
    let (peer, id) = rig.peer();
    rig.wish([Op::Sever { id, how: Severance::Drop }, Op::Probe { id }]);
    assert_eq!(rig.next(), Seen::Probed(id, 0));
    reset(peer);
    rig.wish([Op::Sever { id, how: Severance::Undrop }]);
    rig.nothing_for_a_while();
    rig.wish([Op::Send { id, chunk: own(b"anybody?") }]);
    assert_eq!(rig.next(), Seen::Sent(id, 8));
    assert_eq!(rig.next(), Seen::Closed(id, Cause::Reset));
    rig.stop();
}

fn a_reset_during_a_send_brings_the_chunk_home_first(driver: Driver) {
    let rig = Rig::new(driver, 4);
    let (peer, id) = rig.peer();
    fill(&rig, id);
    reset(peer);
    assert!(matches!(rig.next(), Seen::Sent(of, _) if of == id));
    assert_eq!(rig.next(), Seen::Closed(id, Cause::Reset));
    rig.stop();
}

fn room_and_a_fin_in_one_moment_bring_the_chunk_of_a_paused_connection_home(driver: Driver) {
    let rig = Rig::new(driver, 4);
    let (mut peer, id) = rig.peer();
    fill(&rig, id);
    rig.wish([Op::Pause { id }, Op::Locate { id }]);
    assert!(matches!(rig.next(), Seen::Located(..)));
    rig.amid_a_call(|| {
        peer.set_read_timeout(Some(A_WHILE)).unwrap();
        let error = std::io::copy(&mut peer, &mut std::io::sink()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        peer.shutdown(Shutdown::Write).unwrap();
    });
    assert_eq!(rig.next(), Seen::Sent(id, halfopen_driver::CHUNK_MAX));
    assert_eq!(rig.next(), Seen::Closed(id, Cause::Fin));
    rig.stop();
}

fn an_abort_during_a_send_brings_the_chunk_home_first_and_resets_the_peer(driver: Driver) {
    let rig = Rig::new(driver, 4);
    let (mut peer, id) = rig.peer();
    fill(&rig, id);
    rig.wish([Op::Abort { id }]);
    assert_eq!(rig.next(), Seen::Sent(id, halfopen_driver::CHUNK_MAX));
    assert_eq!(rig.next(), Seen::Closed(id, Cause::Aborted));
    let error = std::io::copy(&mut peer, &mut std::io::sink()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    rig.stop();
}

fn after_an_abort_nothing_is_carried_out_any_more(driver: Driver) {
    let rig = Rig::new(driver, 4);
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

fn a_send_that_crosses_with_the_end_comes_home_or_is_gone_with_it(driver: Driver) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    reset(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let (_waker, config) = config(1, Some(Arc::new(listener)));
    let mut engine = Crossing { sent: 0, home: 0 };
    driver.run(&mut engine, config).unwrap();
    // The first failed, the second met the end, the third came after all was over.
    assert_eq!((engine.sent, engine.home), (3, 2));
}

/// Answers the first byte, says FIN, and ends the run when `left` connections have gone.
struct Curt {
    left: usize,
}

impl Engine for Curt {
    fn on_event(&mut self, _now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => ops.push(Op::Accept(true)),
            Event::Received { id, .. } => {
                ops.extend([Op::Send { id, chunk: own(b"no") }, Op::Shutdown { id }]);
            }
            Event::Closed { .. } => {
                self.left -= 1;
                if self.left == 0 {
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

/// The kernel carries a shutdown out on a thread of its own, perhaps when the peer is gone already
/// and another has its place.
fn a_shutdown_never_meets_the_connection_that_comes_after(driver: Driver) {
    const PEERS: usize = 4;
    const EACH: usize = 500;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (_waker, config) = config(PEERS as u32, Some(Arc::new(listener)));
    let run = std::thread::spawn(move || driver.run(&mut Curt { left: PEERS * EACH }, config));
    let peer = move || {
        for _ in 0..EACH {
            let mut peer = TcpStream::connect(address).unwrap();
            peer.write_all(b"?").unwrap();
            let mut answer = [0; 2];
            peer.read_exact(&mut answer).expect("an answer before the FIN");
            reset(peer);
        }
    };
    let peers: Vec<_> = (0..PEERS).map(|_| std::thread::spawn(peer)).collect();
    for peer in peers {
        peer.join().unwrap();
    }
    run.join().unwrap().unwrap();
}

fn stopping_closes_what_is_open_and_what_is_in_flight(driver: Driver) {
    let rig = Rig::new(driver, 4);
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

fn a_panicking_engine_leaves_nothing_in_flight(driver: Driver) {
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
    let (_waker, config) = config(1, Some(Arc::new(listener)));
    let run = std::thread::spawn(move || driver.run(&mut Panics(vec![7; 65536]), config));
    assert!(run.join().is_err());
    let mut sent = Vec::new();
    peer.read_to_end(&mut sent).map_or_else(|error| error.raw_os_error(), |_| None);
    assert!(sent.iter().all(|&byte| byte == 7));
}
