//! Plain HTTP on the port of a WebSocket server: a request that asks for no upgrade, and its answer.

use super::fields::{self, InvalidHeader};
use super::head;
use super::rejection::write_status_line;
use super::request::read;
use super::target::Target;
use super::{HeadLimits, rules};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use httparse::{Header, Status};

/// A GET of plain HTTP/1.1 (RFC 9110 §9.3.1) that is valid and asks for no WebSocket connection.
#[derive(Debug)]
pub struct PlainRequest<'a> {
    target: &'a str,
    parts: Target<'a>,
    fields: Vec<Header<'a>>,
}

impl<'a> PlainRequest<'a> {
    /// Looks at a request that [`Request::parse`](super::Request::parse) has refused with 426: none,
    /// if it asks for another version of WebSocket, or is not valid or not whole.
    pub fn parse(bytes: &'a [u8], limits: &HeadLimits) -> Option<Self> {
        let lines = head::without_empty_line(limits.window(bytes))?;
        let ((line, fields), parsed) = read(lines, limits.fields_max);
        let Ok(Status::Complete(size)) = parsed else { return None };
        let (target, parts) = line.check().ok()??;
        let is_plain = head::ends_lines_well(&lines[..size])
            && rules::check_plain(&fields).is_ok()
            && !fields::lists(&fields, "Upgrade", "websocket");
        is_plain.then_some(Self { target, parts, fields })
    }

    /// The request target, as sent.
    pub fn target(&self) -> &'a str {
        self.target
    }

    /// The path: begins with `/`, is not percent-decoded.
    pub fn path(&self) -> &'a str {
        self.parts.path
    }

    /// What follows the `?` of the target, not decoded.
    pub fn query(&self) -> Option<&'a str> {
        self.parts.query
    }

    /// The first field of that name (ASCII case is ignored).
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        fields::all(&self.fields, name).next()
    }

    /// Names and values of all fields, in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.fields.iter().map(|field| (field.name, field.value))
    }
}

/// An HTTP answer to a [`PlainRequest`], after which the connection is closed.
///
/// ```
/// use halfopen_proto::handshake::Answer;
///
/// let page = Answer::new(200, "<p>Hello").with_header("Content-Type", "text/html")?;
/// let mut head = bytes::BytesMut::new();
/// page.encode_head(&mut head);
/// assert!(head.starts_with(b"HTTP/1.1 200 OK\r\nConnection: close\r\n"));
/// assert!(head.ends_with(b"\r\nContent-Length: 8\r\n\r\n"));
/// # Ok::<(), halfopen_proto::handshake::InvalidHeader>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Answer {
    /// An answer with a body, which is plain text unless a Content-Type says otherwise.
    ///
    /// # Panics
    /// If the status is none of a final answer, or one that has no body (204, 205, 304).
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        let is_final = (200..600).contains(&status) && ![204, 205, 304].contains(&status);
        assert!(is_final, "{status} has no body");
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// Adds a field.
    ///
    /// # Errors
    /// If it is malformed, could end its line, or is a field that the answer sets itself.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, InvalidHeader> {
        fields::check(name, value)?;
        self.headers.push((name.into(), value.into()));
        Ok(self)
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What follows the head.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Appends all but the body, with `Connection: close`.
    pub fn encode_head(&self, out: &mut BytesMut) {
        write_status_line(self.status, out);
        fields::write("Connection", "close", out);
        fields::write_end(&self.headers, self.body.len(), out);
    }
}
