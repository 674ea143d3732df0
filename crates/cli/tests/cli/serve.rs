use crate::program::{Served, run, wait_for};
use halfopen_sim::skipped;
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, connect};

#[test]
fn it_says_one_line_when_it_listens() {
    let server = Served::start(&["--ping-interval=1500ms", "--ping-timeout=2m", "--shards=2"]);
    let port = server.addr().rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let expected =
        format!("listening on ws://127.0.0.1:{port} driver=io-uring shards=2 ping=1500ms/2m");
    assert_eq!(server.line.replace("1.5s", "1500ms"), expected);
    let ran = server.end(&[Signal::INT]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), ""));
}

#[test]
fn with_json_the_line_is_a_document() {
    let server = Served::start(&["--json", "--ping-interval=off"]);
    let said: serde_json::Value = serde_json::from_str(&server.line).unwrap();
    assert_eq!(said["schema"], "halfopen.serve/1");
    assert!(said["ping_interval_ms"].is_null());
    assert_eq!(said["pid"], server.pid());
}

#[test]
fn what_is_off_by_default_takes_that_word() {
    let off = ["--tcp-keepalive=off", "--tcp-user-timeout=off", "--idle-timeout=off"];
    assert!(Served::start(&off).line.starts_with("listening"));
}

#[test]
fn a_user_timeout_that_does_not_wait_for_keepalives_probes_is_remarked() {
    for (timeout, remarks) in [("5s", 1), ("6s", 0)] {
        let flags = ["--tcp-keepalive=3s", "--tcp-user-timeout", timeout];
        let ran = Served::start(&flags).end(&[Signal::INT]);
        let notes = ran.err.lines().filter(|line| line.starts_with("note: --tcp-user-timeout"));
        assert_eq!(notes.count(), remarks, "{timeout}: {}", ran.err);
    }
}

#[test]
fn a_port_in_use_is_named_with_the_next_step() {
    let server = Served::start(&[]);
    let ran = run(&["serve", "--listen", server.addr()]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("in use") && ran.err.contains("ss -ltnp"), "{ran:?}");
    assert_eq!(ran.out, "");
}

#[test]
fn echo_returns_what_came_and_ack_says_ok() {
    for (app, answer) in [("echo", "hello"), ("ack", "ok")] {
        let server = Served::start(&["--app", app]);
        let (mut client, _) = connect(server.url()).unwrap();
        client.send(Message::text("hello")).unwrap();
        assert_eq!(client.read().unwrap(), Message::text(answer));
    }
}

#[test]
fn a_plain_get_gets_426_and_a_line_of_help() {
    let server = Served::start(&[]);
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert!(answer.ends_with('\n') && answer.contains("WebSocket"), "{answer}");
}

#[test]
fn sigterm_closes_every_connection_with_1001_and_exits_0() {
    for driver in ["io-uring", "tokio-uring", "epoll"] {
        let server = Served::start(&["--drain=100ms", "--driver", driver]);
        let mut clients: Vec<_> = (0..5).map(|_| connect(server.url()).unwrap().0).collect();
        let ending = std::thread::spawn(move || server.end(&[Signal::TERM]));
        for client in &mut clients {
            match client.read().unwrap() {
                Message::Close(Some(frame)) => assert_eq!(frame.code, CloseCode::Away),
                other => panic!("{other:?}"),
            }
            // Answers the Close frame.
            while client.read().is_ok() {}
        }
        let ran = ending.join().unwrap();
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert!(ran.err.contains("served 5 connections"), "{ran:?}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let server = Served::start(&["--drain=10m"]);
    let client = connect(server.url()).unwrap();
    let ran = server.end(&[Signal::TERM, Signal::TERM]);
    assert_eq!(ran.status, Some(130), "{ran:?}");
    drop(client);
}

#[test]
fn a_number_above_the_descriptor_limit_is_held_and_said_so_in_one_line() {
    let Some(above) = above_the_descriptor_limit() else { return };
    let server = Served::start(&["--max-connections", &above]);
    assert!(server.line.contains("listening"), "{}", server.line);
    let ran = server.end(&[Signal::TERM]);
    let notes = ran.err.lines().filter(|line| line.contains("above the descriptor limit"));
    assert_eq!(notes.count(), 1, "{ran:?}");
}

#[test]
fn on_epoll_such_a_number_is_refused_with_the_next_step() {
    let Some(above) = above_the_descriptor_limit() else { return };
    let ran =
        run(&["serve", "--listen=127.0.0.1:0", "--driver=epoll", "--max-connections", &above]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.err.contains(&above) && ran.err.contains("ulimit -n"), "{ran:?}");
    assert!(ran.err.contains("io-uring where the kernel allows it"), "{ran:?}");
}

#[test]
fn what_io_uring_does_without_is_said_first_and_it_works() {
    let flags = ["--driver=io-uring", "--io-uring-without=defer-taskrun,multishot,direct"];
    let server = Served::start(&[&flags[..], &["--drain=0s"]].concat());
    let (mut client, _) = connect(server.url()).unwrap();
    client.send(Message::text("hello")).unwrap();
    assert_eq!(client.read().unwrap(), Message::text("hello"));
    let ran = server.end(&[Signal::TERM]);
    let first = ran.err.lines().next().unwrap_or_default();
    assert!(first.contains("coop-taskrun in place of defer-taskrun (asked for)"), "{ran:?}");
    assert!(first.contains("one-shot receives in place of multishot (asked for)"), "{ran:?}");
    assert!(first.contains("plain descriptors in place of direct (asked for)"), "{ran:?}");
}

#[test]
fn what_is_counted_is_written_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stats.json");
    let server = Served::start(&["--stats-out", file.to_str().unwrap(), "--drain=0s"]);
    drop(connect(server.url()).unwrap());
    assert_eq!(server.end(&[Signal::TERM]).status, Some(0));
    let stats = wait_for("the file", || std::fs::read(&file).ok());
    let stats: serde_json::Value = serde_json::from_slice(&stats).unwrap();
    assert_eq!(stats["opened"], 1);
}

/// None where the limit is so high that the server would take very long to get there.
fn above_the_descriptor_limit() -> Option<String> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let Some(hard) = limit.maximum.filter(|&hard| hard < 100_000) else {
        skipped("the hard limit of descriptors is 100,000 or more, or there is none");
        return None;
    };
    Some((hard + hard / 2).to_string())
}
