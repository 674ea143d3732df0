//! Some thousands of random inputs through every target, so that they don't rot where no fuzzer is.

use arbitrary::{Arbitrary, Unstructured};
use halfopen_fuzz::{decode, differential, handshake, head::Input, split, stream::Stream};

/// Inputs from a fixed seed, of all lengths up to 600 bytes.
fn each<T: for<'a> Arbitrary<'a>>(check: impl Fn(&T)) {
    let mut rng = fastrand::Rng::with_seed(11);
    for _ in 0..20_000 {
        let length = rng.usize(..600);
        let bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
        if let Ok(input) = T::arbitrary(&mut Unstructured::new(&bytes)) {
            check(&input);
        }
    }
}

#[test]
fn random_streams_keep_what_decode_promises() {
    each::<Stream>(decode::check);
}

#[test]
fn random_streams_keep_what_split_promises() {
    each::<Stream>(split::check);
}

#[test]
fn random_streams_are_heard_alike_by_tungstenite() {
    each::<Stream>(differential::check);
}

#[test]
fn random_heads_keep_what_handshake_promises() {
    each::<Input>(handshake::check);
}
