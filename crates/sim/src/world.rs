//! A driver made of memory: any number of engines, joined by simulated TCP, in virtual time.
//!
//! A [`World`] keeps the [contract of drivers](halfopen_driver::seam) while everything goes wrong
//! that its [`Faults`] name. It holds no hash map and decides nothing by address, so the same seed
//! gives the same log to the last byte: [`World::hash`] is compared in tests.
//!
//! ```text
//! Turn: gather up to `handover_max` events ── hand each over ── deadlines     at the turn's start
//!   │                the engines' calls cost time: the host's clock runs ahead
//! Submit: carry out what the engine asked for ── next turn                    at the host's clock
//! ```
//!
//! With `HALFOPEN_TRACE` set, every call of an engine is printed.

mod env;
mod faults;
mod host;
mod ops;
mod record;
mod tcp;
mod turn;

pub use faults::Faults;
pub use host::Site;

use env::{Env, What};
use halfopen_driver::{Cause, ConnId, Engine, Token};
use halfopen_wheel::Instant;
use host::{Host, Ready};
use record::Record;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tcp::{Net, Notice};

/// A connect to this address is never answered.
pub const SILENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

/// How many connections wait at a listener before SYNs are dropped.
const BACKLOG: usize = 4096;
/// How long a SYN that was dropped takes to come again, at first.
const SYN_RETRY: Duration = Duration::from_secs(1);

/// Engines, the network between them, and the time.
pub struct World<'a> {
    env: Env,
    net: Net,
    hosts: Vec<Host<'a>>,
    listeners: Vec<Listener>,
    connects: BTreeMap<u64, Connect>,
    connects_made: u64,
    record: Record,
    stall: Stall,
    /// How long in real time threads outside may take to wake somebody.
    patience: Duration,
    /// The memory that is lent in `Received`.
    lent: Vec<u8>,
}

/// Makes the thread that calls an engine stand still, as far as the engine can tell.
///
/// An engine under test calls it from inside of a callback.
#[derive(Clone, Debug, Default)]
pub struct Stall(Arc<AtomicU64>);

impl Stall {
    /// Stands still for `time`.
    pub fn stall(&self, time: Duration) {
        self.0.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    fn take(&self) -> Duration {
        Duration::from_nanos(self.0.swap(0, Ordering::Relaxed))
    }
}

struct Listener {
    address: SocketAddr,
    hosts: Vec<usize>,
    /// Connected by the kernel, taken by nobody.
    queue: VecDeque<u64>,
}

/// A connect that is under way.
#[derive(Clone, Copy, Debug)]
struct Connect {
    host: usize,
    id: ConnId,
    token: Token,
    from: SocketAddr,
    to: SocketAddr,
}

impl<'a> World<'a> {
    /// An empty world.
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self {
            env: Env::new(seed, faults),
            net: Net::default(),
            hosts: Vec::new(),
            listeners: Vec::new(),
            connects: BTreeMap::new(),
            connects_made: 0,
            record: Record::new(),
            stall: Stall::default(),
            patience: Duration::ZERO,
            lent: Vec::new(),
        }
    }

    /// Where nothing more is to happen, waits up to `patience` in real time for a thread outside to
    /// wake somebody.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Uses `stall`, which engines have been given before the world was made.
    pub fn with_stall(mut self, stall: Stall) -> Self {
        self.stall = stall;
        self
    }

    /// Adds an engine, and says its number.
    pub fn add(&mut self, engine: &'a mut dyn Engine, site: Site) -> usize {
        let host = self.hosts.len();
        let listener = site.listener.map(|address| self.listener(address));
        if let Some(listener) = listener {
            self.listeners[listener].hosts.push(host);
        }
        self.hosts.push(Host::new(engine, site, listener, self.env.now));
        self.schedule(host, self.env.now);
        host
    }

    fn listener(&mut self, address: SocketAddr) -> usize {
        let known = self.listeners.iter().position(|listener| listener.address == address);
        known.unwrap_or_else(|| {
            self.listeners.push(Listener { address, hosts: Vec::new(), queue: VecDeque::new() });
            self.listeners.len() - 1
        })
    }

    /// The world's time.
    pub fn now(&self) -> Instant {
        self.env.now
    }

    /// A number made of every call of every engine so far: times, events and bytes.
    pub fn hash(&self) -> u64 {
        self.record.hash()
    }

    /// How many calls of engines there were.
    pub fn calls(&self) -> u64 {
        self.record.calls()
    }

    /// Whether every engine has stopped.
    pub fn is_over(&self) -> bool {
        self.hosts.iter().all(|host| host.stopped)
    }

    /// Runs until every engine has stopped.
    ///
    /// # Panics
    /// If nothing will ever happen again, or an hour of virtual time has passed, and one has not.
    pub fn run(&mut self) {
        self.run_for(Duration::from_secs(3600));
        let running: Vec<_> = (0..self.hosts.len()).filter(|&h| !self.hosts[h].stopped).collect();
        assert!(running.is_empty(), "hosts {running:?} do not stop");
    }

    /// Runs until every engine has stopped, or nothing will ever happen again, or `time` has
    /// passed.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.env.now + time;
        while !self.is_over() {
            self.hear_wakers();
            match self.env.next() {
                Some(at) if at <= end => {
                    let what = self.env.pop();
                    what.into_iter().for_each(|what| self.happen(what));
                    self.pass_on_notices();
                }
                None if self.wait_for_waker() => {}
                _ => {
                    self.env.now = end;
                    return;
                }
            }
        }
    }

    fn happen(&mut self, what: What) {
        let (net, env) = (&mut self.net, &mut self.env);
        match what {
            What::Turn { host } => self.turn(host),
            What::Submit { host } => self.submit(host),
            What::Carry { sock, attempt } => net.on_carry(env, sock, attempt),
            What::Ack { sock, upto, fin } => net.on_ack(env, sock, upto, fin),
            What::Rst { sock } => net.on_rst(sock),
            What::Syn { connect, tries } => self.on_syn(connect, tries),
            What::SynAck { connect, sock } => self.on_syn_ack(connect, sock),
            What::ConnectDeadline { connect } => self.refuse(connect, Cause::Deadline),
            What::SendMore { sock } => self.on_send_more(sock),
            What::Rearm { sock } => self.on_rearm(sock),
        }
    }

    /// Has `host` turn at `at`, or as soon as its thread is free.
    fn schedule(&mut self, host: usize, at: Instant) {
        let this = &mut self.hosts[host];
        if this.stopped || this.turning {
            return;
        }
        let at = at.max(this.clock).max(self.env.now);
        if this.turn_at.is_none_or(|turn| at < turn) {
            this.turn_at = Some(at);
            self.env.at(at, What::Turn { host });
        }
    }

    fn ready(&mut self, host: usize, ready: Ready) {
        self.hosts[host].ready.push_back(ready);
        self.schedule(host, self.env.now);
    }

    fn hear_wakers(&mut self) {
        for host in 0..self.hosts.len() {
            let wake = self.hosts[host].wake.as_ref();
            if wake.is_some_and(halfopen_driver::WakeSource::is_pending) {
                self.schedule(host, self.env.now);
            }
        }
    }

    /// Nothing is to happen in here, but a thread outside may yet wake somebody. Real time passes.
    fn wait_for_waker(&self) -> bool {
        let wakers =
            || self.hosts.iter().filter(|host| !host.stopped).filter_map(|h| h.wake.as_ref());
        let end = std::time::Instant::now() + self.patience;
        while wakers().next().is_some() && std::time::Instant::now() < end {
            if wakers().any(halfopen_driver::WakeSource::is_pending) {
                return true;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        false
    }

    /// What kernels have told goes to the drivers that use the sockets.
    fn pass_on_notices(&mut self) {
        while let Some(notice) = self.net.notices.pop() {
            let (Notice::Readable(sock) | Notice::Writable(sock)) = notice;
            let Some((host, id)) = self.owner(sock) else { continue };
            match notice {
                Notice::Writable(_) => self.go_on_sending(host, id),
                Notice::Readable(_) => {
                    if self.hosts[host].mark_readable(id) {
                        self.schedule(host, self.env.now);
                    }
                }
            }
        }
    }

    fn owner(&self, sock: u64) -> Option<(usize, ConnId)> {
        let sock = self.net.socks.get(&sock)?;
        Some((sock.host, sock.owner?))
    }

    fn on_syn(&mut self, connect: u64, tries: u32) {
        let Some(&Connect { host, from, to, .. }) = self.connects.get(&connect) else { return };
        let listener = self.listeners.iter().position(|listener| listener.address == to);
        let full = |at: usize| self.listeners[at].queue.len() >= BACKLOG;
        if to == SILENT || listener.is_some_and(full) {
            let wait = SYN_RETRY * 2u32.pow(tries.min(6));
            return self.env.after(wait, What::Syn { connect, tries: tries + 1 });
        }
        let answer = self.env.delay();
        let refused = self.env.chance(self.env.faults.refused);
        let Some(listener) = listener.filter(|&at| !refused && self.is_heard(at)) else {
            return self.env.after(answer, What::SynAck { connect, sock: None });
        };
        // Which of the hosts it is for is known when one takes it.
        let (client, server) = self.net.pair((host, from), (usize::MAX, to));
        self.listeners[listener].queue.push_back(server);
        self.env.after(answer, What::SynAck { connect, sock: Some(client) });
        self.offer(listener);
    }

    fn is_heard(&self, listener: usize) -> bool {
        self.listeners[listener].hosts.iter().any(|&host| !self.hosts[host].stopped)
    }

    fn on_syn_ack(&mut self, connect: u64, sock: Option<u64>) {
        let Some(sock) = sock else { return self.refuse(connect, Cause::NobodyListens) };
        let Some(Connect { host, id, token, .. }) = self.connects.remove(&connect) else {
            return self.net.abort(&mut self.env, sock);
        };
        self.bind(host, id, sock);
        self.ready(host, Ready::Connected(id, token));
    }

    fn refuse(&mut self, connect: u64, cause: Cause) {
        let Some(Connect { host, id, token, .. }) = self.connects.remove(&connect) else { return };
        self.release(host, id);
        self.ready(host, Ready::Refused(token, cause));
    }

    fn bind(&mut self, host: usize, id: ConnId, sock: u64) {
        if let Some(slot) = self.hosts[host].slot(id) {
            slot.sock = Some(sock);
        }
        if let Some(sock) = self.net.socks.get_mut(&sock) {
            (sock.host, sock.owner) = (host, Some(id));
        }
    }

    /// Gives a slot back; a connection that waited for room is taken.
    fn release(&mut self, host: usize, id: ConnId) {
        self.hosts[host].free_slot(id);
        if let Some(listener) = self.hosts[host].listener {
            self.offer(listener);
        }
    }

    /// Whoever takes connections and has room takes those that wait, in no order that one could
    /// rely on.
    fn offer(&mut self, listener: usize) {
        while !self.listeners[listener].queue.is_empty() {
            let takers = self.listeners[listener].hosts.iter().copied().filter(|&host| {
                let host = &self.hosts[host];
                host.accepting && !host.stopped && host.has_room()
            });
            let Some(host) = self.env.rng.choice(takers.collect::<Vec<_>>()) else { return };
            let Some(id) = self.hosts[host].take_slot() else { return };
            let Some(sock) = self.listeners[listener].queue.pop_front() else { return };
            self.bind(host, id, sock);
            self.ready(host, Ready::Accepted(id));
        }
    }
}
