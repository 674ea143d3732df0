use crate::admin::metrics;
use crate::program::{Ran, Served, halfopen, run, wait_for};
use rustix::process::Signal;
use tungstenite::connect;

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
    let lines: Vec<serde_json::Value> =
        ran.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(
        messages,
        ["listening", "connections died", "draining", "drained", "ended"],
        "{ran:?}"
    );
    assert_eq!((&lines[1]["died"], &lines[1]["fin"]), (&1.into(), &1.into()), "{ran:?}");
    assert_eq!(lines[4]["opened"], 1);
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
