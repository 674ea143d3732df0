//! The smallest server: every message comes back, and Ctrl-C drains.
//!
//! ```sh
//! cargo run --release -p halfopen-server --example echo            # or: … echo 0.0.0.0:9001
//! ```

use halfopen_server::{Accept, App, Handshake, Message, Peer, Rejection, Server, ServerConfig};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::error::Error;
use std::thread;
use std::time::Duration;

struct Echo;

impl App for Echo {
    /// Nothing is kept of a connection.
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, _state: &mut (), message: Message<'_>) {
        peer.send(message);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::args().nth(1).unwrap_or("127.0.0.1:9001".into()).parse()?;
    let server = Server::start(&ServerConfig { listen, ..Default::default() }, |_shard| Echo)?;
    // Before anybody can know that it listens: until here Ctrl-C ends it without a word.
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    println!("listening on ws://{}", server.local_addr());

    let handle = server.handle();
    thread::spawn(move || {
        signals.forever().next();
        handle.drain(Duration::from_secs(1));
    });

    let outcome = server.join();
    if let Some(report) = outcome.drained {
        println!(
            "drained {} connections in {:.1?}: {} closed cleanly, {} timed out, {} broken",
            report.connections,
            report.took,
            report.clean(),
            report.timed_out(),
            report.broken()
        );
    }
    outcome.error.map_or(Ok(()), |error| Err(error.into()))
}
