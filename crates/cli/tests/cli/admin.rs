use crate::exposition::Page;
use crate::program::{Served, halfopen, wait_for};
use halfopen_sim::skipped;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket, connect};

type Client = WebSocket<MaybeTlsStream<TcpStream>>;

const ADMIN: &str = "--admin=127.0.0.1:0";

/// Sends `request` to the admin listener, and gives back all of its answer.
pub(crate) fn ask(server: &Served, request: &str) -> String {
    let mut stream = visit(server);
    // It may be answered, and gone, before all is said.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// The status and the body of the answer to GET.
pub(crate) fn fetch(server: &Served, path: &str) -> (u16, String) {
    let answer = ask(server, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let length = format!("Content-Length: {}\r\n", body.len());
    assert!(head.contains(&length), "{head}");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.into())
}

pub(crate) fn metrics(server: &Served) -> Page {
    let (status, page) = fetch(server, "/metrics");
    assert_eq!(status, 200);
    Page::read(&page)
}

fn visit(server: &Served) -> TcpStream {
    let stream = TcpStream::connect(server.admin()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn client(server: &Served) -> Client {
    let client = connect(server.url()).unwrap().0;
    let MaybeTlsStream::Plain(stream) = client.get_ref() else { unreachable!("it is ws://") };
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client
}

/// Ends TCP with RST.
fn reset(client: Client) {
    let MaybeTlsStream::Plain(stream) = client.get_ref() else { unreachable!("it is ws://") };
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
}

fn leave(mut client: Client, code: CloseCode) {
    client.close(Some(CloseFrame { code, reason: "".into() })).unwrap();
    while client.read().is_ok() {}
}

#[test]
fn the_metrics_agree_with_what_happened() {
    for driver in ["io-uring", "tokio-uring", "epoll"] {
        let flags = ["--ping-interval=100ms", "--ping-timeout=300ms", "--shards=2"];
        let server = Served::start(&[&[ADMIN, "--driver", driver], &flags[..]].concat());
        let before = metrics(&server);
        assert_eq!(before.sum("halfopen_reclaimed_total"), 0.0);

        // One that answers pings, three messages long.
        let mut talker = client(&server);
        for text in ["one", "two", "three"] {
            talker.send(Message::text(text)).unwrap();
            while talker.read().unwrap() != Message::text(text) {}
        }
        while metrics(&server).value("halfopen_pongs_total") < 3.0 {
            assert!(matches!(talker.read().unwrap(), Message::Ping(_)));
            talker.flush().unwrap();
        }
        leave(talker, CloseCode::Library(4321));
        // Two that fall silent, one whose program ends, one that resets, one that speaks HTTP.
        let silent = [client(&server), client(&server)];
        drop(client(&server));
        reset(client(&server));
        let mut http = TcpStream::connect(server.addr()).unwrap();
        http.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        http.read_to_end(&mut Vec::new()).unwrap();
        drop(http);

        let page = wait_for("all to be gone", || {
            let page = metrics(&server);
            (page.sum("halfopen_reclaimed_total") == 6.0).then_some(page)
        });
        let is = |name: &str, value: f64| assert_eq!(page.value(name), value, "{driver}: {name}");
        is("halfopen_connections", 0.0);
        is("halfopen_accepts_total", 6.0);
        is("halfopen_handshakes_total", 5.0);
        is("halfopen_messages_received_total", 3.0);
        is("halfopen_messages_sent_total", 3.0);
        is("halfopen_message_received_bytes_total", 11.0);
        is("halfopen_message_sent_bytes_total", 11.0);
        is("halfopen_reclaim_lateness_seconds_count", 2.0);
        is("halfopen_ping_rtt_seconds_count", page.value("halfopen_pongs_total"));
        let pings = page.value("halfopen_pings_sent_total");
        assert!(pings >= page.value("halfopen_pongs_total") + 2.0, "{driver}: {pings}");
        let is = |name: &str, label: (&str, &str), value: f64| {
            assert_eq!(page.of(name, &[label]), value, "{driver}: {name} {label:?}");
        };
        is("halfopen_reclaimed_total", ("cause", "silent"), 2.0);
        is("halfopen_reclaimed_total", ("cause", "fin"), 1.0);
        is("halfopen_reclaimed_total", ("cause", "reset"), 1.0);
        is("halfopen_reclaimed_total", ("cause", "closed"), 1.0);
        is("halfopen_reclaimed_total", ("cause", "refused"), 1.0);
        is("halfopen_refusals_total", ("reason", "upgrade"), 1.0);
        is("halfopen_closes_total", ("code", "4xxx"), 1.0);
        assert_eq!(page.sum("halfopen_shard_answered"), 2.0);
        assert_eq!(page.label("halfopen_build_info", "driver"), [driver].into());
        drop(silent);
    }
}

#[test]
fn the_series_are_all_there_from_the_first_page_on() {
    let server = Served::start(&[ADMIN, "--shards=2"]);
    let first = metrics(&server);
    let mut client = client(&server);
    client.send(Message::Close(None)).unwrap();
    while client.read().is_ok() {}
    let later = wait_for("the end", || {
        let page = metrics(&server);
        (page.sum("halfopen_reclaimed_total") > 0.0).then_some(page)
    });
    assert_eq!(first.len(), later.len());
    assert_eq!(first.names(), later.names());
}

/// Our own reader may share a mistake with our writer; this one is Prometheus' own.
#[test]
fn prometheus_own_parser_reads_the_same() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let has_parser = Command::new(&python).args(["-c", "import prometheus_client"]).output();
    if !has_parser.is_ok_and(|output| output.status.success()) {
        return skipped(&format!("no prometheus_client for {python}: nobody else reads the page"));
    }
    let (_, page) = fetch(&Served::start(&[ADMIN]), "/metrics");
    let mut reader = Command::new(&python)
        .args(["-c", COUNT_SAMPLES])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    reader.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = reader.wait_with_output().unwrap();
    let counted = String::from_utf8(output.stdout).unwrap();
    let ours = Page::read(&page);
    let expected = format!("{} {}\n", ours.families().count(), ours.len());
    assert_eq!(counted, expected);
}

/// How many families of known types there are on a page, and how many samples.
const COUNT_SAMPLES: &str = "
import sys
from prometheus_client.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(sys.stdin.read()))
assert all(family.type in ('counter', 'gauge', 'histogram') for family in families), families
print(len(families), sum(len(family.samples) for family in families))
";

#[test]
fn readyz_says_no_while_it_drains_and_livez_goes_on() {
    let server = Served::start(&[ADMIN, "--drain=10m", "--ping-interval=off"]);
    assert_eq!(fetch(&server, "/readyz"), (200, "ok\n".into()));
    let client = client(&server);
    server.tell(Signal::TERM);
    wait_for("the drain", || {
        (fetch(&server, "/readyz") == (503, "draining\n".into())).then_some(())
    });
    assert_eq!(fetch(&server, "/livez"), (200, "ok\n".into()));
    assert_eq!(metrics(&server).sum("halfopen_connections_peak"), 1.0);
    drop(client);
    assert_eq!(server.end(&[]).status, Some(0));
}

#[test]
fn slow_visitors_and_garbage_hold_up_nobody_and_take_little() {
    let server = Served::start(&[ADMIN]);
    let before = metrics(&server).value("process_open_fds");
    // Five times as many as are let in, each in the middle of its request.
    let slow: Vec<_> = (0..160)
        .map(|_| {
            let mut stream = visit(&server);
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHos");
            stream
        })
        .collect();
    for garbage in
        ["\0\0\0\0", "GET\r\n\r\n", "GET /metrics HTTP/9.9\r\n\r\n", "\r\n\r\nhello\r\n\r\n"]
    {
        let answer = ask(&server, garbage);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{garbage:?}: {answer}");
    }
    let endless = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(1 << 20));
    let answer = ask(&server, &endless);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let page = metrics(&server);
    assert!(page.value("process_open_fds") <= before + 32.0, "{page:?}");
    assert_eq!(fetch(&server, "/livez").0, 200);
    drop(slow);
}

#[test]
fn many_scrapes_at_once_are_all_answered() {
    let server = Served::start(&[ADMIN]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..25).for_each(|_| drop(metrics(&server))));
        }
    });
}

#[test]
fn a_visitor_that_asks_bit_by_bit_is_answered_and_one_that_never_does_is_sent_away() {
    let server = Served::start(&[ADMIN]);
    let mut stream = visit(&server);
    for byte in b"GET /livez HTTP/1.1\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // Its time is over after 5 s; the end of the stream is what is waited for.
    assert_eq!(visit(&server).read(&mut [0]).unwrap(), 0);
}

#[test]
fn an_admin_address_in_use_is_named_with_the_next_step() {
    let server = Served::start(&[ADMIN]);
    let ran = crate::program::run(&["serve", "--listen=127.0.0.1:0", "--admin", server.admin()]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("--admin") && ran.err.contains("ss -ltnp"), "{ran:?}");
}

#[test]
fn the_json_line_tells_where_the_metrics_are() {
    let server = Served::start(&[ADMIN, "--json"]);
    assert_eq!(fetch(&server, "/livez").0, 200);
    let said: serde_json::Value = serde_json::from_str(&server.line).unwrap();
    assert!(said["admin"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{said}");
}

#[test]
fn a_load_tells_of_itself_while_it_goes_on() {
    let server = Served::start(&["--ping-interval=100ms"]);
    let url = server.url();
    let flags = ["load", &url, "-c20", "-d60s", "-r200/s", "--client-ping=100ms", ADMIN];
    let mut load = halfopen(&flags).spawn().unwrap();
    let mut said = BufReader::new(load.stderr.take().unwrap()).lines();
    let address = said.by_ref().find_map(|line| {
        let line = line.unwrap();
        Some(line.strip_prefix("metrics: http://")?.strip_suffix("/metrics")?.to_owned())
    });
    let address = address.unwrap();
    let page = || {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        Page::read(answer.split_once("\r\n\r\n").unwrap().1)
    };
    let page = wait_for("answers of all kinds", || {
        let page = page();
        // Times are told when their second has ended.
        let counts = ["message_latency", "message_service", "ping_rtt", "connect"];
        let told = |name: &str| {
            let name = format!("halfopen_load_{name}_seconds_count");
            page.names().contains(name.as_str()) && page.value(&name) > 0.0
        };
        counts.into_iter().all(told).then_some(page)
    });
    assert_eq!(page.value("halfopen_load_connections"), 20.0);
    assert_eq!(page.value("halfopen_load_opened_total"), 20.0);
    assert_eq!(page.of("halfopen_load_phase", &[("phase", "steady")]), 1.0);
    for name in ["messages_sent", "messages_received", "pings_seen", "client_pings_answered"] {
        assert!(page.value(&format!("halfopen_load_{name}_total")) > 0.0, "{name}");
    }
    kill_process(Pid::from_child(&load), Signal::INT).unwrap();
    assert_eq!(load.wait().unwrap().code(), Some(130));
}
