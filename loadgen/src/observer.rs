//! Watches the server's sockets from outside: when each victim's left ESTABLISHED (*detected*) and
//! when it was destroyed (*reclaimed*), by sock_diag. No privilege; the same network namespace.
//!
//! While a victim is not found, every 50 ms a dump asks for the sockets of the server's port in the
//! states to which a server moves a connection that it lets go, and none other: with 10,000
//! connections open that is a tenth of the cost of asking for all. The kernel still walks over all
//! of them, so where there are a million the dumps are as far apart as keeps them to a tenth of a
//! core. CLOSE-WAIT is not among the states, because there the peer has left and the server still
//! holds on. Between the dumps the kernel tells of every socket that it
//! destroys; an aborted one is found by that alone.

mod diag;
mod fate;
mod row;
#[cfg(test)]
mod tests;

pub use row::{SocketRow, TcpState, find_socket};

use diag::{AF_INET, AF_INET6, Cookie, Diag, Funerals};
use fate::{Ends, Fates};
use halfopen_wheel::{Instant, clock};
use netlink_packet_sock_diag::inet::{InetResponseHeader, SocketId, StateFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// The time between dumps: how exactly a *detected* is known that no destroy event announced. Where
/// a dump takes long it is more, see [`Observer::resolution`].
pub const RESOLUTION: Duration = Duration::from_millis(50);

/// A dump is followed by so many times its own duration without one.
const REST: u32 = 9;

/// With the right to, this much of a queue for events; without, what `net.core.rmem_max` allows.
/// An event takes about 1.3 KB of it.
const QUEUE_BYTES: usize = 64 << 20;

/// A thread that watches.
#[derive(Debug)]
pub struct Observer {
    shared: Arc<Shared>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

/// What became of one victim's socket at the server.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sighting {
    /// The victim's own address: the peer of the server's socket.
    pub client: SocketAddr,
    /// The address of the server that it was connected to.
    pub server: SocketAddr,
    /// When it was seen to have left ESTABLISHED.
    #[serde(with = "crate::serial::moment")]
    pub detected: Option<Instant>,
    /// When it was seen to be destroyed.
    #[serde(with = "crate::serial::moment")]
    pub reclaimed: Option<Instant>,
    /// Events were lost while it was watched, so that a time may be late by more than the period.
    pub doubtful: bool,
    /// Whether its socket could be found before the death, so that the rest can be known at all.
    pub observable: bool,
}

#[derive(Default)]
struct Shared {
    fates: Mutex<Fates>,
    stop: AtomicBool,
    /// CPU time of the thread, ns.
    cpu: AtomicU64,
    /// How often events were lost.
    gaps: AtomicU64,
    /// The longest time between two dumps, ns.
    resolution: AtomicU64,
    /// Why the thread gave up.
    failure: Mutex<Option<io::Error>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Observer {
    /// Begins to watch the sockets of a server that listens on `port` in this network namespace.
    ///
    /// # Errors
    /// The kernel has no sock_diag, or forbids it.
    pub fn start(port: u16) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let mut watch = Watch::open(port, Funerals::open(QUEUE_BYTES)?, Arc::clone(&shared))?;
        let thread =
            std::thread::Builder::new().name("observer".into()).spawn(move || watch.run())?;
        Ok(Self { shared, port, thread: Some(thread) })
    }

    /// Maps every socket of the server to its cookie now; call it before deaths, because the
    /// destroy event of an aborted socket has lost its peer's address. Returns how many are mapped.
    ///
    /// # Errors
    /// The kernel refuses the dump.
    pub fn map(&self) -> io::Result<usize> {
        let mut found = Vec::new();
        let mut diag = Diag::open()?;
        for family in families(self.port)? {
            diag.dump(family, StateFlags::ESTABLISHED, self.port, |_, socket| {
                found.push((ends(&socket.socket_id), Cookie(socket.socket_id.cookie)));
            })?;
        }
        let mut fates = self.shared.fates();
        fates.map(found);
        Ok(fates.mapped())
    }

    /// From now on the connection of `client` to `server` is a victim. What was seen of it since
    /// [`Observer::map`] counts, so it may be called shortly after the death as well.
    pub fn watch(&self, client: SocketAddr, server: SocketAddr) {
        self.shared.fates().watch(client, server);
    }

    /// How many victims are watched, detected and reclaimed so far.
    pub fn progress(&self) -> (usize, usize, usize) {
        self.shared.fates().progress()
    }

    /// The CPU time that watching has cost so far, to be taken off what the client cost.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.shared.cpu.load(Ordering::Relaxed))
    }

    /// The longest time between two dumps: how late a *detected* may have been seen that no destroy
    /// event announced.
    pub fn resolution(&self) -> Duration {
        Duration::from_nanos(self.shared.resolution.load(Ordering::Relaxed)).max(RESOLUTION)
    }

    /// How often the kernel's queue overflowed, so that events were lost.
    pub fn gaps(&self) -> u64 {
        self.shared.gaps.load(Ordering::Relaxed)
    }

    /// Ends the watch and tells what was seen of each victim.
    ///
    /// # Errors
    /// The watch had broken off before.
    pub fn finish(mut self) -> io::Result<Vec<Sighting>> {
        self.join();
        match self.shared.failure.lock().expect("nobody panics with it").take() {
            Some(error) => Err(error),
            None => Ok(self.shared.fates().sightings()),
        }
    }

    fn join(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the observer does not panic");
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.join();
    }
}

impl Shared {
    fn fates(&self) -> MutexGuard<'_, Fates> {
        self.fates.lock().expect("nobody panics with it")
    }
}

/// The thread's own.
struct Watch {
    diag: Diag,
    families: Vec<u8>,
    funerals: Funerals,
    news: Vec<(Instant, Cookie)>,
    port: u16,
    shared: Arc<Shared>,
}

impl Watch {
    fn open(port: u16, funerals: Funerals, shared: Arc<Shared>) -> io::Result<Self> {
        let (diag, families) = (Diag::open()?, families(port)?);
        Ok(Self { diag, families, funerals, news: Vec::new(), port, shared })
    }

    fn run(&mut self) {
        if let Err(error) = self.watch() {
            *self.shared.failure.lock().expect("nobody panics with it") = Some(error);
        }
    }

    fn watch(&mut self) -> io::Result<()> {
        let mut next_dump = clock::now();
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.wait(next_dump)?;
            self.hear()?;
            let now = clock::now();
            if now >= next_dump {
                next_dump = if self.shared.fates().all_found() {
                    now + RESOLUTION
                } else {
                    self.dump_in_time(now)?
                };
            }
            let cpu = clock_gettime(ClockId::ThreadCPUTime);
            let cpu = cpu.tv_sec as u64 * 1_000_000_000 + cpu.tv_nsec as u64;
            self.shared.cpu.store(cpu, Ordering::Relaxed);
        }
        // What the kernel told up to the end belongs to the watch.
        self.hear()
    }

    /// Sleeps until there is news, or `until`.
    fn wait(&self, until: Instant) -> io::Result<()> {
        let timeout = until.saturating_since(clock::now());
        let timeout = Timespec::try_from(timeout).expect("shorter than a second");
        match poll(&mut [PollFd::new(&self.funerals, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes in which sockets were destroyed.
    fn hear(&mut self) -> io::Result<()> {
        let overflowed = self.funerals.drain(&mut self.news)?;
        {
            let mut fates = self.shared.fates();
            for (at, cookie) in self.news.drain(..) {
                fates.destroyed(cookie, at);
            }
        }
        if !overflowed {
            return Ok(());
        }
        self.shared.gaps.fetch_add(1, Ordering::Relaxed);
        // When a run ends, more sockets go at once than anybody wants to hear of.
        if self.shared.fates().all_found() { Ok(()) } else { self.recount() }
    }

    /// After lost news: asks which sockets there still are.
    fn recount(&mut self) -> io::Result<()> {
        loop {
            let mapped = self.shared.fates().mapped();
            let mut alive = HashSet::new();
            for &family in &self.families {
                self.diag.dump(family, StateFlags::all(), self.port, |_, socket| {
                    alive.insert(Cookie(socket.socket_id.cookie));
                })?;
            }
            if self.shared.fates().survive(&alive, mapped, clock::now()) {
                return Ok(());
            }
        }
    }

    /// Dumps, and tells when to do it again.
    fn dump_in_time(&mut self, begun: Instant) -> io::Result<Instant> {
        self.dump()?;
        let ended = clock::now();
        let period = RESOLUTION.max(ended.saturating_since(begun) * (1 + REST));
        self.shared.resolution.fetch_max(period.as_nanos() as u64, Ordering::Relaxed);
        Ok(begun + period)
    }

    /// Looks who has left ESTABLISHED.
    fn dump(&mut self) -> io::Result<()> {
        let mut left = Vec::new();
        for &family in &self.families {
            self.diag.dump(family, let_go(), self.port, |at, socket| {
                left.push((ends(&socket.socket_id), at));
            })?;
        }
        let mut fates = self.shared.fates();
        for (ends, at) in left {
            fates.left(ends, at);
        }
        Ok(())
    }
}

/// The states to which a server's own doing moves a connection.
fn let_go() -> StateFlags {
    StateFlags::FIN_WAIT1
        | StateFlags::FIN_WAIT2
        | StateFlags::CLOSING
        | StateFlags::TIME_WAIT
        | StateFlags::LAST_ACK
        | StateFlags::CLOSE
}

/// The address families in which the server's sockets are to be sought: those of its listeners, or
/// both if none is seen.
fn families(port: u16) -> io::Result<Vec<u8>> {
    let mut diag = Diag::open()?;
    let mut families = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let mut listens = false;
        diag.dump(family, StateFlags::LISTEN, port, |_, _: InetResponseHeader| listens = true)?;
        if listens {
            families.push(family);
        }
    }
    Ok(if families.is_empty() { vec![AF_INET, AF_INET6] } else { families })
}

/// The ends of a server's socket.
fn ends(id: &SocketId) -> Ends {
    Ends::new(
        SocketAddr::new(id.destination_address, id.destination_port),
        SocketAddr::new(id.source_address, id.source_port),
    )
}
