//! The server's side: §4.2, and what RFC 9112 asks of who reads a request.

use crate::common::{FIELDS, KEY, LINE, accepted, good, refused, request, with};
use bytes::BytesMut;
use halfopen_proto::handshake::{Extension, HeadLimits, Request};

fn parsed(head: &str) -> Request<'_> {
    Request::parse(head.as_bytes(), &HeadLimits::default()).unwrap().unwrap().0
}

#[test]
fn s1_3_the_example_is_accepted_with_its_answer() {
    let head = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
                Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
                Sec-WebSocket-Version: 13\r\n\r\n";
    accepted(head);
    let request = parsed(head);
    assert_eq!((request.target(), request.path(), request.query()), ("/chat", "/chat", None));
    assert_eq!(request.host(), "server.example.com");
    assert_eq!(request.origin(), Some("http://example.com"));
    assert_eq!(request.subprotocols().collect::<Vec<_>>(), ["chat", "superchat"]);

    let mut out = BytesMut::new();
    request.accept(Some("chat"), &[], &mut out).unwrap();
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
                    Sec-WebSocket-Protocol: chat\r\n\r\n";
    assert_eq!(out, expected);
}

#[test]
fn a_request_is_told_by_its_parts() {
    let head =
        good("Cookie: a=1; token=x=\"y\" ;b=\r\nX-Two: 1\r\nX-Two: \u{e9}\r\ncookie: c=3\r\n");
    let request = parsed(&head);
    assert_eq!(request.target(), "/chat?room=1");
    assert_eq!((request.path(), request.query()), ("/chat", Some("room=1")));
    assert_eq!(request.header("x-two"), Some(&b"1"[..]));
    assert_eq!(request.header("absent"), None);
    let two: Vec<_> = request.headers().filter(|(name, _)| *name == "X-Two").collect();
    assert_eq!(two, [("X-Two", &b"1"[..]), ("X-Two", "\u{e9}".as_bytes())]);
    assert_eq!(request.headers().count(), FIELDS.len() + 4);
    for (name, value) in [("a", Some("1")), ("token", Some("x=\"y\"")), ("b", Some(""))] {
        assert_eq!(request.cookie(name), value.map(str::as_bytes), "{name}");
    }
    assert_eq!((request.cookie("c"), request.cookie("tok")), (Some(&b"3"[..]), None));
}

#[test]
fn s4_2_1_item_1_another_method_is_refused_before_the_head_is_whole() {
    refused("POST ", 405, "GET");
    refused("get / HTTP/1.1", 405, "GET");
    refused("PRI * HTTP/2.0\r\n\r\n", 405, "GET");
    refused(request("HEAD / HTTP/1.1", ("", ""), ""), 405, "GET");
}

#[test]
fn s4_2_1_item_1_an_older_http_is_refused_and_one_not_known() {
    refused("GET / HTTP/1.0\r\n", 400, "HTTP/1.1");
    refused("GET / HTTP/0.9\r\n", 505, "HTTP/1.1");
    refused("GET / HTTP/2.0\r\n", 505, "HTTP/1.1");
    refused("GET / http/1.1\r\n", 505, "HTTP/1.1");
    refused("GET / FTP/1.1\r\n", 505, "HTTP/1.1");
    refused("GET /\r\n", 400, "not an HTTP");
}

#[test]
fn s4_2_1_item_1_the_target_is_a_path() {
    for target in ["*", "chat", "/chat#part", "ftp://example.org/", "example.org:80", "/\u{e9}"] {
        refused(request(&format!("GET {target} HTTP/1.1"), ("", ""), ""), 400, "path");
    }
    for line in ["GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET\t/ HTTP/1.1", "GET /a b HTTP/1.1"] {
        let rejection = crate::common::refusal(request(line, ("", ""), ""));
        assert!([400, 505].contains(&rejection.status()), "{line:?}: {rejection}");
    }
}

#[test]
fn rfc9112_s3_2_2_an_absolute_target_is_understood_and_names_the_host() {
    let head = request("GET http://other.example:81/chat?x HTTP/1.1", ("", ""), "");
    accepted(&head);
    let request_ = parsed(&head);
    assert_eq!((request_.path(), request_.query()), ("/chat", Some("x")));
    assert_eq!(request_.host(), "other.example:81");
    assert_eq!(request_.header("Host"), Some(&b"example.org"[..]));
    accepted(request("GET HTTPS://other.example HTTP/1.1", ("", ""), ""));
    for target in ["http:///chat", "http://user@example.org/", "http://a b/"] {
        let rejection =
            crate::common::refusal(request(&format!("GET {target} HTTP/1.1"), ("", ""), ""));
        assert!([400, 505].contains(&rejection.status()), "{target:?}: {rejection}");
    }
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
        refused(with((field, "")), status, words);
    }
}

#[test]
fn s4_2_1_the_order_of_fields_is_free() {
    let mut fields = FIELDS;
    fields.reverse();
    accepted(format!("{LINE}\r\n{}\r\n", fields.concat()));
}

#[test]
fn s4_2_1_and_s11_3_fields_that_stand_once_are_refused_when_doubled() {
    refused(good("host: example.net\r\n"), 400, "Host field stands twice");
    refused(good("Host: example.org\r\n"), 400, "Host field stands twice");
    refused(good("Sec-WebSocket-Version: 13\r\n"), 400, "Version field stands twice");
    refused(good(KEY), 400, "Key field stands twice");
    refused(good("Origin: null\r\nORIGIN: null\r\n"), 400, "Origin field stands twice");
}

#[test]
fn rfc9112_s3_2_a_host_that_is_none_is_refused() {
    for host in
        ["", "a b", "user@example.org", "example.org/", "a:b", "[::1", "\u{e9}.org", "a:1:2"]
    {
        refused(with(("Host: example.org", &format!("Host: {host}"))), 400, "Host");
    }
    for host in ["example.org:9001", "127.0.0.1", "[::1]:80", "my_host", "example.org:"] {
        accepted(with(("Host: example.org", &format!("Host: {host}"))));
    }
}

#[test]
fn s4_2_1_items_3_and_4_tokens_are_found_whatever_their_case_and_place() {
    let upgrade = ("Upgrade: websocket", "UPGRADE: h2c, WebSocket");
    let connection = ("Connection: Upgrade", "connection: keep-alive ,\tupGrade");
    accepted(with(upgrade).replace(connection.0, connection.1));
    accepted(with(("Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade")));
    accepted(with(("Connection: Upgrade", "Connection: , ,,Upgrade,")));
    accepted(with(("Connection: Upgrade", "Connection:Upgrade \t")));
    for none in ["h2c", "websockets", "web socket", "websocket/13", "\"websocket\"", "", ","] {
        let upgrade = format!("Upgrade: {none}\r\n");
        refused(with(("Upgrade: websocket\r\n", &upgrade)), 426, "WebSocket endpoint");
    }
    for none in ["keep-alive", "Upgrades", "keep-alive Upgrade", "close", ""] {
        let connection = format!("Connection: {none}\r\n");
        refused(with(("Connection: Upgrade\r\n", &connection)), 400, "Connection");
    }
}

#[test]
fn s4_2_1_item_5_a_key_is_sixteen_bytes_in_base64() {
    for (part, instead) in [("jZQ==", "jZQ="), ("jZQ==", "jZQAA"), ("dGhl", "dG"), ("dGhl", "dGh!")]
    {
        refused(with((part, instead)), 400, "Sec-WebSocket-Key");
    }
    refused(with(("dGhlIHNhbXBsZSBub25jZQ==", "")), 400, "Sec-WebSocket-Key");
    refused(with(("dGhl", "dGhl dGhl")), 400, "Sec-WebSocket-Key");
}

#[test]
fn s4_2_1_item_6_and_s4_4_another_version_gets_426() {
    for version in ["0", "7", "8", "12", "14", "25", "013", "13, 8", "8, 13", "x", ""] {
        refused(with(("Version: 13", &format!("Version: {version}"))), 426, "13");
    }
}

#[test]
fn s4_2_1_item_7_and_rfc6454_s7_an_origin_is_one_line_of_ascii() {
    for origin in ["null", "https://example.org", "http://localhost:8080", "chrome-extension://x"] {
        let head = good(&format!("Origin: {origin}\r\n"));
        accepted(&head);
        assert_eq!(parsed(&head).origin(), Some(origin));
    }
    for origin in ["", "https://a https://b", "https://\u{e9}.org"] {
        refused(good(&format!("Origin: {origin}\r\n")), 400, "Origin");
    }
}

#[test]
fn s4_2_2_and_s10_2_a_foreign_origin_is_refused_with_403() {
    let allowed = ["https://example.org", "https://www.example.org"];
    let check = |fields: &str| parsed(&good(fields)).check_origin(&allowed);
    assert_eq!(check(""), Ok(()), "a client that is no browser");
    assert_eq!(check("Origin: https://www.example.org\r\n"), Ok(()));
    assert_eq!(check("Origin: HTTPS://Example.org\r\n"), Ok(()));
    for foreign in [
        "null",
        "http://example.org",
        "https://example.org:8443",
        "https://example.org.evil.example",
        "https://evil.example/https://example.org",
    ] {
        let refusal = check(&format!("Origin: {foreign}\r\n")).unwrap_err();
        assert_eq!(refusal.status(), 403, "{foreign}: {refusal}");
    }
}

#[test]
fn s4_1_item_10_subprotocols_are_tokens_and_differ() {
    for value in ["a b", "chat/2", "\"chat\"", "\u{e9}", "a, b=c", "", ", ,"] {
        refused(good(&format!("Sec-WebSocket-Protocol: {value}\r\n")), 400, "list of tokens");
    }
    refused(good("Sec-WebSocket-Protocol: a, b, a\r\n"), 400, "twice");
    refused(good("Sec-WebSocket-Protocol: a\r\nsec-websocket-protocol: a\r\n"), 400, "twice");
    accepted(good("Sec-WebSocket-Protocol: chat, Chat\r\n"));
}

#[test]
fn s11_3_4_subprotocols_may_stand_in_several_fields() {
    let head = good("Sec-WebSocket-Protocol: a,b ,, c\r\nX: y\r\nSec-WebSocket-Protocol: d\r\n");
    accepted(&head);
    assert_eq!(parsed(&head).subprotocols().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
}

#[test]
fn s4_2_2_only_an_offered_subprotocol_can_be_chosen() {
    let head = good("Sec-WebSocket-Protocol: v1, v2\r\n");
    let request = parsed(&head);
    assert_eq!(request.subprotocol_among(&["v3", "v2", "v1"]), Some("v2"));
    assert_eq!(request.subprotocol_among(&["V1"]), None);
    let mut out = BytesMut::new();
    for not_offered in ["v3", "", "v1\r\nSet-Cookie: stolen", "v1, v2"] {
        let error = request.accept(Some(not_offered), &[], &mut out).unwrap_err();
        assert!(error.to_string().contains("Sec-WebSocket-Protocol"), "{error}");
    }
    assert!(out.is_empty());
}

#[test]
fn s4_2_2_an_answer_takes_further_fields_but_none_of_its_own_and_none_that_ends_its_line() {
    let head = good("");
    let request = parsed(&head);
    let mut out = BytesMut::new();
    for (name, value) in [
        ("X", "a\r\nSet-Cookie: stolen"),
        ("X", "a\nb"),
        ("X", "a\0"),
        ("X: y\r\nZ", "1"),
        ("X Y", "1"),
        ("", "1"),
        ("\u{e9}", "1"),
        ("Upgrade", "h2c"),
        ("content-length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("sec-websocket-accept", "x"),
    ] {
        let error = request.accept(None, &[("Good", "1"), (name, value)], &mut out).unwrap_err();
        assert!(!error.to_string().contains(char::is_control), "{error}");
        assert!(out.is_empty(), "{name:?}");
    }
    let more = [("Set-Cookie", "a=1; Secure"), ("Set-Cookie", "b=\u{e9}\t2")];
    request.accept(None, &more, &mut out).unwrap();
    let text = String::from_utf8(out.to_vec()).unwrap();
    assert!(
        text.ends_with("=\r\nSet-Cookie: a=1; Secure\r\nSet-Cookie: b=\u{e9}\t2\r\n\r\n"),
        "{text}"
    );
}

#[test]
fn s9_1_extensions_are_read_with_their_parameters() {
    let head = good(
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, foo;a=1;b=\"2\"\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\n",
    );
    accepted(&head);
    let request = parsed(&head);
    let extensions: Vec<_> = request.extensions().collect();
    let names: Vec<_> = extensions.iter().map(Extension::name).collect();
    assert_eq!(names, ["permessage-deflate", "foo", "permessage-deflate"]);
    let params = |i: usize| extensions[i].params().collect::<Vec<_>>();
    assert_eq!(params(0), [("client_max_window_bits", None)]);
    assert_eq!(params(1), [("a", Some("1".into())), ("b", Some("2".into()))]);
    assert_eq!(params(2), []);
}

#[test]
fn s9_1_extensions_that_break_the_grammar_are_refused() {
    for value in ["", ",", "a b", "a;", "a; b=", "a; b=\"c d\"", "a; b=\"c,d\"", "=", "\u{e9}"] {
        refused(good(&format!("Sec-WebSocket-Extensions: {value}\r\n")), 400, "Extensions");
    }
    accepted(good("Sec-WebSocket-Extensions: ,a; b = \"\\c\" , ,d\r\n"));
}

#[test]
fn rfc9112_s6_a_request_with_a_body_is_refused() {
    refused(good("Content-Length: 5\r\n"), 400, "body");
    refused(good("Content-Length: 0\r\nContent-Length: 5\r\n"), 400, "body");
    for length in ["+0", "-0", "0x0", "0, 5", "18446744073709551616", ""] {
        refused(good(&format!("Content-Length: {length}\r\n")), 400, "body");
    }
    for coding in ["chunked", "identity", ""] {
        refused(good(&format!("Transfer-Encoding: {coding}\r\n")), 400, "Transfer-Encoding");
    }
    refused(good("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), 400, "Transfer-Encoding");
    accepted(good("Content-Length: 0\r\n"));
}

#[test]
fn rfc9110_s10_1_1_a_request_without_a_body_expects_nothing() {
    refused(good("Expect: 100-continue\r\n"), 417, "expects nothing");
    refused(good("Expect: something\r\n"), 417, "expects nothing");
}

#[test]
fn rfc9112_s2_2_a_line_ends_with_cr_lf() {
    let head = good("X: y\r\n");
    let lines: Vec<usize> = head.match_indices("\r\n").map(|(at, _)| at).collect();
    for (i, &at) in lines.iter().enumerate() {
        let mut bare_lf = head.clone();
        bare_lf.remove(at);
        let words = if i + 1 == lines.len() { "carriage return" } else { "" };
        refused(&bare_lf, 400, words);
        let mut bare_cr = head.clone().into_bytes();
        bare_cr.remove(at + 1);
        if i + 1 < lines.len() {
            refused(&bare_cr, 400, "");
        }
    }
    refused(good("X: a\nSec-WebSocket-Protocol: b\r\n"), 400, "carriage return");
    refused(good("X: a\rb\r\n"), 400, "value");
    refused(head.replace("\r\n", "\n"), 400, "carriage return");
}

#[test]
fn rfc9112_s2_2_one_empty_line_before_the_request_is_let_pass() {
    accepted(format!("\r\n{}", good("")));
    refused(format!("\r\n\r\n{}", good("")), 400, "not an HTTP");
    refused(format!("\n{}", good("")), 400, "not an HTTP");
    refused("\r\r\n", 400, "not an HTTP");
}

#[test]
fn rfc9112_s5_1_and_s5_2_white_space_in_the_wrong_place_is_refused() {
    refused(with(("Host:", "Host :")), 400, "name");
    refused(with(("Host:", "Host\t:")), 400, "name");
    refused(with(("Host:", " Host:")), 400, "name");
    refused(good("X: a\r\n b\r\n"), 400, "name");
    refused(good("X: a\r\n\tb\r\n"), 400, "name");
    refused(good("X y: a\r\n"), 400, "name");
    refused(good(": a\r\n"), 400, "name");
    refused(good("no colon\r\n"), 400, "name");
}

#[test]
fn rfc9110_s5_5_control_characters_are_refused_and_other_bytes_are_opaque() {
    for control in (0u8..32).chain([127]).filter(|byte| !b"\t\r\n".contains(byte)) {
        let line = [b"X: a", &[control][..], b"b\r\n"].concat();
        refused(good(std::str::from_utf8(&line).unwrap()), 400, "value");
        refused(good(&format!("X{}: a\r\n", char::from(control))), 400, "name");
    }
    let mut opaque = good("X: a\tb\r\n").into_bytes();
    let at = opaque.iter().rposition(|&byte| byte == b'\t').unwrap();
    opaque[at] = 0xff;
    accepted(&opaque);
    accepted(good("X: a\tb\r\nY:\r\nZ: \t \r\n"));
}

#[test]
fn what_is_not_http_is_refused_at_once() {
    refused("\u{16}\u{3}\u{1}", 400, "TLS");
    refused("\u{1}", 400, "not an HTTP");
    refused([0xff, 0xff], 400, "not an HTTP");
    refused("\u{81}\u{80}".as_bytes(), 400, "not an HTTP");
    refused("SSH-2.0-OpenSSH_9.6\r\n", 400, "not an HTTP");
}
