//! Sec-WebSocket-Extensions (RFC 6455 §9.1).

use super::fields::token;
use alloc::borrow::Cow;
use alloc::string::String;

/// An extension that a client offers, with its parameters; valid by the grammar.
///
/// Whether the parameters make sense, and stand no more than once, is the extension's own matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    name: &'a str,
    /// The parameters as sent, without the first semicolon; none, if there was none.
    params: Option<&'a str>,
}

impl<'a> Extension<'a> {
    /// `extension-token *( ";" extension-param )`, one member of the list.
    ///
    /// Neither a list's commas nor the semicolons can stand inside a quoted value, because a value
    /// must be a token when it is unquoted.
    pub(super) fn parse(member: &'a [u8]) -> Option<Self> {
        let member = core::str::from_utf8(member).ok()?;
        let (name, params) = match member.split_once(';') {
            Some((name, params)) => (name, Some(params)),
            None => (member, None),
        };
        let extension = Self { name: token(name.trim_ascii().as_bytes())?, params };
        extension.raw_params().all(|param| read_param(param).is_some()).then_some(extension)
    }

    /// The extension's name, as sent.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Names and, where there are any, values of the parameters, in their order.
    pub fn params(&self) -> impl Iterator<Item = (&'a str, Option<Cow<'a, str>>)> + use<'a> {
        self.raw_params().filter_map(read_param)
    }

    fn raw_params(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.params.into_iter().flat_map(|params| params.split(';'))
    }
}

/// `token [ "=" (token | quoted-string) ]`. The grammar is that of RFC 2616, where white space may
/// stand between any two of its parts.
fn read_param(param: &str) -> Option<(&str, Option<Cow<'_, str>>)> {
    let Some((name, value)) = param.split_once('=') else {
        return Some((token(param.trim_ascii().as_bytes())?, None));
    };
    let value = unquoted(value.trim_ascii())?;
    token(value.as_bytes())?;
    Some((token(name.trim_ascii().as_bytes())?, Some(value)))
}

/// A value without its quotes and backslashes, if it had any (RFC 9110 §5.6.4).
fn unquoted(value: &str) -> Option<Cow<'_, str>> {
    let Some(quoted) = value.strip_prefix('"') else { return Some(Cow::Borrowed(value)) };
    let quoted = quoted.strip_suffix('"')?;
    if !quoted.contains('\\') {
        return Some(Cow::Borrowed(quoted));
    }
    let mut plain = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next()? } else { character });
    }
    Some(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name; param=value; …` of what was read, each value without its quotes.
    fn plain(member: &str) -> Option<String> {
        let extension = Extension::parse(member.as_bytes())?;
        let mut text = String::from(extension.name());
        for (name, value) in extension.params() {
            text.extend(["; ", name]);
            value.iter().for_each(|value| text.extend(["=", value]));
        }
        Some(text)
    }

    #[test]
    fn names_and_parameters_are_read() {
        let params = "permessage-deflate; client_max_window_bits; server_max_window_bits=10";
        for (member, read) in [
            ("foo", "foo"),
            (params, params),
            (" foo ;b;\tc= 1 ", "foo; b; c=1"),
            (r#"a; b="10""#, "a; b=10"),
            (r#"a; b = "10" ; c"#, "a; b=10; c"),
            (r#"a;b="1\0""#, "a; b=10"),
            (r#"a;b="\1\0""#, "a; b=10"),
        ] {
            assert_eq!(plain(member).as_deref(), Some(read), "{member}");
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_nothing() {
        let wrong = [
            "",
            ";",
            "a;",
            "a;;b",
            ";b",
            "a b",
            "a; b c",
            "a;=1",
            "a; b=",
            "a; b=\"\"",
            "a=1",
            "a; b=\"1",
            "a; b=1\"",
            "a; b=\"1 2\"",
            "a; b=\"1;2\"",
            "a; b=\"1\\\"",
            "a; b=\"\\,\"",
            "a; b=c=d",
            "a; b=\"x\"y",
            "é",
            "a; b=é",
            "a/1",
            "a; b=\"",
            "\"a\"",
        ];
        for text in wrong {
            assert_eq!(plain(text), None, "{text}");
        }
    }
}
