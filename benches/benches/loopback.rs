//! A round trip over loopback through each driver: one connection, one message of 64 bytes.
//!
//! Many connections, beside a floor, one message under way on each or several, are compared by the
//! program `echo-floor`.

use bytes::BytesMut;
use criterion::{Criterion, criterion_group, criterion_main};
use halfopen_benches::contest::input::SCRIPTS;
use halfopen_proto::handshake::{ClientRequest, HeadLimits};
use halfopen_proto::{Connection, Message, Role, frame_len};
use halfopen_server::{DriverKind, Echo, Server, ServerConfig};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

const MESSAGE: usize = 64;

fn echo(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("loopback");
    for driver in DriverKind::ALL {
        let server = start(driver);
        let mut peer = open(server.local_addr());
        let (sent, expected) = frames();
        let mut echo = vec![0; expected.len()];
        let mut round_trip = || {
            peer.write_all(&sent).expect("the server reads");
            peer.read_exact(&mut echo).expect("the server answers");
            echo == expected
        };
        assert!(round_trip());
        group.bench_function(format!("echo/{}", driver.name()), |bench| {
            bench.iter(&mut round_trip);
        });
        assert!(round_trip());
        server.handle().stop();
        assert!(server.join().error.is_none());
    }
    group.finish();
}

fn start(driver: DriverKind) -> Server {
    let config = ServerConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        driver,
        shards: Some(1),
        connections_max: Some(16),
        ..ServerConfig::default()
    };
    Server::start(&config, |_| Echo).expect("the server starts")
}

fn open(server: SocketAddr) -> TcpStream {
    let mut peer = TcpStream::connect(server).expect("the server listens");
    peer.set_nodelay(true).expect("a TCP socket");
    let request = ClientRequest { host: "localhost", target: "/", ..ClientRequest::default() };
    let mut out = BytesMut::new();
    request.encode(&mut out).expect("a valid request");
    peer.write_all(&out).expect("the server reads");
    let (mut head, mut byte) = (Vec::new(), [0]);
    while request.check_response(&head, &HeadLimits::default()).expect("an upgrade").is_none() {
        peer.read_exact(&mut byte).expect("the server answers");
        head.extend(byte);
    }
    peer
}

/// A message as the client sends it, and as the server does.
fn frames() -> (BytesMut, BytesMut) {
    let text = SCRIPTS[0].text(MESSAGE);
    let (mut sent, mut back) = (BytesMut::new(), BytesMut::new());
    Connection::new(Role::Client).encode(Message::Text(&text), [1, 2, 3, 4], &mut sent);
    Connection::new(Role::Server).encode(Message::Text(&text), [0; 4], &mut back);
    assert_eq!(back.len(), frame_len(Role::Server, MESSAGE));
    (sent, back)
}

criterion_group!(benches, echo);
criterion_main!(benches);
