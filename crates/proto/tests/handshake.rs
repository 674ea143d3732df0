//! The opening handshake (RFC 6455 §4): what is accepted, and what each refusal says.

use bytes::BytesMut;
use halfopen_proto::handshake::{ClientRequest, HeadLimits, Rejection, Request, ResponseError};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The fields of a good request, each with its line.
const FIELDS: [&str; 5] = [
    "Host: example.org\r\n",
    "Upgrade: websocket\r\n",
    "Connection: Upgrade\r\n",
    "Sec-WebSocket-Version: 13\r\n",
    KEY,
];

/// A good request, with the line of one field replaced and others added.
fn request(line: &str, instead: (&str, &str), more: &str) -> String {
    assert!(FIELDS.concat().contains(instead.0), "{:?} is not there to be replaced", instead.0);
    let fields = FIELDS.concat().replace(instead.0, instead.1);
    format!("{line}\r\n{fields}{more}\r\n")
}

const LINE: &str = "GET /chat?room=1 HTTP/1.1";

fn good(more: &str) -> String {
    request(LINE, ("", ""), more)
}

fn refusal(head: &str) -> Rejection {
    match Request::parse(head.as_bytes(), &HeadLimits::default()) {
        Err(rejection) => rejection,
        other => panic!("{head:?} gave {other:?}"),
    }
}

/// Checks that `head` is refused with `status` and a line that holds `words`.
#[track_caller]
fn refused(head: &str, status: u16, words: &str) {
    let rejection = refusal(head);
    assert_eq!(rejection.status, status, "{rejection}");
    assert!(rejection.reason.contains(words), "{rejection}");
    assert!(!rejection.reason.contains('\n'), "{rejection}");
}

#[test]
fn s1_3_the_example_is_accepted_with_its_answer() {
    let head = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
                Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
                Sec-WebSocket-Version: 13\r\n\r\n";
    let (request, size) = Request::parse(head.as_bytes(), &HeadLimits::default()).unwrap().unwrap();
    assert_eq!((request.target(), size), ("/chat", head.len()));
    assert_eq!(request.header("origin"), Some(&b"http://example.com"[..]));
    assert_eq!(request.subprotocols().collect::<Vec<_>>(), ["chat", "superchat"]);

    let mut out = BytesMut::new();
    request.accept(Some("chat"), &mut out);
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
                    Sec-WebSocket-Protocol: chat\r\n\r\n";
    assert_eq!(out, expected);
}

#[test]
fn s4_2_1_names_and_tokens_are_read_whatever_their_case() {
    let head = good("").replace("Upgrade: websocket", "UPGRADE: h2c, WebSocket");
    let head = head.replace("Connection: Upgrade", "connection: keep-alive, upGrade");
    assert!(Request::parse(head.as_bytes(), &HeadLimits::default()).unwrap().is_some());
    let head =
        good("").replace("Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade");
    assert!(Request::parse(head.as_bytes(), &HeadLimits::default()).unwrap().is_some());
}

#[test]
fn a_head_is_whole_at_its_last_byte_and_frames_may_follow() {
    let head = good("");
    for cut in 0..head.len() {
        let parsed = Request::parse(&head.as_bytes()[..cut], &HeadLimits::default());
        assert!(parsed.unwrap().is_none(), "at byte {cut}");
    }
    let with_frames = [head.as_bytes(), b"\x81\x80\0\0\0\0"].concat();
    let (_, size) = Request::parse(&with_frames, &HeadLimits::default()).unwrap().unwrap();
    assert_eq!(size, head.len());
}

#[test]
fn s4_2_1_another_method_is_refused_before_the_head_is_whole() {
    refused("POST ", 405, "GET");
    refused(&request("HEAD / HTTP/1.1", ("", ""), ""), 405, "GET");
}

#[test]
fn s4_2_1_an_older_http_is_refused() {
    refused("GET / HTTP/1.0\r\n", 400, "HTTP/1.1");
    refused("GET / HTTP/2.0\r\n", 505, "HTTP/1.1");
}

#[test]
fn what_is_not_http_is_refused_at_once() {
    refused("\u{16}\u{3}\u{1}", 400, "TLS");
    refused("\u{1}", 400, "not an HTTP");
    refused("GET / HTTP/1.1\r\nHost : x\r\n", 400, "name");
    refused("GET / HTTP/1.1\r\nHost: \0\r\n", 400, "value");
}

#[test]
fn s4_2_1_the_target_is_a_path() {
    for target in ["*", "chat", "/chat#part", "ftp://example.org/"] {
        refused(&request(&format!("GET {target} HTTP/1.1"), ("", ""), ""), 400, "path");
    }
    let absolute = request("GET http://example.org/chat HTTP/1.1", ("", ""), "");
    assert!(Request::parse(absolute.as_bytes(), &HeadLimits::default()).unwrap().is_some());
}

#[test]
fn s4_2_1_each_field_that_is_missing_is_named() {
    for (field, status, words) in [
        ("Host: example.org\r\n", 400, "Host field is missing"),
        ("Upgrade: websocket\r\n", 426, "WebSocket endpoint"),
        ("Connection: Upgrade\r\n", 400, "Connection"),
        ("Sec-WebSocket-Version: 13\r\n", 400, "Version field is missing"),
        (KEY, 400, "Key field is missing"),
    ] {
        refused(&request(LINE, (field, ""), ""), status, words);
    }
}

#[test]
fn s4_2_1_fields_that_stand_once_are_refused_when_doubled() {
    refused(&good("host: example.net\r\n"), 400, "Host field stands twice");
    refused(&good("Sec-WebSocket-Version: 13\r\n"), 400, "Version field stands twice");
    refused(&good(KEY), 400, "Key field stands twice");
}

#[test]
fn s4_2_1_fields_with_a_wrong_value_are_named() {
    let with = |instead| request(LINE, instead, "");
    refused(&with(("Host: example.org", "Host: ")), 400, "Host");
    refused(&with(("Upgrade: websocket", "Upgrade: h2c")), 426, "WebSocket endpoint");
    refused(&with(("Upgrade: websocket", "Upgrade: websockets")), 426, "WebSocket endpoint");
    refused(&with(("Connection: Upgrade", "Connection: keep-alive")), 400, "Connection");
    refused(&with(("jZQ==", "jZQ=")), 400, "Sec-WebSocket-Key");
    for version in ["8", "12", "14", "013", "13, 8", ""] {
        let field = format!("Version: {version}");
        refused(&request(LINE, ("Version: 13", &field), ""), 426, "13");
    }
}

#[test]
fn a_request_with_a_body_is_refused() {
    refused(&good("Content-Length: 5\r\n"), 400, "body");
    refused(&good("Content-Length: 0\r\nContent-Length: 5\r\n"), 400, "body");
    refused(&good("Content-Length: +0\r\n"), 400, "body");
    refused(&good("Transfer-Encoding: chunked\r\n"), 400, "Transfer-Encoding");
    let empty = good("Content-Length: 0\r\n");
    assert!(Request::parse(empty.as_bytes(), &HeadLimits::default()).unwrap().is_some());
}

#[test]
fn a_head_over_the_limits_is_refused_however_it_arrives() {
    let limits = HeadLimits { bytes_max: 400, fields_max: 6 };
    let status =
        |head: &str| Request::parse(head.as_bytes(), &limits).map(|parsed| parsed.is_some());
    let filler = |length: usize| format!("X: {}\r\n", "x".repeat(length));
    let exact = 400 - good(&filler(0)).len();
    assert_eq!(status(&good(&filler(exact))), Ok(true));
    assert_eq!(status(&good(&filler(exact + 1))).unwrap_err().status, 431);
    assert_eq!(status(&good(&filler(exact + 1))[..399]), Ok(false));
    assert_eq!(status(&good(&filler(exact + 1))[..400]).unwrap_err().status, 431);
    assert_eq!(status(&good("A: 1\r\nB: 2\r\n")).unwrap_err().status, 431);
    assert_eq!(status(&"G".repeat(400)).unwrap_err().status, 431);
}

#[test]
fn s11_3_4_subprotocols_may_stand_in_several_fields_and_must_be_tokens() {
    let head = good("Sec-WebSocket-Protocol: a,b ,, c\r\nSec-WebSocket-Protocol: d\r\n");
    let (request, _) = Request::parse(head.as_bytes(), &HeadLimits::default()).unwrap().unwrap();
    assert_eq!(request.subprotocols().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    for value in ["a b", "chat/2", "\"chat\"", "é", "a, b=c"] {
        refused(&good(&format!("Sec-WebSocket-Protocol: {value}\r\n")), 400, "Protocol");
    }
}

#[test]
#[should_panic(expected = "not offered")]
fn s4_2_2_only_an_offered_subprotocol_can_be_chosen() {
    let head = good("Sec-WebSocket-Protocol: chat\r\n");
    let (request, _) = Request::parse(head.as_bytes(), &HeadLimits::default()).unwrap().unwrap();
    request.accept(Some("chat\r\nSet-Cookie: stolen"), &mut BytesMut::new());
}

#[test]
fn a_refusal_is_a_whole_http_answer() {
    let encoded = |rejection: &Rejection| {
        let mut out = BytesMut::new();
        rejection.encode(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    };
    assert_eq!(
        encoded(&Rejection::new(503, "full")),
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\nfull\n"
    );
    let plain = encoded(&refusal("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert!(plain.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{plain}");
    assert!(plain.contains("\r\nUpgrade: websocket\r\n"), "{plain}");
    assert!(plain.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{plain}");
    assert!(encoded(&refusal("PUT ")).contains("\r\nAllow: GET\r\n"));
}

const ASK: ClientRequest<'_> = ClientRequest {
    host: "example.org:9001",
    target: "/chat",
    nonce: *b"the sample nonce",
    subprotocols: &["chat", "v2"],
    origin: Some("https://example.org"),
    headers: &[("Authorization", "Bearer abc")],
};

#[test]
fn s4_1_a_clients_request_is_written_field_by_field() {
    let mut out = BytesMut::new();
    ASK.encode(&mut out).unwrap();
    let expected = "GET /chat HTTP/1.1\r\nHost: example.org:9001\r\nUpgrade: websocket\r\n\
                    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                    Sec-WebSocket-Protocol: chat, v2\r\nOrigin: https://example.org\r\n\
                    Authorization: Bearer abc\r\n\r\n";
    assert_eq!(out, expected);
    assert!(Request::parse(&out, &HeadLimits::default()).unwrap().is_some());
}

#[test]
fn a_client_cannot_inject_a_field() {
    let line_break = "x\r\nX-Injected: 1";
    let broken = [
        ClientRequest { host: line_break, ..ASK },
        ClientRequest { host: "", ..ASK },
        ClientRequest { target: "/ HTTP/1.1\r\nX:", ..ASK },
        ClientRequest { target: "chat", ..ASK },
        ClientRequest { target: "/chat#part", ..ASK },
        ClientRequest { subprotocols: &["a", "b\r\nX: 1"], ..ASK },
        ClientRequest { subprotocols: &["a,b"], ..ASK },
        ClientRequest { origin: Some(line_break), ..ASK },
        ClientRequest { headers: &[("X-A", line_break)], ..ASK },
        ClientRequest { headers: &[("X-A: 1\r\nX-B", "2")], ..ASK },
        ClientRequest { headers: &[("", "x")], ..ASK },
        ClientRequest { headers: &[("sec-websocket-key", "x")], ..ASK },
    ];
    for ask in broken {
        let mut out = BytesMut::new();
        let error = ask.encode(&mut out).unwrap_err();
        assert!(out.is_empty() && !error.to_string().contains('\n'), "{error}");
    }
}

/// A good answer to [`ASK`], with a part replaced.
fn answer(instead: (&str, &str)) -> String {
    let good = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
                Sec-WebSocket-Protocol: v2\r\n\r\n";
    assert!(good.contains(instead.0), "{:?} is not there to be replaced", instead.0);
    good.replace(instead.0, instead.1)
}

fn check(answer: &str) -> Result<Option<(Option<&str>, usize)>, ResponseError> {
    ASK.check_response(answer.as_bytes(), &HeadLimits::default())
}

#[test]
fn s4_1_a_good_answer_is_accepted_at_its_last_byte() {
    let head = answer(("", ""));
    for cut in 0..head.len() {
        assert_eq!(check(&head[..cut]), Ok(None), "at byte {cut}");
    }
    let with_frame = format!("{head}\u{1}\u{0}");
    assert_eq!(check(&with_frame), Ok(Some((Some("v2"), head.len()))));
    let none_chosen = answer(("Sec-WebSocket-Protocol: v2\r\n", ""));
    assert_eq!(check(&none_chosen), Ok(Some((None, none_chosen.len()))));
}

#[test]
fn s4_1_an_answer_that_opens_nothing_says_why() {
    use ResponseError as E;
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let cases = [
        (("Upgrade: websocket\r\n", ""), E::NoUpgrade),
        (("Upgrade: websocket", "Upgrade: h2c"), E::NoUpgrade),
        (("Connection: Upgrade", "Connection: close"), E::NoConnectionUpgrade),
        ((accept, ""), E::WrongAccept),
        ((accept, &accept.repeat(2)), E::WrongAccept),
        (("s3pP", "S3PP"), E::WrongAccept),
        (("Protocol: v2", "Protocol: v3"), E::SubprotocolNotOffered("v3".into())),
        (("Protocol: v2", "Protocol: chat, v2"), E::SubprotocolNotOffered("chat, v2".into())),
        (("Protocol: v2", "Protocol: v2\r\nSec-WebSocket-Protocol: chat"), E::SeveralSubprotocols),
        (
            ("Sec-WebSocket-Protocol: v2", "Sec-WebSocket-Extensions: permessage-deflate"),
            E::ExtensionNotOffered("permessage-deflate".into()),
        ),
        (("HTTP/1.1", "HTTP/1.0"), E::NotHttp),
        (("HTTP/1.1", "SSH-2.0"), E::NotHttp),
    ];
    for (instead, error) in cases {
        assert_eq!(check(&answer(instead)), Err(error), "{instead:?}");
    }
}

#[test]
fn another_status_is_told_with_the_servers_words() {
    let refusal =
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 30\r\n\r\nno \u{1b}[31mentry\r\nsecond";
    let error = check(refusal).unwrap_err();
    assert_eq!(error.to_string(), "the server answered 403 Forbidden: no [31mentry");
    let bare = check("HTTP/1.1 500 \r\n\r\n").unwrap_err();
    assert_eq!(bare.to_string(), "the server answered 500");
}

#[test]
fn an_answer_without_end_is_refused_at_the_limit() {
    let limits = HeadLimits { bytes_max: 100, fields_max: 10 };
    let endless = format!("HTTP/1.1 101 OK\r\nX: {}", "x".repeat(100));
    let hear =
        |bytes: &str| ASK.check_response(bytes.as_bytes(), &limits).map(|head| head.is_some());
    assert_eq!(hear(&endless[..99]), Ok(false));
    assert_eq!(hear(&endless), Err(ResponseError::HeadTooLong));
}
