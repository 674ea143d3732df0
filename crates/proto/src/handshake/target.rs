//! The request target (RFC 9112 §3.2): a path, or an absolute URI that holds one.

use super::authority::is_authority;

/// A target's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// Host and port, in the absolute form only.
    pub(super) authority: Option<&'a str>,
    /// From the `/` on, and `/` where the absolute form has none.
    pub(super) path: &'a str,
    /// What stands behind the `?`.
    pub(super) query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// The parts of a target in origin form, or in the absolute form that a server must understand
    /// too (§3.2.2; RFC 6455 §4.1 names the schemes). A fragment is no part of it (RFC 6455 §3).
    pub(super) fn parse(target: &'a str) -> Option<Self> {
        if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return None;
        }
        let (authority, rest) = match without_scheme(target) {
            Some(rest) => {
                let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
                (Some(authority), rest)
            }
            None => (None, target),
        };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let path = if path.is_empty() && authority.is_some() { "/" } else { path };
        let is_valid = path.starts_with('/') && authority.is_none_or(is_authority);
        is_valid.then_some(Self { authority, path, query })
    }
}

fn without_scheme(target: &str) -> Option<&str> {
    ["http://", "https://"].iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn a_target_is_taken_apart() {
        let parts = |target| {
            let parsed = Target::parse(target)?;
            Some((parsed.authority, parsed.path, parsed.query))
        };
        assert_eq!(parts("/"), Some((None, "/", None)));
        assert_eq!(parts("//x"), Some((None, "//x", None)));
        assert_eq!(parts("/chat?room=1?2"), Some((None, "/chat", Some("room=1?2"))));
        assert_eq!(parts("/?"), Some((None, "/", Some(""))));
        assert_eq!(parts("http://a.b:80/chat"), Some((Some("a.b:80"), "/chat", None)));
        assert_eq!(parts("HTTPS://a"), Some((Some("a"), "/", None)));
        assert_eq!(parts("http://a?b/c"), Some((Some("a"), "/", Some("b/c"))));
        for wrong in ["", "*", "chat", "?x", "/a#b", "/a b", "/é", "/\u{7f}", "ftp://a/"] {
            assert_eq!(parts(wrong), None, "{wrong:?}");
        }
        for wrong in ["http://", "http:///chat", "http://u@a/", "http:/a", "example.org:80"] {
            assert_eq!(parts(wrong), None, "{wrong:?}");
        }
    }
}
