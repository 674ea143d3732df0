//! What a refusal looks like on the wire.

use crate::common::refusal;
use bytes::BytesMut;
use halfopen_proto::handshake::Rejection;
use std::time::Duration;

fn encoded(rejection: &Rejection) -> String {
    let mut out = BytesMut::new();
    rejection.encode(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn a_refusal_is_a_whole_http_answer() {
    assert_eq!(
        encoded(&Rejection::new(404, "no such endpoint")),
        "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: 17\r\n\r\nno such endpoint\n"
    );
}

#[test]
fn s4_2_2_and_s4_4_a_426_names_the_protocol_and_its_version() {
    let plain_get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let wrong_version = crate::common::with(("Version: 13", "Version: 8"));
    for head in [plain_get, &wrong_version] {
        let answer = encoded(&refusal(head));
        assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{answer}");
        assert!(answer.contains("\r\nConnection: close, Upgrade\r\n"), "{answer}");
        assert!(answer.contains("\r\nUpgrade: websocket\r\n"), "{answer}");
        assert!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{answer}");
    }
}

#[test]
fn rfc9110_s15_5_6_a_405_names_what_is_allowed() {
    assert!(encoded(&refusal("PUT ")).contains("\r\nAllow: GET\r\n"));
}

#[test]
fn rfc9110_s9_3_2_the_answer_to_head_has_no_body() {
    let answer = encoded(&refusal("HEAD "));
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn rfc9110_s15_5_2_a_401_has_a_challenge() {
    let refusal = Rejection::unauthorized("Basic realm=\"chat\"", "who are you?").unwrap();
    let answer = encoded(&refusal);
    assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{answer}");
    assert!(answer.contains("\r\nWWW-Authenticate: Basic realm=\"chat\"\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nwho are you?\n"), "{answer}");
    for none in ["", " Basic", "Basic\r\nX: 1", "realm=\"a\", b"] {
        assert!(Rejection::unauthorized(none, "").is_err(), "{none:?}");
    }
}

#[test]
#[should_panic(expected = "a 401 needs a challenge")]
fn rfc9110_s15_5_2_a_401_without_a_challenge_is_our_own_fault() {
    Rejection::new(401, "who are you?");
}

#[test]
#[should_panic(expected = "101 refuses nothing")]
fn a_refusal_has_the_status_of_one() {
    Rejection::new(101, "welcome");
}

#[test]
fn rfc9110_s10_2_3_a_503_says_when_to_come_back_in_whole_seconds() {
    for (after, seconds) in [(0, 0), (1, 1), (1000, 1), (1001, 2), (120_000, 120)] {
        let refusal = Rejection::unavailable(Duration::from_millis(after), "full");
        let answer = encoded(&refusal);
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
        assert!(answer.contains(&format!("\r\nRetry-After: {seconds}\r\n")), "{answer}");
    }
}

#[test]
fn a_refusal_takes_further_fields_but_none_of_its_own_and_none_that_ends_its_line() {
    let refusal = Rejection::new(403, "{\"error\":\"banned\"}");
    let json = refusal.with_header("Content-Type", "application/json").unwrap();
    let answer = encoded(&json);
    assert_eq!(answer.matches("Content-Type").count(), 1, "{answer}");
    assert!(answer.contains("\r\nContent-Type: application/json\r\n"), "{answer}");
    for (name, value) in [
        ("X", "a\r\nSet-Cookie: stolen"),
        ("X\r\nY", "a"),
        ("X", "\u{7f}"),
        ("Content-Length", "0"),
        ("Connection", "keep-alive"),
    ] {
        assert!(json.clone().with_header(name, value).is_err(), "{name:?}");
    }
}
