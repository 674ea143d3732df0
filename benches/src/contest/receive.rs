//! The contest of receivers: whole messages out of a stream of frames, at a server, binary or text.
//!
//! A read copies the stream's bytes into the contestant's buffer, as the kernel would: for halfopen
//! and sockudo-ws, which are handed bytes, that is a copy before the call; the others read by
//! themselves, from a transport that is always ready, with as large a buffer as they let one choose.

#[cfg(feature = "rivals")]
mod rivals;

use super::input::Input;
use super::{Variant, ours, take_turns};
use halfopen_proto::{Connection, Incoming, Limits, Role, Scratch};
use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::Arc;

/// Who receives: one connection, at the server.
pub trait Receiver {
    /// How it is called.
    const NAME: &'static str;

    /// A connection just opened, on which the input will come again and again.
    fn new(input: Arc<Input>) -> Self;

    /// Receives the input once more, and lends each message's payload.
    ///
    /// # Panics
    /// If something else comes than whole messages, and where they must be text, valid text.
    fn receive(&mut self, each: impl FnMut(&[u8]));

    /// Receives the input once more; how many messages it had, and how many bytes they.
    #[inline]
    fn totals(&mut self) -> (usize, usize) {
        let (mut messages, mut bytes) = (0, 0);
        self.receive(|payload| {
            messages += 1;
            bytes += black_box(payload).len();
        });
        (messages, bytes)
    }
}

/// What is done with each of them.
pub trait Contest {
    /// Lets one take part.
    fn run<R: Receiver>(&mut self);
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

/// A receiver that has shown that it gives out the input's messages, and nothing else, twice over.
///
/// # Panics
/// If it did not.
pub fn checked<R: Receiver>(input: &Arc<Input>) -> R {
    let mut receiver = R::new(Arc::clone(input));
    for _ in 0..2 {
        let mut messages = 0;
        receiver.receive(|payload| {
            assert!(payload == input.payload, "{}: message {messages} is another", R::NAME);
            messages += 1;
        });
        assert_eq!(messages, input.messages, "{}", R::NAME);
    }
    receiver
}

/// Ours.
#[derive(Debug)]
pub struct Halfopen<V> {
    connection: Connection,
    limits: Limits,
    scratch: Scratch,
    buffer: Vec<u8>,
    input: Arc<Input>,
    variant: PhantomData<V>,
}

impl<V: Variant> Receiver for Halfopen<V> {
    const NAME: &'static str = V::NAME;

    fn new(input: Arc<Input>) -> Self {
        Self {
            connection: Connection::new(Role::Server),
            limits: Limits::default(),
            scratch: Scratch::default(),
            buffer: vec![0; input.read_max],
            input,
            variant: PhantomData,
        }
    }

    #[inline]
    fn receive(&mut self, mut each: impl FnMut(&[u8])) {
        for read in self.input.reads() {
            let mut bytes = &mut self.buffer[..read.len()];
            bytes.copy_from_slice(read);
            let (limits, scratch) = (&self.limits, &mut self.scratch);
            while let Some(incoming) =
                self.connection.receive(&mut bytes, limits, scratch).expect("valid frames")
            {
                match &incoming {
                    Incoming::Binary(payload) => each(payload),
                    Incoming::Text(text) => each(text.as_bytes()),
                    other => panic!("{other:?}"),
                }
                scratch.reclaim(incoming);
            }
        }
    }
}
