//! What the fuzz targets of the framing crate check. Each is a function of its input that panics when
//! a promise is broken:
//!
//! | target | promise |
//! |---|---|
//! | [`decode`] | no bytes make it panic, hold more than its limits, or give out what breaks a rule |
//! | [`split`] | however a stream is cut, what comes out is the same |
//! | [`handshake`] | the same of requests and answers; what one side writes the other accepts |
//! | [`differential`] | tungstenite makes the same messages of the same bytes |
//!
//! An input is either a stream as it is, or made of frames that are nearly valid ([`stream`]), so
//! that a fuzzer gets past the first byte.

pub mod decode;
pub mod differential;
pub mod handshake;
pub mod head;
pub mod seeds;
pub mod split;
pub mod stream;

/// One side of a connection, as the tests of the framing crate see it, too.
#[path = "../../proto/tests/common/mod.rs"]
mod common;
