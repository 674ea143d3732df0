//! A server under abuse, and somebody living beside the abusers.

use crate::live_bytes::{forget_peak, live, peak};
use crate::rig::{
    Frame, PATIENCE, PING, PONG, Raw, TEXT, drained, frame, read_head, request, start,
};
use halfopen_server::{App, Config, DriverKind, Echo, Server, Stats};
use socket2::{Domain, Socket, Type};
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep, yield_now};
use std::time::{Duration, Instant};

/// How long the living may wait for an answer. Generous: on a busy machine most of it is the wait
/// for a core. A server that a crowd can hold up is held up for longer.
const ANSWER: Duration = Duration::from_secs(2);

/// What two shards may keep for the next crowd, of which one may serve the first and the other the
/// second: buffers for output, and such to gather messages in.
const POOLS: usize = 2 * (512 * 1024 + 1024 * 1024);

/// What it takes to look at what the shards have counted.
const LOOKING: usize = 1024 * 1024;

/// What the program around the server may have taken meanwhile.
const SLACK: usize = 64 * 1024;

/// Takes the process for one test; the first that each does.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A crowd, and what it does.
pub(crate) struct Abuse<F> {
    /// How many connections it opens.
    pub(crate) crowd: u64,
    /// The most bytes that each of them may make the server hold.
    pub(crate) each_max: usize,
    /// Does it. What it gives back stays open until the server has let go of it.
    pub(crate) act: F,
}

/// Lets an echo server suffer `abuse` twice, and gives back what it counted; among it is the living
/// one, which leaves by a FIN at the end.
pub(crate) fn survive<F: Fn(&Server) -> Vec<TcpStream>>(
    driver: DriverKind,
    config: Config,
    abuse: Abuse<F>,
) -> Stats {
    survive_with(driver, config, || Echo, abuse)
}

/// [`survive`], with another app. It sends a text back.
///
/// The living one is answered all the time. No byte more is held after the second time than after
/// the first, but for pools of bounded size; and when the server has ended, none at all.
pub(crate) fn survive_with<A, F>(
    driver: DriverKind,
    config: Config,
    app: fn() -> A,
    abuse: Abuse<F>,
) -> Stats
where
    A: App<State: Send> + Send + 'static,
    F: Fn(&Server) -> Vec<TcpStream>,
{
    let name = driver.name();
    // What is made once in a process, and not for each server.
    drained(start(driver, config, app));
    let before_all = live();

    let server = start(driver, config, app);
    let living = Living::open(&server);
    let [first, second] = [1, 2].map(|time| {
        forget_peak();
        let before = live();
        let crowd = (abuse.act)(&server);
        living.is_served();
        await_end(&server, time * abuse.crowd);
        drop(crowd);
        let most = peak().saturating_sub(before);
        let allowed = abuse.crowd as usize * abuse.each_max + POOLS + LOOKING;
        assert!(most <= allowed, "{name}: {most} bytes were held, and {allowed} are allowed");
        live()
    });
    assert!(
        comes_down_to(first + POOLS + SLACK),
        "{name}: {first} bytes are held, and then {second} and at last {}",
        live()
    );
    living.leave();
    while server.handle().open() > 0 {
        yield_now();
    }

    let stats = drained(server);
    assert_eq!(stats.accepted, 2 * abuse.crowd + 1, "{name}");
    let turn = Duration::from_nanos(stats.driver.turn_ns_max);
    assert!(turn < ANSWER, "{name}: a turn of {turn:?}");
    let kept = live().saturating_sub(before_all);
    assert!(kept <= SLACK + size_of_stats(&stats), "{name}: {kept} bytes are never given back");
    stats
}

/// Whether so few bytes live, after a while: what has ended may still be being given back.
fn comes_down_to(bytes: usize) -> bool {
    let end = Instant::now() + PATIENCE;
    while live() > bytes && Instant::now() < end {
        sleep(Duration::from_millis(2));
    }
    live() <= bytes
}

/// What is counted has histograms, and they live.
fn size_of_stats(stats: &Stats) -> usize {
    let buckets = stats.rtt_ns.distinct_values() + stats.lateness_ns.distinct_values();
    buckets * size_of::<u64>()
}

/// Waits until `crowd` connections have come and gone, and only the living one is left.
fn await_end(server: &Server, crowd: u64) {
    let end = Instant::now() + PATIENCE;
    loop {
        let stats = server.handle().snapshot();
        let ended = stats.ended.values().sum::<u64>();
        if (stats.accepted, ended) == (crowd + 1, crowd) {
            return;
        }
        let ended = &stats.ended;
        assert!(Instant::now() < end, "{} of {crowd} came, {ended:?} went", stats.accepted - 1);
        sleep(Duration::from_millis(2));
    }
}

/// Somebody who talks with the server all the time, on a thread of its own.
pub(crate) struct Living {
    answers: Arc<AtomicU64>,
    leaves: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Living {
    pub(crate) fn open(server: &Server) -> Self {
        let mut client = Raw::open(server);
        client.stream.set_read_timeout(Some(ANSWER)).unwrap();
        let (answers, leaves) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (answered, shall_leave) = (answers.clone(), leaves.clone());
        let thread = std::thread::spawn(move || {
            while !shall_leave.load(Ordering::Relaxed) {
                ask(&mut client);
                answered.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(1));
            }
        });
        Self { answers, leaves, thread }
    }

    /// Waits for an answer to something that is asked from now on.
    pub(crate) fn is_served(&self) {
        let now = self.answers.load(Ordering::Relaxed);
        while self.answers.load(Ordering::Relaxed) < now + 2 {
            assert!(!self.thread.is_finished(), "the living one was not answered in {ANSWER:?}");
            yield_now();
        }
    }

    pub(crate) fn leave(self) {
        self.is_served();
        self.leaves.store(true, Ordering::Relaxed);
        self.thread.join().expect("the living one was answered in time, each time");
    }
}

/// Asks, and waits for the answer; the server's pings are answered meanwhile.
fn ask(client: &mut Raw) {
    client.send(&frame(TEXT, b"alive?"));
    loop {
        match client.frame() {
            Frame { first: PING, payload } => client.send(&frame(PONG, &payload)),
            answer => return assert_eq!(answer, Frame::new(TEXT, b"alive?")),
        }
    }
}

/// A client whose kernel takes little for it.
pub(crate) fn narrow(server: &Server) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.local_addr().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&request(|_| {})).unwrap();
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream
}
