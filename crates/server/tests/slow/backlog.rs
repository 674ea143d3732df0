//! A ping behind a backlog: slow is not dead.

use crate::rig::{DRIVERS, drained, patient, start, wait_until};
use crate::{alone, narrow};
use halfopen_server::{
    Accept, App, Config, DriverKind, End, Handshake, Heartbeat, Message, Peer, Rejection,
};
use halfopen_sim::skipped;
use std::io::Read;
use std::net::TcpStream;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

/// Tells everyone more than they will read.
struct Streams;

static MUCH: [u8; 8 << 20] = [0; 8 << 20];

impl App for Streams {
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_open(&mut self, peer: &mut Peer<'_>, _state: &mut ()) {
        peer.send(Message::Binary(&MUCH));
    }

    fn on_message(&mut self, _peer: &mut Peer<'_>, _state: &mut (), _message: Message<'_>) {}
}

const TIMEOUT: Duration = Duration::from_secs(2);

/// What is read at once, and how often.
const SIP: usize = 16 * 1024;
const EVERY: Duration = Duration::from_millis(20);

/// Three chunks of the server's.
const STRETCH: usize = 192 * 1024;

/// Reads a little now and then without ever answering, for two timeouts. Whether that was reading: if
/// the machine held it up, so that for one stretch it took more than a quarter of the timeout, nobody
/// could tell it from one that is dead.
fn read_slowly(stream: &mut TcpStream, name: &str) -> bool {
    let began = Instant::now();
    let (mut sips, mut stretch) = (0, began);
    while began.elapsed() < 2 * TIMEOUT {
        let read = stream.read_exact(&mut [0; SIP]);
        if stretch.elapsed() > TIMEOUT / 4 {
            return false;
        }
        read.expect(name);
        sips += 1;
        if sips % (STRETCH / SIP) == 0 {
            stretch = Instant::now();
        }
        sleep((EVERY * sips as u32).saturating_sub(began.elapsed()));
    }
    true
}

/// Reads slowly and then no more; none, if the machine did not let it.
fn read_slowly_and_stop(driver: DriverKind) -> Option<()> {
    let name = driver.name();
    let interval = TIMEOUT / 10;
    let heartbeat = Heartbeat { interval, timeout: TIMEOUT, ..Heartbeat::default() };
    let config = Config { heartbeat: Some(heartbeat), output_max: 2 * MUCH.len(), ..patient() };
    let server = start(driver, config, || Streams);
    let mut stream = narrow(&server);
    read_slowly(&mut stream, name).then_some(())?;
    wait_until("the end of one that reads no more", || server.handle().open() == 0);
    let stats = drained(server);
    assert_eq!(stats.ended(End::Silent), 1, "{name}: {:?}", stats.ended);
    assert_eq!((stats.pings_sent, stats.pongs_matched), (1, 0), "{name}");
    Some(())
}

#[test]
fn a_reader_slower_than_the_timeout_is_kept_and_one_that_stops_is_found() {
    let _turn = alone();
    let try_it = |driver| {
        let held_up = (0..3).all(|_| read_slowly_and_stop(driver).is_none());
        if held_up {
            skipped(&format!("{}: this machine is too busy to read slowly", driver.name()));
        }
    };
    scope(|scope| {
        for driver in DRIVERS {
            scope.spawn(move || try_it(driver));
        }
    });
}
