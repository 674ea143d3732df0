//! A client that others wrote.

use crate::rig::{DRIVERS, PATIENCE, drained, start, tcp, wait_until};
use halfopen_server::{
    Accept, App, CloseCode, Config, DriverKind, Echo, End, Handshake, Heartbeat, Message, Peer,
    Rejection, Server, ServerConfig, ServerError,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message as Foreign, WebSocket};

/// Clients that do not answer a Close hold nobody up.
fn config() -> Config {
    Config { close_timeout: Duration::from_millis(200), ..Config::default() }
}

fn connect(server: &Server) -> WebSocket<TcpStream> {
    let url = format!("ws://{}/chat?room=1", server.local_addr());
    let (client, response) = tungstenite::client(url, tcp(server)).unwrap();
    assert_eq!(response.status(), 101);
    client
}

#[test]
fn messages_of_every_size_come_back_and_the_close_is_answered() {
    for driver in DRIVERS {
        let server = start(driver, config(), || Echo);
        let mut client = connect(&server);
        for len in [0, 1, 125, 126, 65_535, 65_536, 70_000, 3_000_000] {
            let bytes: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
            client.send(Foreign::binary(bytes.clone())).unwrap();
            assert_eq!(client.read().unwrap(), Foreign::binary(bytes), "{len} bytes");
        }
        client.send(Foreign::text("größer")).unwrap();
        assert_eq!(client.read().unwrap(), Foreign::text("größer"));
        client.send(Foreign::Ping(vec![1, 2, 3].into())).unwrap();
        assert_eq!(client.read().unwrap(), Foreign::Pong(vec![1, 2, 3].into()));

        let frame = CloseFrame { code: 4000.into(), reason: "enough".into() };
        client.close(Some(frame)).unwrap();
        let answer = client.read().unwrap();
        assert!(matches!(&answer, Foreign::Close(Some(close)) if u16::from(close.code) == 4000));
        assert!(matches!(client.read(), Err(Error::ConnectionClosed)));

        let stats = drained(server);
        assert_eq!((stats.messages_received, stats.messages_sent), (9, 9), "{}", driver.name());
        assert_eq!((stats.closed[&4000], stats.ended(End::Closed)), (1, 1));
    }
}

#[test]
fn a_client_that_answers_is_kept_and_one_that_does_not_is_aborted() {
    let interval = Duration::from_millis(50);
    let heartbeat = Heartbeat { interval, timeout: PATIENCE, ..Heartbeat::default() };
    for driver in DRIVERS {
        let beating = Config { heartbeat: Some(heartbeat), ..config() };
        let server = start(driver, beating, || Echo);
        let mut living = connect(&server);
        for _ in 0..5 {
            assert!(matches!(living.read().unwrap(), Foreign::Ping(_)));
            living.flush().unwrap();
        }
        living.send(Foreign::text("still here")).unwrap();
        while living.read().unwrap() != Foreign::text("still here") {}
        let stats = drained(server);
        let (matched, timed) = (stats.pongs_matched, stats.rtt_ns.len());
        assert!(matched >= 5 && timed == matched, "{}: {matched}, {timed}", driver.name());

        let heartbeat = Heartbeat { timeout: interval, ..heartbeat };
        let beating = Config { heartbeat: Some(heartbeat), ..config() };
        let server = start(driver, beating, || Echo);
        let mut mute = connect(&server);
        let error = loop {
            // Reads the pings, and leaves the pongs unsent.
            match mute.get_mut().read(&mut [0; 64]) {
                Ok(0) => panic!("a silent peer is aborted, not closed politely"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{}", driver.name());
        let stats = drained(server);
        assert_eq!((stats.ended(End::Silent), stats.lateness_ns.len()), (1, 1));
    }
}

/// Says a word and closes.
struct Curt;

impl App for Curt {
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_open(&mut self, peer: &mut Peer<'_>, _state: &mut ()) {
        peer.send(Message::Text("go"));
        peer.close(CloseCode::POLICY, "away");
    }

    fn on_message(&mut self, _peer: &mut Peer<'_>, _state: &mut (), _message: Message<'_>) {}
}

#[test]
fn what_the_app_says_at_the_opening_follows_the_response() {
    for driver in DRIVERS {
        let server = start(driver, config(), || Curt);
        let mut client = connect(&server);
        assert_eq!(client.read().unwrap(), Foreign::text("go"));
        let close = client.read().unwrap();
        assert!(
            matches!(&close, Foreign::Close(Some(close)) if u16::from(close.code) == 1008 && close.reason == "away")
        );
        assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
        assert_eq!(drained(server).ended(End::Closed), 1, "{}", driver.name());
    }
}

#[test]
fn a_plain_get_gets_a_line_of_help() {
    for driver in DRIVERS {
        let server = start(driver, config(), || Echo);
        let mut stream = tcp(&server);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 426 "), "{}: {answer}", driver.name());
        drop(stream);
        drained(server);
    }
}

#[test]
fn those_beyond_the_maximum_are_refused_and_come_in_when_there_is_room() {
    for driver in DRIVERS {
        let server = start(driver, config(), || Echo);
        let clients: Vec<_> = (0..200).map(|_| connect(&server)).collect();
        let url = format!("ws://{}/", server.local_addr());
        match tungstenite::client(&url, tcp(&server)) {
            Err(tungstenite::HandshakeError::Failure(Error::Http(answer))) => {
                assert_eq!(answer.status(), 503, "{}", driver.name());
            }
            other => panic!("{}: {other:?}", driver.name()),
        }
        assert_eq!(server.handle().open(), 200);
        drop(clients);
        wait_until("all places to be free again", || server.handle().open() == 0);
        connect(&server);
        let stats = drained(server);
        assert_eq!((stats.opened, stats.peak), (201, 200));
        assert_eq!(stats.refused[&halfopen_server::Refusal::Full], 1);
    }
}

#[test]
fn a_drain_says_1001_and_a_second_word_ends_at_once() {
    for driver in DRIVERS {
        let server = start(driver, config(), || Echo);
        let mut client = connect(&server);
        server.handle().drain(Duration::ZERO);
        let close = client.read().unwrap();
        assert!(matches!(&close, Foreign::Close(Some(close)) if u16::from(close.code) == 1001));
        server.handle().stop();
        let outcome = server.join();
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        assert_eq!(outcome.stats.closed[&1001], 1, "{}", driver.name());
    }
}

#[test]
fn a_port_in_use_is_named_with_the_next_step() {
    let server = start(DriverKind::TokioUring, config(), || Echo);
    let config = ServerConfig { listen: server.local_addr(), ..ServerConfig::default() };
    let error = Server::start(&config, |_| Echo).expect_err("the port is in use");
    assert!(matches!(error, ServerError::AddressInUse { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&server.local_addr().to_string()) && text.contains("ss -ltnp"), "{text}");
    drained(server);
}

#[test]
fn a_core_that_does_not_exist_is_named() {
    let config = ServerConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        driver: DriverKind::TokioUring,
        cpus: vec![1_000],
        ..ServerConfig::default()
    };
    let error = Server::start(&config, |_| Echo).expect_err("there is no such core");
    assert!(error.to_string().contains("core 1000"), "{error}");
}
