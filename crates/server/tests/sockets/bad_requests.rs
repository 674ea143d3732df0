//! Requests that no client should send.

use crate::rig::{TEXT, frame};

/// A request with `line`, and with the fields of a valid one but those that `instead` names: a
/// field with a value takes their place, `-Name` only leaves them out.
pub(crate) fn asked(line: &str, instead: &[&str]) -> Vec<u8> {
    let valid = [
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let name = |field: &&str| field.trim_start_matches('-').split(':').next().map(str::to_owned);
    let kept = valid.iter().filter(|field| instead.iter().all(|other| name(other) != name(field)));
    let fields = kept.chain(instead.iter().filter(|field| !field.starts_with('-')));
    let fields: String = fields.map(|field| format!("{field}\r\n")).collect();
    format!("{line}\r\n{fields}\r\n").into_bytes()
}

pub(crate) fn with(instead: &[&str]) -> Vec<u8> {
    asked("GET /chat HTTP/1.1", instead)
}

/// Requests, and the status that each is refused with.
pub(crate) fn bad_requests() -> Vec<(&'static str, Vec<u8>, u16)> {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let long = format!("X-Long: {}", "a".repeat(20_000));
    let many: Vec<String> = (0..10_000).map(|n| format!("X-{n}: a")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    vec![
        ("another method", asked("POST /chat HTTP/1.1", &[]), 405),
        ("HTTP/1.0", asked("GET /chat HTTP/1.0", &[]), 400),
        ("a target that is no path", asked("GET chat HTTP/1.1", &[]), 400),
        ("a target with a fragment", asked("GET /chat#one HTTP/1.1", &[]), 400),
        ("no Host", with(&["-Host"]), 400),
        ("an empty Host", with(&["Host: "]), 400),
        ("two Hosts", with(&["Host: one", "Host: two"]), 400),
        ("no Upgrade", with(&["-Upgrade"]), 426),
        ("an Upgrade to something else", with(&["Upgrade: h2c"]), 426),
        ("no Connection", with(&["-Connection"]), 400),
        ("a Connection without Upgrade", with(&["Connection: keep-alive"]), 400),
        ("no version", with(&["-Sec-WebSocket-Version"]), 400),
        ("version 12", with(&["Sec-WebSocket-Version: 12"]), 426),
        ("two versions", with(&["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"]), 400),
        ("no key", with(&["-Sec-WebSocket-Key"]), 400),
        ("an empty key", with(&["Sec-WebSocket-Key: "]), 400),
        ("a key that is too short", with(&["Sec-WebSocket-Key: dGhlIHNhbXBs"]), 400),
        ("a key that is not base64", with(&["Sec-WebSocket-Key: !!!!IHNhbXBsZSBub25jZQ=="]), 400),
        ("two keys", with(&[key, key]), 400),
        ("a body", with(&["Content-Length: 5"]), 400),
        ("a length that is none", with(&["Content-Length: many"]), 400),
        ("a body in chunks", with(&["Transfer-Encoding: chunked"]), 400),
        ("a subprotocol that is no token", with(&["Sec-WebSocket-Protocol: a b"]), 400),
        ("a name with a blank", with(&["X Y: a"]), 400),
        ("a value with a NUL", with(&["X: a\0b"]), 400),
        ("a folded line", with(&["X: a\r\n b"]), 400),
        ("a line without a colon", with(&["X"]), 400),
        ("a head of 20,000 bytes", with(&[&long]), 431),
        ("10,000 fields", with(&many), 431),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400),
        ("frames without a handshake", frame(TEXT, b"hello"), 400),
        ("nothing of HTTP", b"\x00\x01\x02\x03 hello\r\n\r\n".to_vec(), 400),
    ]
}

/// The status, and a body of one line that is as long as it is told to be.
pub(crate) fn assert_refused(answer: &str, status: u16, name: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{name}: {answer}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer}");
    assert!(body.len() > 10 && body.lines().count() == 1, "{name}: {answer}");
    assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{name}: {answer}");
    assert!(head.contains("\r\nConnection: close"), "{name}: {answer}");
}
