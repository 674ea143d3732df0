//! The examples run, and do what they say, with clients that others wrote.

use halfopen_server::DriverKind;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Error, Message, WebSocket, connect};

/// Longer than anything here takes; nothing is asserted about it.
const PATIENCE: Duration = Duration::from_secs(60);

/// An example that listens.
struct Example {
    child: Child,
    out: BufReader<ChildStdout>,
    addr: String,
}

impl Example {
    fn start(name: &str, args: &[&str]) -> Self {
        Self::run(Command::new(binary(name)).args(args))
    }

    /// An example as it was put together elsewhere.
    fn run(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let addr = line.trim_end().strip_prefix("listening on ws://").expect("where it listens");
        Self { child, addr: addr.to_owned(), out }
    }

    fn client(&self, target: &str) -> WebSocket<MaybeTlsStream<TcpStream>> {
        let (client, _) = connect(format!("ws://{}{target}", self.addr)).unwrap();
        let MaybeTlsStream::Plain(stream) = client.get_ref() else { panic!("plain TCP") };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// What it has said until its end, which is a good one.
    fn end(mut self) -> String {
        let mut said = String::new();
        self.out.read_to_string(&mut said).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {said}");
        said
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where an example lies. Cargo builds them all before it runs the tests of a package, but not where
/// one test is named.
fn binary(name: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let path = here.ancestors().nth(2).unwrap().join("examples").join(name);
    if is_stale(&path) {
        let build = ["build", "--quiet", "--package", "halfopen-server", "--example", name];
        assert!(Command::new(env!("CARGO")).args(build).status().unwrap().success());
    }
    path
}

/// Whether a source of this package is newer.
fn is_stale(binary: &Path) -> bool {
    let Ok(built) = modified(binary) else { return true };
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = ["src", "examples"].map(|folder| std::fs::read_dir(home.join(folder)).unwrap());
    sources.into_iter().flatten().any(|file| modified(&file.unwrap().path()).unwrap() > built)
}

fn modified(path: &Path) -> std::io::Result<SystemTime> {
    path.metadata()?.modified()
}

type Client = WebSocket<MaybeTlsStream<TcpStream>>;

/// The next text.
fn text(client: &mut Client) -> String {
    loop {
        match client.read().unwrap() {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) => {}
            other => panic!("{other}"),
        }
    }
}

/// Reads on until the closing handshake is over, and lets go; the code.
fn closed(mut client: Client) -> u16 {
    let mut code = 0;
    loop {
        match client.read() {
            Ok(Message::Close(frame)) => code = frame.map_or(1005, |frame| frame.code.into()),
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return code,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn echo_returns_what_came_and_drains_at_a_signal() {
    let example = Example::start("echo", &["127.0.0.1:0"]);
    let mut client = example.client("/");
    client.send(Message::text("hello")).unwrap();
    assert_eq!(text(&mut client), "hello");
    example.interrupt();
    assert_eq!(closed(client), 1001);
    let said = example.end();
    assert!(said.contains("drained 1 connections") && said.contains("1 closed cleanly"), "{said}");
}

#[test]
fn chat_carries_what_is_said_in_a_room_to_all_in_it_and_to_nobody_else() {
    let example = Example::start("chat", &["127.0.0.1:0"]);
    let mut stranger = example.client("/attic?name=eve");
    assert_eq!(text(&mut stranger), "* eve has come");
    let mut guests = Vec::new();
    for number in 0..6 {
        guests.push(example.client(&format!("/kitchen?name=guest{number}")));
        let arrival = format!("* guest{number} has come");
        guests.iter_mut().for_each(|guest| assert_eq!(text(guest), arrival));
    }
    for number in 0..6 {
        guests[number].send(Message::text(format!("hello from {number}"))).unwrap();
        let said = format!("guest{number}: hello from {number}");
        guests.iter_mut().for_each(|guest| assert_eq!(text(guest), said));
    }
    let mut leaving = guests.remove(0);
    leaving.close(None).unwrap();
    closed(leaving);
    guests.iter_mut().for_each(|guest| assert_eq!(text(guest), "* guest0 has left"));
    stranger.send(Message::text("alone")).unwrap();
    assert_eq!(text(&mut stranger), "eve: alone");

    assert!(get(&example.addr, "/").contains("\r\n\r\n<!doctype html>"));
    assert!(get(&example.addr, "/other").starts_with("HTTP/1.1 426 "));
    example.interrupt();
    assert_eq!(closed(stranger), 1001);
    guests.into_iter().for_each(|guest| assert_eq!(closed(guest), 1001));
    example.end();
}

fn get(addr: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn ticker_reaches_its_subscribers_and_says_how_late() {
    let example = Example::start("ticker", &["200", "3"]);
    let mut client = example.client("/");
    let first: u64 = text(&mut client).parse().unwrap();
    let second: u64 = text(&mut client).parse().unwrap();
    assert_eq!(second - first, 200_000_000, "a tick is planned each 200 ms");
    let said = example.end();
    assert!(said.contains("200 subscribers, 0 lost\n"), "{said}");
    let per_second = said.lines().filter_map(|line| line.split(" messages/s").next());
    let per_second =
        per_second.filter_map(|line| line.split_whitespace().last()?.parse::<u32>().ok());
    let messages: u32 = per_second.sum();
    assert!(messages >= 200 && said.matches(" p99 ").count() == 3, "{said}");
}

/// Each subscriber is two connections of one process, which has few descriptors here.
#[test]
fn ticker_says_how_many_subscribers_fit_and_serves_those() {
    for driver in DriverKind::ALL {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 600 && exec \"$0\" \"$@\""]).arg(binary("ticker"));
        let said = Example::run(shell.args(["5000", "2", driver.name()])).end();
        let (wanted, _) = said.split_once(" of 5000: the descriptor limit is 600 ").expect(&said);
        let wanted: u32 = wanted.parse().unwrap();
        assert!((200..500).contains(&wanted), "{said}");
        assert!(said.contains(&format!("\n{wanted} subscribers, 0 lost\n")), "{said}");
        assert_eq!(said.matches(" p99 ").count(), 2, "{said}");
    }
}

#[test]
fn in_tokio_answers_from_tasks_and_ends_in_good_order() {
    let example = Example::start("in_tokio", &["127.0.0.1:0"]);
    let mut clients: Vec<_> = (0..4).map(|_| example.client("/")).collect();
    for client in &mut clients {
        for question in ["stressed", "drawer"] {
            client.send(Message::text(question)).unwrap();
        }
    }
    for client in &mut clients {
        let mut answers = [text(client), text(client)];
        answers.sort_unstable();
        assert_eq!(answers, ["desserts", "reward"]);
    }
    clients[0].send(Message::text("time")).unwrap();
    let [first, second] = [(); 2].map(|()| text(&mut clients[0]).parse::<u32>().unwrap());
    assert_eq!(second, first + 1);
    example.interrupt();
    clients.into_iter().for_each(|client| assert_eq!(closed(client), 1001));
    assert!(example.end().contains("served 9 messages"));
}
