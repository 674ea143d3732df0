//! A request or an answer as a peer sends it, and where it is cut: either the bytes as they are, or a
//! good head with lines dropped, doubled, replaced, and bytes written over.

use arbitrary::{Arbitrary, Result, Unstructured};
use halfopen_proto::handshake::HeadLimits;

/// What a side of the handshake reads.
#[derive(Clone, Debug)]
pub struct Input {
    /// A request, or the answer to one with the key of RFC 6455 §1.3.
    pub is_request: bool,
    /// The bytes.
    pub wire: Vec<u8>,
    /// The reader's limits.
    pub limits: HeadLimits,
    /// Bytes in a piece, when they come in pieces.
    pub step: usize,
}

impl Input {
    /// The input that stands for bytes as they are, without limits: for a corpus to begin with.
    pub fn seed(is_request: bool, wire: &[u8]) -> Vec<u8> {
        let form = RAW | if is_request { REQUEST } else { 0 };
        [&[form, 0xff, 0xff, 1], wire].concat()
    }
}

/// Bits of an input's first byte.
const RAW: u8 = 1;
const REQUEST: u8 = 2;

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let form: u8 = u.arbitrary()?;
        let is_request = form & REQUEST != 0;
        let limits = HeadLimits { bytes_max: limit(u, 16)?, fields_max: limit(u, 1)? };
        let step = usize::from(u.arbitrary::<u8>()?).max(1);
        let wire = match (form & RAW, is_request) {
            (0, true) => mutated(REQUEST_LINES, u)?,
            (0, false) => mutated(ANSWER_LINES, u)?,
            _ => u.bytes(u.len())?.to_vec(),
        };
        Ok(Self { is_request, wire, limits, step })
    }
}

/// Some units, or no limit.
fn limit(u: &mut Unstructured<'_>, unit: usize) -> Result<usize> {
    let count: u8 = u.arbitrary()?;
    Ok(if count == u8::MAX { usize::MAX } else { unit * usize::from(count) })
}

/// The first are needed.
const REQUEST_LINES: &[&str] = &[
    "GET /chat?room=1 HTTP/1.1",
    "Host: example.org:80",
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Origin: https://example.org",
    "Sec-WebSocket-Protocol: chat, superchat",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=\"10\", foo",
    "Cookie: a=1; b=2",
    "Content-Length: 0",
];

const ANSWER_LINES: &[&str] = &[
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    "Sec-WebSocket-Protocol: chat",
    "Set-Cookie: a=1",
];

/// What replaces a line: values that a reader must tell apart from good ones.
const ODD_LINES: &[&str] = &[
    "GET http://example.org/chat HTTP/1.1",
    "GET / HTTP/1.0",
    "HEAD / HTTP/1.1",
    "HTTP/1.1 103 Early Hints\r\n",
    "HTTP/1.1 403 Forbidden",
    "Transfer-Encoding: chunked",
    "Content-Length: 5",
    "Sec-WebSocket-Version: 8",
    "Sec-WebSocket-Protocol: chat, chat",
    "Sec-WebSocket-Extensions: foo; bar=\"a b\"",
    " folded",
    "Name : value",
    "No colon",
    "Empty:",
    "Bare: line feed\nX: y",
    "",
];

/// Lines, each kept unless the input says otherwise.
fn mutated(lines: &[&str], u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut wire = Vec::new();
    for line in lines {
        match u.arbitrary::<u8>().unwrap_or_default() {
            0..=199 => put(line.as_bytes(), &mut wire),
            200..=209 => {}
            210..=219 => {
                put(line.as_bytes(), &mut wire);
                put(line.as_bytes(), &mut wire);
            }
            220..=239 => put(u.choose(ODD_LINES)?.as_bytes(), &mut wire),
            240..=249 => {
                put(line.as_bytes(), &mut wire);
                put(&any_field(u)?, &mut wire);
            }
            _ => put(any(u)?, &mut wire),
        }
    }
    wire.extend(b"\r\n");
    while let Ok((at, byte)) = u.arbitrary::<(u16, u8)>() {
        let at = usize::from(at) % wire.len();
        wire[at] = byte;
        if u.is_empty() || byte & 1 == 0 {
            break;
        }
    }
    wire.extend(u.bytes(u.len())?);
    Ok(wire)
}

fn put(line: &[u8], wire: &mut Vec<u8>) {
    wire.extend(line);
    wire.extend(b"\r\n");
}

/// A field that the handshake knows, with any value.
fn any_field(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let names = [
        "Host",
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Origin",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Cookie",
        "Content-Length",
        "Sec-WebSocket-Accept",
        "X",
    ];
    let name = u.choose(&names)?;
    Ok([name.as_bytes(), b": ", any(u)?].concat())
}

fn any<'a>(u: &mut Unstructured<'a>) -> Result<&'a [u8]> {
    let count = usize::from(u.arbitrary::<u8>()?) % 64;
    u.bytes(count.min(u.len()))
}
