//! What is asked, and how an answer is put: pure.

use super::Stage;
use halfopen_server::metrics::CONTENT_TYPE;

/// The most bytes of a request's head.
pub(super) const HEAD_MAX: usize = 8 * 1024;

/// The most fields of a head.
const FIELDS_MAX: usize = 64;

/// What a visitor wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    Index,
    Live,
    Metrics,
    Ready,
}

/// A request, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) path: Path,
    /// HEAD: the same answer without its body.
    pub(super) head_only: bool,
}

/// Reads a request's head; none if it is not whole.
///
/// # Errors
/// The answer to what cannot be answered otherwise.
pub(super) fn parse(input: &[u8]) -> Result<Option<Request>, Vec<u8>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(input) {
        Ok(status) if status.is_complete() => {}
        Ok(_) if input.len() < HEAD_MAX => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Err(plain(431, "Request Header Fields Too Large", "too long"));
        }
        Err(error) => return Err(plain(400, "Bad Request", &error.to_string())),
    }
    let head_only = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(plain(405, "Method Not Allowed\r\nAllow: GET, HEAD", "GET is allowed")),
    };
    let target = request.path.unwrap_or_default();
    let path = match target.split('?').next().unwrap_or_default() {
        "/" => Path::Index,
        "/livez" => Path::Live,
        "/metrics" => Path::Metrics,
        "/readyz" => Path::Ready,
        _ => return Err(plain(404, "Not Found", INDEX)),
    };
    Ok(Some(Request { path, head_only }))
}

impl Request {
    /// The answer; none where the shards have to be asked first.
    pub(super) fn answer(self, stage: Stage) -> Option<Vec<u8>> {
        let answer = match (self.path, stage) {
            (Path::Index, _) => plain(200, "OK", INDEX),
            (Path::Live, _) => plain(200, "OK", "ok"),
            (Path::Ready, Stage::Ready) => plain(200, "OK", "ok"),
            (Path::Ready | Path::Metrics, Stage::Starting) => unavailable("starting"),
            (Path::Ready, Stage::Draining) => unavailable("draining"),
            (Path::Metrics, _) => return None,
        };
        Some(self.cut(answer))
    }

    /// The answer of `/metrics`.
    pub(super) fn page(self, page: &str) -> Vec<u8> {
        self.cut(answer(200, "OK", CONTENT_TYPE, page))
    }

    fn cut(self, mut answer: Vec<u8>) -> Vec<u8> {
        if self.head_only {
            let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            answer.truncate(end.expect("an answer has a head") + 4);
        }
        answer
    }
}

/// Not now; somebody who looks after this may try again.
pub(super) fn unavailable(why: &str) -> Vec<u8> {
    plain(503, "Service Unavailable", why)
}

fn plain(status: u16, reason: &str, line: &str) -> Vec<u8> {
    answer(status, reason, "text/plain; charset=utf-8", &format!("{line}\n"))
}

fn answer(status: u16, reason: &str, kind: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

const INDEX: &str = "/metrics  what the server counts, as Prometheus reads it\n\
    /livez    200 while the process answers\n\
    /readyz   200 while new connections are welcome, else 503";

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(head: &str, stage: Stage) -> String {
        let answer = match parse(head.as_bytes()) {
            Ok(Some(request)) => request.answer(stage).unwrap_or_else(|| request.page("m 1\n")),
            Ok(None) => return "more".into(),
            Err(answer) => answer,
        };
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn each_path_has_its_answer_and_the_rest_is_told_what_there_is() {
        let cases = [
            ("GET / HTTP/1.1\r\n\r\n", Stage::Ready, "HTTP/1.1 200 "),
            ("GET /livez HTTP/1.0\r\n\r\n", Stage::Starting, "HTTP/1.1 200 "),
            ("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", Stage::Draining, "HTTP/1.1 200 "),
            ("GET /readyz HTTP/1.1\r\n\r\n", Stage::Starting, "HTTP/1.1 503 "),
            ("GET /readyz?verbose HTTP/1.1\r\n\r\n", Stage::Ready, "HTTP/1.1 200 "),
            ("GET /readyz HTTP/1.1\r\n\r\n", Stage::Draining, "HTTP/1.1 503 "),
            ("GET /metrics HTTP/1.1\r\n\r\n", Stage::Starting, "HTTP/1.1 503 "),
            ("GET /metrics HTTP/1.1\r\n\r\n", Stage::Draining, "HTTP/1.1 200 "),
            ("GET /nothing HTTP/1.1\r\n\r\n", Stage::Ready, "HTTP/1.1 404 "),
            ("POST /metrics HTTP/1.1\r\n\r\n", Stage::Ready, "HTTP/1.1 405 "),
            ("\x16\x03\x01\x02", Stage::Ready, "HTTP/1.1 400 "),
            ("GET /metrics HTTP/1.1\r\n", Stage::Ready, "more"),
        ];
        for (head, stage, begin) in cases {
            let answer = answered(head, stage);
            assert!(answer.starts_with(begin), "{head:?}: {answer}");
        }
        assert!(answered("GET /x HTTP/1.1\r\n\r\n", Stage::Ready).contains("/metrics"));
    }

    #[test]
    fn a_head_that_never_ends_is_refused_at_its_bound() {
        let long = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(HEAD_MAX));
        assert!(parse(&long.as_bytes()[..HEAD_MAX - 1]).unwrap().is_none());
        let refusal = parse(&long.as_bytes()[..HEAD_MAX]).unwrap_err();
        assert!(refusal.starts_with(b"HTTP/1.1 431 "));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(FIELDS_MAX + 1));
        assert!(parse(many.as_bytes()).unwrap_err().starts_with(b"HTTP/1.1 431 "));
    }

    #[test]
    fn the_answer_to_head_has_the_length_of_the_body_and_no_body() {
        let answer = answered("HEAD /metrics HTTP/1.1\r\n\r\n", Stage::Ready);
        assert!(answer.contains("Content-Length: 4\r\n") && answer.ends_with("\r\n\r\n"));
        assert!(answered("GET /metrics HTTP/1.1\r\n\r\n", Stage::Ready).ends_with("\r\n\r\nm 1\n"));
    }
}
