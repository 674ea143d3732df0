//! How the contests are measured: many ids, so each of them shortly. Arguments on the command line go
//! before this.
#![allow(dead_code, reason = "each bench uses its part")]

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use halfopen_benches::contest::input::Input;
use halfopen_benches::contest::receive::{self, Receiver, checked};
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .nresamples(2000)
}

/// What the elements and bytes of one iteration are.
pub(crate) fn throughput(elements: usize, bytes: usize) -> Throughput {
    Throughput::ElementsAndBytes { elements: elements as u64, bytes: bytes as u64 }
}

/// Lets everyone receive the input.
pub(crate) fn receivers(group: &mut BenchmarkGroup<'_, WallTime>, name: String, input: Input) {
    group.throughput(throughput(input.messages, input.messages * input.payload.len()));
    receive::each(&mut Receivers { group, name, input: Arc::new(input) });
}

struct Receivers<'a, 'c> {
    group: &'a mut BenchmarkGroup<'c, WallTime>,
    name: String,
    input: Arc<Input>,
}

impl receive::Contest for Receivers<'_, '_> {
    fn run<R: Receiver>(&mut self) {
        let Self { group, name, input } = self;
        let expected = (input.messages, input.messages * input.payload.len());
        let mut receiver = None;
        group.bench_function(BenchmarkId::new(R::NAME, name), |bench| {
            let receiver = receiver.get_or_insert_with(|| checked::<R>(input));
            bench.iter(|| assert_eq!(receiver.totals(), expected));
        });
    }
}
