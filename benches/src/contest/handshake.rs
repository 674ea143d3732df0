//! The contest of opening handshakes, at the server: a request read, checked and answered, bytes for
//! bytes.
//!
//! Left out: fastwebsockets and yawc, whose handshakes stand on hyper, and all clients: most draw
//! their key themselves, and an answer that was written before fits none of them.

#[cfg(feature = "rivals")]
mod rivals;

use super::{Variant, ours, take_turns};
use bytes::BytesMut;
use halfopen_proto::handshake::{HeadLimits, Request};
use std::marker::PhantomData;

/// Who answers.
pub trait Acceptor {
    /// How it is called.
    const NAME: &'static str;

    /// Will be asked this again and again.
    fn new(request: &'static [u8]) -> Self;

    /// The answer to one request.
    ///
    /// # Panics
    /// If the request is refused.
    fn accept(&mut self) -> &[u8];
}

/// What is done with each of them.
pub trait Contest {
    /// Lets one take part.
    fn run<A: Acceptor>(&mut self);
}

/// Lets everyone take part.
pub fn each<C: Contest>(contest: &mut C) {
    #[allow(unused_mut, reason = "rivals are added to it")]
    let mut all = ours!(C);
    #[cfg(feature = "rivals")]
    {
        use rivals::{Sockudo, Soketto, TokioWebsockets, Tungstenite};
        all.extend([C::run::<Sockudo>, C::run::<Soketto>, C::run::<TokioWebsockets>]);
        all.push(C::run::<Tungstenite>);
    }
    take_turns(contest, all);
}

/// An acceptor that has shown, twice over, that it gives the answer which holds `accept`.
///
/// # Panics
/// If it does not.
pub fn checked<A: Acceptor>(request: &'static [u8], accept: &str) -> A {
    let mut acceptor = A::new(request);
    for _ in 0..2 {
        let answer = String::from_utf8_lossy(acceptor.accept());
        let (head, rest) = answer.split_once("\r\n\r\n").expect("the end of a head");
        assert!(head.starts_with("HTTP/1.1 101 ") && rest.is_empty(), "{}: {answer}", A::NAME);
        assert!(head.contains(accept), "{}: {answer}", A::NAME);
    }
    acceptor
}

/// Ours.
#[derive(Debug)]
pub struct Halfopen<V> {
    request: &'static [u8],
    limits: HeadLimits,
    out: BytesMut,
    variant: PhantomData<V>,
}

impl<V: Variant> Acceptor for Halfopen<V> {
    const NAME: &'static str = V::NAME;

    fn new(request: &'static [u8]) -> Self {
        let (limits, out) = (HeadLimits::default(), BytesMut::with_capacity(512));
        Self { request, limits, out, variant: PhantomData }
    }

    #[inline]
    fn accept(&mut self) -> &[u8] {
        self.out.clear();
        let parsed = Request::parse(self.request, &self.limits);
        let (request, _) = parsed.expect("a good request").expect("a whole head");
        request.accept(None, &[], &mut self.out).expect("nothing is added");
        &self.out
    }
}
