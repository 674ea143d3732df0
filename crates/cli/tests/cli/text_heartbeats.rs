//! Servers whose heartbeat is in text, by the hands of others: Socket.IO on Node, SignalR on .NET.

use crate::program::{is_spoilt, run};
use halfopen_sim::skipped;
use serde_json::Value;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Says its port; when its standard input ends, how many peers it has given up, and ends. To the
/// socket of such a peer it says Close, and waits half a minute for the answer.
const SOCKET_IO: &str = r#"
const { createServer } = require("http");
const { Server } = require("socket.io");
const http = createServer();
const io = new Server(http, { transports: ["websocket"], pingInterval: 1000, pingTimeout: 1500 });
let dead = 0;
io.on("connection", (socket) => {
    socket.on("disconnect", (reason) => { dead += reason === "ping timeout"; });
});
http.listen(0, "127.0.0.1", 4096, () => console.log(http.address().port));
process.stdin.resume().on("end", () => { console.log(dead); process.exit(); });
"#;

/// A server that says its port, and ends with its standard input.
struct Foreign {
    child: Child,
    out: BufReader<ChildStdout>,
    port: u64,
}

impl Foreign {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self { child, out, port: 0 };
        server.port = server.number();
        server
    }

    fn number(&mut self) -> u64 {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim().parse().expect("it says a number")
    }

    /// Ends it: how many peers it has given up.
    fn end(&mut self) -> u64 {
        drop(self.child.stdin.take());
        self.number()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// None where there is no Node, or it does not find the package.
fn socket_io() -> Option<Foreign> {
    let has = Command::new("node").args(["-e", "require.resolve('socket.io')"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        skipped("Node does not find socket.io (NODE_PATH=$(.ci/socket.io))");
        return None;
    }
    Some(Foreign::start(Command::new("node").args(["-e", SOCKET_IO])))
}

/// Built and started in `place`; pings every second or two. A peer that says nothing is given up at
/// the second look that finds three seconds of silence, and its socket closed some seconds later:
/// all in all 9 s after its death. None where no .NET is named.
fn signalr(place: &Path) -> Option<Foreign> {
    let Ok(path) = env::var("DOTNET") else {
        skipped("no .NET is named to run SignalR (DOTNET=$(.ci/signalr))");
        return None;
    };
    let dotnet = || {
        let mut command = Command::new(&path);
        command.current_dir(place).env("HOME", place);
        command
    };
    let version = dotnet().arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let major = version.split('.').next().unwrap();
    let framework = if major == "3" { "netcoreapp3.1".into() } else { format!("net{major}.0") };
    fs::write(place.join("Server.csproj"), include_str!("signalr/Server.csproj")).unwrap();
    fs::write(place.join("Program.cs"), include_str!("signalr/Program.cs")).unwrap();
    let framework = format!("-p:Framework={framework}");
    let built = dotnet().args(["build", "--nologo", "-o", "out", &framework]).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stdout));
    Some(Foreign::start(dotnet().args(["out/Server.dll", "1", "3"])))
}

/// The report of a thousand who are held at a server, of whom 60 fall silent.
fn held(server: &Foreign, path: &str, flags: &[&str]) -> Value {
    let url = format!("ws://127.0.0.1:{}{path}", server.port);
    let pid = server.child.id().to_string();
    let usual = ["load", "-c1k", "-d3s", "--json", "--server-pid", &pid];
    let deaths = ["--kill", "freeze=20", "mute=20", "blackhole=20"];
    let ran = run(&[&usual[..], flags, &deaths, &[&url]].concat());
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let report = ran.document();
    crate::report::assert_valid(&report);
    assert_eq!(report["connections"]["opened"], 1_000);
    assert_eq!(report["messages"]["script"]["hellos"], 1_000);
    let pings = &report["pings"]["server"];
    assert!(pings["answered"].as_u64().unwrap() > 2_000, "{pings}");
    report
}

#[test]
fn a_thousand_connections_are_held_at_socket_io_which_gives_up_those_who_fall_silent() {
    let Some(mut server) = socket_io() else { return };
    let rate = "--connect-rate=2k/s";
    let flags = ["--preset=engine.io", rate, "--server-ping=1s/1500ms", "--watch=4s"];
    let report = held(&server, "/socket.io/?EIO=4&transport=websocket", &flags);
    assert_eq!(report["messages"]["script"]["replies"], report["pings"]["server"]["answered"]);
    let dead = server.end();
    if is_spoilt(&report) {
        skipped(&format!("others take this machine from a Socket.IO server: {dead} given up"));
        return;
    }
    assert_eq!((&report["living"]["at_end"], dead), (&940.into(), 60), "{}", report["living"]);
}

#[test]
fn a_thousand_connections_are_held_at_signalr_which_gives_up_those_who_fall_silent() {
    let place = tempfile::tempdir().unwrap();
    let Some(server) = signalr(place.path()) else { return };
    let flags = ["--preset=signalr", "--connect-rate=1k/s", "--watch=13s"];
    let report = held(&server, "/room", &flags);
    if is_spoilt(&report) {
        skipped("others take this machine from a SignalR server");
        return;
    }
    assert_eq!(report["living"]["at_end"], 940, "{}", report["living"]);
    for death in ["freeze", "mute", "blackhole"] {
        assert_eq!(report["deaths"][death]["detected"], 20, "{death}: {}", report["deaths"][death]);
    }
}
