//! Every kernel against std and the naive loop: the pieces of a text, wherever it is cut, are said to
//! be right for as long as std says that a text could come of them, and unmasked to the byte.

use super::*;
use core::mem::MaybeUninit;
use fastrand::Rng;
use std::vec;

const KEY: [u8; 4] = [0x12, 0x80, 0xff, 0x0b];

/// Whether more bytes could still make a text of these.
fn may_go_on(prefix: &[u8]) -> bool {
    !core::str::from_utf8(prefix).is_err_and(|error| error.error_len().is_some())
}

fn masked(bytes: &[u8], phase: usize) -> Vec<u8> {
    bytes.iter().enumerate().map(|(n, byte)| byte ^ KEY[(phase + n) % 4]).collect()
}

fn turned_key(phase: usize) -> [u8; 4] {
    core::array::from_fn(|n| KEY[(phase + n) % 4])
}

/// A pass of a level over a piece, by each of the three ways. All must say the same.
fn pass(level: Level, clear: &[u8], phase: usize, last: u32) -> Result<u32, NotUtf8> {
    let key = u32::from_le_bytes(turned_key(phase));
    let (source, len) = (masked(clear, phase), clear.len());

    // What lies around it must stay as it is.
    let mut place = vec![0xee; phase + len + 70];
    place[phase..phase + len].copy_from_slice(&source);
    let to = place[phase..].as_mut_ptr();
    // SAFETY: the bytes are there, and the level is one that the CPU has.
    let in_place = unsafe { run_at::<true>(level, Span { from: to, to, len }, key, last) };
    if in_place.is_ok() {
        assert_eq!(&place[phase..phase + len], clear, "{level:?}");
    }
    assert!(place[..phase].iter().chain(&place[phase + len..]).all(|&byte| byte == 0xee));

    let mut copy: Vec<MaybeUninit<u8>> = vec![MaybeUninit::uninit(); len];
    let span = Span { from: source.as_ptr(), to: copy.as_mut_ptr().cast(), len };
    // SAFETY: as above, and two vectors do not overlap.
    let copied = unsafe { run_at::<true>(level, span, key, last) };
    if copied.is_ok() {
        // SAFETY: all of it was written.
        let copy = copy.iter().map(|byte| unsafe { byte.assume_init() });
        assert!(copy.eq(clear.iter().copied()), "{level:?}");
    }

    let span = Span { from: clear.as_ptr(), to: ptr::null_mut(), len };
    // SAFETY: as above, and nothing is written.
    let checked = unsafe { run_at::<false>(level, span, 0, last) };
    assert_eq!((in_place, copied), (checked, checked), "{level:?} of {clear:x?} at {phase}");
    checked
}

/// One level for each kernel; the others are portable here.
fn levels() -> impl Iterator<Item = Level> {
    let own = [Level::Portable, Level::Avx2, Level::Avx512];
    simd::available().filter(move |level| own.contains(level))
}

/// Has every kernel take the text in these pieces.
fn check_in_pieces(text: &[u8], cuts: &[usize]) {
    for level in levels() {
        let (mut last, mut start) = (0, 0);
        for &end in cuts.iter().chain([&text.len()]) {
            let passed = pass(level, &text[start..end], start, last).ok();
            let passed = passed.filter(|&last| !is_lost(last));
            let told = || std::format!("{level:?} of {text:x?} at {start}..{end}");
            assert_eq!(passed.is_some(), may_go_on(&text[..end]), "{}", told());
            let Some(end_of_it) = passed else { break };
            assert_eq!(
                is_open(end_of_it),
                core::str::from_utf8(&text[..end]).is_err(),
                "{}",
                told()
            );
            (last, start) = (end_of_it, end);
        }
    }
}

fn check_every_split(text: &[u8]) {
    for second in 0..=text.len() {
        for first in 0..=second {
            check_in_pieces(text, &[first, second]);
        }
    }
}

/// The bytes at which the table of well-formed sequences (Unicode 15, table 3-7) turns.
const EDGES: [u8; 24] = [
    0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec,
    0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff,
];

#[test]
fn all_short_sequences_of_edge_bytes_agree_with_std_at_every_split() {
    for a in EDGES {
        for b in EDGES {
            for c in EDGES {
                check_every_split(&[a, b, c]);
            }
        }
    }
}

/// In the middle, where a vector and the next share them, where the last one overlaps, at the end.
#[test]
fn all_sequences_of_four_edge_bytes_agree_with_std_inside_a_vector_and_across_two() {
    for (n, four) in (0..24_usize.pow(4))
        .map(|n| [n / 13824, n / 576, n / 24, n].map(|n| EDGES[n % 24]))
        .enumerate()
    {
        let mut text = [b'.'; 150];
        let at = [20, 29, 30, 31, 61, 62, 63, 84, 125, 126, 127, 146][n % 12];
        text[at..at + 4].copy_from_slice(&four);
        check_in_pieces(&text, &[]);
        check_in_pieces(&four, &[1 + n % 3]);
    }
}

#[test]
fn every_two_bytes_agree_with_std() {
    for a in 0..=255 {
        for b in 0..=255 {
            check_in_pieces(&[a, b], &[]);
            check_in_pieces(&[a, b], &[1]);
        }
    }
}

#[test]
fn every_character_passes_at_every_split() {
    for character in (0..=0x10_ffff).step_by(7).filter_map(char::from_u32) {
        let mut bytes = [0; 4];
        let bytes = character.encode_utf8(&mut bytes).as_bytes();
        (0..bytes.len()).for_each(|cut| check_in_pieces(bytes, &[cut]));
    }
}

/// As long as `length`, or as much less as the last character does not fit into.
fn text_of(characters: &str, length: usize) -> Vec<u8> {
    let mut text = std::string::String::new();
    for character in characters.chars().cycle() {
        if text.len() + character.len_utf8() > length {
            break;
        }
        text.push(character);
    }
    text.into_bytes()
}

#[test]
fn texts_of_every_length_with_one_byte_broken_anywhere_agree_with_std() {
    for characters in ["ascii only", "κόσμε", "水火", "🦀𝄞", "κ plain 水, 🦀"] {
        for length in 0..=300 {
            let text = text_of(characters, length);
            check_in_pieces(&text, &[]);
            for broken in 0..text.len() {
                let mut text = text.clone();
                text[broken] ^= [0x80, 0x40, 0x20, 0x10][(length + broken) % 4];
                check_in_pieces(&text, &[]);
            }
        }
    }
}

#[test]
fn texts_that_end_inside_a_character_are_open_at_every_length() {
    for length in 0..=300 {
        let text = [&[b'a'; 300][..length], "水🦀".as_bytes()].concat();
        (0..=7).for_each(|cut| check_in_pieces(&text[..length + cut], &[length]));
    }
}

#[test]
fn a_character_that_ascii_cuts_short_is_a_fault_at_every_length() {
    for begun in [&b"\xc3"[..], b"\xe6", b"\xe6\xb0", b"\xf0", b"\xf0\x9f", b"\xf0\x9f\x98"] {
        for length in 1..=600 {
            let text = [begun, &[b'a'; 600][..length]].concat();
            check_in_pieces(&text, &[begun.len()]);
            let text = [&[b'a'; 600][..length], begun, &[b'a'; 600][..length]].concat();
            check_in_pieces(&text, &[]);
        }
    }
}

#[test]
fn long_texts_with_one_byte_changed_agree_with_std_at_every_split() {
    let text = "κόσμε — Ж 水 𝄞 plain ASCII that fills a vector of sixty-four bytes and more 🦀";
    for broken in 0..text.len() {
        let mut bytes = text.as_bytes().to_vec();
        bytes[broken] ^= 0x60;
        for cut in 0..=bytes.len() {
            check_in_pieces(&bytes, &[cut / 2, cut]);
        }
    }
}

/// ASCII that begins a text of this length is stored to aligned addresses.
#[test]
fn long_ascii_with_something_else_in_it_agrees_with_std() {
    for length in [511, 512, 513, 600, 700, 1000, 1024, 1100] {
        for at in (0..length - 4).step_by(5) {
            for odd in ["🦀".as_bytes(), b"\xff", b"\xe6\xb0", b"\xc3", b"\x80"] {
                let mut text = vec![b'a'; length];
                text[at..at + odd.len()].copy_from_slice(odd);
                check_in_pieces(&text, &[at / 2]);
            }
        }
    }
}

/// Something like a text: characters of all widths in runs, some of it broken, cut anywhere.
fn check_at_random(random: &mut Rng, length_max: usize) {
    const CHARACTERS: [[char; 3]; 4] = [
        ['a', '\0', '\u{7f}'],
        ['é', '\u{80}', '\u{7ff}'],
        ['水', '\u{d7ff}', '\u{ffff}'],
        ['🦀', '\u{10000}', '\u{10ffff}'],
    ];
    let mut text = std::string::String::new();
    let length = random.usize(..=length_max);
    while text.len() < length {
        let characters = CHARACTERS[random.usize(..4)];
        for _ in 0..random.usize(1..=1 + length_max / 8) {
            text.extend(random.choice(characters));
        }
    }
    let mut bytes = text.into_bytes();
    bytes.truncate(length);
    for _ in 0..[0, 0, 1, 2][random.usize(..4)].min(length) {
        let at = random.usize(..length);
        bytes[at] = if random.bool() { random.u8(..) } else { bytes[at] ^ 1 << random.u8(..8) };
    }
    let first = random.usize(..=length);
    check_in_pieces(&bytes, &[first, random.usize(first..=length)]);
}

#[test]
fn random_texts_agree_with_std() {
    let mut random = Rng::with_seed(1);
    for length_max in [8, 40, 80, 300, 2000] {
        (0..3_000_000 / length_max).for_each(|_| check_at_random(&mut random, length_max));
    }
}

#[test]
#[ignore = "takes minutes: the same as above for millions of texts, for who changes a kernel"]
fn millions_of_random_texts_agree_with_std() {
    let mut random = Rng::with_seed(2);
    for length_max in [8, 16, 40, 80, 150, 300] {
        (0..1_000_000).for_each(|_| check_at_random(&mut random, length_max));
    }
}

#[test]
fn a_piece_that_fails_leaves_the_text_as_long_as_it_was() {
    let (mut validator, mut text) = (Validator::default(), b"be".to_vec());
    validator.append(&masked(b"gun \xe6\xb0", 1), turned_key(1), &mut text).unwrap();
    assert!(!validator.is_complete());
    assert_eq!(validator.append(b"\xb4\xff", [0; 4], &mut text), Err(NotUtf8));
    assert_eq!(text, b"begun \xe6\xb0");
}

#[test]
fn a_whole_text_is_whole() {
    let mut text = masked("水".as_bytes(), 0);
    assert_eq!(unmask(&mut text, KEY), Ok(()));
    assert_eq!(text, "水".as_bytes());
    for cut in 1..3 {
        let part = &"水".as_bytes()[..cut];
        assert!(!is_valid(part));
        assert_eq!(unmask(&mut masked(part, 0), KEY), Err(NotUtf8));
    }
    assert!(is_valid(b"") && unmask(&mut [], KEY).is_ok());
}
