//! A good request to change, and what becomes of it at every split point.

use halfopen_proto::handshake::{HeadLimits, HeadProgress, Rejection, Request};

pub(crate) const LINE: &str = "GET /chat?room=1 HTTP/1.1";

pub(crate) const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The fields of a good request, each with its line.
pub(crate) const FIELDS: [&str; 5] = [
    "Host: example.org\r\n",
    "Upgrade: websocket\r\n",
    "Connection: Upgrade\r\n",
    "Sec-WebSocket-Version: 13\r\n",
    KEY,
];

/// A good request, with a part of its fields replaced and others added.
pub(crate) fn request(line: &str, instead: (&str, &str), more: &str) -> String {
    assert!(FIELDS.concat().contains(instead.0), "{:?} is not there to be replaced", instead.0);
    let fields = FIELDS.concat().replace(instead.0, instead.1);
    format!("{line}\r\n{fields}{more}\r\n")
}

/// A good request with more fields.
pub(crate) fn good(more: &str) -> String {
    request(LINE, ("", ""), more)
}

/// A good request with a part of its fields replaced.
pub(crate) fn with(instead: (&str, &str)) -> String {
    request(LINE, instead, "")
}

/// What a request was found to be: how long its head is, or its refusal.
pub(crate) type Verdict = Result<usize, Rejection>;

/// The verdict on a stream that begins with `bytes`; none, while the head is not whole.
pub(crate) fn parse(bytes: &[u8], limits: &HeadLimits) -> Option<Verdict> {
    Request::parse(bytes, limits).map(|found| found.map(|(_, size)| size)).transpose()
}

/// The verdict on `bytes`, and how many of them it takes, if they come in pieces that end at `cuts`
/// and are parsed when that is due.
pub(crate) fn parse_cut(
    bytes: &[u8],
    cuts: impl IntoIterator<Item = usize>,
    limits: &HeadLimits,
) -> Option<(Verdict, usize)> {
    let mut progress = HeadProgress::default();
    cuts.into_iter().chain([bytes.len()]).find_map(|end| {
        let here = &bytes[..end];
        if !progress.is_due(here, limits) {
            return None;
        }
        parse(here, limits).map(|verdict| (verdict, end))
    })
}

/// The verdict on `bytes`, after checking that it is the same at every split point: whatever is
/// known of a part is what is known of the whole.
#[track_caller]
pub(crate) fn verdict(bytes: &[u8], limits: &HeadLimits) -> Option<Verdict> {
    let whole = parse(bytes, limits);
    // A fault may be found a little later in pieces, but not after a line that ends wrongly.
    let longer = if whole.is_some() { [bytes, b"\n\n"].concat() } else { bytes.to_vec() };
    for cut in 0..bytes.len() {
        let part = parse(&bytes[..cut], limits);
        assert!(part.is_none() || part == whole, "{part:?} at byte {cut}, then {whole:?}");
        let resumed = parse_cut(&longer, [cut, bytes.len()], limits).map(|(verdict, _)| verdict);
        assert_eq!(resumed, whole, "cut at byte {cut}");
    }
    let bytewise = parse_cut(&longer, 0..longer.len(), limits).map(|(verdict, _)| verdict);
    assert_eq!(bytewise, whole, "byte by byte");
    whole
}

/// Checks that `head` is accepted, at its last byte.
#[track_caller]
pub(crate) fn accepted(head: impl AsRef<[u8]>) {
    let head = head.as_ref();
    let limits = HeadLimits::default();
    let with_frame = [head, b"\x81\x80\0\0\0\0"].concat();
    assert_eq!(verdict(head, &limits), Some(Ok(head.len())), "{}", head.escape_ascii());
    assert_eq!(verdict(&with_frame, &limits), Some(Ok(head.len())), "{}", head.escape_ascii());
    assert_eq!(verdict(&head[..head.len() - 1], &limits), None, "{}", head.escape_ascii());
}

/// The refusal of `head`, the same at every split point.
#[track_caller]
pub(crate) fn refusal(head: impl AsRef<[u8]>) -> Rejection {
    match verdict(head.as_ref(), &HeadLimits::default()) {
        Some(Err(rejection)) => rejection,
        other => panic!("{} gave {other:?}", head.as_ref().escape_ascii()),
    }
}

/// Checks that `head` is refused with `status` and a line that holds `words`.
#[track_caller]
pub(crate) fn refused(head: impl AsRef<[u8]>, status: u16, words: &str) {
    let rejection = refusal(&head);
    let head = head.as_ref().escape_ascii();
    assert_eq!(rejection.status(), status, "{head}: {rejection}");
    assert!(rejection.reason().contains(words), "{head}: {rejection}");
    assert!(!rejection.reason().contains(char::is_control), "{head}: {rejection}");
}
