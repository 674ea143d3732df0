//! What the kernel does to a server under a crowd, as its peers see it: buffers that are all taken,
//! queues that overflow, slots that are used again, sends that are short.

use crate::leaving::reset;
use crate::rig::{
    BINARY, DRIVERS, Raw, TEXT, frame, frame_of, patient, server_config, start_with, wait_until,
};
use crate::scene::{Abuse, ROUNDS, alone, narrow, survive, survive_on};
use crate::talker::Talker;
use halfopen_driver::ring::Options;
use halfopen_server::{Config, DriverKind, Echo, End, Server, ServerConfig};
use socket2::SockRef;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

/// On io_uring with a ring that is too small for anything.
fn cramped(driver: DriverKind) -> Server {
    let io_uring = Options {
        submissions: 8,
        completions: 16,
        buffers: 2,
        buffers_max: 2,
        buffer_bytes: 1024,
        ..Options::default()
    };
    start_with(&ServerConfig { io_uring, ..server_config(driver, patient()) }, || Echo)
}

#[test]
fn more_bytes_at_once_than_there_are_buffers_and_completions_for_are_all_answered() {
    let _turn = alone();
    const CROWD: u8 = 60;
    const MESSAGES: usize = 4;
    const BYTES: usize = 60_000;
    let length = (BYTES as u16).to_be_bytes();
    let length = [&[126], &length[..]].concat();
    let wires = (0..CROWD).map(|n| frame_of(BINARY, &length, &vec![n; BYTES]).repeat(MESSAGES));
    let wires: Vec<_> = wires.collect();
    for driver in DRIVERS {
        let name = driver.name();
        let act = |server: &Server| -> Vec<TcpStream> {
            let mut crowd: Vec<_> = (0..CROWD).map(|_| Raw::open(server)).collect();
            std::thread::scope(|scope| {
                for (client, wire) in crowd.iter().zip(&wires) {
                    let mut stream = client.stream.try_clone().unwrap();
                    scope.spawn(move || stream.write_all(wire).unwrap());
                }
                for (n, client) in (0..).zip(&mut crowd) {
                    for _ in 0..MESSAGES {
                        let payload = client.frame().payload;
                        let whole = payload.len() == BYTES && payload.iter().all(|byte| *byte == n);
                        assert!(whole, "{name}");
                    }
                }
            });
            Vec::new()
        };
        // The messages on their way, in buffers that grow by doubling, and the threads that send.
        let abuse = Abuse { crowd: CROWD.into(), each_max: 2 * MESSAGES * (BYTES + 100), act };
        let stats = survive_on(driver, || cramped(driver), abuse);
        assert_eq!(stats.ended(End::Fin), ROUNDS * u64::from(CROWD) + 1, "{name}");
        if driver == DriverKind::IoUring {
            assert!(stats.driver.buffers_exhausted > 0 && stats.driver.overflows > 0);
        }
    }
}

/// They ask for much, read nothing, and are gone when the kernel has taken a part of a chunk.
#[test]
fn a_reset_amid_a_send_brings_the_rest_home_and_ends_only_that_connection() {
    let _turn = alone();
    const CROWD: u64 = 40;
    let message = frame_of(BINARY, &[126, 0x40, 0], &[7; 0x4000]);
    for driver in DRIVERS {
        let act = |server: &Server| -> Vec<TcpStream> {
            let crowd: Vec<_> = (0..CROWD).map(|_| narrow(server)).collect();
            let mut talkers: Vec<_> =
                crowd.iter().map(|stream| Talker::of(stream, &message)).collect();
            let full = server.handle().snapshot().pauses + CROWD;
            wait_until("full queues", || {
                talkers.iter_mut().for_each(|talker| talker.talk().unwrap());
                server.handle().snapshot().pauses >= full
            });
            crowd.into_iter().for_each(reset);
            Vec::new()
        };
        let config = Config { output_max: 64 * 1024, ..patient() };
        let stats = survive(driver, config, Abuse { crowd: CROWD, each_max: 8 * 64 * 1024, act });
        assert_eq!(stats.ended(End::Reset), ROUNDS * CROWD, "{}: {:?}", driver.name(), stats.ended);
        // A send of the ring that goes on until all is taken is short only if it ends otherwise.
        assert!(stats.driver.sends_short > 0, "{}", driver.name());
    }
}

/// Each of them is paused and resumed again and again while its bytes come: what was armed for them
/// is taken back, and has taken some already.
#[test]
fn a_receive_that_is_taken_back_while_bytes_come_loses_none_of_them() {
    let _turn = alone();
    const CROWD: u8 = 20;
    const MESSAGES: u8 = 100;
    const BYTES: u16 = 4096;
    let length = [&[126], &BYTES.to_be_bytes()[..]].concat();
    let message = |n| frame_of(BINARY, &length, &[n; BYTES as usize]);
    let wire: Vec<u8> = (0..MESSAGES).flat_map(message).collect();
    for driver in DRIVERS {
        let act = |server: &Server| -> Vec<TcpStream> {
            let crowd: Vec<_> = (0..CROWD).map(|_| narrow(server)).collect();
            std::thread::scope(|scope| {
                for stream in &crowd {
                    let (mut sending, wire) = (stream.try_clone().unwrap(), &wire);
                    scope.spawn(move || sending.write_all(wire).unwrap());
                    let mut client = Raw { stream: stream.try_clone().unwrap() };
                    scope.spawn(move || {
                        for n in 0..MESSAGES {
                            assert!(client.frame().payload == [n; BYTES as usize], "message {n}");
                        }
                    });
                }
            });
            Vec::new()
        };
        let config = Config { output_max: 2 * usize::from(BYTES), ..patient() };
        let abuse = Abuse { crowd: CROWD.into(), each_max: 8 * 64 * 1024, act };
        let stats = survive(driver, config, abuse);
        let name = driver.name();
        assert_eq!(
            stats.ended(End::Fin),
            ROUNDS * u64::from(CROWD) + 1,
            "{name}: {:?}",
            stats.ended
        );
        assert!(stats.pauses > ROUNDS * u64::from(CROWD), "{name}: {} pauses", stats.pauses);
    }
}

#[test]
fn who_comes_into_a_slot_hears_nothing_of_its_last_user_nor_suffers_for_it() {
    let _turn = alone();
    const GENERATIONS: u8 = 12;
    const CROWD: usize = 40;
    for driver in DRIVERS {
        let act = |server: &Server| -> Vec<TcpStream> {
            for generation in 0..GENERATIONS {
                let mut crowd: Vec<_> = (0..CROWD).map(|_| Raw::open(server)).collect();
                let wire = frame(TEXT, &[b'a' + generation; 100]).repeat(50);
                crowd.iter_mut().for_each(|client| client.send(&wire));
                for client in &mut crowd {
                    let payload = client.frame().payload;
                    assert!(payload == [b'a' + generation; 100], "{}", driver.name());
                    // Answers are still on their way when it is gone.
                    let gone = SockRef::from(&client.stream).set_linger(Some(Duration::ZERO));
                    gone.unwrap();
                }
            }
            Vec::new()
        };
        let crowd = u64::from(GENERATIONS) * CROWD as u64;
        let stats = survive(driver, patient(), Abuse { crowd, each_max: 64 * 1024, act });
        assert_eq!(stats.ended(End::Reset), ROUNDS * crowd, "{}: {:?}", driver.name(), stats.ended);
    }
}
