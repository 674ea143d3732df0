//! The contest of masks: XOR with the key, in place.
//!
//! Left out: tungstenite and tokio-websockets, whose masks are private. Their decoders, which unmask,
//! take part where messages are received.

#[cfg(feature = "rivals")]
mod rivals;
mod xor;

use super::{Variant, ours, take_turns};
use std::marker::PhantomData;

/// Who masks.
pub trait Mask {
    /// How it is called.
    const NAME: &'static str;

    /// Whether it is given memory that begins with a cache line, whatever the row says.
    const ALIGNED: bool = false;

    /// XORs the bytes with the key, whose first byte meets the first of them.
    fn apply(bytes: &mut [u8], key: [u8; 4]);
}

/// What is done with each of them.
pub trait Contest {
    /// Lets one take part.
    fn run<M: Mask>(&mut self);
}

/// Lets everyone take part; who is a floor, only if `floor`.
pub fn each<C: Contest>(contest: &mut C, floor: bool) {
    let mut all = ours!(C);
    #[cfg(feature = "rivals")]
    {
        use rivals::{Fastwebsockets, Sockudo, Soketto, Yawc};
        all.extend([C::run::<Fastwebsockets>, C::run::<Sockudo>, C::run::<Soketto>]);
        all.push(C::run::<Yawc>);
    }
    if floor {
        all.push(C::run::<XorLoop>);
    }
    take_turns(contest, all);
}

/// Ours.
#[derive(Debug)]
pub struct Halfopen<V>(PhantomData<V>);

impl<V: Variant> Mask for Halfopen<V> {
    const NAME: &'static str = V::NAME;

    #[inline]
    fn apply(bytes: &mut [u8], key: [u8; 4]) {
        halfopen_proto::mask::apply(bytes, key, 0);
    }
}

/// The floor: a plain loop over whole cache lines, compiled for the widest vectors of this CPU.
#[derive(Debug)]
pub struct XorLoop;

impl Mask for XorLoop {
    const NAME: &'static str = "xor-loop";
    const ALIGNED: bool = true;

    #[inline]
    fn apply(bytes: &mut [u8], key: [u8; 4]) {
        xor::lines(bytes, key);
    }
}
