//! Frames written: a server's, a client's under a key drawn for each, and a server's ping.

mod contest;

use bytes::BytesMut;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use halfopen_benches::contest::encode::{self, Encoder, checked};
use halfopen_benches::contest::input::{noise, size};
use halfopen_proto::{Connection, Role, frame_len};
use std::hint::black_box;

const LENGTHS: [usize; 4] = [20, 125, 1 << 10, 64 << 10];

struct Row<'a, 'c> {
    group: &'a mut BenchmarkGroup<'c, WallTime>,
    name: String,
    role: Role,
    payload: &'static [u8],
}

impl encode::Contest for Row<'_, '_> {
    fn run<E: Encoder>(&mut self) {
        let Self { group, name, role, payload } = self;
        let (mut encoder, expected) = (None, frame_len(*role, payload.len()));
        let mut keys = fastrand::Rng::with_seed(5);
        group.bench_function(BenchmarkId::new(E::NAME, name), |bench| {
            let encoder = encoder.get_or_insert_with(|| checked::<E>(*role, payload));
            bench.iter(|| {
                let key = keys.u32(..).to_ne_bytes();
                assert_eq!(black_box(encoder.encode(key)).len(), expected);
            });
        });
    }
}

fn message(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (side, role) in [("server", Role::Server), ("client", Role::Client)] {
        for len in LENGTHS {
            let payload = Box::leak(noise(len).into_boxed_slice());
            group.throughput(contest::throughput(1, len));
            let name = format!("{side}/{}", size(len));
            encode::each(&mut Row { group: &mut group, name, role, payload });
        }
    }
    group.finish();
}

fn ping(criterion: &mut Criterion) {
    let mut connection = Connection::new(Role::Server);
    let mut out = BytesMut::with_capacity(16);
    let mut encode = || {
        out.clear();
        connection.encode_ping(black_box(&[1, 2, 3, 4]), [0; 4], &mut out);
        out[..] == [0x89, 4, 1, 2, 3, 4]
    };
    assert!(encode());
    criterion.bench_function("ping", |bench| bench.iter(&mut encode));
}

criterion_group!(name = benches; config = contest::config(); targets = message, ping);
criterion_main!(benches);
