//! More connections than anybody wants: those who say nothing, those for whom there is no room, and
//! all who come at once.

use crate::at_once::on_all_drivers_at_once;
use crate::living::Living;
use crate::rig::{
    DRIVERS, Raw, TEXT, drained, frame, patient, read_head, request, start, tcp, wait_until,
};
use crate::scene::{Abuse, ROUNDS, SLACK, alone, left, survive};
use halfopen_server::{Config, DriverKind, Echo, End, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::thread::sleep;
use std::time::Duration;

const CROWD: usize = 150;

/// How long a server is looked at that has nothing to do.
const A_WHILE: Duration = Duration::from_millis(300);

/// A server that spins turns a hundred thousand times in that while; one that looks again every few
/// milliseconds, a hundred times.
const TURNS_MAX: u64 = 600;

#[test]
fn those_who_connect_and_say_nothing_have_their_time_and_hold_up_nobody() {
    let _turn = alone();
    on_all_drivers_at_once(|driver| {
        let config = Config { handshake_timeout: Duration::from_millis(200), ..patient() };
        let act = |server: &Server| -> Vec<TcpStream> { (0..CROWD).map(|_| tcp(server)).collect() };
        let abuse = Abuse { crowd: CROWD as u64, each_max: 4096, act };
        let stats = survive(driver, config, abuse);
        assert_eq!(stats.ended(End::HandshakeTimeout), ROUNDS * CROWD as u64, "{}", driver.name());
    });
}

#[test]
fn everyone_comes_at_once_and_each_is_served() {
    let _turn = alone();
    for driver in DRIVERS {
        let act = |server: &Server| -> Vec<TcpStream> {
            let mut crowd: Vec<_> = (0..CROWD).map(|_| tcp(server)).collect();
            let wire = [request(|_| {}), frame(TEXT, b"I am here")].concat();
            crowd.iter_mut().for_each(|stream| stream.write_all(&wire).unwrap());
            for mut stream in crowd {
                assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
                assert_eq!(Raw { stream }.frame().payload, b"I am here");
            }
            Vec::new()
        };
        let abuse = Abuse { crowd: CROWD as u64, each_max: 4096, act };
        let stats = survive(driver, patient(), abuse);
        assert_eq!(stats.ended(End::Fin), ROUNDS * CROWD as u64 + 1, "{}", driver.name());
        assert!(stats.messages_sent >= ROUNDS * CROWD as u64);
    }
}

/// The server, looked at for a while, does next to nothing but to answer the living one.
fn assert_rests(server: &Server, living: &Living, driver: DriverKind) {
    let before = (server.handle().snapshot().driver, living.answers());
    sleep(A_WHILE);
    let after = (server.handle().snapshot().driver, living.answers());
    let (turns, syscalls) =
        (after.0.turns() - before.0.turns(), after.0.syscalls - before.0.syscalls);
    let turns_max = TURNS_MAX + 4 * (after.1 - before.1);
    let name = driver.name();
    assert!(turns < turns_max && syscalls < 4 * turns_max, "{name}: {turns} turns, {syscalls}");
}

#[test]
fn a_full_server_with_a_queue_before_its_door_does_not_spin() {
    let _turn = alone();
    const ROOM: u64 = 200 + 2 * 64;
    // Those who come in one turn are admitted past a shard's share, in the place of refusals there.
    const PAST_A_SHARE: u64 = 16;
    for driver in DRIVERS {
        let server = start(driver, patient(), || Echo);
        let living = Living::open(&server);
        let before = left(&server);
        living.is_attacked();
        let crowd: Vec<_> = (0..ROOM + 50).map(|_| tcp(&server)).collect();
        let is_full = || server.handle().snapshot().accepted >= ROOM - PAST_A_SHARE;
        wait_until("a full server", is_full);
        assert_rests(&server, &living, driver);
        living.is_served();

        drop(crowd);
        wait_until("the crowd's end", || server.handle().open() <= 1);
        wait_until("the crowd's memory", || left(&server) <= before + SLACK);
        drop(Raw::open(&server));
        living.leave(driver.name());
        assert_eq!(drained(server).opened, 2, "there is room again");
    }
}

/// While it lives, this process gets no descriptor more.
struct NoDescriptors(Rlimit);

impl NoDescriptors {
    fn from_now_on() -> Self {
        let limit = getrlimit(Resource::Nofile);
        // The lowest number that is free is the next that would be given out.
        let next = File::open("/dev/null").unwrap().as_raw_fd() as u64;
        let none = Rlimit { current: Some(next), ..limit };
        setrlimit(Resource::Nofile, none).unwrap();
        assert!(File::open("/dev/null").is_err());
        Self(limit)
    }
}

impl Drop for NoDescriptors {
    fn drop(&mut self) {
        let _ = setrlimit(Resource::Nofile, self.0);
    }
}

#[test]
fn without_a_free_descriptor_the_server_rests_and_goes_on_when_there_are_some() {
    let _turn = alone();
    for driver in DRIVERS {
        let server = start(driver, patient(), || Echo);
        let living = Living::open(&server);
        let before = left(&server);
        living.is_attacked();
        let crowd: Vec<_> =
            (0..20).map(|_| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap()).collect();
        let none = NoDescriptors::from_now_on();
        for socket in &crowd {
            socket.connect(&server.local_addr().into()).unwrap();
        }
        living.is_served();
        assert_rests(&server, &living, driver);
        // A direct descriptor is none of the process's.
        let takes_none = driver == DriverKind::IoUring;
        assert_eq!(server.handle().snapshot().accepted > 1, takes_none, "{}", driver.name());

        drop(none);
        wait_until("those who waited", || server.handle().snapshot().accepted >= 21);
        drop(crowd);
        wait_until("the crowd's memory", || left(&server) <= before + SLACK);
        living.leave(driver.name());
        drained(server);
    }
}
