//! A stream of frames as a peer sends it, and where it is cut.
//!
//! The first byte of an input tells whether the rest is the stream itself, or says which frames to
//! write. Those keep most rules: messages whole and in fragments, control frames between them, text
//! of characters of every length, and at each place a small chance to break a rule.

use arbitrary::{Arbitrary, Result, Unstructured};
use halfopen_proto::{Limits, Role};

/// No stream is longer: what a fuzzer learns, it learns from short ones.
const WIRE_MAX: usize = 1 << 18;

/// What a connection of `role` receives.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Who receives it.
    pub role: Role,
    /// The bytes.
    pub wire: Vec<u8>,
    /// The receiver's limits, small ones.
    pub limits: Limits,
    /// Where the bytes are cut, ascending.
    pub cuts: Vec<usize>,
}

impl Stream {
    /// The input that stands for a stream as it is, with wide limits: for a corpus to begin with.
    pub fn seed(role: Role, wire: &[u8]) -> Vec<u8> {
        let form = RAW | if role == Role::Server { SERVER } else { 0 };
        [&[form, 16, 16, 16, 16, 3, 1], wire].concat()
    }
}

/// Bits of an input's first byte.
const RAW: u8 = 1;
const SERVER: u8 = 2;

impl<'a> Arbitrary<'a> for Stream {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let form: u8 = u.arbitrary()?;
        let role = if form & SERVER == 0 { Role::Client } else { Role::Server };
        let limits = limits(u)?;
        let (pattern, step) = (u.arbitrary()?, u.arbitrary()?);
        let wire = if form & RAW == 0 { frames(role, u)? } else { u.bytes(u.len())?.to_vec() };
        let cuts = cuts(pattern, step, wire.len());
        Ok(Self { role, wire, limits, cuts })
    }
}

/// From a few bytes to 64 KiB.
fn limits(u: &mut Unstructured<'_>) -> Result<Limits> {
    let mut power = || u.arbitrary().map(|byte: u8| 1u64 << (byte % 17));
    let (frame, message, fragments, pinned) = (power()?, power()?, power()?, power()?);
    let mut limits = Limits::of_message(message);
    (limits.frame_max, limits.fragments_max) = (frame, fragments as u32);
    limits.pinned_max = pinned;
    Ok(limits)
}

/// Nowhere, once, at every byte, every few, or at random.
fn cuts(pattern: u8, step: u8, len: usize) -> Vec<usize> {
    let step = usize::from(step).max(1);
    match pattern % 4 {
        0 => Vec::new(),
        1 => vec![step.min(len)],
        2 => (step..len).step_by(step).collect(),
        _ => {
            let mut at = 0;
            let mut seed = u64::from(pattern) << 8 | step as u64;
            std::iter::from_fn(|| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                at += 1 + (seed >> 33) as usize % (2 * step);
                (at < len).then_some(at)
            })
            .collect()
        }
    }
}

/// Writes frames as the input says, until it is used up.
fn frames(receiver: Role, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut wire = Vec::new();
    while !u.is_empty() && wire.len() < WIRE_MAX {
        match u.arbitrary::<u8>()? % 16 {
            0..=6 => message(receiver, u, &mut wire)?,
            7..=9 => control(receiver, u, &mut wire)?,
            10 => close(receiver, u, &mut wire)?,
            11 => long(receiver, u, &mut wire)?,
            12 => odd(receiver, u, &mut wire)?,
            13 => wire.extend(few(u, 16)?),
            _ => damage(u, &mut wire)?,
        }
    }
    Ok(wire)
}

/// A message in a few fragments, cut anywhere, with control frames between them.
fn message(receiver: Role, u: &mut Unstructured<'_>, wire: &mut Vec<u8>) -> Result<()> {
    let form: u8 = u.arbitrary()?;
    let payload = if form & 1 == 0 { text(u)? } else { few(u, 64)?.to_vec() };
    let mut opcode = 1 + (form & 1);
    let mut rest = &payload[..];
    for _ in 0..(form >> 1) % 4 {
        let (part, behind) = rest.split_at(usize::from(u.arbitrary::<u8>()?) % (rest.len() + 1));
        frame(receiver, opcode, part, u, wire)?;
        (opcode, rest) = (0, behind);
        if form & 0x40 != 0 {
            control(receiver, u, wire)?;
        }
    }
    let fin = if form & 0x80 == 0 { 0x80 } else { 0 };
    frame(receiver, fin | opcode, rest, u, wire)
}

/// A ping or a pong.
fn control(receiver: Role, u: &mut Unstructured<'_>, wire: &mut Vec<u8>) -> Result<()> {
    let opcode = 0x89 + u.arbitrary::<u8>()? % 2;
    let payload = few(u, 128)?;
    frame(receiver, opcode, payload, u, wire)
}

fn close(receiver: Role, u: &mut Unstructured<'_>, wire: &mut Vec<u8>) -> Result<()> {
    let form: u8 = u.arbitrary()?;
    let code =
        if form & 1 == 0 { 1000 + u16::from(u.arbitrary::<u8>()?) % 20 } else { u.arbitrary()? };
    let mut body = code.to_be_bytes().to_vec();
    body.extend(text(u)?);
    body.truncate(usize::from(form >> 1));
    frame(receiver, 0x88, &body, u, wire)
}

/// A message of one byte again and again, about as long as where the form of lengths changes.
fn long(receiver: Role, u: &mut Unstructured<'_>, wire: &mut Vec<u8>) -> Result<()> {
    let (form, difference): (u8, u8) = (u.arbitrary()?, u.arbitrary()?);
    let about = [126, 256, 1024, 4096, 65_536][usize::from(form >> 1) % 5];
    let payload = vec![b'a' + form % 26; about + usize::from(difference) % 8 - 4];
    frame(receiver, 0x81 + (form & 1), &payload, u, wire)
}

/// A header of any kind: reserved bits and opcodes, lengths in any form, with or without a mask.
fn odd(receiver: Role, u: &mut Unstructured<'_>, wire: &mut Vec<u8>) -> Result<()> {
    let (first, second): (u8, u8) = (u.arbitrary()?, u.arbitrary()?);
    wire.extend([first, second]);
    let length_size = [0, 2, 8][usize::from(second & 0x7f).saturating_sub(125).min(2)];
    let length: u64 = if first & 1 == 0 { u.arbitrary::<u8>()?.into() } else { u.arbitrary()? };
    wire.extend(&length.to_be_bytes()[8 - length_size..]);
    if receiver == Role::Server {
        wire.extend([0; 4]);
    }
    Ok(())
}

/// Writes over a byte that is there already.
fn damage(u: &mut Unstructured<'_>, wire: &mut [u8]) -> Result<()> {
    let (at, byte): (u16, u8) = (u.arbitrary()?, u.arbitrary()?);
    if !wire.is_empty() {
        let at = wire.len() - 1 - usize::from(at) % wire.len();
        wire[at] = byte;
    }
    Ok(())
}

/// A frame as the other side sends it, under a key that the input gives.
fn frame(
    receiver: Role,
    first: u8,
    payload: &[u8],
    u: &mut Unstructured<'_>,
    wire: &mut Vec<u8>,
) -> Result<()> {
    let mask = if receiver == Role::Server { 0x80 } else { 0 };
    wire.push(first);
    match payload.len() {
        length @ 0..126 => wire.push(mask | length as u8),
        length @ 126..0x1_0000 => {
            wire.push(mask | 126);
            wire.extend((length as u16).to_be_bytes());
        }
        length => {
            wire.push(mask | 127);
            wire.extend((length as u64).to_be_bytes());
        }
    }
    if mask == 0 {
        wire.extend(payload);
        return Ok(());
    }
    let key: [u8; 4] = u.arbitrary()?;
    wire.extend(key);
    wire.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    Ok(())
}

/// Characters of every length, and now and then bytes that are none.
fn text(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    const BROKEN: [&[u8]; 8] = [
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe0\x9f\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\x80",
        b"\xf0\x9f\xa6",
    ];
    let mut text = Vec::new();
    for &byte in few(u, 64)? {
        match byte {
            0..=99 => text.push(byte),
            100..=149 => text.extend("é".as_bytes()),
            150..=199 => text.extend("水".as_bytes()),
            200..=247 => text.extend("🦀".as_bytes()),
            _ => text.extend(BROKEN[usize::from(byte) - 248]),
        }
    }
    Ok(text)
}

/// At most `max` bytes of what is left.
fn few<'a>(u: &mut Unstructured<'a>, max: usize) -> Result<&'a [u8]> {
    let count = usize::from(u.arbitrary::<u8>()?) % (max + 1);
    u.bytes(count.min(u.len()))
}
