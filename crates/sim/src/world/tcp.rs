//! TCP as far as an engine can tell: two streams with bounded buffers, FIN, RST, acknowledgements
//! that may not come back, retransmission with backing off, zero windows.

use super::env::{Env, What};
use halfopen_driver::{Cause, ConnId};
use halfopen_wheel::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

const RTO_MIN: Duration = Duration::from_millis(200);
const RTO_MAX: Duration = Duration::from_secs(120);
/// `net.ipv4.tcp_retries2 = 15` gives a silent peer up after about that long.
const GIVE_UP: Duration = Duration::from_secs(924);

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Sock {
    pub(super) host: usize,
    /// Who uses it; none while it waits to be accepted, and when it has been closed.
    pub(super) owner: Option<ConnId>,
    pub(super) peer: u64,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// Arrived, not read.
    pub(super) rx: VecDeque<u8>,
    pub(super) rx_fin: bool,
    pub(super) error: Option<Cause>,
    /// Taken from the owner, not acknowledged; its first byte is number `acked`.
    tx: VecDeque<u8>,
    acked: u64,
    arrived: u64,
    fin: Fin,
    /// Everything that arrives is dropped below TCP.
    pub(super) deaf: bool,
    /// Closed: nobody will read.
    orphan: bool,
    /// The peer's window is zero.
    blocked: bool,
    /// The attempt that is under way, if one is.
    attempt: Option<u64>,
    attempts: u64,
    rto: Duration,
    unheard: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fin {
    None,
    Queued,
    Arrived,
    Acked,
}

impl Sock {
    fn new(host: usize, peer: u64, local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            host,
            owner: None,
            peer,
            local,
            remote,
            rx: VecDeque::new(),
            rx_fin: false,
            error: None,
            tx: VecDeque::new(),
            acked: 0,
            arrived: 0,
            fin: Fin::None,
            deaf: false,
            orphan: false,
            blocked: false,
            attempt: None,
            attempts: 0,
            rto: RTO_MIN,
            unheard: None,
        }
    }

    /// Bytes that the peer has not acknowledged.
    pub(super) fn queued(&self) -> usize {
        self.tx.len()
    }

    fn pending(&self) -> usize {
        self.tx.len() - (self.arrived - self.acked) as usize
    }

    fn is_settled(&self) -> bool {
        self.tx.is_empty() && matches!(self.fin, Fin::None | Fin::Acked)
    }
}

/// What a kernel has to tell the owner of a socket.
#[derive(Clone, Copy, Debug)]
pub(super) enum Notice {
    /// Bytes, FIN or an error wait.
    Readable(u64),
    /// There is room to send.
    Writable(u64),
}

/// All sockets of a world.
#[derive(Default)]
pub(super) struct Net {
    pub(super) socks: BTreeMap<u64, Sock>,
    pub(super) notices: Vec<Notice>,
    created: u64,
}

impl Net {
    /// Two ends that are connected: of the host that connects, and of the one that listens.
    pub(super) fn pair(
        &mut self,
        (client, local): (usize, SocketAddr),
        (server, remote): (usize, SocketAddr),
    ) -> (u64, u64) {
        let (a, b) = (self.created, self.created + 1);
        self.created += 2;
        self.socks.insert(a, Sock::new(client, b, local, remote));
        self.socks.insert(b, Sock::new(server, a, remote, local));
        (a, b)
    }

    /// Takes what there is room for of `bytes`, and says how much.
    pub(super) fn send(&mut self, env: &mut Env, id: u64, bytes: &[u8], most: usize) -> usize {
        let Some(sock) = self.socks.get_mut(&id) else { return bytes.len() };
        if sock.error.is_some() {
            return bytes.len();
        }
        let room = env.faults.send_buffer.saturating_sub(sock.tx.len());
        let taken = room.min(bytes.len()).min(most);
        sock.tx.extend(&bytes[..taken]);
        self.push(env, id);
        taken
    }

    /// Reads into `buffer`, which is as long as the read may be.
    pub(super) fn read(&mut self, env: &mut Env, id: u64, buffer: &mut [u8]) {
        let Some(sock) = self.socks.get_mut(&id) else { return };
        for (byte, place) in sock.rx.drain(..buffer.len()).zip(buffer) {
            *place = byte;
        }
        let sender = sock.peer;
        if self.socks.get(&sender).is_some_and(|sender| sender.blocked) {
            self.open_window(env, sender);
        }
    }

    fn open_window(&mut self, env: &mut Env, id: u64) {
        let Some(sock) = self.socks.get_mut(&id) else { return };
        sock.blocked = false;
        let wait = if sock.deaf { sock.rto } else { env.delay() + env.delay() };
        self.carry_after(env, id, wait);
    }

    /// FIN after all that was sent.
    pub(super) fn shutdown(&mut self, env: &mut Env, id: u64) {
        let Some(sock) = self.socks.get_mut(&id) else { return };
        if sock.fin == Fin::None {
            sock.fin = Fin::Queued;
            self.push(env, id);
        }
    }

    /// Nobody reads any more; what was sent still goes out. Unread bytes make it a RST.
    pub(super) fn close(&mut self, env: &mut Env, id: u64) {
        let Some(sock) = self.socks.get_mut(&id) else { return };
        if !sock.rx.is_empty() || sock.error.is_some() {
            return self.abort(env, id);
        }
        sock.owner = None;
        sock.orphan = true;
        self.shutdown(env, id);
        self.bury(id);
    }

    /// RST, and everything is forgotten.
    pub(super) fn abort(&mut self, env: &mut Env, id: u64) {
        let Some(sock) = self.socks.remove(&id) else { return };
        if sock.error.is_none() {
            let wait = env.delay();
            env.after(wait, What::Rst { sock: sock.peer });
        }
    }

    /// Everything is forgotten, and nobody is told; an abort that follows finds nothing.
    pub(super) fn vanish(&mut self, id: u64) {
        self.socks.remove(&id);
    }

    /// Packets arrive again, or no longer.
    pub(super) fn set_deaf(&mut self, id: u64, deaf: bool) {
        if let Some(sock) = self.socks.get_mut(&id) {
            sock.deaf = deaf;
        }
    }

    pub(super) fn on_rst(&mut self, id: u64) {
        if self.socks.get(&id).is_some_and(|sock| !sock.deaf) {
            self.fail(id, Cause::Reset);
        }
    }

    fn fail(&mut self, id: u64, cause: Cause) {
        let Some(sock) = self.socks.get_mut(&id) else { return };
        if sock.orphan {
            self.socks.remove(&id);
            return;
        }
        sock.error.get_or_insert(cause);
        sock.tx.clear();
        sock.arrived = sock.acked;
        self.notices.extend([Notice::Readable(id), Notice::Writable(id)]);
    }

    /// An orphan goes when both directions have ended.
    fn bury(&mut self, id: u64) {
        let over = |sock: &Sock| sock.orphan && sock.rx_fin && sock.fin == Fin::Acked;
        if self.socks.get(&id).is_some_and(over) {
            self.socks.remove(&id);
        }
    }

    fn push(&mut self, env: &mut Env, id: u64) {
        let Some(sock) = self.socks.get(&id) else { return };
        if sock.attempt.is_none() && !sock.blocked {
            let wait = env.delay();
            self.carry_after(env, id, wait);
        }
    }

    fn carry_after(&mut self, env: &mut Env, id: u64, wait: Duration) {
        let Some(sock) = self.socks.get_mut(&id) else { return };
        sock.attempts += 1;
        sock.attempt = Some(sock.attempts);
        env.after(wait, What::Carry { sock: id, attempt: sock.attempts });
    }

    /// What `id` sent arrives at its peer, or does not.
    pub(super) fn on_carry(&mut self, env: &mut Env, id: u64, attempt: u64) {
        let Some(mut sock) = self.socks.remove(&id) else { return };
        let mut next = None;
        if sock.attempt == Some(attempt) {
            sock.attempt = None;
            next = self.carry(env, id, &mut sock);
        }
        self.socks.insert(id, sock);
        match next {
            Some(Next::Carry(wait)) => self.carry_after(env, id, wait),
            Some(Next::Retry) => self.retry(env, id),
            None => {}
        }
        // A socket that was given up while it was carried is no longer anybody's.
        self.bury(id);
    }

    fn carry(&mut self, env: &mut Env, id: u64, sock: &mut Sock) -> Option<Next> {
        if sock.error.is_some() || sock.is_settled() {
            return None;
        }
        let Some(peer) = self.socks.get_mut(&sock.peer) else {
            // Nobody is there any more, and says so, if that can be heard.
            let wait = env.delay();
            env.after(wait, What::Rst { sock: id });
            return None;
        };
        if peer.deaf || env.chance(env.faults.lost) {
            return Some(Next::Retry);
        }
        if env.chance(env.faults.resets) || (peer.orphan && sock.pending() > 0) {
            env.after(Duration::ZERO, What::Rst { sock: id });
            env.after(Duration::ZERO, What::Rst { sock: sock.peer });
            return None;
        }
        let room = env.faults.receive_buffer.saturating_sub(peer.rx.len());
        let segment = env.rng.usize(1..=env.faults.segment_max);
        let amount = sock.pending().min(room).min(segment);
        let from = (sock.arrived - sock.acked) as usize;
        peer.rx.extend(sock.tx.range(from..from + amount));
        sock.arrived += amount as u64;
        if sock.pending() == 0 && sock.fin == Fin::Queued {
            sock.fin = Fin::Arrived;
            peer.rx_fin = true;
        }
        if amount > 0 || sock.fin == Fin::Arrived {
            self.notices.push(Notice::Readable(sock.peer));
        }
        let wait = env.delay();
        env.after(wait, What::Ack { sock: id, upto: sock.arrived, fin: sock.fin >= Fin::Arrived });
        sock.blocked = sock.pending() > 0 && amount == room;
        let goes_on = sock.pending() > 0 && !sock.blocked;
        goes_on.then(|| Next::Carry(env.delay() / 8))
    }

    /// Backs off and tries again; gives up in the end.
    fn retry(&mut self, env: &mut Env, id: u64) {
        let Some(sock) = self.socks.get_mut(&id) else { return };
        let since = *sock.unheard.get_or_insert(env.now);
        if env.now.saturating_since(since) > GIVE_UP {
            return self.fail(id, Cause::TimedOut);
        }
        let wait = sock.rto;
        sock.rto = (wait * 2).min(RTO_MAX);
        self.carry_after(env, id, wait);
    }

    /// An acknowledgement arrives, unless it cannot.
    pub(super) fn on_ack(&mut self, env: &mut Env, id: u64, upto: u64, fin: bool) {
        let Some(sock) = self.socks.get_mut(&id) else { return };
        if sock.error.is_some() {
            return;
        }
        if sock.deaf {
            if sock.attempt.is_none() {
                self.retry(env, id);
            }
            return;
        }
        (sock.rto, sock.unheard) = (RTO_MIN, None);
        if upto > sock.acked {
            sock.tx.drain(..(upto - sock.acked) as usize);
            sock.acked = upto;
            // As Linux does it: a third of the buffer has to be free before more is asked for.
            if 3 * sock.tx.len() <= 2 * env.faults.send_buffer {
                self.notices.push(Notice::Writable(id));
            }
        }
        if fin {
            sock.fin = Fin::Acked;
            // The peer's own FIN may be waiting for this end to go.
        }
        self.bury(id);
    }
}

/// What follows a carry.
enum Next {
    Carry(Duration),
    Retry,
}
