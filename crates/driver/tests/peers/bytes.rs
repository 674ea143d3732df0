//! Bytes both ways, held back, and lost.

use crate::drivers::Driver;
use crate::rig::{Rig, Seen, config, own, reset};
use bytes::Bytes;
use halfopen_driver::{Cause, Chunk, Op, Severance};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

on_every_driver! {
    bytes_go_both_ways_in_order,
    a_chunk_greater_than_the_kernels_buffer_is_sent_whole,
    a_chunk_that_finds_no_room_goes_on_when_room_comes,
    what_stands_behind_an_urgent_byte_is_handed_over,
    a_paused_connection_is_not_read_but_its_end_is_told,
    a_shutdown_sends_fin_after_the_send_and_bytes_still_arrive,
    a_severed_connection_hears_nothing_until_it_is_mended,
}

fn bytes_go_both_ways_in_order(driver: Driver) {
    let rig = Rig::new(driver, 4);
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

fn a_chunk_greater_than_the_kernels_buffer_is_sent_whole(driver: Driver) {
    let rig = Rig::new(driver, 4);
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

fn a_chunk_that_finds_no_room_goes_on_when_room_comes(driver: Driver) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    SockRef::from(&listener).set_send_buffer_size(4096).unwrap();
    let (waker, config) = config(4, Some(Arc::new(listener)));
    let rig = Rig::on(waker, config, move |relay, config| driver.run(relay, config));
    rig.wish([Op::Accept(true)]);
    // Before it connects, or it has already offered room for all.
    let peer = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    peer.set_recv_buffer_size(4096).unwrap();
    peer.connect(&rig.address.into()).unwrap();
    let Seen::Opened(id, _) = rig.next() else { panic!("not opened") };

    let chunk: Vec<u8> = (0..halfopen_driver::CHUNK_MAX).map(|n| (n % 251) as u8).collect();
    rig.wish([Op::Send { id, chunk: own(&chunk) }]);
    rig.nothing_for_a_while();
    let mut back = vec![0; chunk.len()];
    TcpStream::from(peer).read_exact(&mut back).unwrap();
    assert_eq!(back, chunk);
    assert_eq!(rig.next(), Seen::Sent(id, chunk.len()));
    if driver.sends_what_there_is_room_for() {
        assert!(rig.counters.sends_short.value() > 0);
    }
    assert_eq!(rig.counters.bytes_out.value(), chunk.len() as u64);
    rig.stop();
}

/// A read ends before the urgent byte, which is handed over to nobody, though more stands behind it.
fn what_stands_behind_an_urgent_byte_is_handed_over(driver: Driver) {
    let rig = Rig::new(driver, 4);
    let (mut peer, id) = rig.peer();
    // All of it is there before the first read.
    rig.wish([Op::Pause { id }, Op::Locate { id }]);
    assert!(matches!(rig.next(), Seen::Located(..)));
    peer.write_all(b"before").unwrap();
    SockRef::from(&peer).send_out_of_band(b"!").unwrap();
    peer.write_all(b"behind").unwrap();
    rig.nothing_for_a_while();
    rig.wish([Op::Resume { id }]);
    assert_eq!(rig.received(id, 12), b"beforebehind");
    rig.stop();
}

fn a_paused_connection_is_not_read_but_its_end_is_told(driver: Driver) {
    let rig = Rig::new(driver, 4);
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

fn a_shutdown_sends_fin_after_the_send_and_bytes_still_arrive(driver: Driver) {
    let rig = Rig::new(driver, 4);
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

fn a_severed_connection_hears_nothing_until_it_is_mended(driver: Driver) {
    let rig = Rig::new(driver, 4);
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
