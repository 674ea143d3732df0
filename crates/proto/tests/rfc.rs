//! What RFC 6455 says must be so, a test for each rule, named with its section.

use bytes::BytesMut;
use halfopen_proto::{
    CloseCode, Connection, Incoming, Limits, Message, Role, Scratch, State, Violation, frame_len,
};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What a connection makes of some bytes, as owned values.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Fault(Violation),
}

fn seen(incoming: &Incoming<'_>) -> Seen {
    match incoming {
        Incoming::Text(text) => Seen::Text(text.to_string()),
        Incoming::Binary(bytes) => Seen::Binary(bytes.to_vec()),
        Incoming::Ping(bytes) => Seen::Ping(bytes.to_vec()),
        Incoming::Pong(bytes) => Seen::Pong(bytes.to_vec()),
        Incoming::Close(code, reason) => Seen::Close(code.map(CloseCode::get), reason.to_string()),
    }
}

struct Peer {
    connection: Connection,
    limits: Limits,
    scratch: Scratch,
}

impl Peer {
    fn new(role: Role) -> Self {
        Self {
            connection: Connection::new(role),
            limits: Limits::default(),
            scratch: Scratch::default(),
        }
    }

    fn hear(&mut self, bytes: &[u8]) -> Vec<Seen> {
        let mut bytes = bytes.to_vec();
        let mut input = &mut bytes[..];
        let mut all = Vec::new();
        loop {
            match self.connection.receive(&mut input, &self.limits, &mut self.scratch) {
                Ok(Some(incoming)) => all.push(seen(&incoming)),
                Ok(None) => return all,
                Err(violation) => all.push(Seen::Fault(violation)),
            }
        }
    }
}

#[test]
fn s5_7_the_examples() {
    let mut server = Peer::new(Role::Server);
    let mut client = Peer::new(Role::Client);
    let hello = vec![Seen::Text("Hello".into())];
    assert_eq!(client.hear(b"\x81\x05Hello"), hello);
    assert_eq!(server.hear(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), hello);
    assert_eq!(client.hear(b"\x01\x03Hel\x80\x02lo"), hello);
    assert_eq!(client.hear(b"\x89\x05Hello"), [Seen::Ping(b"Hello".to_vec())]);
    assert_eq!(
        server.hear(b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
        [Seen::Pong(b"Hello".to_vec())]
    );
}

#[test]
fn s5_2_lengths_take_their_shortest_form_in_both_directions() {
    for length in [0, 1, 125, 126, 127, 0xffff, 0x1_0000, 0x1_0001] {
        for (from, to) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
            let payload = vec![0xa5; length];
            let mut wire = BytesMut::new();
            Connection::new(from).encode(Message::Binary(&payload), KEY, &mut wire);
            assert_eq!(wire.len(), frame_len(from, length));
            assert_eq!(Peer::new(to).hear(&wire), [Seen::Binary(payload)]);
        }
    }
}

#[test]
fn s5_5_1_a_close_is_answered_with_its_code_and_what_follows_is_ignored() {
    let mut client = Peer::new(Role::Client);
    let heard = client.hear(b"\x88\x05\x03\xe9bye\x81\x05Hello");
    assert_eq!(heard, [Seen::Close(Some(1001), "bye".into())]);
    assert_eq!(client.connection.state(), State::CloseReceived);
    let mut out = BytesMut::new();
    assert!(client.connection.encode_close(None, "", [0; 4], &mut out));
    assert_eq!(&out[..], b"\x88\x82\0\0\0\0\x03\xe9");
    assert_eq!(client.connection.state(), State::Closed);
    assert!(!client.connection.encode(Message::Text("late"), [0; 4], &mut out));
}
