//! Bytes go through, however they are cut, and nothing stays behind.

use crate::identity::{LOCALHOST, VERSIONS, server_of};
use crate::pair::{ID, Pair, Told};
use bytes::Bytes;
use halfopen_driver::{CHUNK_MAX, Chunk, Event, Op};
use proptest::prelude::*;

fn noise(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

fn chunks() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![4 => 1..200usize, 1 => 1..=CHUNK_MAX], 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever both say at the same time, and wherever their records are cut.
    #[test]
    fn both_hear_what_the_other_said_however_it_is_cut(
        (up, down) in (chunks(), chunks()),
        cuts in prop::collection::vec(prop_oneof![3 => 1..40usize, 2 => 1..20_000usize], 1..50),
        version in 0..2usize,
    ) {
        let mut pair = Pair::new(LOCALHOST.client(), server_of(VERSIONS[version]));
        let mut cuts = cuts.into_iter().cycle();
        let most = up.len().max(down.len());
        for turn in 0..most {
            // The first ones are said before the handshake.
            if let Some(&len) = up.get(turn) {
                pair.client.send(&noise(1, len));
            }
            if let Some(&len) = down.get(turn) {
                pair.server.send(&noise(2, len));
            }
            pair.carry(|| cuts.next().unwrap_or(1));
        }
        pair.carry(|| 1);
        for (from, to, seed, lens) in [(&pair.client, &pair.server, 1, &up), (&pair.server, &pair.client, 2, &down)] {
            let said: Vec<u8> = lens.iter().flat_map(|&len| noise(seed, len)).collect();
            prop_assert_eq!(to.script().heard(), said);
            let home: Vec<_> = from.script().told.iter().filter_map(|told| match told {
                Told::Sent(len, _) => Some(*len),
                _ => None,
            }).collect();
            prop_assert_eq!(&home, lens, "each chunk comes home once, whole");
            prop_assert_eq!(from.layer.held_bytes(), 0, "nothing is under way");
            prop_assert!(from.layer.pooled_bytes() < 1 << 20);
        }
    }
}

#[test]
fn a_whole_chunk_goes_in_two_sends_and_comes_home_with_the_last() {
    let mut pair = Pair::established();
    let before = pair.client.sends;
    pair.client.send(&noise(1, CHUNK_MAX));
    assert_eq!(pair.client.sends - before, 1);
    assert!(pair.client.bring_home());
    assert_eq!(pair.client.script().was(|told| matches!(told, Told::Sent(..))), 0);
    assert_eq!(pair.client.sends - before, 2);
    let last = pair.client.now();
    assert!(pair.client.bring_home());
    let told = pair.client.script().told.last();
    assert_eq!(told, Some(&Told::Sent(CHUNK_MAX, last)), "with the time of the last");
    pair.settle();
    assert_eq!(pair.server.script().heard(), noise(1, CHUNK_MAX));
}

#[test]
fn shared_chunks_come_home_as_they_are() {
    let mut pair = Pair::established();
    let bytes = Bytes::from(noise(1, 1_000));
    pair.server.ask(Op::Send { id: ID, chunk: Chunk::Shared(bytes.clone()) });
    pair.settle();
    assert_eq!(pair.client.script().heard(), bytes);
    assert!(matches!(pair.server.script().told.last(), Some(Told::Sent(1_000, _))));
}

#[test]
fn what_is_said_before_the_handshake_waits_for_it() {
    let mut pair = Pair::new(LOCALHOST.client(), LOCALHOST.server());
    pair.client.send(b"request");
    assert_eq!(pair.client.script().told, [Told::Opened], "it has not come home");
    pair.settle();
    assert_eq!(
        pair.server.script().told,
        [Told::Opened, Told::Established, Told::Received(b"request".into())]
    );
}

#[test]
fn bytes_that_make_no_record_are_life_and_memory_until_the_record_is_whole() {
    let mut pair = Pair::established();
    pair.client.send(&noise(1, 5_000));
    let mut wire = std::mem::take(&mut pair.client.wire);
    let (begin, rest) = wire.split_at_mut(100);
    for piece in begin.chunks_mut(50) {
        pair.server.hear(piece);
    }
    let told = &pair.server.script().told[2..];
    assert_eq!(told, [Told::Received(Vec::new()), Told::Received(Vec::new())]);
    assert!(pair.server.layer.held_bytes() >= 100);
    pair.server.hear(rest);
    assert_eq!(pair.server.script().heard(), noise(1, 5_000));
    assert_eq!(pair.server.layer.held_bytes(), 0);
}

#[test]
fn amid_the_handshake_bytes_are_no_news() {
    let mut pair = Pair::new(LOCALHOST.client(), LOCALHOST.server());
    let mut wire = std::mem::take(&mut pair.client.wire);
    wire.chunks_mut(7).for_each(|piece| pair.server.hear(piece));
    assert_eq!(pair.server.script().told, [Told::Opened]);
    pair.settle();
    assert_eq!(pair.server.script().told, [Told::Opened, Told::Established]);
    assert_eq!((pair.client.layer.held_bytes(), pair.server.layer.held_bytes()), (0, 0));
}

#[test]
fn what_belongs_to_no_connection_passes_as_it_is() {
    let mut pair = Pair::established();
    let mut ops = Vec::new();
    pair.server.layer.engine_mut().asks =
        vec![Op::Accept(true), Op::Pause { id: ID }, Op::Probe { id: ID }, Op::Stop];
    let now = pair.server.now();
    halfopen_driver::Engine::on_event(&mut pair.server.layer, now, Event::Woken, &mut ops);
    let passed =
        matches!(ops[..], [Op::Accept(true), Op::Pause { id: ID }, Op::Probe { id: ID }, Op::Stop]);
    assert!(passed, "{ops:?}");
}
