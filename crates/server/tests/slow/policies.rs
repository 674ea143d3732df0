//! What each policy makes of a client that asks for much and does not read: a bounded number of bytes,
//! a bounded time, and then the end that was chosen.

use crate::live_bytes::{forget_peak, live, peak};
use crate::rig::{BINARY, CLOSE, DRIVERS, PATIENCE, Raw, drained, frame_of, patient, start};
use crate::{alone, narrow};
use halfopen_server::{Config, DriverKind, Echo, End, Server, SlowConsumer, Stats};
use std::io::Write;
use std::net::TcpStream;
use std::sync::LazyLock;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

const MESSAGE_BYTES: usize = 16 * 1024;
/// Far more than both kernels and the queue hold together: 16 MiB.
const MESSAGES: usize = 1024;
const OUTPUT_MAX: usize = 64 * 1024;

/// The queue and a message beyond it, twice that where the app is not asked; a chunk in flight, and
/// what was read and is held. Each buffer may have grown by doubling.
const QUEUE_MAX: usize = 2 * (2 * (OUTPUT_MAX + MESSAGE_BYTES) + 64 * 1024 + 64 * 1024);
/// What two shards may keep for the next, and what it takes to look at what they count.
const POOLS: usize = 2 * (512 * 1024 + 256 * 1024) + 1024 * 1024;

static WIRE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let length = (MESSAGE_BYTES as u16).to_be_bytes();
    frame_of(BINARY, &[&[126], &length[..]].concat(), &[7; MESSAGE_BYTES]).repeat(MESSAGES)
});

/// A client that sends all of it and has read nothing yet.
fn deaf(server: &Server) -> (TcpStream, JoinHandle<()>) {
    let stream = narrow(server);
    let mut sending = stream.try_clone().unwrap();
    // It may be stopped in the middle by the server's end of the connection.
    (stream, std::thread::spawn(move || drop(sending.write_all(&WIRE))))
}

/// Waits for something that the server counts.
fn await_count(server: &Server, what: &str, count: impl Fn(&Stats) -> u64) {
    let end = Instant::now() + PATIENCE;
    while count(&server.handle().snapshot()) == 0 {
        assert!(Instant::now() < end, "waited in vain: {what}");
        sleep(Duration::from_millis(2));
    }
}

/// Serves one such client with a policy; `act` does what it does at last. The server never held more
/// than its bound.
fn serve(driver: DriverKind, config: Config, act: impl Fn(&Server, TcpStream)) -> Stats {
    LazyLock::force(&WIRE);
    let server = start(driver, config, || Echo);
    forget_peak();
    let before = live();
    let (stream, sender) = deaf(&server);
    act(&server, stream);
    sender.join().unwrap();
    let most = peak().saturating_sub(before);
    assert!(most <= QUEUE_MAX + POOLS, "{}: {most} bytes were held", driver.name());
    drained(server)
}

fn with(slow_consumer: SlowConsumer) -> Config {
    Config { slow_consumer, output_max: OUTPUT_MAX, ..patient() }
}

/// It never reads.
fn never(server: &Server, stream: TcpStream) {
    await_count(server, "the end", |stats| stats.ended.values().sum());
    drop(stream);
}

#[test]
fn wait_reads_no_more_and_the_output_timeout_ends_it() {
    let _turn = alone();
    for driver in DRIVERS {
        let output_timeout = Duration::from_millis(300);
        let config = Config { output_timeout, ..with(SlowConsumer::Wait) };
        let stats = serve(driver, config, never);
        assert_eq!(stats.ended(End::OutputStuck), 1, "{}: {:?}", driver.name(), stats.ended);
        assert!(stats.pauses > 0 && stats.messages_received < MESSAGES as u64);
        assert_eq!(stats.messages_dropped, 0);
    }
}

#[test]
fn drop_reads_on_and_the_output_timeout_ends_it() {
    let _turn = alone();
    for driver in DRIVERS {
        let output_timeout = Duration::from_millis(300);
        let config = Config { output_timeout, ..with(SlowConsumer::Drop) };
        let stats = serve(driver, config, never);
        assert_eq!(stats.ended(End::OutputStuck), 1, "{}: {:?}", driver.name(), stats.ended);
        assert!(stats.messages_dropped > 0, "{}", driver.name());
        assert_eq!(stats.pauses, 0);
    }
}

#[test]
fn close_tells_it_1008_behind_the_chunk_in_flight() {
    let _turn = alone();
    for driver in DRIVERS {
        let stats = serve(driver, with(SlowConsumer::Close), |server, stream| {
            let closed = |stats: &Stats| stats.closed.get(&1008).copied().unwrap_or(0);
            await_count(server, "the Close frame", closed);
            let mut client = Raw { stream };
            let close = std::iter::repeat_with(|| client.frame()).find(|f| f.first == CLOSE);
            let code = close.and_then(|close| close.close_code());
            assert_eq!(code, Some(1008), "{}", driver.name());
        });
        assert!(stats.messages_sent < MESSAGES as u64 / 2, "{}", driver.name());
        assert_eq!(stats.messages_dropped, 0);
    }
}
