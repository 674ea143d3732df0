//! What becomes of a client that sends and does not read, by each policy.

use crate::program::Served;
use std::net::TcpStream;
use std::time::Duration;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Error, Message, WebSocket, connect};

/// Far more than the kernel's buffers of both ends and the server's bound hold together.
const SENT: u8 = 128;
const EACH: usize = 64 << 10;

/// How long a full pipe or an empty one is waited for.
const A_WHILE: Duration = Duration::from_millis(300);

struct Flooded {
    _server: Served,
    client: WebSocket<MaybeTlsStream<TcpStream>>,
    /// How many messages the server was willing to take.
    taken: u8,
}

impl Flooded {
    fn with(policy: &str) -> Self {
        let flags = ["--output-max=64KiB", "--ping-interval=off", "--slow-consumer", policy];
        let server = Served::start(&flags);
        let (mut client, _) = connect(server.url()).unwrap();
        let MaybeTlsStream::Plain(stream) = client.get_mut() else { panic!("ws:// is plain") };
        stream.set_write_timeout(Some(A_WHILE)).unwrap();
        stream.set_read_timeout(Some(A_WHILE)).unwrap();
        let sends = (0..SENT).map(|number| client.send(Message::binary(vec![number; EACH])));
        let taken = sends.take_while(Result::is_ok).count() as u8;
        Self { _server: server, client, taken }
    }

    /// The messages that come back, by their number, until a while passes without one.
    fn come_back(&mut self) -> Vec<u8> {
        let mut numbers = Vec::new();
        loop {
            // What did not go while nobody read may go now.
            let flushed = self.client.flush();
            assert!(flushed.is_ok() || is_timeout(&flushed), "{flushed:?}");
            match self.client.read() {
                Ok(message) => {
                    let data = message.into_data();
                    assert!(data.len() == EACH && data.iter().all(|&byte| byte == data[0]));
                    numbers.push(data[0]);
                }
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(other) => panic!("{other}"),
            }
        }
        numbers
    }

    fn answers(&mut self) -> bool {
        self.client.send(Message::text("hello")).unwrap();
        self.client.read().unwrap() == Message::text("hello")
    }
}

fn is_timeout<T>(result: &tungstenite::Result<T>) -> bool {
    matches!(result, Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn drop_loses_messages_and_keeps_the_connection() {
    let mut flooded = Flooded::with("drop");
    assert_eq!(flooded.taken, SENT, "the server reads on");
    let back = flooded.come_back();
    assert!(!back.is_empty() && back.len() < usize::from(SENT), "{back:?}");
    assert!(back.is_sorted(), "{back:?}");
    assert!(flooded.answers());
}

#[test]
fn close_ends_it_with_1008() {
    let mut flooded = Flooded::with("close");
    let last = std::iter::from_fn(|| flooded.client.read().ok()).find(Message::is_close);
    let Some(Message::Close(Some(frame))) = last else { panic!("{last:?}") };
    assert_eq!(frame.code, CloseCode::Policy);
}

#[test]
fn wait_reads_no_more_and_loses_nothing() {
    let mut flooded = Flooded::with("wait");
    assert!(flooded.taken < SENT, "the server stops reading");
    // The one that was begun when the pipe was full goes on its way as well.
    let expected: Vec<u8> = (0..=flooded.taken).collect();
    assert_eq!(flooded.come_back(), expected);
    assert!(flooded.answers());
}
