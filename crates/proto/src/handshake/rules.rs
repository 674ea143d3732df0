//! What the fields of a request must hold (RFC 6455 §4.2.1, items 2 to 9; RFC 9112 §3.2 and §6).

use super::Rejection;
use super::authority::is_authority;
use super::extension::Extension;
use super::fields::{self, Duplicate};
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
    let host = check_host(fields)?;
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
    let key = check_key(fields)?;
    let origin = check_origin(fields)?;
    check_subprotocols(fields)?;
    check_extensions(fields)?;
    Ok(Checked { host, origin, key })
}

/// The value of a field that may stand only once.
fn only<'a>(fields: &[Header<'a>], name: &str) -> Result<Option<&'a [u8]>, Rejection> {
    fields::single(fields, name).map_err(|Duplicate| bad(format!("the {name} field stands twice")))
}

/// As [`only`], of a field that must be there.
fn needed<'a>(fields: &[Header<'a>], name: &str) -> Result<&'a [u8], Rejection> {
    only(fields, name)?.ok_or_else(|| bad(format!("the {name} field is missing")))
}

/// A request without a valid Host, or with several, gets a 400 (RFC 9112 §3.2).
fn check_host<'a>(fields: &[Header<'a>]) -> Result<&'a str, Rejection> {
    let host = core::str::from_utf8(needed(fields, "Host")?).ok();
    let host = host.filter(|host| is_authority(host));
    host.ok_or_else(|| bad("the Host field is not a host with or without a port"))
}

/// A body would be taken for frames, or the frames for a body.
fn check_no_body(fields: &[Header<'_>]) -> Result<(), Rejection> {
    if fields::all(fields, "Transfer-Encoding").next().is_some() {
        return Err(bad("a request to open a WebSocket connection has no Transfer-Encoding"));
    }
    let is_zero = |length: &[u8]| !length.is_empty() && length.iter().all(|&byte| byte == b'0');
    if !fields::all(fields, "Content-Length").all(is_zero) {
        return Err(bad("a request to open a WebSocket connection has no body"));
    }
    // Nothing may be expected where no body is (RFC 9110 §10.1.1); 101 would have to wait for a 100
    // (§7.8).
    if fields::all(fields, "Expect").next().is_some() {
        return Err(Rejection::new(417, "a request without a body expects nothing"));
    }
    Ok(())
}

fn check_version(fields: &[Header<'_>]) -> Result<(), Rejection> {
    match needed(fields, "Sec-WebSocket-Version")? {
        b"13" => Ok(()),
        _ => Err(Rejection::new(426, "this server speaks version 13 of WebSocket")),
    }
}

fn check_key(fields: &[Header<'_>]) -> Result<Key, Rejection> {
    let key = key::parse(needed(fields, "Sec-WebSocket-Key")?);
    key.ok_or_else(|| bad("Sec-WebSocket-Key is not 16 bytes in base64"))
}

/// An origin is written in ASCII (RFC 6454 §6.2), and stands once (§7.3).
fn check_origin<'a>(fields: &[Header<'a>]) -> Result<Option<&'a str>, Rejection> {
    let Some(value) = only(fields, "Origin")? else { return Ok(None) };
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
    if fields::is_empty_list(fields, PROTOCOL)
        || offered.iter().any(|offered| fields::token(offered).is_none())
    {
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
    let is_invalid = |member| Extension::parse(member).is_none();
    if fields::is_empty_list(fields, EXTENSIONS) || fields::list(fields, EXTENSIONS).any(is_invalid)
    {
        return Err(bad("Sec-WebSocket-Extensions is not a list of extensions"));
    }
    Ok(())
}
