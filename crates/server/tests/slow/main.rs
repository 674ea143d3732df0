//! Clients that read slowly, or not at all, on the real server and on each driver: who is let go, how
//! it ends, and what it costs meanwhile.

mod backlog;
#[path = "../live_bytes/mod.rs"]
mod live_bytes;
mod policies;
#[path = "../sockets/rig.rs"]
#[allow(dead_code, reason = "each test program uses its part")]
mod rig;

use halfopen_server::Server;
use rig::{PATIENCE, read_head, request};
use socket2::{Domain, Socket, Type};
use std::io::Write;
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes the process for one test; what the allocator counts is one for all.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client after the opening handshake, whose kernel takes little for it.
fn narrow(server: &Server) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    socket.connect(&server.local_addr().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&request(|_| {})).unwrap();
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream
}
