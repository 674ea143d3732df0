use super::authority::is_authority;
use super::fields::{self, InvalidHeader};
use super::key;
use super::request::PROTOCOL;
use bytes::BytesMut;

/// What a client asks for.
#[derive(Clone, Debug, Default)]
pub struct ClientRequest<'a> {
    /// The Host field: host and, if not the default, port.
    pub host: &'a str,
    /// Path and query, in ASCII.
    pub target: &'a str,
    /// 16 random bytes: the nonce of Sec-WebSocket-Key, fresh for each connection (RFC 6455 §4.1).
    pub nonce: [u8; 16],
    /// Subprotocols to offer, none twice, the preferred first.
    pub subprotocols: &'a [&'a str],
    /// The Origin field.
    pub origin: Option<&'a str>,
    /// Further fields.
    pub headers: &'a [(&'a str, &'a str)],
}

impl ClientRequest<'_> {
    /// Appends the request.
    ///
    /// # Errors
    /// If a value could end its line and begin another, a name is no token, or one of `headers` is
    /// a field of the handshake itself. Then nothing is appended.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), InvalidHeader> {
        self.check()?;
        for part in ["GET ", self.target, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        fields::write("Host", self.host, out);
        out.extend_from_slice(
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Key: ",
        );
        out.extend_from_slice(&key::encode(self.nonce));
        out.extend_from_slice(b"\r\n");
        if !self.subprotocols.is_empty() {
            fields::write(PROTOCOL, &self.subprotocols.join(", "), out);
        }
        let origin = self.origin.map(|origin| ("Origin", origin));
        for (name, value) in origin.iter().chain(self.headers) {
            fields::write(name, value, out);
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn check(&self) -> Result<(), InvalidHeader> {
        let graphic = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_authority(self.host) {
            return Err(InvalidHeader::new("Host"));
        }
        if !graphic(self.target) || !self.target.starts_with('/') || self.target.contains('#') {
            return Err(InvalidHeader::new("the request target"));
        }
        if !self.subprotocols.iter().enumerate().all(|(i, name)| self.can_offer(i, name)) {
            return Err(InvalidHeader::new(PROTOCOL));
        }
        if !self.origin.is_none_or(|origin| !origin.is_empty() && graphic(origin)) {
            return Err(InvalidHeader::new("Origin"));
        }
        self.headers.iter().try_for_each(|(name, value)| self.check_header(name, value))
    }

    /// A token that does not stand there already (§4.1, item 10).
    fn can_offer(&self, i: usize, name: &&str) -> bool {
        fields::token(name.as_bytes()).is_some() && !self.subprotocols[..i].contains(name)
    }

    fn check_header(&self, name: &str, value: &str) -> Result<(), InvalidHeader> {
        if self.origin.is_some() && name.eq_ignore_ascii_case("Origin") {
            return Err(InvalidHeader::new(name));
        }
        fields::check(name, value)
    }
}
