//! Header fields (RFC 9110 §5): looking them up, and what may stand in those that we send.

use alloc::string::{String, ToString};
use bytes::BytesMut;
use httparse::Header;

/// The value of the only field of that name.
///
/// # Errors
/// If there are several.
pub(super) fn single<'b>(fields: &[Header<'b>], name: &str) -> Result<Option<&'b [u8]>, Duplicate> {
    let mut values = all(fields, name);
    let value = values.next();
    if values.next().is_some() { Err(Duplicate) } else { Ok(value) }
}

/// A field that may stand once stands twice.
#[derive(Debug)]
pub(super) struct Duplicate;

/// The values of all fields of that name, in their order.
pub(super) fn all<'b>(fields: &[Header<'b>], name: &str) -> impl Iterator<Item = &'b [u8]> {
    let named = fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
    named.map(|field| field.value)
}

/// The members of a list that may go over several fields; empty ones are left out (§5.6.1).
pub(super) fn list<'b>(fields: &[Header<'b>], name: &str) -> impl Iterator<Item = &'b [u8]> {
    let members = all(fields, name).flat_map(|value| value.split(|&byte| byte == b','));
    members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// Whether a list has a member, whatever its case. Most lists have one.
pub(super) fn lists(fields: &[Header<'_>], name: &str, member: &str) -> bool {
    let is_member = |listed: &[u8]| listed.eq_ignore_ascii_case(member.as_bytes());
    all(fields, name).any(is_member) || list(fields, name).any(is_member)
}

/// Whether a list has that member and no other, whatever its case.
pub(super) fn lists_only(fields: &[Header<'_>], name: &str, member: &str) -> bool {
    let is_other = |listed: &[u8]| !listed.eq_ignore_ascii_case(member.as_bytes());
    lists(fields, name, member) && !list(fields, name).any(is_other)
}

/// `bytes`, if they are a token (§5.6.2).
pub(super) fn token(bytes: &[u8]) -> Option<&str> {
    let text = core::str::from_utf8(bytes).ok()?;
    (!text.is_empty() && text.bytes().all(is_token_byte)).then_some(text)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether `value` can stand in a field and not end it (§5.5).
pub(super) fn is_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control())
}

/// Whether a field is one that the handshake itself is made of.
fn is_ours(name: &str) -> bool {
    const OURS: [&str; 5] =
        ["Host", "Upgrade", "Connection", "Content-Length", "Transfer-Encoding"];
    const PREFIX: &str = "Sec-WebSocket-";
    let starts = name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    starts || OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name))
}

/// Holds a field that the embedder adds against the rules.
///
/// # Errors
/// If its name is no token or one of the handshake's own, or its value could end the line.
pub(super) fn check(name: &str, value: &str) -> Result<(), InvalidHeader> {
    let is_valid = token(name.as_bytes()).is_some() && !is_ours(name) && is_value(value);
    if is_valid { Ok(()) } else { Err(InvalidHeader::new(name)) }
}

/// Appends `name: value`.
pub(super) fn write(name: &str, value: &str, out: &mut BytesMut) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends the end of an answer's head: the fields that the embedder added, what the body is (plain
/// text unless they say otherwise) and how long.
pub(super) fn write_end(added: &[(String, String)], body_len: usize, out: &mut BytesMut) {
    added.iter().for_each(|(name, value)| write(name, value, out));
    let names_type = |(name, _): &(String, String)| name.eq_ignore_ascii_case("Content-Type");
    if !added.iter().any(names_type) {
        write("Content-Type", "text/plain; charset=utf-8", out);
    }
    write("Content-Length", &body_len.to_string(), out);
    out.extend_from_slice(b"\r\n");
}

/// A field that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} cannot be sent: it is malformed, was not offered, or is set by the handshake")]
pub struct InvalidHeader {
    /// The name of the field.
    pub name: String,
}

impl InvalidHeader {
    pub(super) fn new(name: &str) -> Self {
        Self { name: lossy(name.as_bytes()) }
    }
}

/// At most 120 characters to show to a user, without what could disturb a terminal.
pub(super) fn lossy(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.trim_ascii());
    text.chars().filter(|character| !character.is_control()).take(120).collect()
}
