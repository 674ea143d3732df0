//! The server's end of one connection, as a script tells it to be.

use bytes::BytesMut;
use halfopen_driver::Cause;
use halfopen_proto::handshake::{HeadLimits, Request};
use halfopen_proto::{CloseCode, Connection, Incoming, Limits, Message, Role, Scratch};
use halfopen_wheel::Instant;
use std::net::SocketAddr;
use std::time::Duration;

/// How the server behaves.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// Connects to this address are refused.
    pub(crate) refuses: Option<SocketAddr>,
    /// It answers each request with these pieces, 10 ms apart, and not with a handshake.
    pub(crate) answers_with: Vec<&'static str>,
    /// It never answers a request.
    pub(crate) mute: bool,
    /// It pings that often.
    pub(crate) pings: Option<Duration>,
    /// With this text, and not with a ping.
    pub(crate) pings_with: Option<&'static str>,
    /// It sends messages back.
    pub(crate) echoes: bool,
    /// It ends each connection at its n-th ping, in this way.
    pub(crate) ends_at_ping: Option<(u32, End)>,
    /// It answers Close with Close and waits for the client to end the connection.
    pub(crate) lets_the_client_close: bool,
    /// What it says before this moment goes out then.
    pub(crate) stalled_until: Instant,
    /// The most bytes of one receive.
    pub(crate) piece: usize,
}

/// How the server ends a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Close(u16, &'static str),
    Fin,
    Reset,
    /// A ping, and behind it a frame that no server may send.
    MaskedFrame,
}

/// What the server's end has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) target: String,
    pub(crate) pongs: Vec<Instant>,
    pub(crate) messages: Vec<(Instant, Vec<u8>)>,
    pub(crate) close: Option<(Instant, Option<u16>)>,
    pub(crate) fin: Option<Instant>,
    pub(crate) reset: Option<Instant>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            refuses: None,
            answers_with: Vec::new(),
            mute: false,
            pings: None,
            pings_with: None,
            echoes: true,
            ends_at_ping: None,
            lets_the_client_close: false,
            stalled_until: Instant::default(),
            piece: usize::MAX,
        }
    }
}

impl Script {
    pub(crate) fn answer_to_connect(&self, to: SocketAddr) -> Result<(), Cause> {
        if self.refuses == Some(to) { Err(Cause::NobodyListens) } else { Ok(()) }
    }
}

pub(crate) struct Peer {
    ws: Option<Connection>,
    head: Vec<u8>,
    out: BytesMut,
    scratch: Scratch,
    pub(crate) seen: Seen,
    pub(crate) ended: Option<Cause>,
    pub(crate) next_tick: Option<Instant>,
    ticks: u32,
    over: bool,
}

impl Peer {
    pub(crate) fn new() -> Self {
        Self {
            ws: None,
            head: Vec::new(),
            out: BytesMut::new(),
            scratch: Scratch::default(),
            seen: Seen::default(),
            ended: None,
            next_tick: None,
            ticks: 0,
            over: false,
        }
    }

    pub(crate) fn say(&mut self) -> BytesMut {
        self.out.split()
    }

    pub(crate) fn receive(&mut self, mut bytes: Vec<u8>, script: &Script, now: Instant) {
        if self.over {
            // Its kernel knows of no such connection.
            self.ended = Some(Cause::Reset);
            return;
        }
        if self.ws.is_some() {
            return self.frames(&mut bytes, script, now);
        }
        self.head.extend(bytes);
        let Some((request, _)) = Request::parse(&self.head, &HeadLimits::default()).unwrap() else {
            return;
        };
        self.seen.target = request.target().into();
        if script.mute {
        } else if script.answers_with.is_empty() {
            request.accept(None, &[], &mut self.out).unwrap();
            self.ws = Some(Connection::new(Role::Server));
            self.next_tick = script.pings.map(|interval| now + interval);
        } else {
            self.next_tick = Some(now);
        }
    }

    pub(crate) fn tick(&mut self, script: &Script, now: Instant) {
        if self.over {
            return;
        }
        self.ticks += 1;
        let Some(ws) = &mut self.ws else {
            return self.answer_otherwise(script, now);
        };
        if let Some((at, end)) = script.ends_at_ping
            && at == self.ticks
        {
            return self.end(end);
        }
        match script.pings_with {
            Some(text) => ws.encode(Message::Text(text), [0; 4], &mut self.out),
            None => ws.encode_ping(&self.ticks.to_be_bytes(), [0; 4], &mut self.out),
        };
        self.next_tick = script.pings.map(|interval| now + interval);
    }

    fn answer_otherwise(&mut self, script: &Script, now: Instant) {
        let said = script.answers_with.get(self.ticks as usize - 1);
        self.out.extend_from_slice(said.unwrap_or(&"").as_bytes());
        self.next_tick = said.map(|_| now + Duration::from_millis(10));
    }

    fn end(&mut self, end: End) {
        match end {
            End::Close(code, reason) => {
                let ws = self.ws.as_mut().unwrap();
                ws.encode_close(CloseCode::new(code), reason, [0; 4], &mut self.out);
            }
            End::Fin => self.over(Cause::Fin),
            End::Reset => self.over(Cause::Reset),
            End::MaskedFrame => {
                self.out.extend_from_slice(&[0x89, 0, 0x81, 0x80, 1, 2, 3, 4]);
            }
        }
    }

    fn over(&mut self, cause: Cause) {
        if !self.over {
            self.over = true;
            self.ended = Some(cause);
        }
    }

    /// The client's FIN: the server closes too.
    pub(crate) fn fin(&mut self, now: Instant) {
        self.seen.fin.get_or_insert(now);
        self.over(Cause::Fin);
    }

    fn frames(&mut self, mut bytes: &mut [u8], script: &Script, now: Instant) {
        let ws = self.ws.as_mut().unwrap();
        let mut closed = false;
        while let Some(incoming) =
            ws.receive(&mut bytes, &Limits::default(), &mut self.scratch).expect("a lawful client")
        {
            let echo = match &incoming {
                Incoming::Text(text) => Some(Message::Text(text)),
                Incoming::Binary(payload) => Some(Message::Binary(payload)),
                Incoming::Pong(_) => {
                    self.seen.pongs.push(now);
                    None
                }
                Incoming::Ping(_) => None,
                Incoming::Close(code, _) => {
                    self.seen.close.get_or_insert((now, code.map(CloseCode::get)));
                    closed = true;
                    None
                }
            };
            if let Some(message) = echo {
                self.seen.messages.push((now, message.as_bytes().to_vec()));
                if script.echoes {
                    ws.encode(message, [0; 4], &mut self.out);
                }
            }
        }
        ws.encode_pong([0; 4], &mut self.scratch, &mut self.out);
        if closed {
            ws.encode_close(None, "", [0; 4], &mut self.out);
            if !script.lets_the_client_close {
                self.over(Cause::Fin);
            }
        }
    }
}
