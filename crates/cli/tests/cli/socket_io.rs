//! A server whose heartbeat is in text, by the hands of others: Socket.IO on Node.

use crate::program::{is_spoilt, run};
use halfopen_sim::skipped;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Says its port; when its standard input ends, how many peers it has given up, and ends. To the
/// socket of such a peer it says Close, and waits half a minute for the answer.
const SERVER: &str = r#"
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

struct SocketIo {
    child: Child,
    out: BufReader<ChildStdout>,
    port: u64,
}

impl SocketIo {
    /// None where there is no Node, or it does not find the package.
    fn start() -> Option<Self> {
        let has = Command::new("node").args(["-e", "require.resolve('socket.io')"]).output();
        if !has.is_ok_and(|output| output.status.success()) {
            skipped("Node does not find socket.io (NODE_PATH=$(.ci/socket.io))");
            return None;
        }
        let mut node = Command::new("node");
        node.args(["-e", SERVER]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = node.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self { child, out, port: 0 };
        server.port = server.number();
        Some(server)
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

impl Drop for SocketIo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_thousand_connections_are_held_at_socket_io_which_gives_up_those_who_fall_silent() {
    let Some(mut server) = SocketIo::start() else { return };
    let url = format!("ws://127.0.0.1:{}/socket.io/?EIO=4&transport=websocket", server.port);
    let pid = server.child.id().to_string();
    let flags = ["load", "-c1k", "--connect-rate=2k/s", "--preset=engine.io", "-d3s", "--json"];
    let watched = ["--server-ping=1s/1500ms", "--server-pid", &pid, "--watch=4s"];
    let deaths = ["--kill", "freeze=20", "mute=20", "blackhole=20"];
    let ran = run(&[&flags[..], &watched, &deaths, &[&url]].concat());
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let report = ran.document();
    crate::report::assert_valid(&report);
    assert_eq!(report["connections"]["opened"], 1_000);
    assert_eq!(report["messages"]["script"]["hellos"], 1_000);
    let pings = &report["pings"]["server"];
    assert!(pings["answered"].as_u64().unwrap() > 2_000, "{pings}");
    assert_eq!(report["messages"]["script"]["replies"], pings["answered"]);
    let dead = server.end();
    if is_spoilt(&report) {
        skipped(&format!("others take this machine from a Socket.IO server: {dead} given up"));
        return;
    }
    assert_eq!((&report["living"]["at_end"], dead), (&940.into(), 60), "{}", report["living"]);
}
