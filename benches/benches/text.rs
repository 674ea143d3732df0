//! Text messages received by a server: decoded, unmasked, and checked to be UTF-8.

mod contest;

use contest::receivers;
use criterion::{Criterion, criterion_group, criterion_main};
use halfopen_benches::contest::input::{Input, SCRIPTS, size};
use halfopen_proto::Message;

const LENGTHS: [usize; 8] = [16, 64, 256, 1 << 10, 16 << 10, 64 << 10, 1 << 20, 16 << 20];

/// About how many bytes come in one read, where a message is shorter: frames alone are a contest of
/// their own.
const READ: usize = 16 << 10;

fn receive_text(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("text");
    for script in SCRIPTS {
        for len in LENGTHS {
            let text = script.text(len);
            let input = Input::new(Message::Text(&text), (READ / len).max(1));
            receivers(&mut group, format!("{}/{}", script.name, size(len)), input);
        }
    }
    group.finish();
}

criterion_group!(name = benches; config = contest::config(); targets = receive_text);
criterion_main!(benches);
