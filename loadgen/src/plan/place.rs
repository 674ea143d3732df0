//! A URL, taken apart.

use super::PlanError;
use http::Uri;
use std::net::{SocketAddr, ToSocketAddrs};

/// Where a URL points.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// As written, for the Host field.
    pub(super) authority: String,
    /// Without the brackets of IPv6.
    pub(super) host: String,
    port: u16,
    /// It is spoken to over TLS (`wss`).
    pub(super) is_secure: bool,
    pub(super) path: String,
}

impl Place {
    pub(super) fn parse(url: &str) -> Result<Self, PlanError> {
        let bad = |why: String| PlanError::Url { url: url.into(), why };
        let uri: Uri =
            url.parse().map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?;
        let is_secure = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            Some(other) => return Err(PlanError::Scheme(other.into())),
            None => return Err(bad("it has no scheme".into())),
        };
        let authority = uri.authority().ok_or_else(|| bad("it has no host".into()))?;
        if authority.as_str().contains('@') {
            return Err(bad("it holds a user name".into()));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str().len() == authority.host().len() => {
                if is_secure {
                    443
                } else {
                    80
                }
            }
            None => return Err(bad("its port is not a number from 0 to 65535".into())),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        // `ws://host?query` has an empty path, which is sent as `/`.
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            authority: authority.as_str().into(),
            host: host.into(),
            port,
            is_secure,
            path: format!("{slash}{path}"),
        })
    }

    pub(super) fn look_up(&self) -> Result<Vec<SocketAddr>, PlanError> {
        let unknown = |error| PlanError::UnknownHost { host: self.host.clone(), error };
        let mut targets = Vec::new();
        for target in (self.host.as_str(), self.port).to_socket_addrs().map_err(unknown)? {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        Ok(targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_urls_is_taken_apart() {
        let table = [
            ("ws://127.0.0.1:9001", "127.0.0.1", 9001, "127.0.0.1:9001", "/"),
            ("ws://localhost/chat?room=1", "localhost", 80, "localhost", "/chat?room=1"),
            ("ws://[::1]:9001/a", "::1", 9001, "[::1]:9001", "/a"),
            ("ws://[::1]", "::1", 80, "[::1]", "/"),
            ("ws://host:81?token=x", "host", 81, "host:81", "/?token=x"),
            ("ws://host/user/{n}", "host", 80, "host", "/user/{n}"),
            ("wss://host/chat", "host", 443, "host", "/chat"),
            ("wss://[::1]:9001", "::1", 9001, "[::1]:9001", "/"),
        ];
        for (url, host, port, authority, path) in table {
            let place = Place::parse(url).expect(url);
            let (authority, host, path) = (authority.into(), host.into(), path.into());
            let is_secure = url.starts_with("wss");
            let expected = Place { authority, host, port, is_secure, path };
            assert_eq!(place, expected, "{url}");
        }
    }

    #[test]
    fn what_is_no_websocket_url_is_refused() {
        for url in [
            "",
            "127.0.0.1:9001",
            "ws://",
            "ws:///path",
            "ws://host:99999/",
            "ws://a b/",
            "ws://u@h/",
        ] {
            assert!(matches!(Place::parse(url), Err(PlanError::Url { .. })), "{url}");
        }
        for url in ["http://host/", "https://host/", "ftp://host/"] {
            assert!(matches!(Place::parse(url), Err(PlanError::Scheme(_))), "{url}");
        }
    }
}
