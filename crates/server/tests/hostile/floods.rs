//! Those who send all they can, and read nothing of what it makes us say.

use crate::rig::{DRIVERS, PING, PONG, Raw, TEXT, frame, patient};
use crate::scene::{Abuse, ROUNDS, alone, narrow, survive};
use crate::talker::Talker;
use halfopen_server::{Config, End, Server};
use std::io::Write;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

const CROWD: usize = 16;

/// A buffer of pongs that wait and a chunk in flight, each grown by doubling, and what the client's
/// thread takes in this process.
const EACH_MAX: usize = 4 * 64 * 1024;

/// Each of a crowd sends `wire` over and over, until the server lets go of it or it has had enough.
fn flood(server: &Server, wire: &[u8], times: usize) -> Vec<TcpStream> {
    let crowd: Vec<_> = (0..CROWD).map(|_| narrow(server)).collect();
    let mut talkers: Vec<_> = crowd.iter().map(|stream| Talker::of(stream, wire)).collect();
    while !talkers.is_empty() {
        talkers.retain_mut(|talker| talker.talk().is_ok() && talker.said < times * wire.len());
        // As much as they can is more than a moment's; who never sleeps takes the living one's core.
        sleep(Duration::from_millis(1));
    }
    crowd
}

#[test]
fn a_crowd_that_floods_pings_and_never_reads_is_held_in_bounds_and_aborted_in_time() {
    let _turn = alone();
    let wire = frame(PING, &[b'p'; 125]).repeat(500);
    for driver in DRIVERS {
        let config = Config { output_timeout: Duration::from_millis(200), ..patient() };
        let act = |server: &Server| flood(server, &wire, 20_000);
        let abuse = Abuse { crowd: CROWD as u64, each_max: EACH_MAX, act };
        let stats = survive(driver, config, abuse);
        assert_eq!(stats.ended(End::OutputStuck), ROUNDS * CROWD as u64, "{}", driver.name());
    }
}

#[test]
fn a_crowd_that_floods_what_wants_no_answer_is_read_and_holds_up_nobody() {
    let _turn = alone();
    let wire = frame(PONG, b"?").repeat(500);
    for driver in DRIVERS {
        let act = |server: &Server| {
            let mut crowd = flood(server, &wire, 200);
            crowd.clear();
            crowd
        };
        let abuse = Abuse { crowd: CROWD as u64, each_max: EACH_MAX, act };
        let stats = survive(driver, patient(), abuse);
        assert_eq!(stats.ended(End::Fin), ROUNDS * CROWD as u64 + 1, "{}", driver.name());
        assert_eq!(stats.pongs_unsolicited, 500 * 200 * ROUNDS * CROWD as u64);
    }
}

#[test]
fn one_that_sends_without_pause_takes_no_more_than_its_share() {
    let _turn = alone();
    let wire = frame(TEXT, b"").repeat(2_000);
    for driver in DRIVERS {
        let act = |server: &Server| {
            let mut client = Raw::open(server);
            let mut sending = client.stream.try_clone().unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| (0..25).for_each(|_| sending.write_all(&wire).unwrap()));
                (0..50_000).for_each(|_| assert_eq!(client.frame().first, TEXT));
            });
            Vec::new()
        };
        let stats = survive(driver, patient(), Abuse { crowd: 1, each_max: 2 << 20, act });
        assert!(stats.messages_sent > ROUNDS * 50_000, "{}", driver.name());
    }
}
