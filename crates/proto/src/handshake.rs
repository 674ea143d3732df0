//! The opening handshake (RFC 6455 §4), both roles, on bytes.

use bytes::BytesMut;

/// Limits of a request or response head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// The most bytes up to the blank line.
    pub bytes_max: usize,
    /// The most header fields.
    pub fields_max: usize,
}

impl Default for HeadLimits {
    /// 16 KiB, 100 fields.
    fn default() -> Self {
        Self { bytes_max: 16 * 1024, fields_max: 100 }
    }
}

/// A valid request to open a WebSocket connection, borrowed from the bytes it came in.
#[derive(Debug)]
pub struct Request<'a> {
    _bytes: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads a request from the front of `bytes`: `Ok(None)` while its head is not whole, else the
    /// request and how many bytes its head takes (frames may follow).
    ///
    /// # Errors
    /// The answer that a peer gets whose request cannot be accepted.
    pub fn parse(
        _bytes: &'a [u8],
        _limits: &HeadLimits,
    ) -> Result<Option<(Self, usize)>, Rejection> {
        todo!()
    }

    /// The request target, as sent: path and query.
    pub fn target(&self) -> &'a str {
        todo!()
    }

    /// The first field of that name (ASCII case is ignored).
    pub fn header(&self, _name: &str) -> Option<&'a [u8]> {
        todo!()
    }

    /// The subprotocols offered, in the client's order.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> {
        std::iter::empty()
    }

    /// Appends `101 Switching Protocols`.
    pub fn accept(&self, _subprotocol: Option<&str>, _out: &mut BytesMut) {
        todo!()
    }
}

/// An HTTP answer that refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The status: 400, 403, 404, 405, 426, 431, 503, …
    pub status: u16,
    /// One line of help, the body.
    pub reason: std::borrow::Cow<'static, str>,
}

impl Rejection {
    /// Appends the answer, with `Connection: close`.
    pub fn encode(&self, _out: &mut BytesMut) {
        todo!()
    }
}

/// What a client asks for.
#[derive(Clone, Debug, Default)]
pub struct ClientRequest<'a> {
    /// The Host field: host and, if not the default, port.
    pub host: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// 16 random bytes: the nonce of Sec-WebSocket-Key.
    pub nonce: [u8; 16],
    /// Subprotocols to offer.
    pub subprotocols: &'a [&'a str],
    /// The Origin field.
    pub origin: Option<&'a str>,
    /// Further fields.
    pub headers: &'a [(&'a str, &'a str)],
}

impl ClientRequest<'_> {
    /// Appends the request. Fails if a value could inject a field.
    pub fn encode(&self, _out: &mut BytesMut) -> Result<(), InvalidHeader> {
        todo!()
    }

    /// Reads the answer from the front of `bytes`: `Ok(None)` while its head is not whole, else the
    /// subprotocol chosen and how many bytes the head takes.
    pub fn check_response<'b>(
        &self,
        _bytes: &'b [u8],
        _limits: &HeadLimits,
    ) -> Result<Option<(Option<&'b str>, usize)>, ResponseError> {
        todo!()
    }
}

/// A header name or value that HTTP does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHeader {
    /// The name of the field.
    pub name: String,
}

/// Why a server's answer opens no WebSocket connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseError {
    /// Another status than 101, with the start of its body.
    Status(u16),
}
