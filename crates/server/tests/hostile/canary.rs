//! The net is known to catch: a server that lets the living one wait does not pass.

use crate::at_once::{driver_of_this_process, process_for};
use crate::rig::{BINARY, Raw, frame, patient};
use crate::scene::{Abuse, alone, survive_with};
use halfopen_server::{Accept, App, DriverKind, Handshake, Message, Peer, Rejection, Server};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

/// Half of them on each shard.
const CROWD: u64 = 8;

/// Stands still for a while at each message that is no text.
struct Dozes;

impl App for Dozes {
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, _state: &mut (), message: Message<'_>) {
        if let Message::Binary(_) = message {
            sleep(Duration::from_millis(250));
        }
        peer.send(message);
    }
}

/// The test runs itself once more, in a process that is to fail.
#[test]
fn a_server_that_stands_still_does_not_pass() {
    let _turn = alone();
    if driver_of_this_process().is_some() {
        let act = |server: &Server| -> Vec<TcpStream> {
            let mut crowd: Vec<_> = (0..CROWD).map(|_| Raw::open(server)).collect();
            crowd.iter_mut().for_each(|client| client.send(&frame(BINARY, b"!")));
            crowd.iter_mut().for_each(|client| assert_eq!(client.frame().payload, b"!"));
            Vec::new()
        };
        let abuse = Abuse { crowd: CROWD, each_max: 1 << 20, act };
        survive_with(DriverKind::Epoll, patient(), || Dozes, abuse);
        return;
    }
    let test = "canary::a_server_that_stands_still_does_not_pass";
    let ended = process_for(DriverKind::Epoll, test).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("answers take"), "{said}");
}
