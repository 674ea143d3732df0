//! The whole server on real sockets, on each driver: against a client that others wrote, and
//! against bytes that no client should send.

mod abuse;
mod bad_requests;
mod embedding;
mod endings;
mod foreign;
mod frames;
mod requests;
mod rig;
