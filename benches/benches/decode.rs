//! Binary messages received by a server: alone in their buffer, a hundred in one, and cut into the
//! pieces that packets make.
//!
//! A hundred of the longest do not fit into the cache. Who is handed them by one read has them all
//! copied before it sees the first; who reads by itself takes bites.

mod contest;

use contest::receivers;
use criterion::{Criterion, criterion_group, criterion_main};
use halfopen_benches::contest::input::{Input, noise, size};
use halfopen_proto::Message;

const LENGTHS: [usize; 4] = [20, 125, 1 << 10, 64 << 10];

/// What a segment carries over Ethernet.
const SEGMENT: usize = 1448;

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for len in LENGTHS {
        let (payload, size) = (noise(len), size(len));
        let message = Message::Binary(&payload);
        receivers(&mut group, format!("1 of {size}"), Input::new(message, 1));
        receivers(&mut group, format!("100 of {size}"), Input::new(message, 100));
        let in_segments = Input::new(message, 100).in_reads_of(SEGMENT);
        receivers(&mut group, format!("100 of {size} in segments"), in_segments);
    }
    group.finish();
}

criterion_group!(name = benches; config = contest::config(); targets = decode);
criterion_main!(benches);
