//! For a CPU without a kernel of ours, and for the shortest pieces: unmask, then let simdutf8 check
//! what is whole. What this file promises: nothing but the bytes of the span is touched.
#![allow(unsafe_code)] // The span is made of raw pointers, as the kernels need it.

use super::{NotUtf8, Span, is_open, moved_on};
use crate::mask;
use core::slice;

/// # Safety
/// As [`Span`] says.
pub(super) unsafe fn run<const WRITE: bool>(
    span: Span,
    key: u32,
    last: u32,
) -> Result<u32, NotUtf8> {
    // SAFETY: the caller's promise, and of what is read afterwards `unmask` has made bytes.
    unsafe {
        if WRITE {
            unmask(span, key);
        }
        let clear = if WRITE { span.to.cast_const() } else { span.from };
        check(slice::from_raw_parts(clear, span.len), last)
    }
}

/// # Safety
/// As [`Span`] says of a pass that writes.
#[inline(always)]
pub(super) unsafe fn unmask(span: Span, key: u32) {
    let Span { from, to, len } = span;
    let key = key.to_le_bytes();
    // SAFETY: the caller's promise. Either there is one slice, or two that do not overlap.
    unsafe {
        if from == to.cast_const() {
            mask::apply(slice::from_raw_parts_mut(to, len), key, 0);
        } else {
            let to = slice::from_raw_parts_mut(to.cast(), len);
            mask::copy(slice::from_raw_parts(from, len), to, key, 0);
        }
    }
}

fn check(bytes: &[u8], last: u32) -> Result<u32, NotUtf8> {
    let is_short_ascii = !is_open(last) && bytes.len() < 16 && bytes.is_ascii();
    if !is_short_ascii {
        let rest = complete(bytes, last)?;
        let (whole, part) = rest.split_at(rest.len() - unfinished(rest));
        if simdutf8::basic::from_utf8(whole).is_err() || is_hopeless(part) {
            return Err(NotUtf8);
        }
    }
    let first = bytes.iter().take(4).rev().fold(0, |four, &byte| four << 8 | u32::from(byte));
    Ok(match bytes.last_chunk() {
        Some(&end) => u32::from_le_bytes(end),
        None => moved_on(last, first, bytes.len()),
    })
}

/// Finishes the character that was begun before from the front of `bytes` and gives the rest back.
fn complete(bytes: &[u8], last: u32) -> Result<&[u8], NotUtf8> {
    if !is_open(last) {
        return Ok(bytes);
    }
    let last = last.to_le_bytes();
    let begun = &last[4 - unfinished(&last)..];
    let missing = begun[0].leading_ones() as usize - begun.len();
    let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
    let mut character = [0; 4];
    character[..begun.len()].copy_from_slice(begun);
    character[begun.len()..][..taken.len()].copy_from_slice(taken);
    let character = &character[..begun.len() + taken.len()];
    if is_hopeless(character) { Err(NotUtf8) } else { Ok(rest) }
}

/// Whether nothing that follows makes these bytes right.
fn is_hopeless(bytes: &[u8]) -> bool {
    core::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_some())
}

/// How many bytes at the end of `bytes` begin a character and do not finish it.
fn unfinished(bytes: &[u8]) -> usize {
    let is_continuation = |byte: u8| byte & 0xc0 == 0x80;
    let tail = bytes.iter().rev().take(3);
    match tail.copied().enumerate().find(|(_, byte)| !is_continuation(*byte)) {
        Some((after, lead)) if width(lead) > after + 1 => after + 1,
        _ => 0,
    }
}

/// How many bytes the character takes that begins with `lead`; 1 where none can.
fn width(lead: u8) -> usize {
    match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}
