//! What an app can do, over real sockets and several shards.

use crate::rig::{
    DRIVERS, PATIENCE, PING, TEXT, drained, frame, patient, read_head, request, start, tcp,
};
use halfopen_server::{
    Accept, Answer, App, CloseCode, DriverKind, End, Handshake, Mailbox, Message, Peer, PeerId,
    PlainRequest, Rejection, SendError, Server, ServerConfig,
};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;
use tungstenite::{Error, Message as Foreign, WebSocket};

/// Tells a thread who has come, from where, and subscribes everyone to `all`.
struct Register {
    come: Sender<(PeerId, SocketAddr)>,
}

impl App for Register {
    type State = SocketAddr;

    const WANTS_PEER_ADDR: bool = true;

    fn on_request(&mut self, request: &Handshake<'_>) -> Result<Accept<SocketAddr>, Rejection> {
        Ok(Accept::new(request.peer_addr().expect("the kernel says")))
    }

    fn on_http(&mut self, request: &PlainRequest<'_>) -> Option<Answer> {
        Some(Answer::new(200, request.path().to_owned()))
    }

    fn on_open(&mut self, peer: &mut Peer<'_>, addr: &mut SocketAddr) {
        peer.subscribe("all").unwrap();
        // A test may have seen enough.
        let _ = self.come.send((peer.id(), *addr));
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, _addr: &mut SocketAddr, message: Message<'_>) {
        match message {
            Message::Text("later") => peer.set_timer(1, Duration::from_millis(20)),
            message => peer.publish("all", message).unwrap(),
        }
    }

    fn on_peer_timer(&mut self, peer: &mut Peer<'_>, addr: &mut SocketAddr, _timer: u8) {
        peer.send(Message::Text(&addr.to_string()));
    }
}

type Client = WebSocket<TcpStream>;

/// A server of three shards, and clients with the names that it gives them.
fn crowd(driver: DriverKind, count: usize) -> (Server, Vec<(Client, PeerId)>) {
    let (come, came) = channel();
    let config = ServerConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        driver,
        shards: Some(3),
        connections_max: Some(100),
        shard: patient(),
        ..ServerConfig::default()
    };
    let server = Server::start(&config, |_| Register { come: come.clone() }).unwrap();
    let client = |_| {
        let url = format!("ws://{}/", server.local_addr());
        let (client, _) = tungstenite::client(url, tcp(&server)).unwrap();
        let (id, addr) = came.recv_timeout(PATIENCE).unwrap();
        assert_eq!(client.get_ref().local_addr().unwrap(), addr, "{}", driver.name());
        (client, id)
    };
    let clients = (0..count).map(client).collect();
    (server, clients)
}

/// Twelve clients on more than one shard. Whom the listener wakes is the kernel's to choose, and on a
/// busy machine it may be the same one for a while.
fn spread_crowd(driver: DriverKind) -> (Server, Vec<(Client, PeerId)>) {
    for _ in 0..10 {
        let (server, clients) = crowd(driver, 12);
        let shards: BTreeSet<_> = clients.iter().map(|(_, id)| id.shard()).collect();
        if shards.len() > 1 {
            return (server, clients);
        }
        drop(clients);
        drained(server);
    }
    panic!("{}: all came to one shard", driver.name());
}

fn text(client: &mut Client) -> String {
    client.read().unwrap().into_text().unwrap().to_string()
}

#[test]
fn letters_from_a_thread_reach_each_connection_on_its_shard() {
    for driver in DRIVERS {
        let (server, mut clients) = spread_crowd(driver);
        let ids: Vec<_> = clients.iter().map(|&(_, id)| id).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());

        let mailbox = server.mailbox();
        let poster = thread::spawn(move || {
            for number in 0..50 {
                for id in &ids {
                    let text = format!("{number} for {id}");
                    mailbox.send(*id, Message::Text(&text)).wait().unwrap();
                }
            }
            let code = CloseCode::new(4000).unwrap();
            ids.iter().for_each(|id| mailbox.close(*id, code, "enough").wait().unwrap());
            (mailbox, ids)
        });
        for (mut client, id) in clients.drain(..) {
            for number in 0..50 {
                assert_eq!(text(&mut client), format!("{number} for {id}"), "{}", driver.name());
            }
            let Foreign::Close(Some(close)) = client.read().unwrap() else { panic!("a close") };
            assert_eq!((u16::from(close.code), close.reason.as_str()), (4000, "enough"));
            assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
        }
        let (mailbox, ids) = poster.join().unwrap();
        let again = mailbox.send(ids[0], Message::Text("?")).wait();
        assert_eq!(again, Err(SendError::Gone), "{}", driver.name());
        let stats = drained(server);
        assert_eq!((stats.messages_sent, stats.ended(End::Closed)), (600, 12));
        assert_eq!(mailbox.publish("all", Message::Text("?")).wait(), Err(SendError::Stopped));
    }
}

#[test]
fn what_is_published_comes_to_all_shards_in_one_order() {
    for driver in DRIVERS {
        let (server, mut clients) = spread_crowd(driver);
        let mailbox = server.mailbox();
        let publisher = |name: char, mailbox: Mailbox| {
            thread::spawn(move || {
                for number in 0..100 {
                    let text = format!("{name}{number}");
                    mailbox.publish("all", Message::Text(&text)).wait().unwrap();
                }
            })
        };
        let publishers = ['a', 'b'].map(|name| publisher(name, mailbox.clone()));
        // And one of the connections.
        for number in 0..100 {
            clients[0].0.send(Foreign::text(format!("c{number}"))).unwrap();
        }
        let seen = clients
            .iter_mut()
            .map(|(client, _)| (0..300).map(|_| text(client)).collect::<Vec<_>>());
        let seen: Vec<_> = seen.collect();
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{}", driver.name());
        for name in ['a', 'b', 'c'] {
            let own = seen[0].iter().filter(|text| text.starts_with(name));
            let expected: Vec<_> = (0..100).map(|number| format!("{name}{number}")).collect();
            assert!(own.eq(&expected), "{}: {name}", driver.name());
        }
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        drop(clients);
        drained(server);
    }
}

#[test]
fn timers_and_plain_http_work_on_every_driver() {
    for driver in DRIVERS {
        let (server, mut clients) = crowd(driver, 2);
        let (client, _) = &mut clients[0];
        client.send(Foreign::text("later")).unwrap();
        assert_eq!(text(client), client.get_ref().local_addr().unwrap().to_string());

        let mut stream = tcp(&server);
        stream.write_all(b"GET /page?1 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("FIN, and no reset");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n/page"));
        drop((clients, stream));
        assert_eq!(drained(server).ended(End::Answered), 1, "{}", driver.name());
    }
}

/// Frames glued to a request whose sender's address is still being asked for.
#[test]
fn what_follows_a_request_waits_until_the_address_is_known() {
    for driver in DRIVERS {
        let (server, clients) = crowd(driver, 0);
        assert!(clients.is_empty());
        let mut stream = tcp(&server);
        let wire = [request(|_| {}), frame(PING, b"!"), frame(TEXT, b"early")].concat();
        for piece in wire.chunks(wire.len() / 2) {
            stream.write_all(piece).unwrap();
        }
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "), "{}", driver.name());
        let mut answers = [0; 10];
        stream.read_exact(&mut answers).unwrap();
        let published = b"\x8a\x01!\x81\x05early";
        assert_eq!(&answers, published, "{}: the text is published to itself", driver.name());
        drop(stream);
        drained(server);
    }
}

/// A panic is a fault of the app; it ends the server, and is told.
struct Fragile;

impl App for Fragile {
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_message(&mut self, _peer: &mut Peer<'_>, _state: &mut (), _message: Message<'_>) {
        panic!("as the test wants");
    }
}

#[test]
fn a_panic_of_an_app_ends_the_server_and_nobody_waits_for_it() {
    let server = start(DriverKind::IoUring, patient(), || Fragile);
    let mailbox = server.mailbox();
    let mut stream = tcp(&server);
    stream.write_all(&[request(|_| {}), frame(TEXT, b"boo")].concat()).unwrap();
    let outcome = server.join();
    let error = outcome.error.expect("it is told").to_string();
    assert!(error.contains("panicked: as the test wants"), "{error}");
    assert_eq!(mailbox.publish("all", Message::Text("?")).wait(), Err(SendError::Stopped));
}
