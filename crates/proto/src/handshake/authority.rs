//! Host and port (RFC 3986 §3.2), as they stand in a Host field and in an absolute target.

use core::net::Ipv6Addr;

/// Whether `text` is `uri-host [":" port]` with a host that is not empty (RFC 9110 §7.2, §4.2.1).
/// Userinfo has no place there (RFC 9110 §4.2.4).
pub(super) fn is_authority(text: &str) -> bool {
    let (is_host, rest) = match text.strip_prefix('[') {
        Some(literal) => match literal.split_once(']') {
            Some((address, rest)) => (address.parse::<Ipv6Addr>().is_ok(), rest),
            None => (false, ""),
        },
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (is_name(host.as_bytes()), port)
        }
    };
    is_host && is_port(rest)
}

/// Nothing, or a colon and digits (§3.2.3: there may be none).
fn is_port(rest: &str) -> bool {
    let digits = if rest.is_empty() { Some("") } else { rest.strip_prefix(':') };
    digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A registered name or an IPv4 address (§3.2.2), not empty.
fn is_name(mut host: &[u8]) -> bool {
    let is_empty = host.is_empty();
    loop {
        host = match host {
            [] => return !is_empty,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest
            }
            [byte, rest @ ..] if is_name_byte(*byte) => rest,
            _ => return false,
        }
    }
}

/// Unreserved characters and sub-delimiters (§2.2, §2.3).
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::is_authority;

    #[test]
    fn a_host_may_have_a_port_and_nothing_else() {
        let good = [
            "example.org",
            "example.org:9001",
            "example.org:",
            "127.0.0.1:80",
            "[::1]",
            "[2001:db8::7]:443",
            "my_host",
            "%C3%A9.example",
        ];
        for host in good {
            assert!(is_authority(host), "{host:?}");
        }
        let bad = [
            "",
            ":80",
            "user@example.org",
            "a/b",
            "a?b",
            "a#b",
            "a b",
            "é.example",
            "a:80:80",
            "a:8o",
            "[::1",
            "::1",
            "[::1]x",
            "[]",
            "[fe80::1%eth0]",
            "%zz",
            "%4",
            "a\"b",
            "a\\b",
        ];
        for host in bad {
            assert!(!is_authority(host), "{host:?}");
        }
    }
}
