//! A server, and a client that is a socket and says what a test wants.

use halfopen_proto::handshake::ClientRequest;
use halfopen_server::{App, Config, DriverKind, Server, ServerConfig, Stats};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) const DRIVERS: [DriverKind; 3] = DriverKind::ALL;

/// Longer than anything here takes; nothing is asserted about it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn start<A: App<State: Send> + Send + 'static>(
    driver: DriverKind,
    config: Config,
    app: fn() -> A,
) -> Server {
    start_with(&server_config(driver, config), app)
}

pub(crate) fn start_with<A: App<State: Send> + Send + 'static>(
    config: &ServerConfig,
    app: fn() -> A,
) -> Server {
    let name = config.driver.name();
    Server::start(config, |_| app()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Two shards, with room for 200.
pub(crate) fn server_config(driver: DriverKind, config: Config) -> ServerConfig {
    ServerConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        driver,
        shards: Some(2),
        connections_max: Some(200),
        seed: Some(1),
        shard: config,
        ..ServerConfig::default()
    }
}

/// Nobody is hurried, and nobody is pinged.
pub(crate) fn patient() -> Config {
    Config {
        heartbeat: None,
        handshake_timeout: PATIENCE,
        close_timeout: PATIENCE,
        output_timeout: PATIENCE,
        ..Config::default()
    }
}

pub(crate) fn tcp(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(crate) fn drained(server: Server) -> Stats {
    server.handle().drain(Duration::ZERO);
    let outcome = server.join();
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    outcome.stats
}

/// Waits until it is so, and says what it waited for when that takes too long.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        sleep(Duration::from_millis(1));
    }
}

/// A request that is valid, and what else is to stand in it.
pub(crate) fn request(change: impl FnOnce(&mut ClientRequest<'_>)) -> Vec<u8> {
    let mut request = ClientRequest { host: "localhost", target: "/", ..Default::default() };
    change(&mut request);
    let mut out = Default::default();
    request.encode(&mut out).unwrap();
    out.to_vec()
}

/// A client after the opening handshake.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
}

impl Raw {
    pub(crate) fn open(server: &Server) -> Self {
        let mut stream = tcp(server);
        stream.write_all(&request(|_| {})).unwrap();
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self { stream }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Frame {
        read_frame(&mut self.stream).unwrap().expect("a frame, and not the end")
    }

    /// All that the server says, up to its FIN. A reset is none: what it destroys is not said.
    pub(crate) fn until_the_end(mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = read_frame(&mut self.stream).expect("FIN, and no reset") {
            frames.push(frame);
        }
        // The server waits for this, and reads whatever stands before it.
        let _ = self.stream.shutdown(Shutdown::Write);
        frames
    }
}

/// A frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// FIN, RSV and opcode.
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(first: u8, payload: &[u8]) -> Self {
        Self { first, payload: payload.into() }
    }

    /// The code, if it is a Close frame that has one, and a reason in words.
    pub(crate) fn close_code(&self) -> Option<u16> {
        let (code, reason) = self.payload.split_first_chunk().filter(|_| self.first == CLOSE)?;
        std::str::from_utf8(reason).expect("a reason is text");
        Some(u16::from_be_bytes(*code))
    }
}

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame of at most 125 bytes, as it should be apart from its first byte.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() <= 125);
    frame_of(first, &[payload.len() as u8], payload)
}

/// A client's frame whose length is written as a test wants: seven bits, and what follows them.
pub(crate) fn frame_of(first: u8, length: &[u8], payload: &[u8]) -> Vec<u8> {
    let masked = payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key);
    let mut out = vec![first, 0x80 | length[0]];
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&KEY);
    out.extend(masked);
    out
}

/// Reads up to the blank line.
pub(crate) fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a whole head");
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// The next frame of a server; none at the end of the stream.
fn read_frame(stream: &mut TcpStream) -> io::Result<Option<Frame>> {
    let mut head = [0; 2];
    match stream.read_exact(&mut head[..1]) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    stream.read_exact(&mut head[1..])?;
    assert!(head[1] < 0x80, "a server does not mask");
    let mut length = [0; 8];
    match head[1] {
        126 => stream.read_exact(&mut length[6..])?,
        127 => stream.read_exact(&mut length)?,
        short => length[7] = short,
    }
    let mut payload = vec![0; u64::from_be_bytes(length) as usize];
    stream.read_exact(&mut payload)?;
    Ok(Some(Frame { first: head[0], payload }))
}
