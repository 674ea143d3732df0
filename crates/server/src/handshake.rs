//! The opening handshake as an app sees it, and what it answers.

use halfopen_driver::Ends;
use halfopen_proto::handshake::Request;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;

/// Somebody asks for a connection, in a request that is valid.
///
/// Path, query, header fields, cookies, Origin and subprotocols are those of the [`Request`], and
/// no more than the peer's words.
#[derive(Debug)]
pub struct Handshake<'a> {
    request: &'a Request<'a>,
    ends: Option<Ends>,
}

impl<'a> Deref for Handshake<'a> {
    type Target = Request<'a>;

    fn deref(&self) -> &Request<'a> {
        self.request
    }
}

impl<'a> Handshake<'a> {
    pub(crate) fn new(request: &'a Request<'a>, ends: Option<Ends>) -> Self {
        Self { request, ends }
    }

    /// Where the peer comes from: the last proxy, if there are any. None if the app does not ask
    /// for it ([`App::WANTS_PEER_ADDR`](crate::App::WANTS_PEER_ADDR)) or the kernel would not say.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.ends.map(|ends| ends.peer)
    }

    /// Where the peer has connected to, as [`peer_addr`](Self::peer_addr).
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.ends.map(|ends| ends.local)
    }

    /// What the X-Forwarded-For fields list: each proxy has appended the address that it saw, and
    /// the client may have begun the list with whatever it likes.
    pub fn forwarded_for(&self) -> Vec<&'a str> {
        let named = self.request.headers().filter(|(name, _)| name.eq_ignore_ascii_case(FORWARDED));
        let members = named.flat_map(|(_, value)| value.split(|&byte| byte == b','));
        let texts = members.filter_map(|member| std::str::from_utf8(member).ok());
        texts.map(str::trim).filter(|member| !member.is_empty()).collect()
    }

    /// The client's address behind `proxies` proxies of ours: the one that the outermost of them
    /// saw, which no client can forge; with none of them, the peer's own. None if it is not known,
    /// or the list is shorter than that.
    pub fn client_ip(&self, proxies: usize) -> Option<IpAddr> {
        let Some(beyond) = proxies.checked_sub(1) else {
            return self.peer_addr().map(|addr| addr.ip());
        };
        address(self.forwarded_for().iter().rev().nth(beyond)?)
    }
}

const FORWARDED: &str = "X-Forwarded-For";

/// An address, which some proxies write with its port.
fn address(member: &str) -> Option<IpAddr> {
    let bare = member.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(member);
    let with_port = || member.parse::<SocketAddr>().ok().map(|addr| addr.ip());
    bare.parse().ok().or_else(with_port)
}

/// Whether it is known where a peer comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whence {
    /// Nobody has asked.
    Unasked,
    /// What the kernel said.
    Told(Option<Ends>),
}

/// The app takes the connection.
#[derive(Clone, Debug, Default)]
pub struct Accept<S> {
    pub(crate) state: S,
    subprotocol: Option<String>,
    headers: Vec<(String, String)>,
}

impl<S> Accept<S> {
    /// Takes it; `state` is what the app keeps of it.
    pub fn new(state: S) -> Self {
        Self { state, subprotocol: None, headers: Vec::new() }
    }

    /// Says which of the subprotocols that were offered is spoken, if any. One that was not offered
    /// is a fault of ours, and the request is answered with 500.
    #[must_use]
    pub fn subprotocol(self, chosen: Option<&str>) -> Self {
        Self { subprotocol: chosen.map(str::to_owned), ..self }
    }

    /// Adds a field to the answer, such as Set-Cookie. If it is malformed, or one that the handshake
    /// sets itself, or if it makes the answer longer than 64 KiB, the request is answered with 500.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Appends `101 Switching Protocols`; whether it could be made.
    pub(crate) fn encode(&self, request: &Request<'_>, out: &mut bytes::BytesMut) -> bool {
        let fields = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let fields: Vec<_> = fields.collect();
        request.accept(self.subprotocol.as_deref(), &fields, out).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halfopen_proto::handshake::HeadLimits;

    fn with<R>(fields: &str, look: impl FnOnce(Handshake<'_>) -> R) -> R {
        let head = format!(
            "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {fields}\r\n"
        );
        let limits = HeadLimits::default();
        let (request, _) = Request::parse(head.as_bytes(), &limits).unwrap().unwrap();
        let end = |port| SocketAddr::from(([10, 0, 0, 9], port));
        look(Handshake::new(&request, Some(Ends { local: end(80), peer: end(5555) })))
    }

    #[test]
    fn the_client_is_whom_the_outermost_of_our_proxies_saw() {
        let fields = "X-Forwarded-For: 1.2.3.4, 203.0.113.7\r\nx-forwarded-for: [2001:db8::1]:4711, 10.0.0.1:80\r\n";
        let seen = |proxies| with(fields, |request| request.client_ip(proxies));
        let expected = ["10.0.0.9", "10.0.0.1", "2001:db8::1", "203.0.113.7", "1.2.3.4"];
        for (proxies, ip) in expected.into_iter().enumerate() {
            assert_eq!(seen(proxies), Some(ip.parse().unwrap()), "{proxies} proxies");
        }
        assert_eq!(seen(5), None, "nobody vouches for more");
    }

    #[test]
    fn what_is_no_address_is_nobody() {
        let fields = "X-Forwarded-For: , unknown ,\r\n";
        assert_eq!(with(fields, |request| request.client_ip(1)), None);
        with(fields, |request| assert_eq!(request.forwarded_for(), ["unknown"]));
        assert_eq!(with("", |request| request.client_ip(1)), None);
    }

    #[test]
    fn an_answer_that_cannot_be_sent_is_not_made() {
        let sent = |accept: Accept<()>| {
            let mut out = bytes::BytesMut::new();
            let made = with("Sec-WebSocket-Protocol: a\r\n", |r| accept.encode(&r, &mut out));
            (made, String::from_utf8(out.to_vec()).unwrap())
        };
        let (made, text) = sent(Accept::new(()).subprotocol(Some("a")).header("Set-Cookie", "b=1"));
        assert!(made && text.contains("\r\nSet-Cookie: b=1\r\n") && text.contains(": a\r\n"));
        assert_eq!(sent(Accept::new(()).subprotocol(Some("b"))), (false, String::new()));
        assert_eq!(sent(Accept::new(()).header("X", "a\r\nb: c")), (false, String::new()));
    }
}
