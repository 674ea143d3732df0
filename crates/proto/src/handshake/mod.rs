//! The opening handshake (RFC 6455 §4), both roles, on bytes.
//!
//! A server collects what arrives until [`Request::parse`] finds a whole head, decides (path, host,
//! Origin, cookies, subprotocols, extensions), and answers with [`Request::accept`] or a
//! [`Rejection`]. What follows the head are frames already. A client sends a [`ClientRequest`] and
//! checks the answer.
//!
//! ```
//! use bytes::BytesMut;
//! use halfopen_proto::handshake::{ClientRequest, HeadLimits, Rejection, Request};
//!
//! let limits = HeadLimits::default();
//! let ask = ClientRequest {
//!     host: "example.org",
//!     target: "/chat?room=1",
//!     nonce: [7; 16],
//!     subprotocols: &["v2", "v1"],
//!     ..Default::default()
//! };
//! let (mut asked, mut answered) = (BytesMut::new(), BytesMut::new());
//! ask.encode(&mut asked)?;
//!
//! // The server.
//! let (request, _head) = Request::parse(&asked, &limits)?.expect("the head is whole");
//! request.check_origin(&["https://example.org"])?;
//! if request.path() == "/chat" {
//!     request.accept(request.subprotocol_among(&["v1"]), &[], &mut answered)?;
//! } else {
//!     Rejection::new(404, "there is no such endpoint").encode(&mut answered);
//! }
//!
//! // The client.
//! let (response, head) = ask.check_response(&answered, &limits)?.expect("the head is whole");
//! assert_eq!((response.subprotocol(), head), (Some("v1"), answered.len()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A head that comes in many pieces is best held against a [`HeadProgress`] before it is parsed.

mod authority;
mod client;
mod extension;
mod fields;
mod head;
mod key;
mod plain;
mod rejection;
mod request;
mod response;
mod rules;
mod target;

pub use client::ClientRequest;
pub use extension::Extension;
pub use fields::InvalidHeader;
pub use head::{HeadLimits, HeadProgress};
pub use plain::{Answer, PlainRequest};
pub use rejection::Rejection;
pub use request::Request;
pub use response::{Response, ResponseError};
