//! The opening handshake (RFC 6455 §4): what each side accepts, and what each refusal says. Names of
//! tests begin with the section that asks for it; RFC 6455 where no other is named.

mod client;
mod common;
mod hostile;
mod refusals;
mod server;
