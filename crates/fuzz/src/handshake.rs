//! Whatever a peer sends instead of a handshake, it does not make us panic, and the verdict is the
//! same however it is cut. What is accepted keeps the rules, and what we answer is what tungstenite
//! expects and our own client accepts.

use crate::head::Input;
use bytes::BytesMut;
use halfopen_proto::handshake::{
    ClientRequest, HeadLimits, HeadProgress, Rejection, Request, ResponseError,
};
use tungstenite::handshake::derive_accept_key;

/// Checks it of one head.
pub fn check(input: &Input) {
    if input.is_request {
        check_request(input);
    } else {
        check_answer(input);
    }
}

fn check_request(Input { wire, limits, step, .. }: &Input) {
    let whole = verdict(wire, limits);
    same_in_pieces(wire, *step, limits, &whole, verdict);
    match Request::parse(wire, limits) {
        Ok(Some((request, size))) => {
            assert!(wire[..size].ends_with(b"\r\n\r\n") && size <= limits.bytes_max);
            keeps_the_rules(&request);
            answers(&request);
        }
        Ok(None) => assert!(wire.len() < limits.bytes_max),
        Err(rejection) => is_whole_answer(&rejection),
    }
}

/// The part of what `read` finds that does not borrow: how long the head is, or the refusal.
fn verdict(wire: &[u8], limits: &HeadLimits) -> Option<Result<usize, Rejection>> {
    Request::parse(wire, limits).map(|found| found.map(|(_, size)| size)).transpose()
}

/// Checks that each part of `wire` has no verdict or that of the whole, which is found in pieces.
fn same_in_pieces<V: PartialEq + std::fmt::Debug>(
    wire: &[u8],
    step: usize,
    limits: &HeadLimits,
    whole: &Option<V>,
    read: impl Fn(&[u8], &HeadLimits) -> Option<V>,
) {
    // A fault may be found a little later in pieces, but not after a line that ends wrongly.
    let longer = if whole.is_some() { [wire, b"\n\n"].concat() } else { wire.to_vec() };
    let mut progress = HeadProgress::default();
    let mut found = None;
    for end in (step..longer.len()).step_by(step).chain([longer.len()]) {
        let part = read(&longer[..end.min(wire.len())], limits);
        assert!(part.is_none() || part == *whole, "{part:?} at byte {end}, then {whole:?}");
        if found.is_none() && progress.is_due(&longer[..end], limits) {
            found = read(&longer[..end], limits);
        }
    }
    assert_eq!(found, *whole, "in pieces of {step}");
}

fn keeps_the_rules(request: &Request<'_>) {
    let is_graphic = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(is_graphic(request.target()) && request.path().starts_with('/'));
    assert!(
        !request.path().contains(['?', '#']) && request.target().contains(request.path())
            || request.path() == "/"
    );
    assert!(request.query().is_none_or(|query| request.target().ends_with(query)));
    assert!(is_graphic(request.host()) && !request.host().is_empty());
    assert!(!request.host().contains(['/', '@', '?', '#']));
    assert!(request.origin().is_none_or(|origin| is_graphic(origin) && !origin.is_empty()));
    let offered: Vec<&str> = request.subprotocols().collect();
    for (i, name) in offered.iter().enumerate() {
        assert!(is_token(name) && !offered[..i].contains(name), "{offered:?}");
    }
    for extension in request.extensions() {
        assert!(is_token(extension.name()));
        for (name, value) in extension.params() {
            assert!(is_token(name) && value.is_none_or(|value| is_token(&value)));
        }
    }
    for (name, value) in request.headers() {
        let is_value_byte = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
        assert!(is_token(name) && value.iter().all(is_value_byte));
        assert!(request.header(name).is_some());
    }
    assert!(request.header("Transfer-Encoding").is_none());
}

fn is_token(text: &str) -> bool {
    let is_separator = |c: char| "()<>@,;:\\\"/[]?={} \t".contains(c);
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !is_separator(c))
}

/// The answer holds what tungstenite makes of the key, the subprotocol, and no line more.
fn answers(request: &Request<'_>) {
    let mut out = BytesMut::new();
    let chosen = request.subprotocols().last();
    request.accept(chosen, &[("X", "y")], &mut out).expect("it was offered");
    let answer = std::str::from_utf8(&out).expect("an answer is ASCII");
    let lines: Vec<&str> = answer.split("\r\n").collect();
    let key = request.header("Sec-WebSocket-Key").expect("a request has a key");
    let accept = format!("Sec-WebSocket-Accept: {}", derive_accept_key(key));
    assert!(lines.contains(&accept.as_str()), "{answer}");
    assert_eq!(lines.len(), 7 + usize::from(chosen.is_some()), "{answer}");
}

/// A refusal is a head and a body of the length that it tells.
fn is_whole_answer(rejection: &Rejection) {
    let mut out = BytesMut::new();
    rejection.encode(&mut out);
    let answer = std::str::from_utf8(&out).expect("a refusal is ASCII");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head ends");
    assert!(head.starts_with(&format!("HTTP/1.1 {} ", rejection.status())), "{answer}");
    let is_head = rejection.status() == 405 && body.is_empty();
    assert!(is_head || head.contains(&format!("\r\nContent-Length: {}", body.len())), "{answer}");
}

/// What our client asks, with the key of RFC 6455 §1.3.
const ASK: ClientRequest<'_> = ClientRequest {
    host: "example.org",
    target: "/chat",
    nonce: *b"the sample nonce",
    subprotocols: &["chat", "superchat"],
    origin: None,
    headers: &[],
};

/// What is told of an answer: its subprotocol and size, or the fault, whose words may still come.
type Told = Result<(Option<String>, usize), ResponseError>;

fn told(wire: &[u8], limits: &HeadLimits) -> Option<Told> {
    match ASK.check_response(wire, limits).transpose()? {
        Ok((response, size)) => Some(Ok((response.subprotocol().map(str::to_owned), size))),
        Err(ResponseError::Status { code, phrase, .. }) => {
            Some(Err(ResponseError::Status { code, phrase, body: String::new() }))
        }
        Err(error) => Some(Err(error)),
    }
}

fn check_answer(Input { wire, limits, step, .. }: &Input) {
    let whole = told(wire, limits);
    if whole.as_ref().is_none_or(Result::is_ok) {
        same_in_pieces(wire, *step, limits, &whole, told);
    }
    match ASK.check_response(wire, limits) {
        Ok(Some((response, size))) => {
            assert!(wire[..size].ends_with(b"\r\n\r\n") && size <= limits.bytes_max);
            assert!(response.subprotocol().is_none_or(|name| ASK.subprotocols.contains(&name)));
            let accept = derive_accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
            assert_eq!(response.header("Sec-WebSocket-Accept"), Some(accept.as_bytes()));
        }
        Ok(None) => assert!(wire.len() < limits.bytes_max),
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
    }
    asks_what_is_accepted(wire);
}

/// A request made of any words is refused by us before it is sent, or accepted by our own server.
fn asks_what_is_accepted(words: &[u8]) {
    let text = String::from_utf8_lossy(&words[..words.len().min(256)]);
    let mut words = text.split('\u{0}');
    let mut word = || words.next().unwrap_or_default();
    let (host, target, subprotocol, name, value) = (word(), word(), word(), word(), word());
    let ask = ClientRequest {
        host: if host.is_empty() { "example.org" } else { host },
        target: if target.is_empty() { "/" } else { target },
        subprotocols: &[if subprotocol.is_empty() { "chat" } else { subprotocol }],
        headers: &[(if name.is_empty() { "X" } else { name }, value)],
        ..ASK
    };
    let (mut asked, mut answered) = (BytesMut::new(), BytesMut::new());
    if ask.encode(&mut asked).is_err() {
        return assert!(asked.is_empty());
    }
    let limits = HeadLimits::default();
    let (request, size) = match Request::parse(&asked, &limits) {
        Ok(found) => found.expect("what we send is whole"),
        // An embedder's fields are its own matter, such as two Origins.
        Err(_) if name.eq_ignore_ascii_case("Origin") => return,
        Err(rejection) => panic!("{rejection} for {asked:?}"),
    };
    assert_eq!((size, request.host(), request.target()), (asked.len(), ask.host, ask.target));
    request.accept(Some(ask.subprotocols[0]), &[], &mut answered).expect("it was offered");
    let (response, size) = ask.check_response(&answered, &limits).unwrap().expect("it is whole");
    assert_eq!((response.subprotocol(), size), (Some(ask.subprotocols[0]), answered.len()));
}
