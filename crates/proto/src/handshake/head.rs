//! A head: the lines up to and with the blank one (RFC 9112 §2.1), as far as they have come.
//!
//! [httparse] reads it; what is stricter here than there is that a line ends with CR LF, and that at
//! most one empty line stands before the first (§2.2 allows to refuse the one, and asks for no more
//! than the other).

use alloc::vec::Vec;
use core::mem::MaybeUninit;
use httparse::Header;

/// Limits of a request or response head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// The most bytes up to and with the blank line.
    pub bytes_max: usize,
    /// The most header fields.
    pub fields_max: usize,
}

impl Default for HeadLimits {
    /// 16 KiB, 100 fields.
    fn default() -> Self {
        Self { bytes_max: 16 * 1024, fields_max: 100 }
    }
}

impl HeadLimits {
    /// The part of `bytes` in which the head must end.
    pub(super) fn window<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[..bytes.len().min(self.bytes_max)]
    }
}

/// How far a head that comes in pieces has been looked at.
///
/// Parsing reads a head from its start. A peer that sends it byte by byte would have it parsed as
/// often as it has bytes; held against this first, all parses together cost about as much as three
/// of the whole head. What they find is the same, only a fault may be found some bytes later.
///
/// ```
/// use halfopen_proto::handshake::{HeadLimits, HeadProgress};
///
/// let (mut progress, limits) = (HeadProgress::default(), HeadLimits::default());
/// assert!(progress.is_due(b"GET /chat HTT", &limits));
/// assert!(!progress.is_due(b"GET /chat HTTP/1.1\r", &limits));
/// assert!(progress.is_due(b"GET /chat HTTP/1.1\r\n", &limits));
/// assert!(!progress.is_due(b"GET /chat HTTP/1.1\r\nHost: a\r\n", &limits));
/// assert!(progress.is_due(b"GET /chat HTTP/1.1\r\nHost: a\r\n\r\n", &limits));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadProgress {
    /// The bytes in which ends of lines were looked for.
    searched: usize,
    /// How many bytes the last parse saw.
    parsed: usize,
    /// The first line has come.
    has_line: bool,
}

impl HeadProgress {
    /// Whether `bytes`, all of the head that has come, are worth a parse: they may hold its end or
    /// that of its first line, they are as many as may come, or they have doubled since the last
    /// parse.
    pub fn is_due(&mut self, bytes: &[u8], limits: &HeadLimits) -> bool {
        let is_due = self.ends_a_line_that_counts(bytes)
            || bytes.len() >= limits.bytes_max
            || bytes.len() >= 2 * self.parsed;
        if is_due {
            self.parsed = bytes.len();
        }
        is_due
    }

    /// Whether what is new ends the first line or the last.
    fn ends_a_line_that_counts(&mut self, bytes: &[u8]) -> bool {
        let from = self.searched.min(bytes.len());
        self.searched = bytes.len();
        let has_line = self.has_line;
        let mut ends = (from..bytes.len()).filter(|&at| bytes[at] == b'\n').peekable();
        self.has_line |= ends.peek().is_some();
        ends.any(|at| !has_line || is_last(&bytes[..=at]))
    }
}

/// Whether the line feed at the end of `bytes` ends the head, or breaks the rules.
fn is_last(bytes: &[u8]) -> bool {
    bytes.ends_with(b"\r\n\r\n") || !bytes.ends_with(b"\r\n")
}

/// What has come of a head without the empty line that may stand before it (RFC 9112 §2.2). None
/// if it begins with another.
pub(super) fn without_empty_line(window: &[u8]) -> Option<&[u8]> {
    let lines = window.strip_prefix(b"\r\n").unwrap_or(window);
    let is_undecided = window == b"\r";
    let begins_well = !matches!(lines, [b'\r' | b'\n', ..]);
    (begins_well || is_undecided).then_some(lines)
}

/// Whether every line of `bytes` ends with CR LF. In what httparse has accepted a CR stands nowhere
/// but before an LF, so that counting them is enough.
pub(super) fn ends_lines_well(bytes: &[u8]) -> bool {
    count(bytes, b'\r') == count(bytes, b'\n')
}

/// How often a byte stands in `bytes`: in chunks whose count fits a byte, which compilers vectorise.
fn count(bytes: &[u8], wanted: u8) -> usize {
    let in_chunk = |chunk: &[u8]| chunk.iter().map(|&byte| u8::from(byte == wanted)).sum::<u8>();
    bytes.chunks(128).map(|chunk| usize::from(in_chunk(chunk))).sum()
}

/// `bytes` up to and with the first line feed that no CR precedes.
pub(super) fn up_to_bare_line_feed(bytes: &[u8]) -> Option<&[u8]> {
    let is_bare = |&at: &usize| bytes[at] == b'\n' && (at == 0 || bytes[at - 1] != b'\r');
    (0..bytes.len()).find(is_bare).map(|at| &bytes[..=at])
}

/// Few heads have more fields.
const FIELDS_USUAL: usize = 32;

/// No field is shorter: a name of one character, a colon, and LF, to which httparse needs no CR.
const FIELD_MIN: usize = 3;

/// What httparse gives back: how many bytes the head takes, if it is whole.
pub(super) type Parsed = httparse::Result<usize>;

/// Has `read` parse `bytes` with room for fields: on the stack for as many as are usual, and for more
/// only when there are more.
pub(super) fn with_room<'b, T>(
    bytes: &'b [u8],
    fields_max: usize,
    read: impl Fn(&'b [u8], &mut [MaybeUninit<Header<'b>>]) -> (T, Parsed),
) -> (T, Parsed) {
    let mut few = [const { MaybeUninit::uninit() }; FIELDS_USUAL];
    let room = fields_max.min(FIELDS_USUAL);
    match read(bytes, &mut few[..room]) {
        (_, Err(httparse::Error::TooManyHeaders)) if fields_max > room => {
            let mut many = Vec::new();
            many.resize_with(fields_max.min(bytes.len() / FIELD_MIN), MaybeUninit::uninit);
            read(bytes, &mut many)
        }
        done => done,
    }
}
