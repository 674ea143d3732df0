//! The seeds and some thousands of random inputs through every target, so that they don't rot where
//! no fuzzer is.

use arbitrary::{Arbitrary, Unstructured};
use halfopen_fuzz::{decode, differential, handshake, head::Input, seeds, split, stream::Stream};

/// The input that a fuzzer's bytes stand for, if they do.
fn input<T: for<'a> Arbitrary<'a>>(bytes: &[u8]) -> Option<T> {
    T::arbitrary(&mut Unstructured::new(bytes)).ok()
}

#[test]
fn every_seed_is_an_input_and_keeps_what_the_targets_promise() {
    for (name, bytes) in seeds::streams() {
        let stream = input(&bytes).unwrap_or_else(|| panic!("{name}"));
        decode::check(&stream);
        split::check(&stream);
        differential::check(&stream);
    }
    for (name, bytes) in seeds::heads() {
        handshake::check(&input(&bytes).unwrap_or_else(|| panic!("{name}")));
    }
}

/// Inputs from a fixed seed, of all lengths up to 600 bytes.
fn each<T: for<'a> Arbitrary<'a>>(check: impl Fn(&T)) {
    let mut rng = fastrand::Rng::with_seed(11);
    for _ in 0..20_000 {
        let length = rng.usize(..600);
        let bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
        input(&bytes).iter().for_each(&check);
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
