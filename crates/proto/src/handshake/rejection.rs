use bytes::BytesMut;
use std::borrow::Cow;

/// An HTTP answer that refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {}: {reason}", self.phrase())]
pub struct Rejection {
    /// The status: 400, 403, 404, 405, 426, 431, 503, …
    pub status: u16,
    /// One line of help, the body.
    pub reason: Cow<'static, str>,
}

impl Rejection {
    /// A refusal with a line that tells its cause.
    pub fn new(status: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { status, reason: reason.into() }
    }

    /// Appends the answer, with `Connection: close`. A 405 names the method that is allowed, a 426
    /// the protocol and its version (RFC 9110 §15.5.22, RFC 6455 §4.4).
    pub fn encode(&self, out: &mut BytesMut) {
        let Self { status, reason } = self;
        let phrase = self.phrase();
        let further = match status {
            405 => "Connection: close\r\nAllow: GET\r\n",
            426 => {
                "Connection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            }
            _ => "Connection: close\r\n",
        };
        let length = reason.len() + 1;
        let answer = format!(
            "HTTP/1.1 {status} {phrase}\r\n{further}Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {length}\r\n\r\n{reason}\n"
        );
        out.extend_from_slice(answer.as_bytes());
    }

    fn phrase(&self) -> &'static str {
        match self.status {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            426 => "Upgrade Required",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            503 => "Service Unavailable",
            505 => "HTTP Version Not Supported",
            _ => "Refused",
        }
    }
}
