//! Echo in a closed loop: each connection sends its next message when the last has come back.

use anyhow::{Context, ensure};
use bytes::BytesMut;
use halfopen_loadgen::sample::cpu;
use halfopen_proto::handshake::{ClientRequest, HeadLimits};
use halfopen_proto::{Connection, Message, Role};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Load {
    /// How many connections.
    pub connections: usize,
    /// Bytes of each message.
    pub bytes: usize,
}

/// What came back, and what it cost.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Messages in the window.
    pub messages: u64,
    /// How long that was.
    pub seconds: f64,
    /// CPU time of the server's process.
    pub server_cpu_us: f64,
    /// CPU time of the thread that sends and receives.
    pub client_cpu_us: f64,
}

impl Outcome {
    /// Messages a second.
    pub fn per_second(&self) -> f64 {
        self.messages as f64 / self.seconds
    }

    /// The server's CPU a message.
    pub fn server_us(&self) -> f64 {
        self.server_cpu_us / self.messages as f64
    }

    /// The CPU of both ends a message.
    pub fn both_ends_us(&self) -> f64 {
        (self.server_cpu_us + self.client_cpu_us) / self.messages as f64
    }
}

/// Loads the server at `server`, whose process is `pid`, from this thread: for as long as
/// `settle`, and then for as long as `window`, which counts.
///
/// # Errors
/// The server refuses, is silent for 20 seconds, or sends back something else.
pub fn run(
    server: SocketAddr,
    pid: u32,
    load: Load,
    settle: Duration,
    window: Duration,
) -> anyhow::Result<Outcome> {
    let mut crowd = Crowd::open(server, load)?;
    crowd.echo_for(settle)?;
    let (server_before, client_before) = (cpu_of(pid)?, own_cpu());
    let begun = Instant::now();
    let messages = crowd.echo_for(window)?;
    let seconds = begun.elapsed().as_secs_f64();
    let (server_after, client_after) = (cpu_of(pid)?, own_cpu());
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    Ok(Outcome {
        messages,
        seconds,
        server_cpu_us: micros(server_after - server_before),
        client_cpu_us: micros(client_after - client_before),
    })
}

/// Connections that each have a message under way.
struct Crowd {
    peers: Vec<TcpStream>,
    sent: BytesMut,
    expected: BytesMut,
    back: Vec<u8>,
}

impl Crowd {
    fn open(server: SocketAddr, load: Load) -> anyhow::Result<Self> {
        let text = "e".repeat(load.bytes);
        let (mut sent, mut expected) = (BytesMut::new(), BytesMut::new());
        Connection::new(Role::Client).encode(Message::Text(&text), [1, 2, 3, 4], &mut sent);
        Connection::new(Role::Server).encode(Message::Text(&text), [0; 4], &mut expected);
        let peers = (0..load.connections).map(|_| open(server));
        let mut peers = peers.collect::<anyhow::Result<Vec<_>>>()?;
        for peer in &mut peers {
            peer.write_all(&sent)?;
        }
        let back = vec![0; expected.len()];
        Ok(Self { peers, sent, expected, back })
    }

    /// Goes round, at least once. How many messages have come back.
    fn echo_for(&mut self, time: Duration) -> anyhow::Result<u64> {
        let (begun, mut messages) = (Instant::now(), 0);
        while messages == 0 || begun.elapsed() < time {
            for peer in &mut self.peers {
                peer.read_exact(&mut self.back).context("waiting for an echo")?;
                ensure!(self.back == self.expected, "something else came back");
                peer.write_all(&self.sent)?;
                messages += 1;
            }
        }
        Ok(messages)
    }
}

fn open(server: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut peer = TcpStream::connect(server).context("connecting")?;
    peer.set_nodelay(true)?;
    peer.set_read_timeout(Some(Duration::from_secs(20)))?;
    let request = ClientRequest { host: "localhost", target: "/", ..ClientRequest::default() };
    let mut out = BytesMut::new();
    request.encode(&mut out)?;
    peer.write_all(&out)?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while request.check_response(&head, &HeadLimits::default())?.is_none() {
        peer.read_exact(&mut byte).context("waiting for the upgrade")?;
        head.extend(byte);
    }
    Ok(peer)
}

fn cpu_of(pid: u32) -> anyhow::Result<Duration> {
    cpu::of_process(pid).context("the server ended early")
}

fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
