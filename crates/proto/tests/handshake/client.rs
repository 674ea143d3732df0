//! The client's side: §4.1.

use bytes::BytesMut;
use halfopen_proto::handshake::{
    ClientRequest, HeadLimits, HeadProgress, Request, Response, ResponseError,
};

const ASK: ClientRequest<'_> = ClientRequest {
    host: "example.org:9001",
    target: "/chat",
    nonce: *b"the sample nonce",
    subprotocols: &["chat", "v2"],
    origin: Some("https://example.org"),
    headers: &[("Authorization", "Bearer abc")],
};

#[test]
fn s4_1_a_request_is_written_field_by_field() {
    let mut out = BytesMut::new();
    ASK.encode(&mut out).unwrap();
    let expected = "GET /chat HTTP/1.1\r\nHost: example.org:9001\r\nUpgrade: websocket\r\n\
                    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                    Sec-WebSocket-Protocol: chat, v2\r\nOrigin: https://example.org\r\n\
                    Authorization: Bearer abc\r\n\r\n";
    assert_eq!(out, expected);
    crate::common::accepted(&out);
}

#[test]
fn what_one_side_asks_and_the_other_answers_opens_the_connection() {
    let limits = HeadLimits::default();
    let (mut asked, mut answered) = (BytesMut::new(), BytesMut::new());
    ASK.encode(&mut asked).unwrap();
    let (request, _) = Request::parse(&asked, &limits).unwrap().unwrap();
    request.accept(Some("v2"), &[("Set-Cookie", "a=1")], &mut answered).unwrap();
    let (response, size) = ASK.check_response(&answered, &limits).unwrap().unwrap();
    assert_eq!((response.subprotocol(), size), (Some("v2"), answered.len()));
    assert_eq!(response.header("set-cookie"), Some(&b"a=1"[..]));
    assert_eq!(response.headers().count(), 5);
}

#[test]
fn a_client_cannot_inject_a_field() {
    let line_break = "x\r\nX-Injected: 1";
    let broken = [
        ClientRequest { host: line_break, ..ASK },
        ClientRequest { host: "", ..ASK },
        ClientRequest { host: "user@example.org", ..ASK },
        ClientRequest { target: "/ HTTP/1.1\r\nX:", ..ASK },
        ClientRequest { target: "", ..ASK },
        ClientRequest { target: "chat", ..ASK },
        ClientRequest { target: "/chat#part", ..ASK },
        ClientRequest { target: "/\u{e9}", ..ASK },
        ClientRequest { subprotocols: &["a", "b\r\nX: 1"], ..ASK },
        ClientRequest { subprotocols: &["a,b"], ..ASK },
        ClientRequest { subprotocols: &[""], ..ASK },
        ClientRequest { subprotocols: &["a", "b", "a"], ..ASK },
        ClientRequest { origin: Some(line_break), ..ASK },
        ClientRequest { origin: Some(""), ..ASK },
        ClientRequest { headers: &[("X-A", line_break)], ..ASK },
        ClientRequest { headers: &[("X-A: 1\r\nX-B", "2")], ..ASK },
        ClientRequest { headers: &[("", "x")], ..ASK },
        ClientRequest { headers: &[("sec-websocket-key", "x")], ..ASK },
        ClientRequest { headers: &[("Transfer-Encoding", "chunked")], ..ASK },
        ClientRequest { headers: &[("origin", "null")], ..ASK },
    ];
    for ask in broken {
        let mut out = BytesMut::new();
        let error = ask.encode(&mut out).unwrap_err();
        assert!(out.is_empty() && !error.to_string().contains('\n'), "{error}");
    }
    let with_origin = ClientRequest { origin: None, headers: &[("Origin", "null")], ..ASK };
    assert_eq!(with_origin.encode(&mut BytesMut::new()), Ok(()));
}

const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// A good answer to [`ASK`], with a part replaced.
fn answer(instead: (&str, &str)) -> String {
    let good = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         {ACCEPT}Sec-WebSocket-Protocol: v2\r\n\r\n"
    );
    assert!(good.contains(instead.0), "{:?} is not there to be replaced", instead.0);
    good.replace(instead.0, instead.1)
}

type Verdict<'a> = Result<Option<(Option<&'a str>, usize)>, ResponseError>;

fn parse<'a>(answer: &'a [u8], limits: &HeadLimits) -> Verdict<'a> {
    let parts = |(response, size): (Response<'a>, usize)| (response.subprotocol(), size);
    ASK.check_response(answer, limits).map(|found| found.map(parts))
}

/// The verdict on an answer; that on a part of it is none or the same, byte by byte too.
#[track_caller]
fn check(answer: &[u8]) -> Verdict<'_> {
    let limits = HeadLimits::default();
    let whole = parse(answer, &limits);
    let mut progress = HeadProgress::default();
    let mut bytewise = Ok(None);
    for cut in 0..=answer.len() {
        let part = parse(&answer[..cut], &limits);
        let is_same = match (&part, &whole) {
            // More of the body may have come.
            (
                Err(ResponseError::Status { code, .. }),
                Err(ResponseError::Status { code: other, .. }),
            ) => code == other,
            _ => part == Ok(None) || part == whole,
        };
        assert!(is_same, "{part:?} at byte {cut}, then {whole:?}");
        if bytewise == Ok(None) && progress.is_due(&answer[..cut], &limits) {
            bytewise = part;
        }
    }
    assert_eq!(bytewise == Ok(None), whole == Ok(None), "byte by byte");
    whole
}

#[test]
fn s4_1_a_good_answer_is_accepted_at_its_last_byte() {
    let head = answer(("", ""));
    assert_eq!(check(&head.as_bytes()[..head.len() - 1]), Ok(None));
    let with_frame = format!("{head}\u{1}\u{0}");
    assert_eq!(check(with_frame.as_bytes()), Ok(Some((Some("v2"), head.len()))));
    let none_chosen = answer(("Sec-WebSocket-Protocol: v2\r\n", ""));
    assert_eq!(check(none_chosen.as_bytes()), Ok(Some((None, none_chosen.len()))));
    for (good, as_good) in [
        ("Upgrade: websocket", "upgrade:\t WebSocket "),
        ("Connection: Upgrade", "CONNECTION: keep-alive, UPGRADE"),
        ("Switching Protocols", ""),
        (" Switching Protocols", ""),
        // RFC 9112 §6.3: what follows such a head is no body, whatever its fields say.
        ("Connection: Upgrade", "Connection: Upgrade\r\nContent-Length: 5"),
    ] {
        let head = answer((good, as_good));
        assert_eq!(check(head.as_bytes()), Ok(Some((Some("v2"), head.len()))), "{as_good:?}");
    }
}

#[test]
fn s4_1_an_answer_that_opens_nothing_says_why() {
    use ResponseError as E;
    let cases = [
        (("Upgrade: websocket\r\n", ""), E::NoUpgrade),
        (("Upgrade: websocket", "Upgrade: h2c"), E::NoUpgrade),
        (("Upgrade: websocket", "Upgrade: websocket, h2c"), E::NoUpgrade),
        (("Upgrade: websocket", "Upgrade:"), E::NoUpgrade),
        (("Connection: Upgrade\r\n", ""), E::NoConnectionUpgrade),
        (("Connection: Upgrade", "Connection: close"), E::NoConnectionUpgrade),
        ((ACCEPT, ""), E::WrongAccept),
        ((ACCEPT, &ACCEPT.repeat(2)), E::WrongAccept),
        (("s3pP", "S3PP"), E::WrongAccept),
        (("xOo=", "xOo"), E::WrongAccept),
        (("Protocol: v2", "Protocol: v3"), E::SubprotocolNotOffered("v3".into())),
        (("Protocol: v2", "Protocol: V2"), E::SubprotocolNotOffered("V2".into())),
        (("Protocol: v2", "Protocol: "), E::SubprotocolNotOffered("".into())),
        (("Protocol: v2", "Protocol: chat, v2"), E::SubprotocolNotOffered("chat, v2".into())),
        (("Protocol: v2", "Protocol: v2\r\nSec-WebSocket-Protocol: chat"), E::SeveralSubprotocols),
        (
            ("Sec-WebSocket-Protocol: v2", "Sec-WebSocket-Extensions: permessage-deflate"),
            E::ExtensionNotOffered("permessage-deflate".into()),
        ),
        (("HTTP/1.1", "HTTP/1.0"), E::NotHttp),
        (("HTTP/1.1", "SSH-2.0"), E::NotHttp),
        (("HTTP/1.1", "\r\nHTTP/1.1"), E::NotHttp),
        (("websocket\r\n", "websocket\n"), E::NotHttp),
        (("websocket\r\n", "websocket\r\n folded\r\n"), E::NotHttp),
        (("Upgrade: websocket", "Upgrade : websocket"), E::NotHttp),
        ((" 101 ", " 1O1 "), E::NotHttp),
    ];
    for (instead, error) in cases {
        assert_eq!(check(answer(instead).as_bytes()), Err(error), "{instead:?}");
    }
}

#[test]
fn rfc9110_s15_2_interim_answers_are_passed_over() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
    let all = format!("HTTP/1.1 100 Continue\r\n\r\n{early}{}frames", answer(("", "")));
    let size = all.len() - "frames".len();
    assert_eq!(check(all.as_bytes()), Ok(Some((Some("v2"), size))));
    assert_eq!(check(early.as_bytes()), Ok(None));
    let refused = format!("{early}HTTP/1.1 404 Not Found\r\n\r\n");
    assert!(matches!(check(refused.as_bytes()), Err(ResponseError::Status { code: 404, .. })));
    let limits = HeadLimits::default();
    let endless = early.repeat(limits.bytes_max / early.len() + 1);
    assert_eq!(parse(endless.as_bytes(), &limits), Err(ResponseError::HeadTooLong));
}

#[test]
fn s4_1_item_1_another_status_is_told_with_the_servers_words() {
    let refusal =
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 30\r\n\r\nno \u{1b}[31mentry\r\nsecond";
    let error = check(refusal.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "the server answered 403 Forbidden: no [31mentry");
    let bare = check(b"HTTP/1.1 500 \r\n\r\n").unwrap_err();
    assert_eq!(bare.to_string(), "the server answered 500");
    for code in ["200", "302", "401", "426"] {
        let head = format!("HTTP/1.1 {code} X\r\n\r\n");
        let error = check(head.as_bytes()).unwrap_err();
        assert!(matches!(error, ResponseError::Status { .. }), "{error}");
    }
}

#[test]
fn an_answer_without_end_is_refused_at_the_limit() {
    let limits = HeadLimits { bytes_max: 100, fields_max: 10 };
    let endless = format!("HTTP/1.1 101 OK\r\nX: {}", "x".repeat(100));
    assert_eq!(parse(&endless.as_bytes()[..99], &limits), Ok(None));
    assert_eq!(parse(endless.as_bytes(), &limits), Err(ResponseError::HeadTooLong));
    let many = format!("HTTP/1.1 101 OK\r\n{}", "X:\r\n".repeat(11));
    assert_eq!(parse(many.as_bytes(), &limits), Err(ResponseError::HeadTooLong));
}
