//! Header fields (RFC 9110 §5): looking them up, and what may stand in them.

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
    named.map(|field| field.value.trim_ascii())
}

/// The members of a list that may go over several fields; empty ones are left out (§5.6.1).
pub(super) fn list<'b>(fields: &[Header<'b>], name: &str) -> impl Iterator<Item = &'b [u8]> {
    let members = all(fields, name).flat_map(|value| value.split(|&byte| byte == b','));
    members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// Whether a list has a member, whatever its case.
pub(super) fn lists(fields: &[Header<'_>], name: &str, member: &str) -> bool {
    list(fields, name).any(|listed| listed.eq_ignore_ascii_case(member.as_bytes()))
}

/// `bytes`, if they are a token (§5.6.2).
pub(super) fn token(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.is_empty() && text.bytes().all(is_token_byte)).then_some(text)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether `value` can stand in a field and not end it.
pub(super) fn is_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control())
}
