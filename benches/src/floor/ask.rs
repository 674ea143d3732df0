//! The client of an echo: a closed loop, with a number of messages under way on each connection.
//!
//! It is the same for the floor and for a WebSocket server, so that servers alone are compared: it
//! sends bytes that were made once and counts the bytes that come back.

use super::ring::{About, Done, Ring, Wait};
use super::{Tally, attend, start};
use bytes::BytesMut;
use halfopen_proto::handshake::{ClientRequest, HeadLimits};
use halfopen_proto::{Connection, Message, Role};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::channel;

/// What is said on each connection.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// How many connections.
    pub connections: u32,
    /// Messages under way on each.
    pub window: usize,
    /// Bytes of text in a message.
    pub size: usize,
    /// The server speaks WebSocket; else it sends back what it gets.
    pub websocket: bool,
}

/// Opens the connections, checks one echo on each, and goes round until standard input ends; tells
/// of messages sent as pings and of echoes as pongs.
///
/// # Errors
/// Whatever the kernel refuses; a server that does not echo.
pub fn ask(server: SocketAddr, script: Script) -> io::Result<()> {
    let (opened, all_opened) = channel();
    let tallies = start(1, move |_, tally| {
        let client = Client::new(server, script, tally)?;
        opened.send(()).map_err(io::Error::other)?;
        client.run()
    })?;
    all_opened.recv().map_err(io::Error::other)?;
    attend(&tallies)
}

struct Client {
    ring: Ring,
    /// As many messages as there may be under way.
    messages: &'static [u8],
    message_len: usize,
    echo_len: usize,
    /// Bytes of an echo that is not whole yet, by slot.
    partial: Vec<usize>,
    tally: Arc<Tally>,
}

impl Client {
    fn new(server: SocketAddr, script: Script, tally: Arc<Tally>) -> io::Result<Self> {
        let (message, echo) = script.frames();
        let mut client = Self {
            ring: Ring::new(script.connections, tally.clone())?,
            messages: message.repeat(script.window).leak(),
            message_len: message.len(),
            echo_len: echo.len(),
            partial: vec![0; script.connections as usize],
            tally,
        };
        for slot in 0..script.connections {
            let mut socket = TcpStream::connect(server)?;
            socket.set_nodelay(true)?;
            if script.websocket {
                shake_hands(&mut socket)?;
            }
            check_echo(&mut socket, &message, &echo)?;
            client.ring.adopt(&[socket.as_raw_fd()], slot)?;
            client.ring.receive(slot)?;
            client.tally.connections.add(1);
        }
        for slot in 0..script.connections {
            client.say(slot, script.window)?;
        }
        Ok(client)
    }

    fn run(mut self) -> io::Result<()> {
        let mut done = Vec::new();
        loop {
            self.ring.enter(Wait::ForEver)?;
            self.ring.take(&mut done);
            for done in done.drain(..) {
                self.on_done(&done)?;
            }
        }
    }

    fn on_done(&mut self, done: &Done) -> io::Result<()> {
        let About::Receive(slot) = done.about else { return Ok(()) };
        if let Ok(taken @ 1..) = usize::try_from(done.result) {
            let partial = &mut self.partial[slot as usize];
            let bytes = *partial + taken;
            *partial = bytes % self.echo_len;
            let echoes = bytes / self.echo_len;
            self.tally.pongs.add(echoes as u64);
            self.say(slot, echoes)?;
        }
        self.ring.receive_on(slot, done)
    }

    fn say(&mut self, slot: u32, messages: usize) -> io::Result<()> {
        if messages == 0 {
            return Ok(());
        }
        self.tally.pings.add(messages as u64);
        self.ring.send(slot, &self.messages[..messages * self.message_len])
    }
}

impl Script {
    /// A message and its echo on the wire.
    fn frames(&self) -> (Vec<u8>, Vec<u8>) {
        let text = "x".repeat(self.size);
        let frame = |role, key| {
            let mut out = BytesMut::new();
            Connection::new(role).encode(Message::Text(&text), key, &mut out);
            out.to_vec()
        };
        let message = frame(Role::Client, [1, 2, 3, 4]);
        let echo = if self.websocket { frame(Role::Server, [0; 4]) } else { message.clone() };
        (message, echo)
    }
}

fn shake_hands(socket: &mut TcpStream) -> io::Result<()> {
    let request = ClientRequest { host: "localhost", target: "/", ..ClientRequest::default() };
    let mut out = BytesMut::new();
    request.encode(&mut out).map_err(io::Error::other)?;
    socket.write_all(&out)?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while request
        .check_response(&head, &HeadLimits::default())
        .map_err(|error| io::Error::other(error.to_string()))?
        .is_none()
    {
        socket.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(())
}

fn check_echo(socket: &mut TcpStream, message: &[u8], expected: &[u8]) -> io::Result<()> {
    socket.write_all(message)?;
    let mut echo = vec![0; expected.len()];
    socket.read_exact(&mut echo)?;
    if echo == expected { Ok(()) } else { Err(io::Error::other("the server does not echo")) }
}
