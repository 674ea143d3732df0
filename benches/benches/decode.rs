//! Binary messages received by a server: whole, and cut into the pieces that packets make.

mod streams;

use bytes::BytesMut;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use halfopen_proto::{Connection, Incoming, Limits, Message, Role, Scratch};
use streams::{from_client, noise};

/// What a segment carries over Ethernet.
const SEGMENT: usize = 1448;

fn receive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for len in [0, 16, 125, 1024, 16 * 1024] {
        let message = noise(len);
        let (count, stream) = from_client(Message::Binary(&message));
        group.throughput(Throughput::Elements(count));
        for (name, piece) in [("whole", stream.len()), ("in segments", SEGMENT)] {
            assert_eq!(take(&mut stream.clone(), piece), (count, count * len as u64));
            group.bench_function(format!("{name}/{len}"), |bench| {
                bench.iter_batched_ref(
                    || stream.clone(),
                    |stream| take(stream, piece),
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

/// Receives all of it, so many bytes at a time; how many messages there were, and their bytes.
fn take(stream: &mut BytesMut, piece: usize) -> (u64, u64) {
    let (mut connection, mut scratch) = (Connection::new(Role::Server), Scratch::default());
    let (mut count, mut bytes) = (0, 0);
    for mut input in stream.chunks_mut(piece) {
        while let Some(incoming) =
            connection.receive(&mut input, &Limits::default(), &mut scratch).expect("valid frames")
        {
            let Incoming::Binary(message) = &incoming else { panic!("{incoming:?}") };
            count += 1;
            bytes += message.len() as u64;
            scratch.reclaim(incoming);
        }
    }
    (count, bytes)
}

criterion_group!(benches, receive);
criterion_main!(benches);
