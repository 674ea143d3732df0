use super::fields::{self, Duplicate};
use super::{HeadLimits, key};
use bytes::BytesMut;
use httparse::{Header, Status};

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

/// The fields that the handshake itself is made of; `headers` cannot hold them.
const OWN: [&str; 9] = [
    "Host",
    "Upgrade",
    "Connection",
    "Content-Length",
    "Transfer-Encoding",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
];

impl ClientRequest<'_> {
    /// Appends the request.
    ///
    /// # Errors
    /// If a value could end its line and begin another, a name is no token, or one of `headers` is
    /// a field of the handshake itself. Then nothing is appended.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), InvalidHeader> {
        self.check()?;
        let mut put = |parts: &[&str]| {
            parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        };
        let key = key::encode(self.nonce);
        put(&["GET ", self.target, " HTTP/1.1\r\nHost: ", self.host, "\r\n"]);
        put(&["Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"]);
        put(&["Sec-WebSocket-Key: ", &String::from_utf8_lossy(&key), "\r\n"]);
        if !self.subprotocols.is_empty() {
            put(&["Sec-WebSocket-Protocol: ", &self.subprotocols.join(", "), "\r\n"]);
        }
        if let Some(origin) = self.origin {
            put(&["Origin: ", origin, "\r\n"]);
        }
        for (name, value) in self.headers {
            put(&[name, ": ", value, "\r\n"]);
        }
        put(&["\r\n"]);
        Ok(())
    }

    fn check(&self) -> Result<(), InvalidHeader> {
        let graphic = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let is_ours = |name: &str| OWN.iter().any(|own| own.eq_ignore_ascii_case(name));
        let valid = |(name, value): &(&str, &str)| {
            fields::token(name.as_bytes()).is_some() && !is_ours(name) && fields::is_value(value)
        };
        if !graphic(self.host) {
            return Err(InvalidHeader::new("Host"));
        }
        if !graphic(self.target) || !self.target.starts_with('/') || self.target.contains('#') {
            return Err(InvalidHeader::new("the request target"));
        }
        if !self.subprotocols.iter().all(|name| fields::token(name.as_bytes()).is_some()) {
            return Err(InvalidHeader::new("Sec-WebSocket-Protocol"));
        }
        if !self.origin.is_none_or(fields::is_value) {
            return Err(InvalidHeader::new("Origin"));
        }
        match self.headers.iter().find(|header| !valid(header)) {
            Some((name, _)) => Err(InvalidHeader::new(name)),
            None => Ok(()),
        }
    }

    /// Reads the answer from the front of `bytes`: `Ok(None)` while its head is not whole, else the
    /// subprotocol chosen and how many bytes the head takes (frames may follow).
    ///
    /// # Errors
    /// If the answer opens no connection (§4.1).
    pub fn check_response<'b>(
        &self,
        bytes: &'b [u8],
        limits: &HeadLimits,
    ) -> Result<Option<(Option<&'b str>, usize)>, ResponseError> {
        let window = limits.window(bytes);
        let mut fields = vec![httparse::EMPTY_HEADER; limits.fields_max];
        let mut head = httparse::Response::new(&mut fields);
        let size = match head.parse(window) {
            Ok(Status::Complete(size)) => size,
            Ok(Status::Partial) if window.len() < limits.bytes_max => return Ok(None),
            Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Err(ResponseError::HeadTooLong);
            }
            Err(_) => return Err(ResponseError::NotHttp),
        };
        match (head.version, head.code) {
            (Some(1), Some(101)) => {}
            (_, Some(code)) if code != 101 => return Err(refused(code, &head, &bytes[size..])),
            _ => return Err(ResponseError::NotHttp),
        }
        let subprotocol = self.check_fields(head.headers)?;
        Ok(Some((subprotocol, size)))
    }

    fn check_fields<'b>(&self, fields: &[Header<'b>]) -> Result<Option<&'b str>, ResponseError> {
        if !fields::lists(fields, "Upgrade", "websocket") {
            return Err(ResponseError::NoUpgrade);
        }
        if !fields::lists(fields, "Connection", "Upgrade") {
            return Err(ResponseError::NoConnectionUpgrade);
        }
        let accept = key::accept(&key::encode(self.nonce));
        match fields::single(fields, "Sec-WebSocket-Accept") {
            Ok(Some(value)) if value == accept => {}
            _ => return Err(ResponseError::WrongAccept),
        }
        // We offer no extension, so the server can have chosen none.
        if let Some(extension) = fields::list(fields, "Sec-WebSocket-Extensions").next() {
            return Err(ResponseError::ExtensionNotOffered(lossy(extension)));
        }
        self.check_subprotocol(fields)
    }

    fn check_subprotocol<'b>(
        &self,
        fields: &[Header<'b>],
    ) -> Result<Option<&'b str>, ResponseError> {
        let chosen = match fields::single(fields, "Sec-WebSocket-Protocol") {
            Ok(None) => return Ok(None),
            Ok(Some(chosen)) => chosen,
            Err(Duplicate) => return Err(ResponseError::SeveralSubprotocols),
        };
        match fields::token(chosen) {
            Some(name) if self.subprotocols.contains(&name) => Ok(Some(name)),
            _ => Err(ResponseError::SubprotocolNotOffered(lossy(chosen))),
        }
    }
}

fn status_line(code: u16, phrase: &str, body: &str) -> String {
    let mut line = code.to_string();
    for (separator, words) in [(" ", phrase), (": ", body)] {
        if !words.is_empty() {
            line.extend([separator, words]);
        }
    }
    line
}

/// A server that answers in plain HTTP, with the first line of what it says.
fn refused(code: u16, head: &httparse::Response<'_, '_>, body: &[u8]) -> ResponseError {
    let line = body.split(|&byte| byte == b'\n').next().unwrap_or_default();
    ResponseError::Status {
        code,
        phrase: lossy(head.reason.unwrap_or_default().as_bytes()),
        body: lossy(line),
    }
}

/// At most 120 characters to show to a user, without what could disturb a terminal.
fn lossy(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.trim_ascii());
    text.chars().filter(|character| !character.is_control()).take(120).collect()
}

/// A field that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} cannot be sent: it is malformed, or the handshake sets it itself")]
pub struct InvalidHeader {
    /// The name of the field.
    pub name: String,
}

impl InvalidHeader {
    fn new(name: &str) -> Self {
        Self { name: lossy(name.as_bytes()) }
    }
}

/// Why a server's answer opens no WebSocket connection (RFC 6455 §4.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// Another status than 101.
    #[error("the server answered {}", status_line(*code, phrase, body))]
    Status {
        /// The status.
        code: u16,
        /// What stands beside it.
        phrase: String,
        /// The first line of the body, as far as it has come.
        body: String,
    },
    /// The answer is not HTTP/1.1.
    #[error("the server does not speak HTTP/1.1")]
    NotHttp,
    /// The head is longer, or has more fields, than [`HeadLimits`] allow.
    #[error("the head of the server's answer is too long")]
    HeadTooLong,
    /// The Upgrade field is missing or is not `websocket`.
    #[error("the server's answer does not upgrade to websocket")]
    NoUpgrade,
    /// The Connection field does not name Upgrade.
    #[error("the server's answer has no Connection: Upgrade")]
    NoConnectionUpgrade,
    /// Sec-WebSocket-Accept is missing, stands twice, or answers another key.
    #[error("the server's Sec-WebSocket-Accept does not answer our key")]
    WrongAccept,
    /// The server chose an extension that was not offered.
    #[error("the server chose the extension {0:?}, which was not offered")]
    ExtensionNotOffered(String),
    /// The server chose a subprotocol that was not offered.
    #[error("the server chose the subprotocol {0:?}, which was not offered")]
    SubprotocolNotOffered(String),
    /// The server chose several subprotocols.
    #[error("the server chose more than one subprotocol")]
    SeveralSubprotocols,
}
