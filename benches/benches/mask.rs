//! Unmasking alone, from the payload of a ping to a buffer's worth.

mod streams;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use halfopen_proto::mask;
use std::hint::black_box;
use streams::{KEY, noise};

fn unmask(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    for len in [4, 16, 64, 125, 256, 1024, 16 * 1024, 64 * 1024] {
        let clear = noise(len);
        let mut bytes = clear.clone();
        mask::apply(&mut bytes, KEY, 1);
        let naive: Vec<_> = (1..).zip(&clear).map(|(n, byte)| byte ^ KEY[n % 4]).collect();
        assert_eq!(bytes, naive);
        group.throughput(Throughput::Bytes(len as u64));
        // The mask is its own inverse, so the same bytes serve again and again.
        group.bench_function(format!("{len}"), |bench| {
            bench.iter(|| mask::apply(black_box(&mut bytes), black_box(KEY), black_box(1)));
        });
    }
    group.finish();
}

criterion_group!(benches, unmask);
criterion_main!(benches);
