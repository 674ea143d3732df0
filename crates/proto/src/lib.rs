//! WebSocket (RFC 6455) as pure code: bytes in, messages and bytes out. No socket, no clock.
//!
//! ```text
//!  bytes that came ──► Connection::receive ──► Incoming   a message, a ping, a pong, a Close
//!                        │            │
//!                      Limits      Scratch               buffers shared by a thread's connections
//!
//!  Message, ping, ───► Connection::encode* ──► bytes to send
//!  pong, Close
//! ```
//!
//! Both roles are here, and so is the opening [`handshake`]. Every fault of the peer is a
//! [`Violation`], found at the first byte that proves it, with the code of the Close frame to send.
//! However the stream is cut into inputs, what comes out is the same.
//!
//! The heart of an echo server, once the handshake is done:
//!
//! ```
//! use bytes::BytesMut;
//! use halfopen_proto::{Connection, Incoming, Limits, Message, Scratch, Violation};
//!
//! /// Answers what has come; `out` is to be sent.
//! fn echo(
//!     connection: &mut Connection,
//!     mut input: &mut [u8],
//!     scratch: &mut Scratch,
//!     out: &mut BytesMut,
//! ) -> Result<(), Violation> {
//!     let key = [0; 4]; // a server does not mask
//!     while let Some(incoming) = connection.receive(&mut input, &Limits::default(), scratch)? {
//!         match &incoming {
//!             Incoming::Text(text) => connection.encode(Message::Text(text), key, out),
//!             Incoming::Binary(bytes) => connection.encode(Message::Binary(bytes), key, out),
//!             Incoming::Close(..) => connection.encode_close(None, "", key, out),
//!             Incoming::Ping(_) | Incoming::Pong(_) => false,
//!         };
//!         scratch.reclaim(incoming);
//!     }
//!     connection.encode_pong(key, scratch, out);
//!     Ok(())
//! }
//!
//! // A client's "Hello", as in RFC 6455 §5.7, and its echo.
//! let mut input = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
//! let (mut connection, mut out) = (Connection::new(halfopen_proto::Role::Server), BytesMut::new());
//! echo(&mut connection, &mut input, &mut Scratch::default(), &mut out)?;
//! assert_eq!(&out[..], b"\x81\x05Hello");
//!
//! // A fault ends the connection: the peer is told, with the code 1002 here, then the socket closed.
//! let mut unmasked = *b"\x81\x05Hello";
//! out.clear();
//! let fault = echo(&mut connection, &mut unmasked, &mut Scratch::default(), &mut out).unwrap_err();
//! connection.fail(&fault, [0; 4], &mut out);
//! assert_eq!(&out[..], b"\x88\x20\x03\xeaa client's frame is not masked");
//! # Ok::<(), Violation>(())
//! ```
//!
//! A message that goes to many is encoded once ([`encode_shared`]); one that lies in memory of the
//! caller's with room before it becomes a frame where it lies ([`Connection::encode_in_place`]).
//!
//! # Without std
//!
//! Everything here needs `core` and `alloc` only. The feature `std`, on by default, lets the kernels ask
//! the CPU at run time what it has; without it they are those that the crate was compiled for. That no
//! std is linked then is checked by a program with a panic handler of its own, on x86-64 Linux. Nobody
//! has built it for a bare machine or for 32 bits yet, and a CPU without compare-and-swap needs the
//! feature `extra-platforms` of `bytes`.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod close;
mod connection;
mod error;
mod frame;
pub mod handshake;
mod limits;
pub mod mask;
mod message;
mod pending;
mod scratch;
mod short;
#[doc(hidden)]
pub mod simd;
mod text;
mod utf8;

pub use close::CloseCode;
pub use connection::{Connection, Role, State, encode_shared};
pub use error::Violation;
pub use frame::frame_len;
pub use limits::Limits;
pub use message::{Fragment, Incoming, Kind, Message, Payload};
pub use scratch::Scratch;
pub use text::Text;
pub use utf8::NotUtf8;
