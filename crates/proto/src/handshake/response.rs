use super::fields::{self, Duplicate, lossy};
use super::head::{self, Parsed};
use super::request::{EXTENSIONS, PROTOCOL};
use super::{ClientRequest, HeadLimits, key};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use httparse::{Header, Status};

/// An answer that opened the connection, borrowed from the bytes it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    subprotocol: Option<&'a str>,
    fields: Vec<Header<'a>>,
}

impl<'a> Response<'a> {
    /// The subprotocol that the server chose, one of those that were offered.
    pub fn subprotocol(&self) -> Option<&'a str> {
        self.subprotocol
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

impl ClientRequest<'_> {
    /// Reads the answer from the front of `bytes`: `Ok(None)` while its head is not whole, else the
    /// answer and how many bytes it takes. What follows them are frames.
    ///
    /// Interim answers (such as 103) before it are passed over (RFC 9110 §15.2), within the limits.
    ///
    /// # Errors
    /// If the answer opens no connection (§4.1).
    pub fn check_response<'b>(
        &self,
        bytes: &'b [u8],
        limits: &HeadLimits,
    ) -> Result<Option<(Response<'b>, usize)>, ResponseError> {
        let window = limits.window(bytes);
        let mut size = 0;
        loop {
            let Some(head) = Head::read(&window[size..], limits.fields_max)? else {
                let is_full = window.len() == limits.bytes_max;
                return if is_full { Err(ResponseError::HeadTooLong) } else { Ok(None) };
            };
            size += head.size;
            match head.code {
                _ if head.version != 1 => return Err(ResponseError::NotHttp),
                101 => {
                    let subprotocol = self.check_fields(&head.fields)?;
                    return Ok(Some((Response { subprotocol, fields: head.fields }, size)));
                }
                100..=199 => {}
                _ => return Err(head.refused(&bytes[size..])),
            }
        }
    }

    /// Checks the fields of a 101 (§4.1, items 2 to 6), and gives the subprotocol back.
    fn check_fields<'b>(&self, fields: &[Header<'b>]) -> Result<Option<&'b str>, ResponseError> {
        if !fields::lists_only(fields, "Upgrade", "websocket") {
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
        if let Some(extension) = fields::list(fields, EXTENSIONS).next() {
            return Err(ResponseError::ExtensionNotOffered(lossy(extension)));
        }
        self.check_subprotocol(fields)
    }

    fn check_subprotocol<'b>(
        &self,
        fields: &[Header<'b>],
    ) -> Result<Option<&'b str>, ResponseError> {
        let chosen = match fields::single(fields, PROTOCOL) {
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

/// The head of an answer, whatever it says.
struct Head<'a> {
    version: u8,
    code: u16,
    phrase: &'a str,
    fields: Vec<Header<'a>>,
    size: usize,
}

impl<'a> Head<'a> {
    /// Reads one from the front of `bytes`, if it is whole.
    fn read(bytes: &'a [u8], fields_max: usize) -> Result<Option<Self>, ResponseError> {
        // An answer has no empty line before it.
        if matches!(bytes, [b'\r' | b'\n', ..]) {
            return Err(ResponseError::NotHttp);
        }
        let (head, parsed) = head::with_room(bytes, fields_max, Self::parse);
        match parsed {
            Ok(Status::Complete(size)) if head::ends_lines_well(&bytes[..size]) => {
                Ok(Some(Self { size, ..head }))
            }
            Ok(Status::Partial) => Ok(None),
            Err(httparse::Error::TooManyHeaders) => Err(ResponseError::HeadTooLong),
            Ok(Status::Complete(_)) | Err(_) => Err(ResponseError::NotHttp),
        }
    }

    fn parse(bytes: &'a [u8], room: &mut [MaybeUninit<Header<'a>>]) -> (Self, Parsed) {
        let mut head = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let parsed = config.parse_response_with_uninit_headers(&mut head, bytes, room);
        let head = Self {
            version: head.version.unwrap_or_default(),
            code: head.code.unwrap_or_default(),
            phrase: head.reason.unwrap_or_default(),
            fields: head.headers.to_vec(),
            size: 0,
        };
        (head, parsed)
    }

    /// A server that answers in plain HTTP, with the first line of what it says.
    fn refused(&self, body: &[u8]) -> ResponseError {
        let line = body.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let phrase = lossy(self.phrase.as_bytes());
        ResponseError::Status { code: self.code, phrase, body: lossy(line) }
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

fn status_line(code: u16, phrase: &str, body: &str) -> String {
    let mut line = code.to_string();
    for (separator, words) in [(" ", phrase), (": ", body)] {
        if !words.is_empty() {
            line.extend([separator, words]);
        }
    }
    line
}
