//! However a stream is cut into inputs, what comes out is the same.

use crate::common::Side;
use crate::stream::Stream;

/// Checks it of one stream.
pub fn check(stream: &Stream) {
    let mut limits = stream.limits;
    // What lies whole in one input is not pinned, so this limit alone depends on the cuts.
    limits.pinned_max = limits.message_max;
    let hear =
        |cuts: &[usize]| Side { limits, ..Side::new(stream.role) }.hear_cut(&stream.wire, cuts);
    let whole = hear(&[]);
    assert_eq!(hear(&stream.cuts), whole, "cut at {:?}", stream.cuts);
    if stream.wire.len() <= 512 {
        let every_byte: Vec<usize> = (0..stream.wire.len()).collect();
        assert_eq!(hear(&every_byte), whole, "byte by byte");
    }
}
