//! What the fields of a request must hold (RFC 6455 §4.2.1, items 2 to 9; RFC 9112 §3.2 and §6).

use super::Rejection;
use super::authority::is_authority;
use super::extension::Extension;
use super::fields;
use super::key::{self, Key};
use super::request::{EXTENSIONS, PROTOCOL, bad};
use alloc::format;
use alloc::vec::Vec;
use httparse::Header;

/// What the rules give back.
pub(super) struct Checked<'a> {
    pub(super) host: &'a str,
    pub(super) origin: Option<&'a str>,
    pub(super) key: Key,
}

/// Holds the fields of a request against all rules.
pub(super) fn check<'a>(fields: &[Header<'a>]) -> Result<Checked<'a>, Rejection> {
    let known = Known::among(fields);
    let host = check_host(&known)?;
    check_no_body(&known, fields)?;
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
    check_version(&known)?;
    let key = check_key(&known)?;
    let origin = check_origin(&known)?;
    if known.has(Name::Protocol) {
        check_subprotocols(fields)?;
    }
    if known.has(Name::Extensions) {
        check_extensions(fields)?;
    }
    Ok(Checked { host, origin, key })
}

/// Holds the fields of a request that asks for no upgrade against the rules for all requests.
pub(super) fn check_plain(fields: &[Header<'_>]) -> Result<(), Rejection> {
    let known = Known::among(fields);
    check_host(&known)?;
    check_no_body(&known, fields)
}

/// The fields that the rules ask for, found in one pass over all: looking for each by itself took
/// longer than reading the head.
struct Known<'a> {
    first: [Option<&'a [u8]>; NAMES.len()],
    is_doubled: [bool; NAMES.len()],
}

#[derive(Clone, Copy)]
enum Name {
    Host,
    Key,
    Version,
    Origin,
    Protocol,
    Extensions,
    ContentLength,
    TransferEncoding,
    Expect,
}

/// In the order of [`Name`].
const NAMES: [&str; 9] = [
    "Host",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Origin",
    PROTOCOL,
    EXTENSIONS,
    "Content-Length",
    "Transfer-Encoding",
    "Expect",
];

impl<'a> Known<'a> {
    fn among(fields: &[Header<'a>]) -> Self {
        let (mut first, mut is_doubled) = ([None; NAMES.len()], [false; NAMES.len()]);
        for field in fields {
            let is_it = |name: &&str| name.eq_ignore_ascii_case(field.name);
            if let Some(at) = NAMES.iter().position(is_it) {
                is_doubled[at] = first[at].is_some();
                first[at] = first[at].or(Some(field.value));
            }
        }
        Self { first, is_doubled }
    }

    fn has(&self, name: Name) -> bool {
        self.first[name as usize].is_some()
    }

    /// The value of a field that may stand only once.
    fn only(&self, name: Name) -> Result<Option<&'a [u8]>, Rejection> {
        if self.is_doubled[name as usize] {
            return Err(bad(format!("the {} field stands twice", NAMES[name as usize])));
        }
        Ok(self.first[name as usize])
    }

    /// As [`only`](Self::only), of a field that must be there.
    fn needed(&self, name: Name) -> Result<&'a [u8], Rejection> {
        let missing = || bad(format!("the {} field is missing", NAMES[name as usize]));
        self.only(name)?.ok_or_else(missing)
    }
}

/// A request without a valid Host, or with several, gets a 400 (RFC 9112 §3.2).
fn check_host<'a>(known: &Known<'a>) -> Result<&'a str, Rejection> {
    let host = core::str::from_utf8(known.needed(Name::Host)?).ok();
    let host = host.filter(|host| is_authority(host));
    host.ok_or_else(|| bad("the Host field is not a host with or without a port"))
}

/// A body would be taken for frames, or the frames for a body.
fn check_no_body(known: &Known<'_>, fields: &[Header<'_>]) -> Result<(), Rejection> {
    if known.has(Name::TransferEncoding) {
        return Err(bad("a request to open a WebSocket connection has no Transfer-Encoding"));
    }
    let is_zero = |length: &[u8]| !length.is_empty() && length.iter().all(|&byte| byte == b'0');
    if known.has(Name::ContentLength) && !fields::all(fields, "Content-Length").all(is_zero) {
        return Err(bad("a request to open a WebSocket connection has no body"));
    }
    // Nothing may be expected where no body is (RFC 9110 §10.1.1); 101 would have to wait for a 100
    // (§7.8).
    if known.has(Name::Expect) {
        return Err(Rejection::new(417, "a request without a body expects nothing"));
    }
    Ok(())
}

fn check_version(known: &Known<'_>) -> Result<(), Rejection> {
    match known.needed(Name::Version)? {
        b"13" => Ok(()),
        _ => Err(Rejection::new(426, "this server speaks version 13 of WebSocket")),
    }
}

fn check_key(known: &Known<'_>) -> Result<Key, Rejection> {
    let key = key::parse(known.needed(Name::Key)?);
    key.ok_or_else(|| bad("Sec-WebSocket-Key is not 16 bytes in base64"))
}

/// An origin is written in ASCII (RFC 6454 §6.2), and stands once (§7.3).
fn check_origin<'a>(known: &Known<'a>) -> Result<Option<&'a str>, Rejection> {
    let Some(value) = known.only(Name::Origin)? else { return Ok(None) };
    let origin = core::str::from_utf8(value).ok();
    let is_origin = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    match origin.filter(is_origin) {
        Some(origin) => Ok(Some(origin)),
        None => Err(bad("the Origin field is not an origin")),
    }
}

/// Tokens, each different from the others (§4.1, item 10).
fn check_subprotocols(fields: &[Header<'_>]) -> Result<(), Rejection> {
    let mut offered: Vec<&[u8]> = fields::list(fields, PROTOCOL).collect();
    if offered.is_empty() || offered.iter().any(|offered| fields::token(offered).is_none()) {
        return Err(bad("Sec-WebSocket-Protocol is not a list of tokens"));
    }
    // Sorted, because a head has room for thousands.
    offered.sort_unstable();
    if offered.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(bad("Sec-WebSocket-Protocol offers a subprotocol twice"));
    }
    Ok(())
}

fn check_extensions(fields: &[Header<'_>]) -> Result<(), Rejection> {
    let mut offered = fields::list(fields, EXTENSIONS).peekable();
    if offered.peek().is_some() && offered.all(|member| Extension::parse(member).is_some()) {
        return Ok(());
    }
    Err(bad("Sec-WebSocket-Extensions is not a list of extensions"))
}
