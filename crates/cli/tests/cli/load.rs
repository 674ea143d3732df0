use crate::program::{Served, run};
use halfopen_loadgen::death::Death;
use halfopen_sim::skipped;
use std::io::{Read, Write};
use std::net::TcpListener;

#[test]
fn messages_are_counted_and_the_document_fits_its_schema() {
    let server = Served::start(&[]);
    let pid = server.pid().to_string();
    let ran = run(&[
        "load",
        &server.url(),
        "-c20",
        "-d2s",
        "-r200/s",
        "--expect=echo",
        "--client-ping=500ms",
        "--server-pid",
        &pid,
        "--json",
    ]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let report = ran.document();
    crate::report::assert_valid(&report);
    assert_eq!(report["connections"]["opened"], 20);
    assert_eq!(report["living"]["at_end"], 20);
    assert_eq!(report["messages"]["sent"], report["messages"]["received"]);
    assert!(report["messages"]["sent"].as_u64().unwrap() > 300);
    assert!(report["pings"]["client"]["answered"].as_u64().unwrap() > 40);
    assert!(report["memory"]["server_rss_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn a_closed_loop_has_service_times_and_says_why_it_has_no_latency() {
    let server = Served::start(&[]);
    let url = server.url();
    let flags =
        ["load", "-c4", "-d500ms", "--closed-loop", "--window=2", "--expect=echo", "--json"];
    let ran = run(&[&flags[..], &["--size=16..2KiB", &url]].concat());
    // It may well be the bottleneck itself, and says so then.
    assert!(matches!(ran.status, Some(0 | 4)), "{ran:?}");
    let report = ran.document();
    crate::report::assert_valid(&report);
    let messages = &report["messages"];
    assert!(messages["sent"].as_u64().unwrap() > 100, "{messages}");
    assert!(messages["latency_us"].is_null() && messages["service_us"]["p50"].is_number());
    assert!(messages["latency_reason"].as_str().unwrap().contains("window 2"), "{messages}");
    assert_eq!(report["plan"]["message_bytes"], serde_json::json!({"min": 16, "max": 2048}));
}

#[test]
fn churn_and_a_herd_are_counted_apart_from_the_lost() {
    let server = Served::start(&[]);
    let url = server.url();
    let flags = ["load", "-c40", "--connect-rate=1k/s", "-d2s", "--churn=50/s", "--herd=50%@500ms"];
    let ran = run(&[&flags[..], &["--herd-backoff=100ms..300ms", "--json", &url]].concat());
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let report = ran.document();
    crate::report::assert_valid(&report);
    let (connections, living) = (&report["connections"], &report["living"]);
    assert_eq!(connections["opened"], 40);
    assert!(connections["churn"]["closed"].as_u64().unwrap() >= 90, "{connections}");
    assert_eq!(
        (&connections["herd"]["dropped"], &connections["herd"]["back"]),
        (&20.into(), &20.into())
    );
    let all = connections["herd"]["back_ms"]["p100"].as_f64().unwrap();
    assert!(all >= 100.0, "{connections}");
    let lost = serde_json::json!({"heartbeat": 0, "closed": {}, "reset": 0});
    assert_eq!(
        (&living["lost"], living["at_end"].as_u64().unwrap() >= 39),
        (&lost, true),
        "{living}"
    );
}

#[test]
fn a_ramp_of_random_arrivals_is_sent_and_stands_in_the_plan() {
    let server = Served::start(&[]);
    let url = server.url();
    let flags = ["load", "-c4", "-d1s", "-r100/s..900/s", "--arrivals=poisson", "--json", &url];
    let report = run(&flags).document();
    let sent = report["messages"]["sent"].as_u64().unwrap();
    // 500 are expected; their standard deviation is 22.
    assert!((350..=700).contains(&sent), "{sent}");
    let rate = serde_json::json!({"from": 100.0, "to": 900.0});
    assert_eq!(report["plan"]["message_rate_per_s"], rate);
    assert_eq!(report["plan"]["arrivals"], "poisson");
}

#[test]
fn deaths_are_found_by_a_server_whose_heartbeat_is_known() {
    let server = Served::start(&["--ping-interval=200ms", "--ping-timeout=200ms"]);
    let url = server.url();
    let kill = ["--kill", "blackhole=2", "freeze=2", "mute=2", "fin=2", "reset=2", "close=2"];
    let args =
        [&["load", "-c24", "-d100ms", "--json", "--server-ping=200ms/200ms"], &kill[..], &[&url]]
            .concat();
    let ran = run(&args);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let deaths = &ran.document()["deaths"];
    for kind in ["blackhole", "freeze", "mute", "fin", "reset", "close"] {
        assert_eq!(deaths[kind]["killed"], 2, "{kind}: {deaths}");
        assert_eq!(deaths[kind]["detected"], 2, "{kind}: {deaths}");
    }
}

#[test]
fn nothing_is_written_without_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Served::start(&[]);
    let url = server.url();
    let mut load = crate::program::halfopen(&["load", &url, "-c2", "-d100ms", "-q"]);
    let ran = crate::program::Ran::from(load.current_dir(folder.path()).output().unwrap());
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn where_nobody_listens_the_run_fails_and_says_what_to_do() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ran = run(&["load", &format!("ws://127.0.0.1:{port}/"), "-c5"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("5 refused") && ran.err.contains("start the server"), "{ran:?}");
    assert_eq!(ran.out, "");
}

#[test]
fn an_unknown_host_is_named() {
    let ran = run(&["load", "ws://nosuch.invalid/"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("nosuch.invalid") && ran.err.contains("not known"), "{ran:?}");
}

#[test]
fn a_server_that_speaks_only_http_is_quoted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nnope\n");
        }
    });
    let ran = run(&["load", &url, "-c3"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("404") && ran.err.contains("nope"), "{ran:?}");
    assert!(ran.err.contains("is it a WebSocket server"), "{ran:?}");
}

/// Sends three connections with `flags`, and gives the heads of their requests, sorted.
fn heads_of_three(path: &str, flags: &[&str]) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}{path}", listener.local_addr().unwrap());
    let seen = std::thread::spawn(move || {
        let head = |_| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 1024];
            let length = stream.read(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        Vec::from_iter((0..3).map(head))
    });
    assert_eq!(run(&[&["load", &url, "-c3", "-q"], flags].concat()).status, Some(1));
    let mut heads = seen.join().unwrap();
    heads.sort();
    heads
}

#[test]
fn the_numbers_of_connections_stand_in_the_url_and_in_headers() {
    let flags = ["-H", "Cookie: user={n}", "--header=X-Two: 2"];
    let heads = heads_of_three("/room/{n}", &flags);
    for (n, head) in heads.iter().enumerate() {
        assert!(head.starts_with(&format!("GET /room/{n} HTTP/1.1\r\n")), "{head}");
        assert!(head.contains(&format!("\r\nCookie: user={n}\r\nX-Two: 2\r\n")), "{head}");
    }
}

#[test]
fn what_a_header_keeps_secret_is_in_no_report() {
    let server = Served::start(&[]);
    let secret = "Bearer do-not-tell";
    let flags = ["load", "-c2", "-d100ms", "--json", "-H", "X-Open: seen", "-H"];
    let authorization = format!("Authorization: {secret}");
    let ran = run(&[&flags[..], &[&authorization, &server.url()]].concat());
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(!ran.out.contains("do-not-tell"), "{ran:?}");
    let report = ran.document();
    assert_eq!(report["plan"]["headers"][0], "X-Open: seen");
    assert_eq!(report["plan"]["headers"][1], "Authorization: ***");
}

#[test]
fn who_may_not_let_a_host_vanish_is_told_so_and_what_is_as_silent() {
    let server = Served::start(&[]);
    let (program, url) = (env!("CARGO_BIN_EXE_halfopen"), server.url());
    let load = [program, "load", &url, "-c2", "-d100ms", "-q", "--kill=vanish=1"];
    let without = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"];
    let may_vanish = Death::possible().contains(&Death::Vanish);
    let line = [if may_vanish { &without[..] } else { &[] }, &load[..]].concat();
    let Ok(output) = std::process::Command::new(line[0]).args(&line[1..]).output() else {
        return skipped("no setpriv to give CAP_NET_ADMIN away");
    };
    let ran = crate::program::Ran::from(output);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    for words in ["CAP_NET_ADMIN", "blackhole"] {
        assert!(ran.err.contains(words), "{words}: {ran:?}");
    }
}

#[test]
fn a_search_goes_up_until_a_limit_breaks_and_reports_the_last_that_held() {
    let server = Served::start(&[]);
    let url = server.url();
    let flags = ["load", "-d200ms", "--search=connections=2..64", "--search-factor=2", "--json"];
    let limit = ["--fail-if=connections.opened > 10", &url];
    let ran = run(&[&flags[..], &limit].concat());
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let report = ran.document();
    crate::report::assert_valid(&report);
    let search = &report["search"];
    assert_eq!((&search["held"], &search["broke"]), (&8.0.into(), &16.0.into()), "{search}");
    assert_eq!(
        (search["steps"].as_array().unwrap().len(), &report["connections"]["opened"]),
        (4, &8.into())
    );
    assert!(
        report["finding"].as_str().unwrap().starts_with("8 connections held"),
        "{}",
        report["finding"]
    );
}
