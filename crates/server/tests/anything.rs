//! Whatever peers do, in whatever order: the shard keeps its side of the contract (the world checks
//! each operation), and when all are gone nothing is left of them.

mod world;

use halfopen_driver::Cause;
use halfopen_proto::{CloseCode, Message};
use halfopen_server::{Config, Echo};
use proptest::prelude::*;
use std::time::Duration;
use world::{MILLI, SECOND, World, config, request};

/// Something that a peer, the network or time does. Peers are named by any number.
#[derive(Clone, Debug)]
enum Act {
    Connect,
    Request(usize),
    Message(usize, usize),
    Ping(usize),
    Close(usize),
    Garbage(usize, Vec<u8>),
    StopReading(usize, u32),
    ReadOnce(usize),
    ReadOn(usize),
    Answer(usize, bool),
    End(usize, Cause),
    Pass(Duration),
    Drain(Duration),
}

fn act() -> impl Strategy<Value = Act> {
    let peer = || 0usize..8;
    let cause = prop_oneof![Just(Cause::Fin), Just(Cause::Reset), Just(Cause::TimedOut)];
    prop_oneof![
        6 => Just(Act::Connect),
        6 => peer().prop_map(Act::Request),
        8 => (peer(), 0usize..200_000).prop_map(|(peer, len)| Act::Message(peer, len)),
        2 => peer().prop_map(Act::Ping),
        1 => peer().prop_map(Act::Close),
        1 => (peer(), prop::collection::vec(any::<u8>(), 1..40))
            .prop_map(|(peer, bytes)| Act::Garbage(peer, bytes)),
        2 => (peer(), 0u32..100_000).prop_map(|(peer, left)| Act::StopReading(peer, left)),
        3 => peer().prop_map(Act::ReadOnce),
        3 => peer().prop_map(Act::ReadOn),
        3 => (peer(), any::<bool>()).prop_map(|(peer, answers)| Act::Answer(peer, answers)),
        1 => (peer(), cause).prop_map(|(peer, cause)| Act::End(peer, cause)),
        8 => (0u64..15_000).prop_map(|ms| Act::Pass(MILLI * ms as u32)),
        1 => (0u64..5).prop_map(|s| Act::Drain(SECOND * s as u32)),
    ]
}

fn perform(world: &mut World<Echo>, act: Act) {
    let open = |world: &World<Echo>, number: &usize| {
        world.clients.get(*number).is_some_and(|client| client.closed.is_none())
    };
    match act {
        Act::Connect if world.accepting => drop(world.connect()),
        Act::Request(peer) if open(world, &peer) => {
            // A second request is garbage to a connection that is open.
            world.send_raw(peer, &request());
            if world.has_head(peer) && !world.take_head(peer).starts_with("HTTP/1.1 101 ") {
                world.take_text(peer);
            }
        }
        Act::Message(peer, len) if open(world, &peer) => {
            world.send(peer, Message::Binary(&vec![1; len]));
        }
        Act::Ping(peer) if open(world, &peer) => world.send_with(peer, |conn, out| {
            conn.encode_ping(b"are you there?", [7; 4], out);
        }),
        Act::Close(peer) if open(world, &peer) => world.send_with(peer, |conn, out| {
            conn.encode_close(Some(CloseCode::NORMAL), "", [7; 4], out);
        }),
        Act::Garbage(peer, bytes) if open(world, &peer) => world.send_raw(peer, &bytes),
        Act::StopReading(peer, left) if open(world, &peer) => {
            world.clients[peer].reads = false;
            world.clients[peer].unacknowledged = left;
        }
        Act::ReadOnce(peer) if open(world, &peer) && world.has_in_flight(peer) => {
            world.read_once(peer);
        }
        Act::ReadOn(peer) if open(world, &peer) => world.read_on(peer),
        Act::Answer(peer, answers) if open(world, &peer) => world.clients[peer].answers = answers,
        Act::End(peer, cause) if open(world, &peer) => world.end(peer, cause),
        Act::Pass(time) => world.pass(time),
        Act::Drain(window) => {
            world.handle.drain(window);
            world.wake();
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_that_peers_do_breaks_the_shard_or_stays_behind(
        seed: u64, acts in prop::collection::vec(act(), 1..120),
    ) {
        let config = Config { seed, connections_max: 6, refusals_max: 2, ..config() };
        let mut world = World::with_room(config, 5, Echo);
        for act in acts {
            if !world.stopped {
                perform(&mut world, act);
            }
        }
        if !world.stopped {
            world.handle.drain(SECOND);
            world.wake();
            world.pass(60 * SECOND);
        }
        prop_assert!(world.stopped, "a drain ends");
        prop_assert_eq!(world.stats().open, 0);
        prop_assert_eq!(world.admission.open(), 0);
        let stats = world.stats();
        prop_assert_eq!(stats.ended.values().sum::<u64>(), stats.accepted);
        prop_assert!(world.clients.iter().all(|client| client.closed.is_some()));
    }
}
