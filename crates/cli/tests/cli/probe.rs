use crate::program::{Served, halfopen, run, tell};
use halfopen_loadgen::probe::json_schema;
use rustix::process::Signal;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

const BEAT: [&str; 2] = ["--ping-interval=600ms", "--ping-timeout=300ms"];

fn assert_valid(document: &Value) {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let errors: Vec<_> = validator.iter_errors(document).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn the_heartbeat_of_a_server_is_told_as_a_document_and_kept_where_asked() {
    let server = Served::start(&BEAT);
    let out = tempfile::tempdir().unwrap();
    let place = out.path().to_str().unwrap();
    let ran = run(&["probe", &server.url(), "--json", "-q", "--out", place]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    let document = ran.document();
    assert_valid(&document);
    assert_eq!(document["pings"], "server");
    assert_eq!(document["traffic_suppresses"], false);
    assert_eq!(document["connections"]["opened"], 8);
    // How exact it is, the library's tests know: here others may take the machine.
    let interval = document["interval_ms"]["mean"].as_f64().unwrap();
    assert!((300.0..1_200.0).contains(&interval), "{document}");
    let folder = std::fs::read_dir(out.path()).unwrap().next().unwrap().unwrap().path();
    assert!(folder.to_str().unwrap().ends_with("-probe"), "{folder:?}");
    let kept: Value =
        serde_json::from_slice(&std::fs::read(folder.join("probe.json")).unwrap()).unwrap();
    assert_eq!(kept, document);
    assert!(folder.join("probe.schema.json").exists());
}

#[test]
fn it_is_told_in_a_dozen_lines_that_fit_a_terminal() {
    let server = Served::start(&BEAT);
    let ran = run(&["probe", &server.url(), "--message=off"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    for words in ["the server, every", "left unanswered, then RST", "a silent death is found"] {
        assert!(ran.out.contains(words), "{words}: {ran:?}");
    }
    let told = ran.out.lines().filter(|line| !line.starts_with("doubt")).count();
    assert!(told <= 14, "{}", ran.out);
    assert!(ran.out.lines().all(|line| line.chars().count() <= 80), "{}", ran.out);
}

#[test]
fn an_interrupt_keeps_what_was_seen() {
    let server = Served::start(&["--ping-interval=off"]);
    let mut probe = halfopen(&["probe", &server.url(), "--json", "-q"]).spawn().unwrap();
    // Its connections are opened within a second; there is nothing else to wait for.
    std::thread::sleep(Duration::from_millis(1_500));
    tell(&probe, Signal::INT);
    let mut out = String::new();
    probe.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(probe.wait().unwrap().code(), Some(130));
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_valid(&document);
    assert_eq!((&document["pings"], &document["complete"]), (&"none".into(), &false.into()));
}

#[test]
fn where_there_is_nothing_to_probe_the_next_step_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ran = run(&["probe", &format!("ws://127.0.0.1:{port}/"), "-c2"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("2 refused") && ran.err.contains("start the server"), "{ran:?}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n");
        }
    });
    let ran = run(&["probe", &url, "-c2"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("403"), "{ran:?}");
}
