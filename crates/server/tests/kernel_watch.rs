//! What TCP finds by itself, and what it cannot find: keepalive and TCP_USER_TIMEOUT on a server of
//! real sockets, with and without a proxy between.
//!
//! It takes some seconds of real time, because the kernel counts keepalive in seconds.
#![allow(unsafe_code)] // One setsockopt that no safe wrapper knows: IP_MINTTL.

use halfopen_server::{
    Config, DriverKind, Echo, End, Heartbeat, Server, ServerConfig, Stats, TcpWatch,
};
use std::ffi::c_int;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn start(driver: DriverKind, heartbeat: Option<Heartbeat>, tcp: TcpWatch) -> Server {
    let config = ServerConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        driver,
        shards: Some(1),
        connections_max: Some(100),
        tcp,
        shard: Config { heartbeat, ..Config::default() },
        ..ServerConfig::default()
    };
    Server::start(&config, |_| Echo).unwrap_or_else(|error| panic!("{}: {error}", driver.name()))
}

/// A client whose opening handshake is done.
fn open(addr: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(20 * SECOND)).unwrap();
    stream.write_all(REQUEST).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a whole head");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream
}

/// From now on every packet that arrives at `client` is dropped below TCP: its TTL is under 255.
fn blackhole(client: &TcpStream) {
    let ttl: c_int = 255;
    let size = size_of::<c_int>() as libc::socklen_t;
    let value = (&raw const ttl).cast();
    // SAFETY: the kernel reads one c_int.
    let result = unsafe {
        libc::setsockopt(client.as_raw_fd(), libc::IPPROTO_IP, libc::IP_MINTTL, value, size)
    };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// A proxy that ends TCP on both sides, as those of layer 7 do.
fn proxy(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(server).unwrap();
            pipe(client.try_clone().unwrap(), server.try_clone().unwrap());
            pipe(server, client);
        }
    });
    addr
}

fn pipe(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}

/// What the server has counted when `held` is true of it; or when it has been looked at for long.
fn wait_until(server: &Server, held: impl Fn(&Stats) -> bool) -> Stats {
    let end = Instant::now() + 20 * SECOND;
    loop {
        let stats = server.handle().snapshot();
        if held(&stats) || Instant::now() > end {
            return stats;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

const NEVER: TcpWatch = TcpWatch { keepalive: None, user_timeout: None };
const KEEPALIVE: TcpWatch = TcpWatch { keepalive: Some(SECOND), user_timeout: None };
const BOTH: TcpWatch = TcpWatch { keepalive: Some(SECOND), user_timeout: Some(SECOND) };

/// All at once, because most of it is waiting.
fn on_each_driver(test: impl Fn(DriverKind) + Sync) {
    thread::scope(|scope| {
        for driver in DriverKind::ALL {
            let test = &test;
            scope.spawn(move || test(driver));
        }
    });
}

fn heartbeat(interval: Duration, timeout: Duration) -> Option<Heartbeat> {
    Some(Heartbeat { interval, timeout, ..Heartbeat::default() })
}

#[test]
fn keepalive_finds_a_host_that_is_gone_and_leaves_those_that_are_there() {
    on_each_driver(|driver| {
        let server = start(driver, None, KEEPALIVE);
        let (dead, living) = (open(server.local_addr()), open(server.local_addr()));
        blackhole(&dead);
        let stats = wait_until(&server, |stats| stats.ended(End::TimedOut) > 0);
        assert_eq!((stats.ended(End::TimedOut), stats.open), (1, 1), "{}", driver.name());
        drop(living);
    });
}

#[test]
fn the_user_timeout_gives_a_ping_up_that_nobody_acknowledges_long_before_the_heartbeat_does() {
    on_each_driver(|driver| {
        let pings = heartbeat(SECOND / 5, 600 * SECOND);
        let watch = TcpWatch { user_timeout: Some(SECOND / 2), ..NEVER };
        let server = start(driver, pings, watch);
        let (dead, mute) = (open(server.local_addr()), open(server.local_addr()));
        blackhole(&dead);
        let stats = wait_until(&server, |stats| stats.ended(End::TimedOut) > 0);
        assert_eq!(stats.ended(End::TimedOut), 1, "{}", driver.name());
        assert_eq!(stats.open, 1, "a program that hangs has a kernel that acknowledges");
        drop(mute);
    });
}

#[test]
fn behind_a_proxy_the_kernel_watches_the_proxy_and_only_the_heartbeat_finds_the_client() {
    on_each_driver(|driver| {
        let direct = start(driver, None, BOTH);
        let watched = start(driver, None, BOTH);
        let pinged = start(driver, heartbeat(SECOND / 2, SECOND / 2), NEVER);
        let clients: Vec<_> =
            [direct.local_addr(), proxy(watched.local_addr()), proxy(pinged.local_addr())]
                .map(open)
                .into();
        let began = Instant::now();
        clients.iter().for_each(blackhole);

        let stats = wait_until(&pinged, |stats| stats.ended(End::Silent) > 0);
        assert_eq!((stats.ended(End::Silent), stats.open), (1, 0), "{}", driver.name());
        let stats = wait_until(&direct, |stats| stats.ended(End::TimedOut) > 0);
        assert_eq!(stats.ended(End::TimedOut), 1, "{}", driver.name());
        // As long again as the kernel needed where it could see.
        thread::sleep(began.elapsed());
        let stats = watched.handle().snapshot();
        assert_eq!((stats.open, stats.ended.len()), (1, 0), "{}: {stats:?}", driver.name());
    });
}
