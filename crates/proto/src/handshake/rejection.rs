use super::fields::{self, InvalidHeader};
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::BytesMut;
use core::time::Duration;

/// An HTTP answer that refuses: a status, a line or more of help, and fields.
///
/// ```
/// use halfopen_proto::handshake::Rejection;
///
/// let mut out = bytes::BytesMut::new();
/// Rejection::unauthorized("Bearer realm=\"chat\"", "a token is needed")?.encode(&mut out);
/// assert!(out.starts_with(b"HTTP/1.1 401 Unauthorized\r\n"));
/// assert!(out.ends_with(b"\r\n\r\na token is needed\n"));
/// # Ok::<(), halfopen_proto::handshake::InvalidHeader>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {}: {reason}", phrase(*status))]
pub struct Rejection {
    status: u16,
    reason: Cow<'static, str>,
    headers: Vec<(String, String)>,
    /// It answers a HEAD request, so its body is not sent (RFC 9110 §9.3.2).
    is_head: bool,
}

impl Rejection {
    /// A refusal with a text that tells its cause.
    ///
    /// # Panics
    /// If the status is none of an answer that refuses or redirects, is 304, which has no body, or
    /// 401, which needs a challenge ([`unauthorized`](Self::unauthorized)).
    pub fn new(status: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        assert!((300..600).contains(&status) && status != 304, "{status} refuses nothing");
        assert!(status != 401, "a 401 needs a challenge (RFC 9110 §15.5.2)");
        Self::of(status, reason.into())
    }

    fn of(status: u16, reason: Cow<'static, str>) -> Self {
        Self { status, reason, headers: Vec::new(), is_head: false }
    }

    /// 401 with a challenge, such as `Basic realm="chat"` (RFC 9110 §11.6.1).
    ///
    /// # Errors
    /// If the challenge does not begin with a scheme, or could end its line.
    pub fn unauthorized(
        challenge: &str,
        reason: impl Into<Cow<'static, str>>,
    ) -> Result<Self, InvalidHeader> {
        const NAME: &str = "WWW-Authenticate";
        let scheme = challenge.split(' ').next().unwrap_or_default();
        if fields::token(scheme.as_bytes()).is_none() {
            return Err(InvalidHeader::new(NAME));
        }
        Self::of(401, reason.into()).with_header(NAME, challenge)
    }

    /// 503 with the time after which another try is welcome, in whole seconds (RFC 9110 §10.2.3).
    pub fn unavailable(retry_after: Duration, reason: impl Into<Cow<'static, str>>) -> Self {
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        let mut rejection = Self::of(503, reason.into());
        rejection.headers.push(("Retry-After".into(), seconds.to_string()));
        rejection
    }

    /// The answer to a HEAD request.
    pub(super) fn without_body(self) -> Self {
        Self { is_head: true, ..self }
    }

    /// Adds a field. The text is plain unless a Content-Type says otherwise.
    ///
    /// # Errors
    /// If it is malformed, could end its line, or is a field that the answer sets itself.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, InvalidHeader> {
        fields::check(name, value)?;
        self.headers.push((name.into(), value.into()));
        Ok(self)
    }

    /// The status: 400, 403, 404, 405, 426, 431, 503, …
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The body, without the line feed that ends it.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Appends the answer, with `Connection: close`. A 405 names the method that is allowed, a 426
    /// the protocol and its version (RFC 9110 §15.5.6 and §15.5.22, RFC 6455 §4.4).
    pub fn encode(&self, out: &mut BytesMut) {
        write_status_line(self.status, out);
        match self.status {
            426 => {
                fields::write("Connection", "close, Upgrade", out);
                fields::write("Upgrade", "websocket", out);
                fields::write("Sec-WebSocket-Version", "13", out);
            }
            _ => fields::write("Connection", "close", out),
        }
        if self.status == 405 {
            fields::write("Allow", "GET", out);
        }
        fields::write_end(&self.headers, self.reason.len() + 1, out);
        if !self.is_head {
            out.extend_from_slice(self.reason.as_bytes());
            out.extend_from_slice(b"\n");
        }
    }
}

/// Appends the first line of an answer.
pub(super) fn write_status_line(status: u16, out: &mut BytesMut) {
    let line = format!("HTTP/1.1 {status} {}\r\n", phrase(status));
    out.extend_from_slice(line.as_bytes());
}

/// What a status is called (RFC 9110 §15).
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        202..=299 => "Success",
        _ => "Refused",
    }
}
