//! TLS: both our ends with each other, with others' on the other side, and with those who speak none.

use crate::program::{Ran, Served, is_spoilt, run};
use halfopen_sim::skipped;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A certificate for 127.0.0.1 and its key, in files.
struct Identity {
    folder: TempDir,
}

impl Identity {
    fn new() -> Self {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cert.pem"), cert.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), signing_key.serialize_pem()).unwrap();
        Self { folder }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn serve(&self, flags: &[&str]) -> Served {
        let (cert, key) = (self.file("cert.pem"), self.file("key.pem"));
        Served::start(&[&["--cert", &cert, "--key", &key, "--drain=0s"], flags].concat())
    }

    /// Loads `url` and trusts this certificate.
    fn load(&self, url: &str, flags: &[&str]) -> Ran {
        run(&[&["load", url, "--cacert", &self.file("cert.pem"), "--json"], flags].concat())
    }
}

#[test]
fn a_load_that_trusts_the_server_is_served_on_each_driver() {
    let identity = Identity::new();
    for driver in ["io-uring", "tokio-uring", "epoll"] {
        let server = identity.serve(&["--driver", driver, "--ping-interval=200ms"]);
        assert!(server.line.starts_with("listening on wss://127.0.0.1:"), "{}", server.line);
        // Up to beyond a chunk, and a chunk of 64 KiB in itself is more than one send.
        for size in ["--size=64", "--size=200000"] {
            let flags = ["-c20", "-d1s", "-r60/s", "--expect=echo", "--driver", driver, size];
            let ran = identity.load(server.url_said(), &flags);
            assert_eq!(ran.status, Some(0), "{driver} {ran:?}");
            let report = ran.document();
            crate::report::assert_valid(&report);
            assert_eq!(report["connections"]["opened"], 20, "{driver}");
            assert_eq!(report["living"]["at_end"], 20, "{driver} {report}");
            assert!(report["messages"]["sent"].as_u64().unwrap() > 30, "{driver}");
            assert_eq!(report["messages"]["sent"], report["messages"]["received"], "{driver}");
            assert!(report["pings"]["server"]["answered"].as_u64().unwrap() > 0, "{driver}");
            assert_eq!(report["plan"]["tls"], true);
            assert_eq!(report["plan"]["tls_seen"]["TLS 1.3 TLS13_AES_256_GCM_SHA384"], 20);
        }
        let ran = server.end(&[Signal::TERM]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert!(ran.err.contains("40 closed"), "each says goodbye: {ran:?}");
    }
}

#[test]
fn the_dead_are_found_over_tls_too() {
    let identity = Identity::new();
    let server = identity.serve(&["--ping-interval=200ms", "--ping-timeout=400ms"]);
    let kill = ["--kill", "blackhole=2", "freeze=2", "mute=2", "fin=2", "reset=2", "close=2"];
    let flags = [&["-c24", "-d100ms", "--server-ping=200ms/400ms"], &kill[..]].concat();
    let ran = identity.load(server.url_said(), &flags);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let deaths = &ran.document()["deaths"];
    for kind in ["blackhole", "freeze", "mute", "fin", "reset", "close"] {
        assert_eq!(deaths[kind]["killed"], 2, "{kind}: {deaths}");
        assert_eq!(deaths[kind]["detected"], 2, "{kind}: {deaths}");
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_refused_with_both_ways_out() {
    let (identity, other) = (Identity::new(), Identity::new());
    let server = identity.serve(&[]);
    let ran = other.load(server.url_said(), &["-c5"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("5 tls certificate"), "{ran:?}");
    assert!(ran.err.contains("--cacert FILE") && ran.err.contains("--insecure"), "{ran:?}");
    assert_eq!(ran.document()["connections"]["failed"]["tls_certificate"], 5);
    let ran = run(&["load", server.url_said(), "--insecure", "-c5", "-d100ms"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
}

#[test]
fn a_probe_speaks_tls_and_names_a_certificate_that_it_does_not_trust() {
    let identity = Identity::new();
    let server = identity.serve(&["--ping-interval=600ms", "--ping-timeout=300ms"]);
    let (url, cert) = (server.url_said(), identity.file("cert.pem"));
    let ran = run(&["probe", url, "--cacert", &cert, "--json", "-q"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert_eq!(ran.document()["pings"], "server");
    assert_eq!(ran.document()["connections"]["opened"], 8);
    let ran = run(&["probe", url, "--cacert", &Identity::new().file("cert.pem")]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("8 tls certificate") && ran.err.contains("--insecure"), "{ran:?}");
}

#[test]
fn who_speaks_plainly_to_tls_and_the_other_way_round_is_told() {
    let identity = Identity::new();
    let (secure, plain) = (identity.serve(&[]), Served::start(&["--drain=0s"]));
    let ran = run(&["load", &format!("ws://{}", secure.addr()), "-c5"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("use wss://"), "{ran:?}");
    let ran = identity.load(&format!("wss://{}", plain.addr()), &["-c5"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("5 tls") && ran.err.contains("plain ws://"), "{ran:?}");
}

#[test]
fn a_server_that_hangs_up_amid_the_handshake_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    let ran = run(&["load", &url, "--insecure", "-c3"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("does it speak TLS on this port?"), "{ran:?}");
}

#[test]
fn files_and_flags_that_are_wrong_are_named() {
    let identity = Identity::new();
    let (cert, key) = (identity.file("cert.pem"), identity.file("key.pem"));
    let listen = "--listen=127.0.0.1:0";
    let ca = "load wss://127.0.0.1:9 --cacert";
    let table = [
        (format!("serve {listen} --cert {cert}"), "--key <FILE>"),
        (format!("serve {listen} --cert {key} --key {key}"), "holds no certificate"),
        (format!("serve {listen} --cert {cert} --key {cert}"), "holds no private key"),
        (format!("serve {listen} --cert /nowhere --key {key}"), "cannot read /nowhere"),
        (format!("{ca} {key}"), "holds no certificate"),
        (format!("{ca} {cert} --insecure"), "cannot be used with"),
        ("load ws://127.0.0.1:9 --insecure".into(), "use wss://"),
    ];
    for (line, words) in table {
        let ran = run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.status, Some(2), "{line}: {ran:?}");
        assert!(ran.err.contains(words), "{line}: {ran:?}");
    }
}

#[test]
fn the_lab_makes_a_certificate_of_its_own() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().to_str().unwrap();
    let flags = ["lab", "--tls", "-c30", "--ping-interval=300ms", "--ping-timeout=1s", "--json"];
    let kill = ["--kill", "freeze=3", "--out", place];
    let ran = run(&[&flags[..], &kill].concat());
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let report = ran.document();
    assert_eq!(report["connections"]["opened"], 30);
    assert_eq!(report["plan"]["tls_trust"], "cacert");
    assert!(report["plan"]["url"].as_str().unwrap().starts_with("wss://127.0.0.1:"));
    assert!(report["deaths"]["freeze"]["detected"] == 3 || is_spoilt(&report), "{report}");
}

/// What runs a script of ours with OpenSSL in it.
fn python() -> String {
    std::env::var("PYTHON").unwrap_or_else(|_| "python3".into())
}

fn has(program: &str, version: &str) -> bool {
    let mut command = Command::new(program);
    let tried = command.arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let has = tried.is_ok_and(|status| status.success());
    if !has {
        skipped(&format!("no {program}, so its TLS was not spoken with"));
    }
    has
}

/// OpenSSL's own client takes our certificate, gets our protocol, and an answer that ends well.
#[test]
fn openssl_is_answered() {
    if !has("openssl", "version") {
        return;
    }
    let identity = Identity::new();
    for driver in ["io-uring", "tokio-uring", "epoll"] {
        for version in ["-tls1_3", "-tls1_2"] {
            let server = identity.serve(&["--driver", driver]);
            let mut client = Command::new("openssl")
                .args(["s_client", "-connect", server.addr(), "-alpn", "h2,http/1.1", version])
                .args(["-CAfile", &identity.file("cert.pem"), "-verify_return_error", "-ign_eof"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut stdin = client.stdin.take().unwrap();
            stdin.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            let output = client.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            let words =
                ["ALPN protocol: http/1.1", "Verify return code: 0", "HTTP/1.1 426 ", "closed"];
            for word in words {
                assert!(said.contains(word), "{driver} {version} {word}: {said}");
            }
        }
    }
}

/// Plays one side with Python's ssl, which is OpenSSL: a client, or a server that echoes.
const PEER: &str = r#"
import base64, hashlib, os, socket, ssl, struct, sys, threading

def exactly(stream, count):
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data

def head(stream):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += exactly(stream, 1)
    return data.decode()

def frame(stream):
    first, length = exactly(stream, 2)
    masked, length = length & 128, length & 127
    if length == 126:
        length, = struct.unpack(">H", exactly(stream, 2))
    elif length == 127:
        length, = struct.unpack(">Q", exactly(stream, 8))
    key = exactly(stream, 4) if masked else bytes(4)
    return first, bytes(b ^ key[n % 4] for n, b in enumerate(exactly(stream, length)))

def send(stream, first, payload, mask=0):
    length = len(payload)
    size = bytes([mask | length]) if length < 126 else struct.pack(">BH", mask | 126, length)
    if mask:
        key = os.urandom(4)
        payload = key + bytes(b ^ key[n % 4] for n, b in enumerate(payload))
    stream.sendall(bytes([first]) + size + payload)

def serve(cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    def talk(plain):
        try:
            with context.wrap_socket(plain, server_side=True) as stream:
                fields = [line.split(": ") for line in head(stream).split("\r\n")[1:] if line]
                nonce = {name.lower(): value for name, value in fields}["sec-websocket-key"]
                digest = hashlib.sha1((nonce + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode())
                accept = base64.b64encode(digest.digest()).decode()
                stream.sendall(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n" % accept).encode())
                while True:
                    first, payload = frame(stream)
                    send(stream, 0x8a if first == 0x89 else first, payload)
                    if first == 0x88:
                        stream.unwrap()
                        return
        except (EOFError, OSError):
            pass
    while True:
        threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()

def call(cert, port):
    context = ssl.create_default_context(cafile=cert)
    plain = socket.create_connection(("127.0.0.1", port))
    with context.wrap_socket(plain, server_hostname="localhost") as stream:
        stream.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        assert head(stream).startswith("HTTP/1.1 101 ")
        for length in [0, 1, 125, 126, 16000, 65535]:
            payload = os.urandom(length)
            send(stream, 0x82, payload, 128)
            back = b""
            first = 0
            while not first & 0x80:
                first, part = frame(stream)
                back += part
            assert back == payload, length
        send(stream, 0x88, struct.pack(">H", 1000), 128)
        assert frame(stream) == (0x88, struct.pack(">H", 1000))
        # The server says close_notify: read() ends without an error.
        assert stream.recv(1) == b""
        print(stream.version())

if sys.argv[1] == "serve":
    serve(*sys.argv[2:])
else:
    call(sys.argv[2], int(sys.argv[3]))
"#;

#[test]
fn a_client_on_openssl_gets_every_message_back_and_a_goodbye() {
    if !has(&python(), "--version") {
        return;
    }
    let identity = Identity::new();
    for driver in ["io-uring", "tokio-uring", "epoll"] {
        let server = identity.serve(&["--driver", driver]);
        let port = server.addr().rsplit(':').next().unwrap().to_owned();
        let output = Command::new(python())
            .args(["-c", PEER, "call", &identity.file("cert.pem"), &port])
            .output()
            .unwrap();
        assert!(output.status.success(), "{driver}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "TLSv1.3");
    }
}

/// A server of Python's, for as long as this lives.
struct Foreign {
    child: Child,
    port: String,
}

impl Foreign {
    fn start(identity: &Identity) -> Self {
        let mut child = Command::new(python())
            .args(["-c", PEER, "serve", &identity.file("cert.pem"), &identity.file("key.pem")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().into() }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_on_openssl_is_loaded_on_each_driver() {
    if !has(&python(), "--version") {
        return;
    }
    let identity = Identity::new();
    let server = Foreign::start(&identity);
    let url = format!("wss://localhost:{}/", server.port);
    for driver in ["io-uring", "tokio-uring", "epoll"] {
        let flags = ["-c10", "-d1s", "-r100/s", "--client-ping=200ms", "--expect=echo", "--driver"];
        let ran = identity.load(&url, &[&flags[..], &[driver]].concat());
        assert_eq!(ran.status, Some(0), "{driver} {ran:?}");
        let report = ran.document();
        assert_eq!(report["living"]["at_end"], 10, "{driver} {report}");
        assert!(report["messages"]["sent"].as_u64().unwrap() > 50, "{driver}");
        assert_eq!(report["messages"]["sent"], report["messages"]["received"], "{driver}");
        assert!(report["pings"]["client"]["answered"].as_u64().unwrap() > 10, "{driver}");
    }
}

/// Connections that speak no TLS, or stop amid it, hold nobody up and leave nothing.
#[test]
fn a_crowd_that_speaks_no_tls_is_let_go_and_the_living_are_served() {
    let identity = Identity::new();
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("stats.json");
    let server = identity.serve(&["--handshake-timeout=1s", "--stats-out", path(&stats)]);
    let words: [&[u8]; 5] =
        [b"", b"GET / HTTP/1.1\r\n\r\n", &[0x16, 3, 1], &[0x16, 3, 1, 0xff, 0xff], &[0xff; 3000]];
    let crowd: Vec<_> = (0..100)
        .map(|n| {
            let mut stream = TcpStream::connect(server.addr()).unwrap();
            stream.write_all(words[n % words.len()]).unwrap();
            stream
        })
        .collect();
    let ran = identity.load(server.url_said(), &["-c20", "-d1500ms", "-r100/s", "--expect=echo"]);
    assert_eq!(ran.document()["living"]["at_end"], 20, "{ran:?}");
    for mut stream in crowd {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // An alert or nothing, and then the end.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(server.end(&[Signal::TERM]).status, Some(0));
    let stats: serde_json::Value = serde_json::from_slice(&fs::read(&stats).unwrap()).unwrap();
    assert_eq!((&stats["accepted"], &stats["opened"]), (&120.into(), &20.into()));
    assert_eq!(stats["open"], 0, "{stats}");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
