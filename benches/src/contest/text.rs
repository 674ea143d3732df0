//! The contest of texts: XOR with the key, in place, and tell whether that is UTF-8.
//!
//! Left out: soketto, which leaves text to its user, and tokio-websockets, tungstenite and yawc, which
//! keep to themselves what they unmask or check with. All of them take part where messages are
//! received.

#[cfg(feature = "rivals")]
mod rivals;

use super::{Variant, ours, take_turns};
use std::marker::PhantomData;

/// A key under which the texts of [`SCRIPTS`](super::input::SCRIPTS) are UTF-8 once masked and once
/// unmasked: it leaves every byte what it is, a lead of so many bytes or a continuation. So the same
/// memory serves again and again, and both ways.
pub const KEY: [u8; 4] = [1, 2, 2, 1];

/// Who unmasks and checks.
pub trait Unmask {
    /// How it is called.
    const NAME: &'static str;

    /// XORs the bytes with the key, whose first byte meets the first of them; whether the outcome is
    /// UTF-8.
    fn unmask(bytes: &mut [u8], key: [u8; 4]) -> bool;
}

/// What is done with each of them.
pub trait Contest {
    /// Lets one take part.
    fn run<U: Unmask>(&mut self);
}

/// Lets everyone take part.
pub fn each<C: Contest>(contest: &mut C) {
    #[allow(unused_mut, reason = "rivals are added to it")]
    let mut all = ours!(C);
    #[cfg(feature = "rivals")]
    all.extend([C::run::<rivals::Fastwebsockets>, C::run::<rivals::Sockudo>]);
    take_turns(contest, all);
}

/// Makes sure that one finds the fault in a text that has one, and none in another.
///
/// # Panics
/// If it does not.
pub fn check<U: Unmask>(text: &str) {
    let mut bytes = text.as_bytes().to_vec();
    assert!(U::unmask(&mut bytes, KEY), "{}: a good text", U::NAME);
    let masked = text.bytes().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key);
    assert!(masked.eq(bytes.iter().copied()), "{}: another text", U::NAME);
    if let Some(last) = bytes.last_mut() {
        *last = 0xff;
        assert!(!U::unmask(&mut bytes, KEY), "{}: no text", U::NAME);
    }
}

/// Ours.
#[derive(Debug)]
pub struct Halfopen<V>(PhantomData<V>);

impl<V: Variant> Unmask for Halfopen<V> {
    const NAME: &'static str = V::NAME;

    #[inline]
    fn unmask(bytes: &mut [u8], key: [u8; 4]) -> bool {
        halfopen_proto::Text::unmask(bytes, key).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::input::SCRIPTS;
    use super::*;

    #[test]
    fn the_key_turns_texts_into_texts() {
        for script in SCRIPTS {
            for len in 0..200 {
                let mut bytes = script.text(len).into_bytes();
                bytes.iter_mut().zip(KEY.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
                assert!(str::from_utf8(&bytes).is_ok(), "{} {len}", script.name);
            }
        }
    }
}
