//! What the kernel does to a server under a crowd, as its peers see it: buffers that are all taken,
//! queues that overflow, slots that are used again, sends that are short.

use crate::rig::{BINARY, DRIVERS, Raw, TEXT, frame, frame_of, patient};
use crate::scene::{Abuse, alone, survive};
use halfopen_server::{End, Server};
use socket2::SockRef;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn more_bytes_at_once_than_there_are_buffers_for_are_all_answered() {
    let _turn = alone();
    const CROWD: u8 = 60;
    const MESSAGES: usize = 8;
    const BYTES: usize = 60_000;
    for driver in DRIVERS {
        let act = |server: &Server| -> Vec<TcpStream> {
            let mut crowd: Vec<_> = (0..CROWD).map(|_| Raw::open(server)).collect();
            let length = (BYTES as u16).to_be_bytes();
            let length = [&[126], &length[..]].concat();
            let wires = (0..CROWD).map(|n| frame_of(BINARY, &length, &vec![n; BYTES]));
            let wires: Vec<_> = wires.map(|message| message.repeat(MESSAGES)).collect();
            std::thread::scope(|scope| {
                for (client, wire) in crowd.iter().zip(&wires) {
                    let mut stream = client.stream.try_clone().unwrap();
                    scope.spawn(move || stream.write_all(wire).unwrap());
                }
                for (n, client) in (0..).zip(&mut crowd) {
                    for _ in 0..MESSAGES {
                        let payload = client.frame().payload;
                        let whole = payload.len() == BYTES && payload.iter().all(|byte| *byte == n);
                        assert!(whole, "{}", driver.name());
                    }
                }
            });
            Vec::new()
        };
        // What the clients send lives in this process, too.
        let each_max = 2 * MESSAGES * (BYTES + 100);
        let stats = survive(driver, patient(), Abuse { crowd: CROWD.into(), each_max, act });
        assert_eq!(stats.ended(End::Fin), 2 * u64::from(CROWD) + 1, "{}", driver.name());
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
        assert_eq!(stats.ended(End::Reset), 2 * crowd, "{}: {:?}", driver.name(), stats.ended);
    }
}
