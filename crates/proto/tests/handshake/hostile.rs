//! What a hostile peer sends instead of a request. None of it is accepted, and none of it costs more
//! than the bytes that it is made of.

use crate::common::{KEY, good, parse, parse_cut, refused, request, verdict, with};
use halfopen_proto::handshake::{HeadLimits, HeadProgress, Rejection};

fn status(verdict: Option<Result<usize, Rejection>>) -> Option<u16> {
    verdict.map(|verdict| verdict.map_or_else(|rejection| rejection.status(), |_| 101))
}

#[test]
fn headers_at_a_byte_a_read_are_parsed_a_few_times_and_not_for_each_byte() {
    let limits = HeadLimits::default();
    let filler = limits.bytes_max - good("X: \r\n").len();
    let head = good(&format!("X: {}\r\n", "x".repeat(filler)));
    let mut progress = HeadProgress::default();
    let due: Vec<usize> =
        (1..=head.len()).filter(|&end| progress.is_due(&head.as_bytes()[..end], &limits)).collect();
    assert_eq!(due.last(), Some(&head.len()));
    let parsed: usize = due.iter().sum();
    assert!(parsed <= 3 * head.len(), "{parsed} bytes parsed for {}", head.len());
    assert_eq!(status(verdict(head.as_bytes(), &limits)), Some(101));
}

#[test]
fn empty_fields_at_a_byte_a_read_are_parsed_a_few_times_too() {
    let limits = HeadLimits { fields_max: 10_000, ..HeadLimits::default() };
    let head = good(&"X:\r\n".repeat(4000));
    let mut progress = HeadProgress::default();
    let parsed: usize =
        (1..=head.len()).filter(|&end| progress.is_due(&head.as_bytes()[..end], &limits)).sum();
    assert!(parsed <= 3 * head.len(), "{parsed} bytes parsed for {}", head.len());
}

#[test]
fn a_head_over_the_limit_is_refused_however_it_arrives() {
    let limits = HeadLimits { bytes_max: 400, fields_max: 6 };
    let of = |head: &str| status(verdict(head.as_bytes(), &limits));
    let filler = |length: usize| good(&format!("X: {}\r\n", "x".repeat(length)));
    let exact = 400 - filler(0).len();
    assert_eq!(of(&filler(exact)), Some(101));
    assert_eq!(of(&filler(exact + 1)), Some(431));
    assert_eq!(of(&filler(exact + 1)[..399]), None);
    assert_eq!(of(&filler(exact + 1)[..400]), Some(431));
    assert_eq!(of(&good("A: 1\r\n")), Some(101));
    assert_eq!(of(&good("A: 1\r\nB: 2\r\n")), Some(431));
}

#[test]
fn rfc9112_s3_a_target_too_long_gets_414_and_a_method_too_long_501() {
    let limits = HeadLimits { bytes_max: 400, fields_max: 6 };
    let of = |head: &str| status(verdict(head.as_bytes(), &limits));
    assert_eq!(of(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(400))), Some(414));
    assert_eq!(of(&"G".repeat(500)), Some(501));
}

#[test]
fn ten_thousand_headers_are_refused() {
    let head = good(&"X: 1\r\n".repeat(10_000));
    let verdict = parse(head.as_bytes(), &HeadLimits::default());
    assert_eq!(status(verdict), Some(431));
    let (verdict, seen) =
        parse_cut(head.as_bytes(), 0..head.len(), &HeadLimits::default()).unwrap();
    assert_eq!(status(Some(verdict)), Some(431));
    assert!(seen <= HeadLimits::default().bytes_max, "refused after {seen} bytes");
}

#[test]
fn a_hundred_headers_are_served_and_one_more_is_not() {
    let limits = HeadLimits::default();
    let head = |count: usize| good(&"X: 1\r\n".repeat(count));
    assert_eq!(status(verdict(head(95).as_bytes(), &limits)), Some(101));
    assert_eq!(status(verdict(head(96).as_bytes(), &limits)), Some(431));
}

#[test]
fn without_limits_no_more_memory_is_asked_for_than_fields_can_come() {
    let limits = HeadLimits { bytes_max: usize::MAX, fields_max: usize::MAX };
    let head = good(&"X: 1\r\n".repeat(1000));
    assert_eq!(status(parse(head.as_bytes(), &limits)), Some(101));
}

#[test]
fn headers_without_an_end_are_refused_at_the_limit() {
    for endless in ["x".repeat(20_000), "\t".repeat(20_000), ",".repeat(20_000)] {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {endless}");
        let (verdict, seen) =
            parse_cut(head.as_bytes(), 0..head.len(), &HeadLimits::default()).unwrap();
        assert_eq!((status(Some(verdict)), seen), (Some(431), 16 * 1024));
    }
}

#[test]
fn empty_lines_without_end_are_refused_at_the_second() {
    let (verdict, seen) =
        parse_cut("\r\n".repeat(9000).as_bytes(), 0..18_000, &HeadLimits::default()).unwrap();
    assert_eq!(status(Some(verdict)), Some(400));
    assert!(seen <= 4, "refused after {seen} bytes");
}

#[test]
fn frames_glued_to_the_upgrade_belong_to_the_connection() {
    let head = good("");
    for frames in [&b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..], b"\r\n\r\n", b"\n", b"\0"]
    {
        let stream = [head.as_bytes(), frames].concat();
        assert_eq!(verdict(&stream, &HeadLimits::default()), Some(Ok(head.len())));
    }
    // A stream may go on far beyond the limit of its head.
    let long = [head.as_bytes(), &vec![0x82; 100_000]].concat();
    assert_eq!(parse(&long, &HeadLimits::default()), Some(Ok(head.len())));
}

#[test]
fn a_doubled_key_or_version_is_refused() {
    refused(good(KEY), 400, "Key field stands twice");
    refused(good("Sec-WebSocket-Version: 8\r\n"), 400, "Version field stands twice");
}

#[test]
fn a_wrong_version_gets_426() {
    refused(with(("Version: 13", "Version: 99")), 426, "version 13");
}

#[test]
fn a_missing_host_is_refused() {
    refused(with(("Host: example.org\r\n", "")), 400, "Host field is missing");
    refused(
        request("GET http://example.org/ HTTP/1.1", ("Host: example.org\r\n", ""), ""),
        400,
        "Host",
    );
}

#[test]
fn a_body_or_a_transfer_encoding_on_the_upgrade_is_refused() {
    let smuggled = "GET /admin HTTP/1.1\r\nHost: internal\r\n\r\n";
    let length = smuggled.len();
    refused(good(&format!("Content-Length: {length}\r\n")) + smuggled, 400, "body");
    let chunked = good("Transfer-Encoding: chunked\r\n") + "0\r\n\r\n" + smuggled;
    refused(chunked, 400, "Transfer-Encoding");
    refused(good("Transfer-Encoding : chunked\r\n"), 400, "name");
    refused(good("X: y\nTransfer-Encoding: chunked\r\n"), 400, "carriage return");
}

#[test]
fn thousands_of_subprotocols_are_looked_through_in_no_time() {
    let names: Vec<String> = (0..3000).map(|number| format!("p{number}")).collect();
    let limits = HeadLimits { bytes_max: 64 * 1024, ..HeadLimits::default() };
    let head = |list: &str| good(&format!("Sec-WebSocket-Protocol: {list}\r\n"));
    assert_eq!(status(parse(head(&names.join(",")).as_bytes(), &limits)), Some(101));
    let doubled = format!("{},p0", names.join(","));
    assert_eq!(status(parse(head(&doubled).as_bytes(), &limits)), Some(400));
}
