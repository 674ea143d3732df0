//! A server under abuse, and somebody living beside the abusers.

use crate::live_bytes::{forget_peak, live, peak};
use crate::living::{ANSWER, Living, named};
use crate::rig::{PATIENCE, drained, read_head, request, start, wait_until};
use halfopen_server::{App, Config, DriverKind, Echo, Server, Stats};
use socket2::{Domain, Socket, Type};
use std::io::Write;
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So often the abuse is suffered. After the last but one everything has grown to its size.
pub(crate) const ROUNDS: u64 = 3;

/// What the program around the server may have taken meanwhile, and a table of the server's that
/// grows once more because a shard had more of the crowd than before. Of a crowd of 150 it is 440
/// bytes for each connection of the last round.
pub(crate) const SLACK: usize = 64 * 1024;

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

/// Lets an echo server suffer `abuse` in [`ROUNDS`], and gives back what it counted; among it is the
/// living one, which leaves by a FIN at the end.
pub(crate) fn survive<F: Fn(&Server) -> Vec<TcpStream>>(
    driver: DriverKind,
    config: Config,
    abuse: Abuse<F>,
) -> Stats {
    survive_with(driver, config, || Echo, abuse)
}

/// [`survive`], with another app. It sends a text back.
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
    survive_on(driver, || start(driver, config, app), abuse)
}

/// [`survive`], with a server of any kind. Its app sends a text back.
///
/// The living one is answered all the time. In no round the crowd makes the server hold more than it
/// may, after the last no byte more is held than after the one before, but for what the shards keep
/// for later use; and when the server has ended, none at all.
pub(crate) fn survive_on<F>(
    driver: DriverKind,
    start: impl Fn() -> Server,
    abuse: Abuse<F>,
) -> Stats
where
    F: Fn(&Server) -> Vec<TcpStream>,
{
    let name = driver.name();
    // What is made once in a process, and not for each server.
    drained(start());
    let (before_all, resident) = (live(), resident_kib());

    let server = start();
    let living = Living::open(&server);
    living.is_attacked();
    let rounds: Vec<_> =
        (1..=ROUNDS).map(|round| suffer(&server, &living, &abuse, round)).collect();
    let grown = &rounds[rounds.len() - 2];
    let most = rounds.iter().map(|round| round.most).max().unwrap();
    let allowed = abuse.crowd as usize * abuse.each_max;
    println!(
        "{}: {} × {ROUNDS} held {most} bytes at most, {allowed} are allowed; left {:?}; \
         RSS {resident} to {} KiB",
        named(name),
        abuse.crowd,
        rounds.iter().map(|round| round.left).collect::<Vec<_>>(),
        resident_kib()
    );
    assert!(most <= allowed, "{name}: {most} bytes were held, and {allowed} are allowed");
    wait_until("the memory of the last round to come back", || left(&server) <= grown.left + SLACK);
    living.leave(name);
    wait_until("the end of the living one", || server.handle().open() == 0);

    let stats = drained(server);
    assert_eq!(stats.accepted, ROUNDS * abuse.crowd + 1, "{name}");
    let turn = Duration::from_nanos(stats.driver.turn_ns_max);
    assert!(turn < ANSWER, "{name}: a turn of {turn:?}");
    let kept = live().saturating_sub(before_all);
    assert!(kept <= SLACK + size_of_stats(&stats), "{name}: {kept} bytes are never given back");
    stats
}

/// Bytes that a round has cost.
struct Round {
    /// So many more than before it lived at one time.
    most: usize,
    /// So many live when the crowd has gone, beside what the shards keep.
    left: usize,
}

fn suffer<F: Fn(&Server) -> Vec<TcpStream>>(
    server: &Server,
    living: &Living,
    abuse: &Abuse<F>,
    round: u64,
) -> Round {
    let before = live();
    forget_peak();
    let crowd = (abuse.act)(server);
    living.is_served();
    let most = await_end(server, round * abuse.crowd);
    drop(crowd);
    Round { most: most.saturating_sub(before), left: left(server) }
}

/// Waits until `crowd` connections have come and gone, and only the living one is left; gives back
/// the peak until then.
fn await_end(server: &Server, crowd: u64) -> usize {
    let end = Instant::now() + PATIENCE;
    let mut most = 0;
    loop {
        wait_until("the crowd's end", || server.handle().open() <= 1);
        most = most.max(peak());
        // To look takes memory, too.
        let stats = server.handle().snapshot();
        let ended = stats.ended.values().sum::<u64>();
        if (stats.accepted, ended) == (crowd + 1, crowd) {
            return most;
        }
        let ended = &stats.ended;
        assert!(Instant::now() < end, "{} of {crowd} came, {ended:?} went", stats.accepted - 1);
        drop(stats);
        forget_peak();
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Bytes that live now and that no shard keeps to use again; the least of some looks, because what
/// a look takes is given back by another thread.
pub(crate) fn left(server: &Server) -> usize {
    let look = |_| {
        let pooled = server.handle().snapshot().pooled_bytes as usize;
        std::thread::sleep(Duration::from_millis(1));
        live().saturating_sub(pooled)
    };
    (0..3).map(look).min().unwrap()
}

/// What is counted has histograms, and they live.
fn size_of_stats(stats: &Stats) -> usize {
    let buckets = stats.rtt_ns.distinct_values() + stats.lateness_ns.distinct_values();
    buckets * size_of::<u64>()
}

/// The process's memory in the eyes of the kernel. Nothing is asserted about it: it is the
/// allocator that keeps it.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    field.unwrap().trim_end_matches("kB").trim().parse().unwrap()
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
