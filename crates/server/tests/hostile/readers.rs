//! Those who ask for much and read nothing, so that their window is shut: while we send, while we
//! close, and while we drain.

use crate::living::Living;
use crate::rig::{BINARY, DRIVERS, PATIENCE, Raw, drained, frame_of, patient, start, wait_until};
use crate::scene::{Abuse, ROUNDS, alone, narrow, survive, survive_with};
use halfopen_server::{
    Accept, App, CloseCode, Config, Echo, End, Handshake, Message, Outcome, Peer, Rejection, Server,
};
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

const CROWD: usize = 40;
const MESSAGE_BYTES: usize = 16 * 1024;

/// What each of them asks to have echoed: far more than both kernels and our queue hold.
fn much() -> Arc<[u8]> {
    let length = (MESSAGE_BYTES as u16).to_be_bytes();
    let message = frame_of(BINARY, &[&[126], &length[..]].concat(), &[7; MESSAGE_BYTES]);
    message.repeat(512).into()
}

/// Their queues are small, and so is their time.
fn config() -> Config {
    let brief = Duration::from_millis(200);
    Config { output_max: 64 * 1024, output_timeout: brief, close_timeout: brief, ..patient() }
}

/// What may lie in our memory for somebody who does not read: two chunks that wait, one in flight and
/// a message that is not whole, each in a buffer that has grown by doubling.
const EACH_MAX: usize = 4 * 2 * 64 * 1024;

/// A crowd whose every member sends `wire` and reads nothing.
fn deaf(server: &Server, wire: &Arc<[u8]>) -> Vec<TcpStream> {
    let join = |_| {
        let stream = narrow(server);
        let (mut sending, wire) = (stream.try_clone().unwrap(), wire.clone());
        // It is stopped in the middle by the server's end of the connection.
        std::thread::spawn(move || drop(sending.write_all(&wire)));
        stream
    };
    (0..CROWD).map(join).collect()
}

#[test]
fn a_crowd_that_never_reads_is_held_in_bounds_and_aborted_in_time() {
    let _turn = alone();
    let wire = much();
    for driver in DRIVERS {
        let act = |server: &Server| deaf(server, &wire);
        let abuse = Abuse { crowd: CROWD as u64, each_max: EACH_MAX, act };
        let stats = survive(driver, config(), abuse);
        assert_eq!(stats.ended(End::OutputStuck), ROUNDS * CROWD as u64, "{}", driver.name());
        assert!(stats.pauses >= ROUNDS * CROWD as u64, "they are not read from meanwhile");
    }
}

/// Sends a text back, and answers anything else with more than a kernel holds and a farewell.
struct Parting;

impl App for Parting {
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, _state: &mut (), message: Message<'_>) {
        if let Message::Text(_) = message {
            peer.send(message);
            return;
        }
        peer.send(Message::Binary(&FAREWELL));
        peer.close(CloseCode::NORMAL, "that was all");
    }
}

const PARTING_BYTES: usize = 8 << 20;
static FAREWELL: [u8; PARTING_BYTES] = [0; PARTING_BYTES];

#[test]
fn a_window_that_is_shut_while_we_close_costs_the_output_timeout_and_no_more() {
    let _turn = alone();
    for driver in DRIVERS {
        // The time to answer has not begun while they have not read what comes before.
        let config = Config { close_timeout: PATIENCE, ..config() };
        let act = |server: &Server| -> Vec<TcpStream> {
            let join = |_| {
                let mut stream = narrow(server);
                stream.write_all(&frame_of(BINARY, &[1], b"?")).unwrap();
                stream
            };
            (0..CROWD / 4).map(join).collect()
        };
        let abuse =
            Abuse { crowd: CROWD as u64 / 4, each_max: PARTING_BYTES + PARTING_BYTES / 4, act };
        let stats = survive_with(driver, config, || Parting, abuse);
        assert_eq!(stats.ended(End::OutputStuck), ROUNDS * CROWD as u64 / 4, "{}", driver.name());
        assert_eq!(stats.closed[&1000], ROUNDS * CROWD as u64 / 4);
    }
}

#[test]
fn a_drain_is_not_held_up_by_windows_that_are_shut() {
    let _turn = alone();
    let wire = much();
    for driver in DRIVERS {
        // The living one, too, has no more time to answer a Close, on a machine that is busy.
        let close_timeout = Duration::from_secs(1);
        let config = Config { output_timeout: PATIENCE, close_timeout, ..config() };
        let server = start(driver, config, || Echo);
        let living = Living::open(&server);
        living.is_attacked();
        let crowd = deaf(&server, &wire);
        wait_until("full queues", || server.handle().snapshot().pauses >= CROWD as u64);
        living.is_served();
        server.handle().drain(Duration::from_millis(200));
        living.await_farewell(driver.name());
        let Outcome { stats, error, .. } = server.join();
        assert!(error.is_none(), "{error:?}");
        assert_eq!(stats.ended.values().sum::<u64>(), CROWD as u64 + 1, "{}", driver.name());
        assert_eq!(stats.closed[&1001], CROWD as u64 + 1, "each is told");
        drop(crowd);
    }
}

#[test]
fn what_is_taken_in_many_small_sips_arrives_whole() {
    let _turn = alone();
    for driver in DRIVERS {
        let server = start(driver, patient(), || Echo);
        let stream = narrow(&server);
        let wire = much();
        let (mut sending, sent) = (stream.try_clone().unwrap(), wire[..wire.len() / 8].to_vec());
        let sender = std::thread::spawn(move || sending.write_all(&sent));
        let mut client = Raw { stream };
        for _ in 0..512 / 8 {
            let payload = client.frame().payload;
            assert!(payload == [7; MESSAGE_BYTES], "{}", driver.name());
        }
        sender.join().unwrap().unwrap();
        drop(client);
        assert_eq!(drained(server).messages_sent, 512 / 8);
    }
}
