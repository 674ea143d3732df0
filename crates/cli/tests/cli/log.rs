use crate::admin::metrics;
use crate::program::{Ran, Served, halfopen, run, wait_for};
use rustix::process::Signal;
use serde_json::Value;
use std::net::TcpStream;
use tungstenite::{Error, connect};

/// What it has noted, line by line.
fn noted(ran: &Ran) -> Vec<Value> {
    ran.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_log_tells_start_deaths_and_drain_and_never_a_frame() {
    let flags = ["--log=trace", "--log-format=json", "--ping-interval=off", "--admin=127.0.0.1:0"];
    let server = Served::start(&flags);
    let (mut client, _) = connect(server.url()).unwrap();
    for _ in 0..100 {
        client.send("hello".into()).unwrap();
        client.read().unwrap();
    }
    drop(client);
    let died = || (metrics(&server).sum("halfopen_reclaimed_total") == 1.0).then_some(());
    wait_for("its end", died);
    let ran = server.end(&[Signal::TERM]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let lines = noted(&ran);
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(
        messages,
        ["listening", "connections died", "draining", "drained", "ended"],
        "{ran:?}"
    );
    assert_eq!((&lines[1]["died"], &lines[1]["fin"]), (&1.into(), &1.into()), "{ran:?}");
    assert_eq!(lines[4]["opened"], 1);
}

/// What goes wrong with one server of each driver, and the only line that tells of it.
fn told_once(flags: &[&str], goes_wrong: impl Fn(&Served) + Sync, line: &Value) {
    let on = |driver: &str| {
        let all = ["--log=info", "--log-format=json", "--admin=127.0.0.1:0", "--shards=1", driver];
        let server = Served::start(&[&all, flags].concat());
        goes_wrong(&server);
        let ran = server.end(&[Signal::TERM]);
        let has = |noted: &Value| {
            line.as_object().unwrap().iter().all(|(key, value)| noted[key] == *value)
        };
        assert_eq!(noted(&ran).iter().filter(|noted| has(noted)).count(), 1, "{driver}: {ran:?}");
    };
    std::thread::scope(|scope| {
        for driver in ["--driver=io-uring", "--driver=tokio-uring", "--driver=epoll"] {
            scope.spawn(move || on(driver));
        }
    });
}

fn wait_for_count(server: &Served, metric: &str, label: (&str, &str)) {
    let is_counted = || (metrics(server).of(metric, &[label]) == 1.0).then_some(());
    wait_for(label.1, is_counted);
}

#[test]
fn the_log_tells_of_a_silent_peer() {
    let dies = |server: &Served| {
        let client = connect(server.url()).unwrap();
        wait_for_count(server, "halfopen_reclaimed_total", ("cause", "silent"));
        drop(client);
    };
    let line = serde_json::json!({
        "level": "INFO", "message": "connections died", "died": 1, "silent": 1, "fin": null
    });
    told_once(&["--ping-interval=100ms", "--ping-timeout=100ms"], dies, &line);
}

#[test]
fn the_log_tells_of_a_full_server() {
    let comes_too_late = |server: &Served| {
        let first = connect(server.url()).unwrap();
        let Err(Error::Http(refusal)) = connect(server.url()) else { panic!("there was room") };
        assert_eq!(refusal.status().as_u16(), 503);
        wait_for_count(server, "halfopen_refusals_total", ("reason", "full"));
        drop(first);
    };
    let line = serde_json::json!({"level": "WARN", "message": "the server is full", "refused": 1});
    told_once(&["--max-connections=1", "--ping-interval=off"], comes_too_late, &line);
}

#[test]
fn the_log_tells_of_a_handshake_that_took_too_long() {
    let says_nothing = |server: &Served| {
        let client = TcpStream::connect(server.addr()).unwrap();
        wait_for_count(server, "halfopen_reclaimed_total", ("cause", "handshake_timeout"));
        drop(client);
    };
    let line = serde_json::json!({
        "level": "INFO", "message": "connections ended at a limit", "ended": 1, "handshake_timeout": 1
    });
    told_once(&["--handshake-timeout=200ms"], says_nothing, &line);
}

#[test]
fn the_level_comes_from_the_environment_too_and_without_one_there_is_no_log() {
    let mut command = halfopen(&["serve", "--listen=127.0.0.1:0", "--drain=0s"]);
    let server = Served::run(command.env("HALFOPEN_LOG", "info"));
    let ran = server.end(&[Signal::TERM]);
    assert!(ran.err.contains("INFO") && ran.err.contains("listening"), "{ran:?}");
    assert!(!ran.err.contains('\x1b'), "no colours where there is no terminal: {ran:?}");

    let ran = Served::start(&["--drain=0s"]).end(&[Signal::TERM]);
    assert!(!ran.err.contains("INFO") && ran.err.contains("served 0 connections"), "{ran:?}");

    let ran: Ran = halfopen(&["serve"]).env("HALFOPEN_LOG", "loud").output().unwrap().into();
    assert_eq!(ran.status, Some(2), "{ran:?}");
    assert!(ran.err.contains("HALFOPEN_LOG='loud'"), "{ran:?}");
    assert_eq!(run(&["serve", "--log="]).status, Some(2));
}
