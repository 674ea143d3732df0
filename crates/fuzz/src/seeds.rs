//! What a corpus begins with, and what once was found.

use crate::{head::Input, stream::Stream};
use halfopen_proto::Role;

/// Frames of a server, that is without a mask.
const FRAMES: [&[u8]; 15] = [
    b"\x81\x05Hello",
    b"\x82\x03\x00\xff\x80",
    b"\x01\x03Hel\x80\x02lo",
    b"\x01\x02\xf0\x9f\x89\x01p\x00\x00\x80\x02\xa6\x80",
    b"\x89\x05Hello\x8a\x05Hello",
    b"\x88\x00",
    b"\x88\x05\x03\xe8bye\x81\x04late",
    b"\x88\x02\x03\xf6",
    b"\x88\x02\x03\xed",
    b"\x82\x7e\x00\x7e",
    b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00",
    b"\xc2\x01x",
    b"\x80\x01x",
    b"\x01\x01a\x01\x01b",
    b"\x8a\x7e\x00\x00",
];

const REQUESTS: [&str; 3] = [
    "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
     Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
     Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
     Sec-WebSocket-Version: 13\r\n\r\n\u{1}\u{0}",
    "GET http://[::1]:80/?q HTTP/1.1\r\nhost: x\r\nupgrade: h2c, WebSocket\r\n\
     connection: keep-alive\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n\
     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
     sec-websocket-extensions: a; b; c=1; d=\"2\"\r\n\r\n",
    "HEAD / HTTP/1.1\r\n\r\n",
];

const ANSWERS: [&str; 2] = [
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
     Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
     Sec-WebSocket-Protocol: chat\r\n\r\n",
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\nfull\n",
];

/// Inputs of the targets that take a [`Stream`], with a name for each.
pub fn streams() -> Vec<(String, Vec<u8>)> {
    let of_both = |(i, frames): (usize, &&[u8])| {
        [
            (format!("client-{i}"), Stream::seed(Role::Client, frames)),
            (format!("server-{i}"), Stream::seed(Role::Server, &masked(frames))),
        ]
    };
    FRAMES.iter().enumerate().flat_map(of_both).collect()
}

/// Inputs of the target that takes an [`Input`], with a name for each.
pub fn heads() -> Vec<(String, Vec<u8>)> {
    let named = |is_request: bool, heads: &[&str], name: &str| -> Vec<_> {
        let seed = |(i, head): (usize, &&str)| {
            (format!("{name}-{i}"), Input::seed(is_request, head.as_bytes()))
        };
        heads.iter().enumerate().map(seed).collect()
    };
    [named(true, &REQUESTS, "request"), named(false, &ANSWERS, "answer")].concat()
}

/// The same frames with a mask of zeros, in which a fuzzer sees the payload.
fn masked(mut frames: &[u8]) -> Vec<u8> {
    let mut masked = Vec::new();
    while let [first, second, rest @ ..] = frames {
        masked.extend([*first, second | 0x80]);
        let length_size = [0, 2, 8][usize::from(*second).saturating_sub(125).min(2)];
        let (length, rest) = rest.split_at(length_size);
        masked.extend(length);
        masked.extend([0; 4]);
        let payload = if length.is_empty() { usize::from(*second) } else { rest.len() };
        let (payload, rest) = rest.split_at(payload.min(rest.len()));
        masked.extend(payload);
        frames = rest;
    }
    masked
}
