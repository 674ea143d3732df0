//! WebSocket (RFC 6455) as pure code: bytes in, messages and bytes out. No socket, no clock.

mod close;
mod connection;
mod error;
pub mod handshake;
mod limits;
pub mod mask;
mod message;
mod scratch;

pub use close::CloseCode;
pub use connection::{Connection, Role, State};
pub use error::Violation;
pub use limits::Limits;
pub use message::{Incoming, Message, Payload, Text};
pub use scratch::Scratch;
