//! A proxy of layer 7: it ends TCP on both sides and hands the bytes on, so each side's kernel sees
//! a host that acknowledges everything, whatever has become of the other side.

use bytes::BytesMut;
use halfopen_driver::{CHUNK_MAX, Cause, Chunk, ConnId, Engine, Event, Heard, Op, Opening, Token};
use halfopen_wheel::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// The proxy. It stops when it is woken.
pub(crate) struct Relay {
    server: SocketAddr,
    /// Clients that wait for their connection to the server.
    waiting: BTreeMap<Token, ConnId>,
    legs: BTreeMap<ConnId, Leg>,
    connects: u32,
}

/// One of the two connections of a client.
#[derive(Default)]
struct Leg {
    other: Option<ConnId>,
    out: BytesMut,
    in_flight: bool,
    /// FIN follows what is to be sent.
    is_over: bool,
}

impl Relay {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self { server, waiting: BTreeMap::new(), legs: BTreeMap::new(), connects: 0 }
    }

    fn accepted(&mut self, now: Instant, id: ConnId, ops: &mut Vec<Op>) {
        let token = Token(self.connects);
        self.connects += 1;
        self.waiting.insert(token, id);
        self.legs.insert(id, Leg::default());
        let deadline = now + Duration::from_secs(60);
        ops.push(Op::Connect { token, to: self.server, from: None, deadline });
    }

    fn connected(&mut self, id: ConnId, token: Token, ops: &mut Vec<Op>) {
        let client = self.waiting.remove(&token).expect("a client waits");
        let Some(leg) = self.legs.get_mut(&client) else { return ops.push(Op::Abort { id }) };
        leg.other = Some(id);
        // What the client said meanwhile lies in its own leg.
        let out = std::mem::take(&mut leg.out);
        self.legs.insert(id, Leg { other: Some(client), out, ..Leg::default() });
        self.flush(id, ops);
    }

    fn received(&mut self, id: ConnId, bytes: &[u8], ops: &mut Vec<Op>) {
        let Some(leg) = self.legs.get(&id) else { return };
        let to = leg.other.unwrap_or(id);
        if let Some(leg) = self.legs.get_mut(&to) {
            leg.out.extend_from_slice(bytes);
        }
        if to != id {
            self.flush(to, ops);
        }
    }

    fn closed(&mut self, id: ConnId, cause: Cause, ops: &mut Vec<Op>) {
        let other = self.legs.remove(&id).and_then(|leg| leg.other);
        let Some(other) = other.filter(|other| self.legs.contains_key(other)) else { return };
        if cause != Cause::Fin {
            return ops.push(Op::Abort { id: other });
        }
        self.legs.entry(other).or_default().is_over = true;
        self.flush(other, ops);
    }

    fn flush(&mut self, id: ConnId, ops: &mut Vec<Op>) {
        let Some(leg) = self.legs.get_mut(&id).filter(|leg| !leg.in_flight) else { return };
        if !leg.out.is_empty() {
            leg.in_flight = true;
            let chunk = leg.out.split_to(leg.out.len().min(CHUNK_MAX));
            ops.push(Op::Send { id, chunk: Chunk::Own(chunk) });
        } else if std::mem::take(&mut leg.is_over) {
            ops.push(Op::Shutdown { id });
        }
    }
}

impl Engine for Relay {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => ops.push(Op::Accept(true)),
            Event::Opened { id, by: Opening::Accepted } => self.accepted(now, id, ops),
            Event::Opened { id, by: Opening::Connected(token) } => self.connected(id, token, ops),
            Event::Received { id, bytes } => self.received(id, bytes, ops),
            Event::Sent { id, .. } => {
                if let Some(leg) = self.legs.get_mut(&id) {
                    leg.in_flight = false;
                }
                self.flush(id, ops);
            }
            Event::Closed { id, cause } => self.closed(id, cause, ops),
            Event::Woken => ops.push(Op::Stop),
            other => panic!("nobody asked for {other:?}"),
        }
    }

    fn on_deadline(&mut self, _now: Instant, _heard: Heard, _ops: &mut Vec<Op>) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }
}
