//! Probes of servers by other hands, as they come from their registries: Python's `websockets` and
//! uvicorn (under `PYTHON`, else `python3`), and node's `ws` with the recipe of its manual (found
//! through `NODE_PATH`), and Bun (`BUN`, else `bun`); and our own behind nginx (`NGINX`, else
//! `nginx`). What is not there is skipped, loudly.

use crate::{assert_about, doubts, plan, settings};
use halfopen_driver::DriverKind;
use halfopen_loadgen::probe::{Counts, Document, Pings, Running};
use halfopen_server::{Config, Echo, Heartbeat, Policy, Server, ServerConfig};
use halfopen_sim::skipped;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

/// A program that prints its port in a line of its own when it listens.
struct Program(Child, u16);

impl Program {
    fn start(program: &str, flag: &str, source: &str) -> Option<Self> {
        let mut command = Command::new(program);
        command.args([flag, source]).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut line = String::new();
        let said = BufReader::new(child.stdout.take()?).read_line(&mut line);
        match said.ok().and_then(|_| line.trim().parse().ok()) {
            Some(port) => Some(Self(child, port)),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                None
            }
        }
    }

    fn probe(&self) -> Document {
        let url = format!("ws://127.0.0.1:{}/", self.1);
        let settings = settings(Duration::from_secs(60));
        let running = Running::start(plan(&url, 8), settings, DriverKind::Auto).unwrap();
        running.join().unwrap().document(None, SystemTime::UNIX_EPOCH)
    }

    /// nginx before a server, which cuts who is silent for 3 s.
    fn nginx(server: SocketAddr, folder: &std::path::Path) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let place = folder.display();
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {place}/{kind};"));
        let conf = format!(
            "daemon off; master_process off; pid {place}/pid; error_log {place}/errors;
             events {{ worker_connections 256; }}
             http {{ access_log off; {} server {{ listen 127.0.0.1:{port}; location / {{
                 proxy_pass http://{server}; proxy_http_version 1.1; proxy_read_timeout 3s;
                 proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
             }} }} }}",
            paths.concat()
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, conf).ok()?;
        let nginx = std::env::var("NGINX").unwrap_or_else(|_| "nginx".into());
        let mut command = Command::new(nginx);
        command.arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        let nginx = Self(command.stderr(Stdio::null()).spawn().ok()?, port);
        let up = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        let looks = (0..100).map(|_| std::thread::sleep(Duration::from_millis(50)));
        looks.into_iter().any(|()| up()).then_some(nginx)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Probes a server, unless it cannot be started or others take this machine meanwhile.
fn look(what: &str, program: &str, flag: &str, source: &str, judge: impl Fn(&Document)) {
    let Some(server) = Program::start(program, flag, source) else {
        return skipped(&format!("{what} does not start under {program}"));
    };
    let found = server.probe();
    if doubts(&found).contains(&"machine_late") {
        return eprintln!("SKIPPED: others take this machine from {what}: {:?}", found.doubts);
    }
    assert_eq!(found.pings, Pings::Server, "{what}: {found:?}");
    judge(&found);
}

fn python() -> String {
    std::env::var("PYTHON").unwrap_or_else(|_| "python3".into())
}

fn assert_beat(found: &Document, interval: u64, timeout: u64, tick: u64) {
    let secs = Duration::from_secs;
    assert_about("interval", &found.interval_ms, secs(interval), secs(tick));
    assert_about("timeout", &found.timeout_ms, secs(timeout), secs(tick));
}

#[test]
fn pythons_websockets_is_known() {
    let source = "
import asyncio, websockets
async def echo(ws):
    async for message in ws:
        await ws.send(message)
async def main():
    async with websockets.serve(echo, '127.0.0.1', 0, ping_interval=2, ping_timeout=1) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()
asyncio.run(main())
";
    look("websockets", &python(), "-c", source, |found| {
        assert_beat(found, 2, 1, 0);
        assert_eq!(found.ended_by.keys().collect::<Vec<_>>(), ["Close 1011"], "{found:?}");
        assert_eq!((found.traffic_suppresses, found.complete), (Some(false), true), "{found:?}");
    });
}

#[test]
fn uvicorn_is_known() {
    let source = "
import socket, uvicorn
async def app(scope, receive, send):
    if scope['type'] != 'websocket':
        return
    await receive()
    await send({'type': 'websocket.accept'})
    while True:
        event = await receive()
        if event['type'] == 'websocket.disconnect':
            return
        await send({'type': 'websocket.send', 'text': event.get('text') or ''})
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen()
config = uvicorn.Config(app, ws='websockets', ws_ping_interval=2, ws_ping_timeout=1,
                        lifespan='off', log_level='critical')
print(listener.getsockname()[1], flush=True)
uvicorn.Server(config).run(sockets=[listener])
";
    look("uvicorn", &python(), "-c", source, |found| {
        assert_beat(found, 2, 1, 0);
        assert_eq!((found.traffic_suppresses, found.complete), (Some(false), true), "{found:?}");
    });
}

#[test]
fn the_recipe_of_nodes_ws_is_known_as_the_sweep_that_it_is() {
    let source = "
const { WebSocketServer } = require('ws');
const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
server.on('listening', () => console.log(server.address().port));
server.on('connection', ws => {
    ws.isAlive = true;
    ws.on('error', () => {});
    ws.on('pong', () => { ws.isAlive = true; });
    ws.on('message', message => ws.send(message));
});
setInterval(() => server.clients.forEach(ws => {
    if (!ws.isAlive) return ws.terminate();
    ws.isAlive = false;
    ws.ping();
}), 2000);
";
    look("ws", "node", "-e", source, |found| {
        // Terminated at the visit after the one at which it was asked.
        assert_beat(found, 2, 2, 0);
        assert_eq!(found.phase, Some(halfopen_loadgen::probe::Phase::Together), "{found:?}");
        assert_eq!((found.traffic_suppresses, found.complete), (Some(false), true), "{found:?}");
    });
}

#[test]
fn bun_is_known_within_its_coarse_clock() {
    let source = "
const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch(request, server) { if (!server.upgrade(request)) return new Response('no'); },
    websocket: { idleTimeout: 10, sendPings: true, message(ws, text) { ws.send(text); } },
});
console.log(server.port);
";
    let bun = std::env::var("BUN").unwrap_or_else(|_| "bun".into());
    look("Bun", &bun, "-e", source, |found| {
        assert_beat(found, 6, 4, 4);
        assert_eq!(found.traffic_suppresses, Some(true), "{found:?}");
    });
}

/// What a probe finds of our own server behind nginx, unless that is not there or the machine is busy.
fn behind_nginx(heartbeat: Option<Heartbeat>) -> Option<Document> {
    let config = ServerConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        shards: Some(1),
        connections_max: Some(64),
        shard: Config { heartbeat, ..Config::default() },
        ..ServerConfig::default()
    };
    let server = Server::start(&config, |_| Echo).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let found = Program::nginx(server.local_addr(), folder.path()).map(|nginx| nginx.probe());
    server.handle().stop();
    server.join();
    match found {
        None => skipped("no nginx to stand before a server"),
        Some(ref found) if doubts(found).contains(&"machine_late") => {
            eprintln!("SKIPPED: others take this machine from nginx: {:?}", found.doubts);
        }
        Some(found) => return Some(found),
    }
    None
}

#[test]
fn behind_nginx_the_idle_are_cut() {
    let Some(found) = behind_nginx(None) else { return };
    assert_eq!((found.pings, found.complete), (Pings::Client, true), "{found:?}");
    assert_eq!(found.idle_counts, Some(Counts::Bytes), "{found:?}");
    let limit = found.idle_limit_ms.unwrap();
    assert!((2_900.0..3_500.0).contains(&limit), "{found:?}");
    assert_eq!(found.detection.max_ms, Some(limit), "{found:?}");
}

#[test]
fn behind_nginx_pings_in_time_save_the_idle() {
    let (interval, timeout) = (Duration::from_secs(2), Duration::from_secs(1));
    let beat = Heartbeat { policy: Policy::Periodic, interval, timeout };
    let Some(found) = behind_nginx(Some(beat)) else { return };
    assert_beat(&found, 2, 1, 0);
    assert_eq!((found.pings, found.idle_limit_ms), (Pings::Server, None), "{found:?}");
    assert!(found.complete, "{found:?}");
}
