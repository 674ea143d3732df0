//! Text at a server: unmasked and checked to be UTF-8, in place; and as messages that are received.

mod contest;

use contest::receivers;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use halfopen_benches::contest::arena::Arena;
use halfopen_benches::contest::input::{Input, SCRIPTS, size};
use halfopen_benches::contest::text::{self, KEY, Unmask, check};
use halfopen_proto::Message;
use std::hint::black_box;

const LENGTHS: [usize; 8] = [16, 64, 256, 1 << 10, 16 << 10, 64 << 10, 1 << 20, 16 << 20];

/// Where the payload of a client's short frame begins.
const OFFSET: usize = 6;

/// Messages are received with all that belongs to it, so fewer lengths tell.
const MESSAGES: [usize; 4] = [64, 1 << 10, 64 << 10, 1 << 20];

/// About how many bytes come in one read, where a message is shorter.
const READ: usize = 16 << 10;

struct Row<'a, 'c> {
    group: &'a mut BenchmarkGroup<'c, WallTime>,
    name: String,
    text: String,
    arena: Arena,
}

impl text::Contest for Row<'_, '_> {
    fn run<U: Unmask>(&mut self) {
        let Self { group, name, text, arena } = self;
        check::<U>(text);
        group.bench_function(BenchmarkId::new(U::NAME, name), |bench| {
            bench.iter(|| {
                for piece in arena.pieces(false) {
                    assert!(U::unmask(black_box(piece), black_box(KEY)));
                }
            });
        });
    }
}

fn in_place(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("text");
    for script in SCRIPTS {
        for len in LENGTHS {
            let text = script.text(len);
            let arena = Arena::new(text.as_bytes(), OFFSET);
            group.throughput(contest::throughput(arena.count(), arena.count() * len));
            let name = format!("{}/{}", script.name, size(len));
            text::each(&mut Row { group: &mut group, name, text, arena });
        }
    }
    group.finish();
}

fn received(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("text messages");
    for script in SCRIPTS {
        for len in MESSAGES {
            let text = script.text(len);
            let input = Input::new(Message::Text(&text), (READ / len).max(1));
            receivers(&mut group, format!("{}/{}", script.name, size(len)), input);
        }
    }
    group.finish();
}

criterion_group!(name = benches; config = contest::config(); targets = in_place, received);
criterion_main!(benches);
