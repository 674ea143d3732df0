//! Frames written into a buffer that is used again: a server's, a client's, and a server's ping.

mod streams;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use halfopen_proto::{Connection, Message, Role, frame_len};
use std::hint::black_box;
use streams::{KEY, noise};

fn message(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (name, role) in [("server", Role::Server), ("client", Role::Client)] {
        for len in [16, 125, 1024, 16 * 1024] {
            let payload = noise(len);
            let mut connection = Connection::new(role);
            let mut out = BytesMut::with_capacity(len + 16);
            group.throughput(Throughput::Bytes(len as u64));
            let mut encode = || {
                out.clear();
                connection.encode(Message::Binary(black_box(&payload)), KEY, &mut out);
                out.len()
            };
            assert_eq!(encode(), frame_len(role, len));
            group.bench_function(format!("{name}/{len}"), |bench| bench.iter(&mut encode));
        }
    }
    group.finish();
}

fn ping(criterion: &mut Criterion) {
    let mut connection = Connection::new(Role::Server);
    let mut out = BytesMut::with_capacity(16);
    let mut encode = || {
        out.clear();
        connection.encode_ping(black_box(&[1, 2, 3, 4]), KEY, &mut out);
        out[..] == [0x89, 4, 1, 2, 3, 4]
    };
    assert!(encode());
    criterion.bench_function("encode/ping", |bench| bench.iter(&mut encode));
}

criterion_group!(benches, message, ping);
criterion_main!(benches);
