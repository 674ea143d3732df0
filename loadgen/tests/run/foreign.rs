//! A WebSocket server by other hands: tungstenite, a thread a connection.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tungstenite::{Bytes, Error, Message, WebSocket};

/// It pings that often, and drops who has not answered for that long.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);

/// How long a read waits before the heartbeat is looked after.
const LOOK: Duration = Duration::from_millis(10);

/// The streams of connections that are open, so that all can be ended at once.
type Open = Arc<Mutex<HashMap<SocketAddr, TcpStream>>>;

/// Echoes, and pings.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
    open: Open,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (open, over) = (Open::default(), Arc::<AtomicBool>::default());
        let address = listener.local_addr().unwrap();
        let (accepting, streams, ended) =
            (listener.try_clone().unwrap(), open.clone(), over.clone());
        let thread = std::thread::spawn(move || {
            for stream in accepting.incoming() {
                let Ok(stream) = stream else { return };
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = stream.peer_addr() else { continue };
                streams.lock().unwrap().insert(client, stream.try_clone().unwrap());
                let streams = streams.clone();
                std::thread::spawn(move || {
                    // An error is an end like any other.
                    let _ = serve(stream);
                    streams.lock().unwrap().remove(&client);
                });
            }
        });
        Self { address, listener, open, over, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Its process ends: its kernel closes all sockets.
    pub(crate) fn die(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // The thread that accepts sees the flag at the next connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        for (_, stream) in self.open.lock().unwrap().drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = self.listener.set_nonblocking(true);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.die();
    }
}

/// A connection from its handshake to its end.
fn serve(stream: TcpStream) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut ws = tungstenite::accept(stream).map_err(|_| Error::ConnectionClosed)?;
    ws.get_ref().set_read_timeout(Some(LOOK))?;
    let mut next_ping = Instant::now() + INTERVAL;
    let mut asked: Option<Instant> = None;
    loop {
        match ws.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => ws.send(message)?,
            Ok(Message::Pong(_)) => asked = None,
            Ok(_) => {}
            Err(Error::Io(error)) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
        if asked.is_some_and(|asked| asked.elapsed() > TIMEOUT) {
            return Ok(());
        }
        if asked.is_none() && next_ping <= Instant::now() {
            ping(&mut ws)?;
            asked = Some(Instant::now());
            next_ping += INTERVAL;
        }
    }
}

fn ping(ws: &mut WebSocket<TcpStream>) -> Result<(), Error> {
    ws.send(Message::Ping(Bytes::from_static(b"are you there?")))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A server of plain HTTP: answers every request with `answer`.
pub(crate) fn http_server(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = io::Read::read(&mut stream, &mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}
