//! How connections end that end badly: FIN and RST in the middle of something, and those who say
//! nothing at all.

use crate::rig::{
    DRIVERS, Raw, TEXT, drained, frame, patient, read_head, request, start, tcp, wait_until,
};
use halfopen_server::{Config, Echo, End, Server};
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Waits until that many connections have ended.
fn ended(server: &Server, connections: u64) {
    wait_until("the ends of all connections", || {
        server.handle().snapshot().ended.values().sum::<u64>() >= connections
    });
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_fin_or_a_reset_anywhere_is_survived_and_counted() {
    let open = request(|_| {});
    let message = frame(TEXT, b"hello");
    let beginnings = [
        open[..0].to_vec(),
        open[..20].to_vec(),
        open.clone(),
        [&open[..], &message[..1]].concat(),
        [&open[..], &message[..8]].concat(),
        [&open[..], &frame(0x01, b"begun")].concat(),
    ];
    for driver in DRIVERS {
        let server = start(driver, patient(), || Echo);
        for wire in &beginnings {
            for ends in [drop, reset] {
                let mut stream = tcp(&server);
                stream.write_all(wire).unwrap();
                if wire.len() >= open.len() {
                    read_head(&mut stream);
                }
                ends(stream);
            }
        }
        let mut client = Raw::open(&server);
        client.send(&message);
        assert_eq!(client.frame().payload, b"hello", "others are served");
        drop(client);
        let connections = 2 * beginnings.len() as u64 + 1;
        ended(&server, connections);
        let stats = drained(server);
        let plainly = stats.ended(End::Fin) + stats.ended(End::Reset);
        assert_eq!(plainly, connections, "{}: {:?}", driver.name(), stats.ended);
        assert_eq!(stats.accepted, connections);
    }
}

#[test]
fn those_who_say_nothing_or_not_enough_have_the_handshake_timeout() {
    for driver in DRIVERS {
        let config = Config { handshake_timeout: Duration::from_millis(100), ..patient() };
        let server = start(driver, config, || Echo);
        let beginnings: [&[u8]; 3] = [b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\n"];
        let mut streams = beginnings.map(|wire| {
            let mut stream = tcp(&server);
            stream.write_all(wire).unwrap();
            stream
        });
        for stream in &mut streams {
            let error = stream.read(&mut [0]).expect_err("a reset");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{}", driver.name());
        }
        let stats = drained(server);
        assert_eq!((stats.opened, stats.ended(End::HandshakeTimeout)), (0, 3));
    }
}

#[test]
fn a_message_never_finished_is_closed_with_1008() {
    for driver in DRIVERS {
        let config = Config { message_timeout: Duration::from_millis(100), ..patient() };
        let server = start(driver, config, || Echo);
        let mut client = Raw::open(&server);
        client.send(&frame(0x01, b"once upon a time"));
        assert_eq!(client.frame().close_code(), Some(1008), "{}", driver.name());
        client.send(&frame(0x88, &1008u16.to_be_bytes()));
        assert_eq!(client.until_the_end(), []);
        assert_eq!(drained(server).ended(End::MessageTimeout), 1);
    }
}

/// Our FIN has gone out before we look at what their kernel has not acknowledged.
#[test]
fn those_who_do_not_follow_our_fin_have_the_close_timeout() {
    for driver in DRIVERS {
        let config = Config { close_timeout: Duration::from_millis(200), ..patient() };
        let server = start(driver, config, || Echo);
        let mut stream = tcp(&server);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("FIN, and no reset");
        assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
        ended(&server, 1);
        assert_eq!(drained(server).ended(End::Refused), 1, "{}", driver.name());
        drop(stream);
    }
}
