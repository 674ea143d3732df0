//! Those who are gone in the middle of something: by FIN, by RST, without a word, and all at once.

use crate::at_once::on_all_drivers_at_once;
use crate::rig::{BINARY, DRIVERS, Raw, frame_of, patient, tcp};
use crate::scene::{Abuse, ROUNDS, alone, survive};
use crate::severed::sever;
use halfopen_server::{Config, End, Heartbeat, Server};
use socket2::SockRef;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

const CROWD: usize = 120;

/// So much of a message comes before its sender is gone.
const BEGINNING: usize = 100_000;

/// The head of a frame of 1 MiB, and the beginning of its payload.
fn beginning() -> Vec<u8> {
    let length = (1u64 << 20).to_be_bytes();
    frame_of(BINARY, &[&[127], &length[..]].concat(), &vec![1; BEGINNING])
}

pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_fin_or_a_reset_inside_a_frame_gives_back_what_had_come_of_it() {
    let _turn = alone();
    let wire = beginning();
    for driver in DRIVERS {
        let act = |server: &Server| {
            let open = || {
                let mut client = Raw::open(server);
                client.send(&wire);
                client.stream
            };
            let mut crowd: Vec<_> = (0..CROWD).map(|_| open()).collect();
            for (at, stream) in crowd.drain(..).enumerate() {
                if at % 2 == 0 { drop(stream) } else { reset(stream) }
            }
            crowd
        };
        let abuse = Abuse { crowd: CROWD as u64, each_max: 2 * BEGINNING, act };
        let stats = survive(driver, patient(), abuse);
        let gone = stats.ended(End::Fin) + stats.ended(End::Reset);
        assert_eq!(gone, ROUNDS * CROWD as u64 + 1, "{}: {:?}", driver.name(), stats.ended);
        assert!(stats.ended(End::Reset) >= CROWD as u64, "{:?}", stats.ended);
    }
}

/// Not much silence, and time enough to answer on a machine that is busy otherwise.
fn beating() -> Config {
    let (interval, timeout) = (Duration::from_millis(200), Duration::from_millis(700));
    let heartbeat = Heartbeat { interval, timeout, ..Heartbeat::default() };
    Config { heartbeat: Some(heartbeat), ..patient() }
}

#[test]
fn everyone_vanishes_at_once_behind_the_upgrade_or_inside_a_frame_and_each_is_found() {
    let _turn = alone();
    let wire = beginning();
    on_all_drivers_at_once(|driver| {
        let act = |server: &Server| -> Vec<TcpStream> {
            let open = |number| {
                let mut client = Raw::open(server);
                if number % 2 == 0 {
                    client.send(&wire);
                }
                client.stream
            };
            let crowd: Vec<_> = (0..CROWD).map(open).collect();
            crowd.iter().for_each(sever);
            crowd
        };
        let abuse = Abuse { crowd: CROWD as u64, each_max: BEGINNING, act };
        let stats = survive(driver, beating(), abuse);
        assert_eq!(stats.ended(End::Silent), ROUNDS * CROWD as u64, "{}", driver.name());
        assert_eq!(stats.lateness_ns.len(), ROUNDS * CROWD as u64);
        assert!(stats.pongs_matched > 0, "the living one was asked, too");
    });
}

#[test]
fn everyone_is_reset_at_once() {
    let _turn = alone();
    for driver in DRIVERS {
        let act = |server: &Server| {
            let mut crowd: Vec<_> = (0..CROWD).map(|_| Raw::open(server).stream).collect();
            crowd.drain(..).for_each(reset);
            crowd
        };
        let abuse = Abuse { crowd: CROWD as u64, each_max: 4096, act };
        let stats = survive(driver, patient(), abuse);
        assert_eq!(stats.ended(End::Reset), ROUNDS * CROWD as u64, "{}", driver.name());
    }
}

#[test]
fn those_who_are_reset_before_they_say_anything_are_let_go() {
    let _turn = alone();
    for driver in DRIVERS {
        let act = |server: &Server| {
            let mut crowd: Vec<_> = (0..CROWD).map(|_| tcp(server)).collect();
            crowd.iter_mut().for_each(|stream| stream.write_all(b"GET / HT").unwrap());
            crowd.drain(..).for_each(reset);
            crowd
        };
        let abuse = Abuse { crowd: CROWD as u64, each_max: 4096, act };
        let stats = survive(driver, patient(), abuse);
        assert_eq!(stats.ended(End::Reset), ROUNDS * CROWD as u64, "{}", driver.name());
    }
}
