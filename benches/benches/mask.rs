//! Unmasking alone, in place, from the payload of a ping to 16 MiB: at the start of a cache line, and
//! 6 bytes past it, where the payload of a short frame lies.

mod contest;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use halfopen_benches::contest::arena::Arena;
use halfopen_benches::contest::input::{noise, size};
use halfopen_benches::contest::mask::{self, Mask};
use std::hint::black_box;

const LENGTHS: [usize; 12] =
    [5, 16, 20, 64, 125, 256, 1024, 4 << 10, 16 << 10, 64 << 10, 1 << 20, 16 << 20];

/// From here on the loop over whole cache lines takes part.
const FLOOR_MIN: usize = 4 << 10;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

struct Row<'a, 'c> {
    group: &'a mut BenchmarkGroup<'c, WallTime>,
    name: String,
    content: Vec<u8>,
    masked: Vec<u8>,
    arena: Arena,
}

impl mask::Contest for Row<'_, '_> {
    fn run<M: Mask>(&mut self) {
        let Self { group, arena, .. } = self;
        arena.fill(&self.content, M::ALIGNED);
        arena.pieces(M::ALIGNED).for_each(|piece| M::apply(piece, KEY));
        assert!(arena.pieces(M::ALIGNED).all(|piece| *piece == self.masked), "{}", M::NAME);
        group.bench_function(BenchmarkId::new(M::NAME, &self.name), |bench| {
            // The mask is its own inverse, so the same bytes serve again and again.
            bench.iter(|| {
                for piece in arena.pieces(M::ALIGNED) {
                    M::apply(black_box(piece), black_box(KEY));
                }
            });
        });
        let (once, twice) = (&self.masked, &self.content);
        assert!(arena.pieces(M::ALIGNED).all(|piece| *piece == *once || *piece == *twice));
    }
}

fn unmask(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    for len in LENGTHS {
        for offset in [0, 6] {
            let content = noise(len);
            let masked = KEY.iter().cycle().zip(&content).map(|(key, byte)| key ^ byte).collect();
            let arena = Arena::new(&content, offset);
            group.throughput(contest::throughput(arena.count(), arena.count() * len));
            let name = format!("{}/at {offset}", size(len));
            mask::each(
                &mut Row { group: &mut group, name, content, masked, arena },
                len >= FLOOR_MIN,
            );
        }
    }
    group.finish();
}

criterion_group!(name = benches; config = contest::config(); targets = unmask);
criterion_main!(benches);
