use super::fields::{self, Duplicate};
use super::key::{self, Key};
use super::{HeadLimits, Rejection};
use bytes::BytesMut;
use httparse::{Header, Status};

/// A valid request to open a WebSocket connection, borrowed from the bytes it came in.
#[derive(Debug)]
pub struct Request<'a> {
    target: &'a str,
    fields: Vec<Header<'a>>,
    key: Key,
}

impl<'a> Request<'a> {
    /// Reads a request from the front of `bytes`: `Ok(None)` while its head is not whole, else the
    /// request and how many bytes its head takes (frames may follow).
    ///
    /// Each call reads the head from its start. A caller that gets it byte by byte bounds the work
    /// by [`HeadLimits::bytes_max`] and a deadline.
    ///
    /// # Errors
    /// The answer that a peer gets whose request cannot be accepted, as soon as that is certain.
    pub fn parse(bytes: &'a [u8], limits: &HeadLimits) -> Result<Option<(Self, usize)>, Rejection> {
        let window = limits.window(bytes);
        let mut fields = vec![httparse::EMPTY_HEADER; limits.fields_max];
        let mut head = httparse::Request::new(&mut fields);
        let parsed = head.parse(window);
        check_request_line(&head)?;
        let size = match parsed.map_err(|error| malformed(error, bytes))? {
            Status::Complete(size) => size,
            Status::Partial if window.len() < limits.bytes_max => return Ok(None),
            Status::Partial => return Err(Rejection::new(431, "the request head is too long")),
        };
        let target = head.path.unwrap_or_default();
        let count = head.headers.len();
        fields.truncate(count);
        let key = check_fields(&fields)?;
        Ok(Some((Self { target, fields, key }, size)))
    }

    /// The request target, as sent: path and query.
    pub fn target(&self) -> &'a str {
        self.target
    }

    /// The first field of that name (ASCII case is ignored).
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        fields::all(&self.fields, name).next()
    }

    /// The subprotocols offered, in the client's order.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> {
        fields::list(&self.fields, PROTOCOL).filter_map(fields::token)
    }

    /// Appends `101 Switching Protocols`.
    ///
    /// # Panics
    /// If the subprotocol is not one that the client offered (§4.2.2).
    pub fn accept(&self, subprotocol: Option<&str>, out: &mut BytesMut) {
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: ",
        );
        out.extend_from_slice(&key::accept(&self.key));
        if let Some(chosen) = subprotocol {
            // Offered ones are tokens, so this also keeps line breaks out of the answer.
            assert!(self.subprotocols().any(|offered| offered == chosen), "{chosen:?} not offered");
            out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
            out.extend_from_slice(chosen.as_bytes());
        }
        out.extend_from_slice(b"\r\n\r\n");
    }
}

const PROTOCOL: &str = "Sec-WebSocket-Protocol";

/// The first byte of a TLS stream (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

fn bad(reason: &'static str) -> Rejection {
    Rejection::new(400, reason)
}

/// What a request gets that could not be read.
fn malformed(error: httparse::Error, bytes: &[u8]) -> Rejection {
    match error {
        _ if bytes[0] == TLS_HANDSHAKE => bad("this is TLS, and the server speaks plain HTTP here"),
        httparse::Error::TooManyHeaders => Rejection::new(431, "the request has too many fields"),
        httparse::Error::Version => Rejection::new(505, "this server speaks HTTP/1.1"),
        httparse::Error::HeaderName => bad("a header field's name is malformed"),
        httparse::Error::HeaderValue => bad("a header field's value is malformed"),
        _ => bad("this is not an HTTP/1.1 request"),
    }
}

/// Checks as much of the request line as was read (§4.2.1, items 1 and 2).
fn check_request_line(head: &httparse::Request<'_, '_>) -> Result<(), Rejection> {
    if head.method.is_some_and(|method| method != "GET") {
        return Err(Rejection::new(405, "a WebSocket connection is opened with GET"));
    }
    if head.path.is_some_and(|target| !is_target(target)) {
        return Err(bad("the request target must be a path that begins with /"));
    }
    if head.version == Some(0) {
        return Err(bad("a WebSocket connection needs HTTP/1.1"));
    }
    Ok(())
}

/// A path, or the absolute form that a server must understand too (RFC 9112 §3.2.2).
fn is_target(target: &str) -> bool {
    let starts = ["/", "http://", "https://"].iter().any(|start| target.starts_with(start));
    starts && !target.contains('#')
}

/// Checks the fields (§4.2.1, items 3 to 8) and gives the key back.
fn check_fields(fields: &[Header<'_>]) -> Result<Key, Rejection> {
    check_host(fields)?;
    check_no_body(fields)?;
    if !fields::lists(fields, "Upgrade", "websocket") {
        return Err(Rejection::new(
            426,
            "this is a WebSocket endpoint: connect with a WebSocket client \
             (a proxy in between must pass on Upgrade and Connection)",
        ));
    }
    if !fields::lists(fields, "Connection", "Upgrade") {
        return Err(bad("the Connection field does not name Upgrade"));
    }
    check_version(fields)?;
    if fields::list(fields, PROTOCOL).any(|offered| fields::token(offered).is_none()) {
        return Err(bad("Sec-WebSocket-Protocol holds something that is no token"));
    }
    check_key(fields)
}

fn check_host(fields: &[Header<'_>]) -> Result<(), Rejection> {
    match fields::single(fields, "Host") {
        Ok(Some(host)) if !host.is_empty() => Ok(()),
        Ok(_) => Err(bad("the Host field is missing")),
        Err(Duplicate) => Err(bad("the Host field stands twice")),
    }
}

/// A body would be taken for frames, or the frames for a body.
fn check_no_body(fields: &[Header<'_>]) -> Result<(), Rejection> {
    if fields::all(fields, "Transfer-Encoding").next().is_some() {
        return Err(bad("a request to open a WebSocket connection has no Transfer-Encoding"));
    }
    if fields::all(fields, "Content-Length").any(|length| length != b"0") {
        return Err(bad("a request to open a WebSocket connection has no body"));
    }
    Ok(())
}

fn check_version(fields: &[Header<'_>]) -> Result<(), Rejection> {
    match fields::single(fields, "Sec-WebSocket-Version") {
        Ok(Some(b"13")) => Ok(()),
        Ok(Some(_)) => Err(Rejection::new(426, "this server speaks version 13 of WebSocket")),
        Ok(None) => Err(bad("the Sec-WebSocket-Version field is missing")),
        Err(Duplicate) => Err(bad("the Sec-WebSocket-Version field stands twice")),
    }
}

fn check_key(fields: &[Header<'_>]) -> Result<Key, Rejection> {
    match fields::single(fields, "Sec-WebSocket-Key") {
        Ok(Some(value)) => {
            key::parse(value).ok_or_else(|| bad("Sec-WebSocket-Key is not 16 bytes in base64"))
        }
        Ok(None) => Err(bad("the Sec-WebSocket-Key field is missing")),
        Err(Duplicate) => Err(bad("the Sec-WebSocket-Key field stands twice")),
    }
}
