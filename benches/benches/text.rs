//! Text messages received by a server: decoded, unmasked, and checked to be UTF-8.

mod streams;

use bytes::BytesMut;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use halfopen_proto::{Connection, Incoming, Limits, Message, Role, Scratch};
use streams::{from_client, text};

const PATTERNS: [(&str, &str); 3] =
    [("ascii", "a half-open connection. "), ("latin", "hälb öffen "), ("cjk", "半開きの接続。")];

fn receive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("text");
    for (name, pattern) in PATTERNS {
        for len in [64, 1024, 64 * 1024] {
            let text = text(pattern, len);
            let (count, stream) = from_client(Message::Text(&text));
            assert_eq!(take(&mut stream.clone(), &text), count);
            group.throughput(Throughput::Bytes(count * len as u64));
            group.bench_function(format!("{name}/{len}"), |bench| {
                bench.iter_batched_ref(
                    || stream.clone(),
                    |stream| take(stream, &text),
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

/// Receives all of it; how many messages there were.
fn take(stream: &mut BytesMut, expected: &str) -> u64 {
    let (mut connection, mut scratch) = (Connection::new(Role::Server), Scratch::default());
    let mut input = &mut stream[..];
    let mut count = 0;
    while let Some(incoming) =
        connection.receive(&mut input, &Limits::default(), &mut scratch).expect("valid text")
    {
        let Incoming::Text(text) = &incoming else { panic!("{incoming:?}") };
        assert_eq!(text.len(), expected.len());
        count += 1;
    }
    count
}

criterion_group!(benches, receive);
criterion_main!(benches);
