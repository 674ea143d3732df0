//! The opening handshake, without a socket: a server reads a request and writes its answer, a client
//! writes its request and checks the answer.

mod contest;

use bytes::BytesMut;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use halfopen_benches::contest::handshake::{self, Acceptor, checked};
use halfopen_proto::handshake::{ClientRequest, HeadLimits, HeadProgress, Request};
use std::hint::black_box;

/// What a library sends, as in RFC 6455 §1.3.
const LIBRARY: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
     Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
     Sec-WebSocket-Version: 13\r\n\r\n";

/// What a browser sends.
const BROWSER: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: server.example.com\r\n\
     Connection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n\
     User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/142.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\n\
     Origin: https://server.example.com\r\nSec-WebSocket-Version: 13\r\n\
     Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n\
     Cookie: session=6f1c2f0b7d9e4a3c8b5a; theme=dark\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
     Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// The answer to that key (RFC 6455 §1.3).
const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
     Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// What stands in the answer to their key (RFC 6455 §1.3).
const ACCEPT: &str = ": s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

struct Row<'a, 'c> {
    group: &'a mut BenchmarkGroup<'c, WallTime>,
    name: &'a str,
    request: &'static str,
}

impl handshake::Contest for Row<'_, '_> {
    fn run<A: Acceptor>(&mut self) {
        let request = self.request.as_bytes();
        let mut acceptor = None;
        self.group.bench_function(BenchmarkId::new(A::NAME, self.name), |bench| {
            let acceptor = acceptor.get_or_insert_with(|| checked::<A>(request, ACCEPT));
            let expected = acceptor.accept().len();
            bench.iter(|| assert_eq!(black_box(acceptor.accept()).len(), expected));
        });
    }
}

fn server(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshake");
    for (name, request) in [("library", LIBRARY), ("browser", BROWSER)] {
        group.throughput(contest::throughput(1, request.len()));
        handshake::each(&mut Row { group: &mut group, name, request });
    }
    group.finish();
}

/// A request that comes byte by byte.
fn slow(criterion: &mut Criterion) {
    let limits = HeadLimits::default();
    let read = || {
        let mut progress = HeadProgress::default();
        let head = black_box(BROWSER.as_bytes());
        (1..=head.len()).find(|&end| {
            let here = &head[..end];
            progress.is_due(here, &limits)
                && Request::parse(here, &limits).expect("a good request").is_some()
        })
    };
    assert_eq!(read(), Some(BROWSER.len()));
    criterion.bench_function("handshake byte by byte", |bench| bench.iter(read));
}

fn client(criterion: &mut Criterion) {
    let (limits, mut out) = (HeadLimits::default(), BytesMut::with_capacity(512));
    let request = ClientRequest {
        host: "server.example.com",
        target: "/chat",
        nonce: *b"the sample nonce",
        ..ClientRequest::default()
    };
    let mut ask = || {
        out.clear();
        black_box(&request).encode(&mut out).expect("a good request");
        let response = request.check_response(black_box(ANSWER.as_bytes()), &limits);
        let (_, size) = response.expect("a good answer").expect("a whole head");
        (out.len(), size)
    };
    assert_eq!(ask(), (LIBRARY.len(), ANSWER.len()));
    criterion.bench_function("handshake of a client", |bench| bench.iter(&mut ask));
}

criterion_group!(name = benches; config = contest::config(); targets = server, slow, client);
criterion_main!(benches);
