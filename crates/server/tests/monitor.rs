//! A monitor beside a server that runs: what it reads is what happened, and a shard that is stuck
//! holds up nobody.

use halfopen_server::metrics::Monitor;
use halfopen_server::{
    Accept, App, Config, DriverKind, Handshake, Message, Peer, Rejection, Server, ServerConfig,
};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{WebSocket, connect};

const PATIENCE: Duration = Duration::from_secs(10);

/// Says that it is stuck, and is until it is told to go on.
struct Stuck {
    stuck: Sender<()>,
    go_on: Receiver<()>,
}

impl App for Stuck {
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, _state: &mut (), message: Message<'_>) {
        if message.as_bytes() == b"halt" {
            self.stuck.send(()).unwrap();
            self.go_on.recv_timeout(PATIENCE).unwrap();
        }
        peer.send(message);
    }
}

fn start() -> (Server, Receiver<()>, Sender<()>) {
    let (stuck, is_stuck) = channel();
    let (release, go_on) = channel();
    let config = ServerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        driver: DriverKind::TokioUring,
        shards: Some(1),
        connections_max: Some(16),
        shard: Config { heartbeat: None, ..Config::default() },
        ..ServerConfig::default()
    };
    let mut app = Some(Stuck { stuck, go_on });
    let server = Server::start(&config, |_| app.take().expect("there is one shard")).unwrap();
    (server, is_stuck, release)
}

fn client(server: &Server) -> WebSocket<MaybeTlsStream<TcpStream>> {
    connect(format!("ws://{}/", server.local_addr())).unwrap().0
}

/// The value of a sample.
fn value(page: &str, sample: &str) -> f64 {
    let line = page.lines().find(|line| line.rsplit_once(' ').is_some_and(|(is, _)| is == sample));
    line.unwrap_or_else(|| panic!("{sample}: {page}")).rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_shard_that_is_stuck_is_told_as_such_and_no_counter_runs_backwards() {
    let (server, is_stuck, release) = start();
    let mut client = client(&server);
    client.send("hello".into()).unwrap();
    client.read().unwrap();
    let mut monitor = Monitor::new(server.handle());
    let before = monitor.read(PATIENCE);
    assert!(before.is_complete());
    let before = before.to_prometheus();
    assert_eq!(value(&before, "halfopen_shard_answered{shard=\"0\"}"), 1.0);

    client.send("halt".into()).unwrap();
    is_stuck.recv_timeout(PATIENCE).unwrap();
    // More readings than commands fit into a mailbox.
    for _ in 0..20 {
        let began = Instant::now();
        let reading = monitor.read(Duration::from_millis(10));
        assert!(!reading.is_complete() && began.elapsed() < PATIENCE / 2);
        let page = reading.to_prometheus();
        assert_eq!(value(&page, "halfopen_shard_answered{shard=\"0\"}"), 0.0);
        for counter in ["halfopen_messages_received_total", "halfopen_accepts_total"] {
            assert_eq!(value(&page, counter), value(&before, counter), "{counter}");
        }
        assert_eq!(value(&page, "halfopen_connections"), 1.0);
    }

    release.send(()).unwrap();
    client.read().unwrap();
    let after = monitor.read(PATIENCE).to_prometheus();
    assert_eq!(value(&after, "halfopen_shard_answered{shard=\"0\"}"), 1.0);
    assert_eq!(value(&after, "halfopen_messages_received_total"), 2.0);
    server.handle().stop();
    assert!(server.join().error.is_none());
}

#[test]
fn a_monitor_outlives_its_server() {
    let (server, _is_stuck, _release) = start();
    drop(client(&server));
    let mut monitor = Monitor::new(server.handle());
    assert!(monitor.read(PATIENCE).is_complete());
    server.handle().stop();
    server.join();
    let reading = monitor.read(PATIENCE);
    assert!(!reading.is_complete());
    assert_eq!(value(&reading.to_prometheus(), "halfopen_accepts_total"), 1.0);
}
