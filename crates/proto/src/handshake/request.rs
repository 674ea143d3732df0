use super::extension::Extension;
use super::fields::{self, InvalidHeader};
use super::head::{self, Parsed};
use super::key::{self, Key};
use super::rules::{self, Checked};
use super::target::Target;
use super::{HeadLimits, Rejection};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use bytes::BytesMut;
use httparse::{Header, Status};

/// A valid request to open a WebSocket connection, borrowed from the bytes it came in.
///
/// Its values are the peer's words, and no more than well-formed.
#[derive(Debug)]
pub struct Request<'a> {
    target: &'a str,
    parts: Target<'a>,
    host: &'a str,
    origin: Option<&'a str>,
    fields: Vec<Header<'a>>,
    key: Key,
}

impl<'a> Request<'a> {
    /// Reads a request from the front of `bytes`: `Ok(None)` while its head is not whole, else the
    /// request and how many bytes its head takes. What follows them are frames.
    ///
    /// Each call reads the head from its start; for one that comes in many pieces see
    /// [`HeadProgress`](super::HeadProgress).
    ///
    /// # Errors
    /// The answer that a peer gets whose request cannot be accepted (RFC 6455 §4.2.1), as soon as
    /// that is certain. However the request is cut into pieces, the answer is the same.
    pub fn parse(bytes: &'a [u8], limits: &HeadLimits) -> Result<Option<(Self, usize)>, Rejection> {
        let window = limits.window(bytes);
        let lines = head::without_empty_line(window).ok_or_else(|| not_http(window))?;
        let ((line, fields), parsed) = read(lines, limits.fields_max);
        let parts = line.check()?;
        let size = match parsed {
            Ok(Status::Complete(size)) if head::ends_lines_well(&lines[..size]) => size,
            unfinished => {
                check_line_ends(lines, limits)?;
                unfinished.map_err(|error| malformed(error, window))?;
                return if window.len() < limits.bytes_max {
                    Ok(None)
                } else {
                    Err(line.too_long())
                };
            }
        };
        let (target, parts) = parts.expect("a whole head has a target");
        let Checked { host, origin, key } = rules::check(&fields)?;
        let host = parts.authority.unwrap_or(host);
        let request = Self { target, parts, host, origin, fields, key };
        Ok(Some((request, window.len() - lines.len() + size)))
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

    /// Host and, if it is given, port that the client means to speak to: of the target if that
    /// names them, else of the Host field (RFC 9112 §3.2.2).
    pub fn host(&self) -> &'a str {
        self.host
    }

    /// The Origin field. Browsers send it, and cannot be made to lie (RFC 6455 §10.2).
    pub fn origin(&self) -> Option<&'a str> {
        self.origin
    }

    /// Holds the Origin against a list of those that are allowed, such as `https://example.org`.
    /// A client that is no browser may have none, and passes.
    ///
    /// # Errors
    /// 403 for an Origin that is not in the list (RFC 6455 §4.2.2, §10.2); `null` must be in it, too.
    pub fn check_origin(&self, allowed: &[&str]) -> Result<(), Rejection> {
        let is_allowed = |origin: &str| allowed.iter().any(|one| one.eq_ignore_ascii_case(origin));
        if self.origin.is_none_or(is_allowed) {
            return Ok(());
        }
        Err(Rejection::new(403, "pages of this origin must not connect here"))
    }

    /// The first field of that name (ASCII case is ignored).
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        fields::all(&self.fields, name).next()
    }

    /// Names and values of all fields, in their order. Values hold no control character but tabs;
    /// they need not be ASCII.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.fields.iter().map(|field| (field.name, field.value))
    }

    /// The value of the first cookie of that name, as sent (RFC 6265 §4.2.1).
    pub fn cookie(&self, name: &str) -> Option<&'a [u8]> {
        let cookies = fields::all(&self.fields, "Cookie").flat_map(|all| all.split(|&b| b == b';'));
        cookies.map(<[u8]>::trim_ascii).find_map(|cookie| {
            cookie.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
        })
    }

    /// The subprotocols offered, in the client's order; none stands twice.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> {
        fields::list(&self.fields, PROTOCOL).filter_map(fields::token)
    }

    /// The first of `ours` that the client offers.
    pub fn subprotocol_among<'s>(&self, ours: &[&'s str]) -> Option<&'s str> {
        ours.iter().copied().find(|&one| self.offers(one))
    }

    fn offers(&self, subprotocol: &str) -> bool {
        self.subprotocols().any(|offered| offered == subprotocol)
    }

    /// The extensions offered, in the client's order, which is that of its preference. One that
    /// stands twice is offered with the parameters of either.
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'a>> {
        fields::list(&self.fields, EXTENSIONS).filter_map(Extension::parse)
    }

    /// Appends `101 Switching Protocols` with the subprotocol chosen and further fields, such as
    /// Set-Cookie.
    ///
    /// # Errors
    /// If the subprotocol is not one that the client offered (§4.2.2), or a field is malformed,
    /// could end its line, or is one that the handshake sets. Then nothing is appended.
    pub fn accept(
        &self,
        subprotocol: Option<&str>,
        headers: &[(&str, &str)],
        out: &mut BytesMut,
    ) -> Result<(), InvalidHeader> {
        // Offered ones are tokens, so this also keeps line breaks out of the answer.
        if !subprotocol.is_none_or(|chosen| self.offers(chosen)) {
            return Err(InvalidHeader::new(PROTOCOL));
        }
        headers.iter().try_for_each(|(name, value)| fields::check(name, value))?;
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: ",
        );
        out.extend_from_slice(&key::accept(&self.key));
        out.extend_from_slice(b"\r\n");
        let chosen = subprotocol.map(|chosen| (PROTOCOL, chosen));
        for (name, value) in chosen.iter().chain(headers) {
            fields::write(name, value, out);
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

pub(super) const PROTOCOL: &str = "Sec-WebSocket-Protocol";
pub(super) const EXTENSIONS: &str = "Sec-WebSocket-Extensions";

/// The first byte of a TLS stream (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// What was read of the request line.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    method: Option<&'a str>,
    target: Option<&'a str>,
    version: Option<u8>,
}

impl<'a> Line<'a> {
    /// Checks as much of the line as was read (§4.2.1, items 1 and 2), and takes the target apart.
    pub(super) fn check(&self) -> Result<Option<(&'a str, Target<'a>)>, Rejection> {
        if let Some(method) = self.method.filter(|&method| method != "GET") {
            let refusal = Rejection::new(405, "a WebSocket connection is opened with GET");
            return Err(if method == "HEAD" { refusal.without_body() } else { refusal });
        }
        let parts = self.target.map(|target| Target::parse(target).map(|parts| (target, parts)));
        if parts == Some(None) {
            return Err(bad("the request target must be a path that begins with /"));
        }
        if self.version == Some(0) {
            return Err(bad("a WebSocket connection needs HTTP/1.1"));
        }
        Ok(parts.flatten())
    }

    /// The refusal of a head that goes on beyond the limit (RFC 9112 §3, RFC 6585 §5).
    fn too_long(&self) -> Rejection {
        match (self.method, self.target) {
            (None, _) => Rejection::new(501, "the request method is too long"),
            (_, None) => Rejection::new(414, "the request target is too long"),
            _ => Rejection::new(431, "the request head is too long"),
        }
    }
}

pub(super) type Read<'a> = (Line<'a>, Vec<Header<'a>>);

pub(super) fn read(lines: &[u8], fields_max: usize) -> (Read<'_>, Parsed) {
    head::with_room(lines, fields_max, |lines, room| {
        let mut head = httparse::Request::new(&mut []);
        let parsed = head.parse_with_uninit_headers(lines, room);
        let line = Line { method: head.method, target: head.path, version: head.version };
        ((line, head.headers.to_vec()), parsed)
    })
}

/// A line that ends in LF alone is refused (RFC 9112 §2.2 leaves the choice): who reads it otherwise
/// sees another request. What is wrong before it is told first.
fn check_line_ends(lines: &[u8], limits: &HeadLimits) -> Result<(), Rejection> {
    let Some(part) = head::up_to_bare_line_feed(lines) else { return Ok(()) };
    match read(part, limits.fields_max).1 {
        Ok(_) => Err(bad("a line of the request ends without a carriage return")),
        Err(error) => Err(malformed(error, part)),
    }
}

pub(super) fn bad(reason: impl Into<Cow<'static, str>>) -> Rejection {
    Rejection::new(400, reason)
}

/// What a request gets that could not be read.
fn malformed(error: httparse::Error, bytes: &[u8]) -> Rejection {
    match error {
        httparse::Error::TooManyHeaders => Rejection::new(431, "the request has too many fields"),
        httparse::Error::Version => Rejection::new(505, "this server speaks HTTP/1.1"),
        httparse::Error::HeaderName => bad("a header field's name is malformed"),
        httparse::Error::HeaderValue => bad("a header field's value is malformed"),
        _ => not_http(bytes),
    }
}

fn not_http(bytes: &[u8]) -> Rejection {
    bad(match bytes.first() {
        Some(&TLS_HANDSHAKE) => "this is TLS, and the server speaks plain HTTP here",
        _ => "this is not an HTTP/1.1 request",
    })
}
