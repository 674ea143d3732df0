//! The opening handshake (RFC 6455 §4), both roles, on bytes.
//!
//! A server collects what arrives until [`Request::parse`] finds a whole head, decides (path,
//! Origin, subprotocol), and answers with [`Request::accept`] or a [`Rejection`]. What follows the
//! head are frames already. A client sends a [`ClientRequest`] and checks the answer.
//!
//! ```
//! use bytes::BytesMut;
//! use halfopen_proto::handshake::{ClientRequest, HeadLimits, Request};
//!
//! let limits = HeadLimits::default();
//! let ask = ClientRequest { host: "example.org", target: "/chat", nonce: [7; 16], ..Default::default() };
//! let (mut asked, mut answered) = (BytesMut::new(), BytesMut::new());
//! ask.encode(&mut asked)?;
//!
//! let (request, _head) = Request::parse(&asked, &limits)?.expect("the head is whole");
//! assert_eq!(request.target(), "/chat");
//! request.accept(None, &mut answered);
//!
//! let (subprotocol, head) = ask.check_response(&answered, &limits)?.expect("the head is whole");
//! assert_eq!((subprotocol, head), (None, answered.len()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client;
mod fields;
mod key;
mod rejection;
mod request;

pub use client::{ClientRequest, InvalidHeader, ResponseError};
pub use rejection::Rejection;
pub use request::Request;

/// Limits of a request or response head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// The most bytes up to and with the blank line.
    pub bytes_max: usize,
    /// The most header fields.
    pub fields_max: usize,
}

impl Default for HeadLimits {
    /// 16 KiB, 100 fields.
    fn default() -> Self {
        Self { bytes_max: 16 * 1024, fields_max: 100 }
    }
}

impl HeadLimits {
    /// The part of `bytes` in which the head must end.
    fn window<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[..bytes.len().min(self.bytes_max)]
    }
}
