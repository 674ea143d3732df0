//! The contest of encoders: the bytes of one binary frame, in one piece of memory, which may be the
//! caller's, the library's, or that of a writer who puts the pieces together. The payload is the
//! caller's and stays as it is.
//!
//! Where a rival lets its user choose the key it gets one that was drawn as ours was; the others draw
//! by themselves.

#[cfg(feature = "rivals")]
mod rivals;

use super::{Variant, ours, take_turns};
use bytes::BytesMut;
use halfopen_proto::{Connection, Incoming, Limits, Message, Role, Scratch};
use std::marker::PhantomData;

/// Who encodes: one side of a connection.
pub trait Encoder {
    /// How it is called.
    const NAME: &'static str;

    /// A connection just opened, on which the payload will be sent again and again.
    fn new(role: Role, payload: &'static [u8]) -> Self;

    /// Encodes the payload as one frame; a client masks it with this key, or one of its own.
    fn encode(&mut self, key: [u8; 4]) -> &[u8];
}

/// What is done with each of them.
pub trait Contest {
    /// Lets one take part.
    fn run<E: Encoder>(&mut self);
}

/// Lets everyone take part.
pub fn each<C: Contest>(contest: &mut C) {
    #[allow(unused_mut, reason = "rivals are added to it")]
    let mut all = ours!(C);
    #[cfg(feature = "rivals")]
    {
        use rivals::{Fastwebsockets, Sockudo, Soketto, TokioWebsockets, Tungstenite, Yawc};
        all.extend([C::run::<Fastwebsockets>, C::run::<Sockudo>, C::run::<Soketto>]);
        all.extend([C::run::<TokioWebsockets>, C::run::<Tungstenite>, C::run::<Yawc>]);
    }
    take_turns(contest, all);
}

/// An encoder that has shown, twice over, that the other side receives what it sends.
///
/// # Panics
/// If it does not.
pub fn checked<E: Encoder>(role: Role, payload: &'static [u8]) -> E {
    let other = if role == Role::Client { Role::Server } else { Role::Client };
    let (mut peer, mut scratch) = (Connection::new(other), Scratch::default());
    let mut encoder = E::new(role, payload);
    for key in [[1, 2, 3, 4], [0x81, 0, 0xff, 7]] {
        let mut wire = encoder.encode(key).to_vec();
        let mut input = &mut wire[..];
        let received = peer.receive(&mut input, &Limits::default(), &mut scratch);
        let Ok(Some(Incoming::Binary(received))) = received else { panic!("{received:?}") };
        assert!(*received == *payload && input.is_empty(), "{}: another payload", E::NAME);
    }
    encoder
}

/// Ours.
#[derive(Debug)]
pub struct Halfopen<V> {
    connection: Connection,
    payload: &'static [u8],
    out: BytesMut,
    variant: PhantomData<V>,
}

impl<V: Variant> Encoder for Halfopen<V> {
    const NAME: &'static str = V::NAME;

    fn new(role: Role, payload: &'static [u8]) -> Self {
        let (connection, out) = (Connection::new(role), BytesMut::new());
        Self { connection, payload, out, variant: PhantomData }
    }

    #[inline]
    fn encode(&mut self, key: [u8; 4]) -> &[u8] {
        self.out.clear();
        self.connection.encode(Message::Binary(self.payload), key, &mut self.out);
        &self.out
    }
}
