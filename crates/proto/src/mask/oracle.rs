//! Every kernel against the naive loop.

use super::*;
use std::iter;

const KEY: [u8; 4] = [0x12, 0x00, 0xff, 0x81];

/// The oracle.
fn naive(bytes: &mut [u8], key: [u8; 4], phase: usize) {
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte ^= key[(phase + i) % 4];
    }
}

/// A slice within a buffer, and how it is to be masked.
#[derive(Clone, Copy, Debug)]
struct Case {
    level: Level,
    /// Bytes before the slice.
    offset: usize,
    length: usize,
    /// Bytes behind it. With none a byte too many is past the allocation: AddressSanitizer sees it.
    after: usize,
    phase: usize,
}

impl Case {
    /// Masks in place and as a copy; the bytes around must stay as they were.
    fn check(self, noise: &[u8]) {
        let Self { offset, length, after, phase, .. } = self;
        let (slice, source) = (offset..offset + length, &noise[..offset + length + after]);
        let mut expected = source.to_vec();
        naive(&mut expected[slice.clone()], KEY, phase);

        let mut in_place = source.to_vec();
        let start = in_place[slice.clone()].as_mut_ptr();
        self.run(start, start);
        assert!(in_place == expected, "{self:?}");

        let mut copied = source.to_vec();
        self.run(source[slice.clone()].as_ptr(), copied[slice].as_mut_ptr());
        assert!(copied == expected, "a copy, {self:?}");
    }

    fn run(self, source: *const u8, target: *mut u8) {
        let key = u32::from_ne_bytes(turned(KEY, self.phase));
        let Self { level, length, .. } = self;
        // SAFETY: `check` gives the start of slices so long, and the CPU has each level tried.
        unsafe {
            if length <= kernel::SHORT_MAX {
                kernel::short(source, target, length, key);
            } else {
                run_at(level, source, target, length, key);
            }
        }
    }
}

/// Tries all levels of this CPU, in all phases, with and without bytes behind.
fn check_all(lengths: impl Iterator<Item = usize> + Clone, offsets: usize) {
    let mut random = fastrand::Rng::with_seed(1);
    let noise: Vec<u8> = iter::repeat_with(|| random.u8(..)).take(20_000).collect();
    for level in simd::available() {
        for length in lengths.clone() {
            for offset in 0..offsets {
                for (phase, after) in (0..4).zip([0, 70].into_iter().cycle()) {
                    Case { level, offset, length, after, phase }.check(&noise);
                    Case { level, offset, length, after: 70 - after, phase }.check(&noise);
                }
            }
        }
    }
}

#[test]
fn every_kernel_agrees_with_the_naive_loop_at_every_length_offset_and_phase() {
    check_all(0..=515, 64);
}

#[test]
fn every_kernel_agrees_with_the_naive_loop_at_lengths_that_it_loops_over() {
    check_all((2040..2056).chain(2176..2180).chain([4096, 4103, 16_383]), 65);
}

#[test]
fn every_kernel_agrees_with_the_naive_loop_where_far_memory_begins() {
    const FAR: usize = 512 * 1024;
    let mut random = fastrand::Rng::with_seed(2);
    let noise: Vec<u8> = iter::repeat_with(|| random.u8(..)).take(FAR + 300).collect();
    for level in simd::available() {
        for length in [FAR - 1, FAR, FAR + 127] {
            for (offset, phase, after) in [(0, 0, 0), (6, 1, 70), (33, 3, 0)] {
                Case { level, offset, length, after, phase }.check(&noise);
            }
        }
    }
}

#[test]
fn every_kernel_agrees_with_the_naive_loop_around_the_end_of_a_page() {
    const PAGE: usize = 4096;
    let mut bytes = vec![b'x'; 3 * PAGE];
    let page = bytes.as_ptr().align_offset(PAGE);
    for level in simd::available() {
        for end in page + PAGE - 70..page + PAGE + 200 {
            for length in [513, 640, 700, 1024, 1031] {
                let slice = &mut bytes[end - length..end];
                let case = Case { level, offset: 0, length, after: 0, phase: 3 };
                let start = slice.as_mut_ptr();
                case.run(start, start);
                naive(slice, KEY, case.phase);
                let off = bytes.iter().position(|&byte| byte != b'x');
                assert!(off.is_none(), "{off:?}, {case:?}, end {end}, page {page}");
            }
        }
    }
}

#[test]
fn a_payload_in_pieces_is_one_payload() {
    let clear: Vec<u8> = (0..200).collect();
    let mut whole = clear.clone();
    apply(&mut whole, KEY, 0);
    for cut in 0..clear.len() {
        let mut pieces = clear.clone();
        apply(&mut pieces[..cut], KEY, 0);
        apply(&mut pieces[cut..], KEY, cut);
        assert_eq!(pieces, whole, "cut at {cut}");
    }
}

#[test]
fn append_goes_behind_what_is_there() {
    let mut out = BytesMut::from(&b"head"[..]);
    for length in [0, 3, 40, 5000] {
        let clear = vec![b'x'; length];
        let mut expected = out.to_vec();
        expected.extend_from_slice(&clear);
        naive(&mut expected[out.len()..], KEY, 1);
        append(&clear, KEY, 1, &mut out);
        assert_eq!(out, expected);
    }
}

#[test]
#[should_panic(expected = "as long as")]
fn a_copy_of_another_length_panics() {
    copy(&[0; 4], &mut [MaybeUninit::uninit(); 3], KEY, 0);
}

#[test]
fn the_largest_phase_does_not_overflow() {
    let mut bytes = [0; 3];
    apply(&mut bytes, [1, 2, 3, 4], usize::MAX);
    assert_eq!(bytes, [4, 1, 2]);
    assert_eq!(turned([1, 2, 3, 4], usize::MAX), [4, 1, 2, 3]);
}
