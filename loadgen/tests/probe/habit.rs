//! A server in memory with the habits of servers that people run.

use bytes::BytesMut;
use halfopen_driver::{Chunk, ConnId, Engine, Event, Heard, Op};
use halfopen_proto::handshake::{HeadLimits, Request};
use halfopen_proto::{CloseCode, Connection, Incoming, Limits, Role, Scratch};
use halfopen_wheel::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a server (or a proxy before it) does unasked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Habit {
    /// Python's `websockets`: pings each interval from the opening, and closes with 1011 who has not
    /// answered in time.
    Keepalive { interval: Duration, timeout: Duration },
    /// The recipe of node's `ws`: each interval all are visited; who has not answered since the last
    /// visit is terminated, the others are pinged.
    Sweep { interval: Duration },
    /// Go's `gorilla`: pings each interval, and ends who has said nothing for a longer time.
    Deadline { interval: Duration, wait: Duration },
    /// uWebSockets: who was silent for a while is pinged, and ended a while later; by a coarse clock.
    Quiet { after: Duration, margin: Duration, tick: Duration },
    /// A proxy: ends who neither says nor hears anything for so long.
    Cut { after: Duration },
    /// An application: ends who sends no message for so long.
    WantsMessages { after: Duration },
    /// A load balancer: ends everybody at that age.
    Lifetime { after: Duration },
    /// Ends whoever sends a message.
    Refuses,
    /// Says something at each interval, in text.
    Speaks { interval: Duration },
}

enum Act {
    Ping,
    Say,
    Close(u16),
    Fin,
    Abort,
}

struct Conn {
    ws: Option<Connection>,
    head: BytesMut,
    out: BytesMut,
    in_flight: bool,
    opened: Instant,
    /// The last byte in any direction.
    traffic: Instant,
    heard: Instant,
    message: Instant,
    pinged: Instant,
    said: Instant,
    /// The oldest ping that nothing has answered.
    asked: Option<Instant>,
    refuses: bool,
    over: bool,
}

/// The server.
pub(crate) struct Host {
    habits: Vec<Habit>,
    conns: BTreeMap<ConnId, Conn>,
    scratch: Scratch,
    started: Instant,
    /// Close frames that came, with a code.
    pub(crate) goodbyes: u32,
    /// Connections that ended otherwise.
    pub(crate) lost: u32,
}

impl Host {
    pub(crate) fn new(habits: &[Habit]) -> Self {
        Self {
            habits: habits.into(),
            conns: BTreeMap::new(),
            scratch: Scratch::default(),
            started: Instant::default(),
            goodbyes: 0,
            lost: 0,
        }
    }

    fn next(&self, conn: &Conn) -> Option<(Instant, Act)> {
        if conn.ws.is_none() || conn.over {
            return None;
        }
        let due = self.habits.iter().filter_map(|habit| self.due(*habit, conn));
        due.min_by_key(|(at, _)| *at)
    }

    fn due(&self, habit: Habit, conn: &Conn) -> Option<(Instant, Act)> {
        Some(match (habit, conn.asked) {
            (Habit::Keepalive { timeout, .. }, Some(asked)) => (asked + timeout, Act::Close(1011)),
            (Habit::Keepalive { interval, .. }, None) => (conn.pinged + interval, Act::Ping),
            (Habit::Sweep { interval }, asked) => {
                let visit = self.grid(conn.pinged + Duration::from_nanos(1), interval);
                (visit, if asked.is_some() { Act::Abort } else { Act::Ping })
            }
            (Habit::Deadline { interval, wait }, _) => {
                let (ping, end) = (conn.pinged + interval, conn.heard + wait);
                if ping < end { (ping, Act::Ping) } else { (end, Act::Fin) }
            }
            (Habit::Quiet { margin, tick, .. }, Some(asked)) => {
                (self.grid(asked + margin, tick), Act::Abort)
            }
            (Habit::Quiet { after, tick, .. }, None) => {
                (self.grid(conn.heard + after, tick), Act::Ping)
            }
            (Habit::Cut { after }, _) => (conn.traffic + after, Act::Fin),
            (Habit::WantsMessages { after }, _) => (conn.message + after, Act::Close(1001)),
            (Habit::Lifetime { after }, _) => (conn.opened + after, Act::Fin),
            (Habit::Speaks { interval }, _) => (conn.said + interval, Act::Say),
            (Habit::Refuses, _) if conn.refuses => (conn.message, Act::Close(1008)),
            (Habit::Refuses, _) => return None,
        })
    }

    /// The first moment of a grid from `at` on.
    fn grid(&self, at: Instant, step: Duration) -> Instant {
        let steps = at.saturating_since(self.started).as_nanos().div_ceil(step.as_nanos());
        self.started + step * steps as u32
    }

    fn act(&mut self, now: Instant, id: ConnId, act: &Act, ops: &mut Vec<Op>) {
        let conn = self.conns.get_mut(&id).expect("it is open");
        let ws = conn.ws.as_mut().expect("it is open");
        match act {
            Act::Ping => {
                conn.pinged = now;
                conn.asked.get_or_insert(now);
                ws.encode_ping(b"?", [0; 4], &mut conn.out);
            }
            Act::Say => {
                conn.said = now;
                ws.encode(halfopen_proto::Message::Text("2"), [0; 4], &mut conn.out);
            }
            Act::Close(code) => {
                conn.over = true;
                ws.encode_close(CloseCode::new(*code), "by habit", [0; 4], &mut conn.out);
            }
            Act::Fin | Act::Abort => conn.over = true,
        }
        conn.flush(now, id, ops);
        match act {
            Act::Fin => ops.push(Op::Shutdown { id }),
            Act::Abort => ops.push(Op::Abort { id }),
            _ => {}
        }
    }

    fn received(&mut self, now: Instant, id: ConnId, mut bytes: &mut [u8], ops: &mut Vec<Op>) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        (conn.traffic, conn.heard) = (now, now);
        if conn.ws.is_none() {
            conn.head.extend_from_slice(bytes);
            let limits = HeadLimits::default();
            let Some((request, _)) = Request::parse(&conn.head, &limits).unwrap() else { return };
            request.accept(None, &[], &mut conn.out).unwrap();
            conn.ws = Some(Connection::new(Role::Server));
            (conn.opened, conn.message, conn.pinged, conn.said) = (now, now, now, now);
            return conn.flush(now, id, ops);
        }
        // uWebSockets takes any byte for an answer; the others see nothing but pongs here.
        let mut closed = false;
        let ws = conn.ws.as_mut().unwrap();
        while let Some(incoming) =
            ws.receive(&mut bytes, &Limits::default(), &mut self.scratch).expect("a lawful client")
        {
            match incoming {
                Incoming::Text(_) | Incoming::Binary(_) => {
                    (conn.message, conn.refuses) = (now, true);
                }
                Incoming::Pong(_) => conn.asked = None,
                Incoming::Ping(_) => {}
                Incoming::Close(..) => closed = true,
            }
        }
        ws.encode_pong([0; 4], &mut self.scratch, &mut conn.out);
        if closed {
            self.goodbyes += 1;
            ws.encode_close(None, "", [0; 4], &mut conn.out);
            conn.over = true;
            conn.flush(now, id, ops);
            ops.push(Op::Shutdown { id });
        } else {
            conn.flush(now, id, ops);
        }
    }
}

impl Conn {
    fn new(now: Instant) -> Self {
        Self {
            ws: None,
            head: BytesMut::new(),
            out: BytesMut::new(),
            in_flight: false,
            opened: now,
            traffic: now,
            heard: now,
            message: now,
            pinged: now,
            said: now,
            asked: None,
            refuses: false,
            over: false,
        }
    }

    fn flush(&mut self, now: Instant, id: ConnId, ops: &mut Vec<Op>) {
        if !self.in_flight && !self.out.is_empty() {
            (self.in_flight, self.traffic) = (true, now);
            ops.push(Op::Send { id, chunk: Chunk::Own(self.out.split()) });
        }
    }
}

impl Engine for Host {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        match event {
            Event::Started => {
                self.started = now;
                ops.push(Op::Accept(true));
            }
            Event::Opened { id, .. } => drop(self.conns.insert(id, Conn::new(now))),
            Event::Received { id, bytes } => self.received(now, id, bytes, ops),
            Event::Sent { id, .. } => {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.in_flight = false;
                    conn.flush(now, id, ops);
                }
            }
            Event::Closed { id, .. } => {
                let conn = self.conns.remove(&id).expect("it was open");
                self.lost += u32::from(!conn.over);
            }
            _ => {}
        }
    }

    fn on_deadline(&mut self, now: Instant, _heard: Heard, ops: &mut Vec<Op>) {
        let ids: Vec<_> = self.conns.keys().copied().collect();
        for id in ids {
            match self.next(&self.conns[&id]) {
                Some((at, act)) if at <= now => self.act(now, id, &act, ops),
                _ => {}
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.conns.values().filter_map(|conn| Some(self.next(conn)?.0)).min()
    }
}
