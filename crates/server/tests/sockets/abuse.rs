//! Clients that ask for much and read little.

use crate::rig::{
    BINARY, DRIVERS, Frame, PING, PONG, Raw, drained, frame, frame_of, patient, start, wait_until,
};
use halfopen_server::{Config, Echo, End, Server};
use std::io::Write;
use std::thread::JoinHandle;
use std::time::Duration;

const MESSAGES: usize = 64;
const MESSAGE_BYTES: usize = 256 * 1024;

/// More than both kernels and our queue hold.
fn messages() -> Vec<u8> {
    let length = (MESSAGE_BYTES as u64).to_be_bytes();
    let message = vec![7; MESSAGE_BYTES];
    frame_of(BINARY, &[&[127], &length[..]].concat(), &message).repeat(MESSAGES)
}

/// Sends while somebody else reads, or nobody.
fn send_aside(client: &Raw, bytes: Vec<u8>) -> JoinHandle<std::io::Result<()>> {
    let mut stream = client.stream.try_clone().unwrap();
    std::thread::spawn(move || stream.write_all(&bytes))
}

/// Waits until the server does not read any more from somebody who does not read.
fn held_back(server: &Server) {
    wait_until("a full queue", || server.handle().snapshot().pauses > 0);
}

/// Takes the echo of all messages.
fn take_echo(client: &mut Raw) {
    let mut left = MESSAGES * MESSAGE_BYTES;
    while left > 0 {
        let payload = client.frame().payload;
        assert!(payload.iter().all(|byte| *byte == 7));
        left -= payload.len();
    }
}

#[test]
fn a_slow_reader_gets_everything_and_is_not_read_from_meanwhile() {
    for driver in DRIVERS {
        let server = start(driver, patient(), || Echo);
        let mut client = Raw::open(&server);
        let sender = send_aside(&client, messages());
        held_back(&server);
        take_echo(&mut client);
        sender.join().unwrap().unwrap();
        drop(client);
        assert_eq!(drained(server).messages_sent, MESSAGES as u64, "{}", driver.name());
    }
}

#[test]
fn a_slow_reader_that_breaks_the_protocol_finds_the_close_behind_its_answers() {
    for driver in DRIVERS {
        let server = start(driver, patient(), || Echo);
        let mut client = Raw::open(&server);
        let wire = [messages(), frame(BINARY | 0x40, b"")].concat();
        let sender = send_aside(&client, wire);
        held_back(&server);
        take_echo(&mut client);
        sender.join().unwrap().unwrap();
        let [close] = &client.until_the_end()[..] else { panic!("one frame, and the end") };
        assert_eq!(close.close_code(), Some(1002), "{}", driver.name());
        assert_eq!(drained(server).ended(End::Violation), 1);
    }
}

#[test]
fn a_client_that_never_reads_has_the_output_timeout() {
    for driver in DRIVERS {
        let config = Config { output_timeout: Duration::from_millis(300), ..patient() };
        let server = start(driver, config, || Echo);
        let client = Raw::open(&server);
        let sender = send_aside(&client, messages());
        sender.join().unwrap().expect_err("it is not taken");
        let stats = drained(server);
        assert_eq!(stats.ended(End::OutputStuck), 1, "{}: {:?}", driver.name(), stats.ended);
    }
}

#[test]
fn a_flood_of_pings_unread_is_survived_and_the_newest_is_answered() {
    const PINGS: u32 = 1_000_000;
    for driver in DRIVERS {
        let server = start(driver, patient(), || Echo);
        let mut client = Raw::open(&server);
        for chunk in 0..PINGS / 1000 {
            let pings: Vec<u8> =
                (0..1000).flat_map(|n| frame(PING, &(chunk * 1000 + n).to_be_bytes())).collect();
            client.send(&pings);
        }
        let newest = Frame::new(PONG, &(PINGS - 1).to_be_bytes());
        let mut before = None;
        loop {
            let pong = client.frame();
            assert!(before.replace(pong.payload.clone()) < Some(pong.payload.clone()), "in order");
            if pong == newest {
                break;
            }
        }
        client.send(&frame(0x88, b""));
        assert_eq!(client.until_the_end(), [Frame::new(0x88, b"")]);
        assert_eq!(drained(server).pings_received, PINGS.into(), "{}", driver.name());
    }
}
