//! A WebSocket server whose answers are late by a known time, and that writes down by how much each
//! really was.
//!
//! It shares nothing with the generator but the framing: no ring, no wheel, no driver. One thread
//! looks at its sockets again and again without ever sleeping while somebody is connected, so that
//! what it writes down is what it did: from the moment at which a message was read to the moment at
//! which the kernel had taken the answer. How long a look took is written down beside it, because a
//! message may have lain in the kernel for as long.

use crate::plan::Between;
use crate::record::{histogram, record};
use bytes::BytesMut;
use halfopen_proto::handshake::{HeadLimits, Request};
use halfopen_proto::{Connection, Incoming, Limits, Message, Role, Scratch};
use halfopen_wheel::{Instant, clock};
use hdrhistogram::Histogram;
use rustix::event::{Timespec, epoll};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the reference server did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// From reading a message to having answered it, ns.
    #[serde(with = "crate::serial::histogram")]
    pub delay_ns: Histogram<u64>,
    /// How long each look at the sockets took while answers were owed, ns.
    #[serde(with = "crate::serial::histogram")]
    pub look_ns: Histogram<u64>,
}

/// Serves `listener` until `stop`: each message is answered with `ok` after a time between the two,
/// drawn so that each doubling is as likely (the answers of one connection keep their order).
///
/// # Errors
/// The kernel refuses an epoll, or the listener fails.
///
/// # Panics
/// If the shortest delay is zero.
pub fn serve(
    listener: TcpListener,
    delay: Between,
    seed: u64,
    stop: &AtomicBool,
) -> io::Result<Record> {
    assert!(!delay.from.is_zero(), "a delay can be doubled");
    listener.set_nonblocking(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let mut reference = Reference {
        listener,
        poll,
        peers: Vec::new(),
        open: 0,
        owed: BinaryHeap::new(),
        delay,
        rng: fastrand::Rng::with_seed(seed),
        scratch: Scratch::default(),
        record: Record { delay_ns: histogram(), look_ns: histogram() },
    };
    while !stop.load(Ordering::Relaxed) {
        reference.look()?;
    }
    Ok(reference.record)
}

/// Stands for the listener among the numbers of peers.
const LISTENER: u64 = u64::MAX;

/// Sockets that are told of at once.
const EVENTS: usize = 256;

/// How long nobody is waited for in one go.
const NOBODY: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

struct Reference {
    listener: TcpListener,
    poll: OwnedFd,
    /// By their numbers, which are not used again.
    peers: Vec<Option<Peer>>,
    open: usize,
    /// Whom an answer is owed, the earliest first.
    owed: BinaryHeap<Reverse<(Instant, usize)>>,
    delay: Between,
    rng: fastrand::Rng,
    scratch: Scratch,
    record: Record,
}

struct Peer {
    stream: TcpStream,
    /// None before the handshake is done.
    ws: Option<Connection>,
    /// What has come of the request.
    head: Vec<u8>,
    /// When each message that has no answer yet was read, and when it is to be answered.
    messages: VecDeque<(Instant, Instant)>,
}

impl Reference {
    /// Reads what has come, answers what is due.
    fn look(&mut self) -> io::Result<()> {
        let began = clock::now();
        let patience = if self.open == 0 { NOBODY } else { Timespec { tv_sec: 0, tv_nsec: 0 } };
        let mut events = [MaybeUninit::uninit(); EVENTS];
        let (ready, _) = match epoll::wait(&self.poll, &mut events, Some(&patience)) {
            Ok(ready) => ready,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for event in ready {
            match event.data.u64() {
                LISTENER => self.accept()?,
                number => self.read(number as usize),
            }
        }
        self.answer_the_due();
        if !self.owed.is_empty() {
            record(&mut self.record.look_ns, clock::now().saturating_since(began));
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.welcome(stream)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // It was gone before it was accepted.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn welcome(&mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let data = epoll::EventData::new_u64(self.peers.len() as u64);
        epoll::add(&self.poll, &stream, data, epoll::EventFlags::IN)?;
        let messages = VecDeque::new();
        self.peers.push(Some(Peer { stream, ws: None, head: Vec::new(), messages }));
        self.open += 1;
        Ok(())
    }

    fn read(&mut self, number: usize) {
        let Some(peer) = &mut self.peers[number] else { return };
        let mut buffer = [0; 16 * 1024];
        let came = match peer.stream.read(&mut buffer) {
            Ok(0) => return self.part(number),
            Ok(came) => came,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_) => return self.part(number),
        };
        let at = clock::now();
        let goes_on = match peer.ws {
            Some(_) => self.take(number, at, &mut buffer[..came]),
            None => self.shake_hands(number, at, &buffer[..came]),
        };
        if goes_on.is_none() {
            self.part(number);
        }
    }

    /// None: it is no request, and the connection ends.
    fn shake_hands(&mut self, number: usize, at: Instant, came: &[u8]) -> Option<()> {
        let peer = self.peers[number].as_mut()?;
        peer.head.extend_from_slice(came);
        let head = std::mem::take(&mut peer.head);
        let Some((request, length)) = Request::parse(&head, &HeadLimits::default()).ok()? else {
            peer.head = head;
            return Some(());
        };
        let mut out = BytesMut::new();
        request.accept(None, &[], &mut out).ok()?;
        peer.stream.write_all(&out).ok()?;
        peer.ws = Some(Connection::new(Role::Server));
        let mut rest = head[length..].to_vec();
        if rest.is_empty() { Some(()) } else { self.take(number, at, &mut rest) }
    }

    /// None: the connection ends.
    fn take(&mut self, number: usize, at: Instant, mut bytes: &mut [u8]) -> Option<()> {
        let Peer { stream, ws, messages, .. } = self.peers[number].as_mut()?;
        let ws = ws.as_mut()?;
        while let Some(came) = ws.receive(&mut bytes, &Limits::default(), &mut self.scratch).ok()? {
            match &came {
                Incoming::Text(_) | Incoming::Binary(_) => {
                    let drawn = at + drawn(self.delay, self.rng.f64());
                    // Never before an earlier one: who asks has to know which answer is whose.
                    let due = messages.back().map_or(drawn, |&(_, before)| drawn.max(before));
                    messages.push_back((at, due));
                    self.owed.push(Reverse((due, number)));
                }
                Incoming::Close(..) => return None,
                Incoming::Ping(_) | Incoming::Pong(_) => {}
            }
            self.scratch.reclaim(came);
        }
        let mut out = BytesMut::new();
        if ws.encode_pong(NO_KEY, &mut self.scratch, &mut out) {
            stream.write_all(&out).ok()?;
        }
        Some(())
    }

    fn answer_the_due(&mut self) {
        while let Some(&Reverse((due, number))) = self.owed.peek()
            && due <= clock::now()
        {
            self.owed.pop();
            if self.answer(number).is_none() {
                self.part(number);
            }
        }
    }

    /// None: it is gone, or does not read.
    fn answer(&mut self, number: usize) -> Option<()> {
        let Some(peer) = &mut self.peers[number] else { return Some(()) };
        let (read, _) = peer.messages.pop_front()?;
        let mut out = BytesMut::new();
        peer.ws.as_mut()?.encode(Message::Text("ok"), NO_KEY, &mut out);
        peer.stream.write_all(&out).ok()?;
        record(&mut self.record.delay_ns, clock::now().saturating_since(read));
        Some(())
    }

    /// Its socket is closed; what is owed to it is forgotten when it would be due.
    fn part(&mut self, number: usize) {
        if self.peers[number].take().is_some() {
            self.open -= 1;
        }
    }
}

/// A server does not mask.
const NO_KEY: [u8; 4] = [0; 4];

/// The time at this place between the two, 0 to 1, at equal steps of their ratio.
fn drawn(delay: Between, place: f64) -> Duration {
    delay.from.mul_f64((delay.to.as_secs_f64() / delay.from.as_secs_f64()).powf(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;
    use tungstenite::client;

    const DELAY: Between = Between { from: Duration::from_millis(1), to: Duration::from_millis(4) };

    #[test]
    fn each_doubling_is_as_likely() {
        for (place, ms) in [(0.0, 1), (0.5, 2), (1.0, 4)] {
            assert_eq!(drawn(DELAY, place), Duration::from_millis(ms), "{place}");
        }
    }

    #[test]
    fn each_message_is_answered_in_its_time_and_written_down() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let server = thread::spawn(move || serve(listener, DELAY, 1, &stopped).unwrap());
        let stream = TcpStream::connect(&url[5..url.len() - 1]).unwrap();
        let (mut ws, _) = client(&url, stream).unwrap();
        for n in 0..20 {
            let asked = clock::now();
            ws.send(format!("{n}").into()).unwrap();
            assert_eq!(ws.read().unwrap().into_text().unwrap(), "ok");
            assert!(clock::now().saturating_since(asked) >= DELAY.from, "{n}");
        }
        ws.close(None).unwrap();
        stop.store(true, Ordering::Relaxed);
        let Record { delay_ns, look_ns } = server.join().unwrap();
        assert_eq!(delay_ns.len(), 20);
        assert!(delay_ns.min() >= 1_000_000 && !look_ns.is_empty());
    }
}
