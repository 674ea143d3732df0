//! Whatever peers do, in whatever order: the shard keeps its side of the contract (the world checks
//! each operation), and when all are gone nothing is left of them.

mod world;

use halfopen_driver::Cause;
use halfopen_proto::{CloseCode, Message};
use halfopen_server::{
    Accept, App, Config, Context, End, Handshake, Peer, PeerId, Rejection, SlowConsumer,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;
use world::{MILLI, SECOND, World, config, request};

/// Does what its peers say, and knows who is there.
#[derive(Default)]
struct Obliging {
    there: BTreeSet<PeerId>,
}

const WORDS: [&str; 8] =
    ["join", "leave", "tell all", "later", "not later", "all later", "go", "tell all and go"];

impl App for Obliging {
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_open(&mut self, peer: &mut Peer<'_>, _state: &mut ()) {
        assert!(self.there.insert(peer.id()), "it opens once");
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, _state: &mut (), message: Message<'_>) {
        assert!(self.there.contains(&peer.id()));
        let Message::Text(word) = message else {
            peer.send(message);
            return;
        };
        // What has no room is refused, and that is all.
        match word {
            "join" => drop(peer.subscribe("all")),
            "leave" => drop(peer.unsubscribe("all")),
            "later" => peer.set_timer(1, 2 * SECOND),
            "not later" => drop(peer.clear_timer(1)),
            "all later" => peer.shard().set_timer(1, 3 * SECOND),
            _ => {}
        }
        if word.starts_with("tell all") {
            let _ = peer.publish("all", Message::Binary(&vec![2; 30_000]));
        }
        if word.ends_with("go") {
            peer.close(CloseCode::NORMAL, "as you like");
        }
    }

    fn on_peer_timer(&mut self, peer: &mut Peer<'_>, _state: &mut (), _timer: u8) {
        assert!(self.there.contains(&peer.id()));
        peer.send(Message::Text("now"));
    }

    fn on_timer(&mut self, shard: &mut Context<'_>, _timer: u32) {
        let _ = shard.publish("all", Message::Text("all now"));
    }

    fn on_close(&mut self, _shard: &mut Context<'_>, id: PeerId, _state: (), _end: End) {
        assert!(self.there.remove(&id), "it is told once");
    }
}

/// Something that a peer, the network, another thread or time does. Peers are named by any number.
#[derive(Clone, Debug)]
enum Act {
    Connect,
    Request(usize),
    Message(usize, usize),
    Say(usize, &'static str),
    /// Another thread sends to whoever is there, publishes to all, or closes.
    Letter(usize, usize),
    Publish(usize),
    Dismiss(usize),
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
        8 => (peer(), prop::sample::select(&WORDS[..])).prop_map(|(peer, word)| Act::Say(peer, word)),
        3 => (peer(), 0usize..70_000).prop_map(|(peer, len)| Act::Letter(peer, len)),
        3 => (0usize..100_000).prop_map(Act::Publish),
        1 => peer().prop_map(Act::Dismiss),
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

fn perform(world: &mut World<Obliging>, act: Act) {
    let open = |world: &World<Obliging>, number: &usize| {
        world.clients.get(*number).is_some_and(|client| client.closed.is_none())
    };
    let there = |world: &World<Obliging>, number: usize| {
        world.shard.app().there.iter().nth(number % 4).copied()
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
        Act::Say(peer, word) if open(world, &peer) => world.send(peer, Message::Text(word)),
        Act::Letter(number, len) => {
            if let Some(id) = there(world, number) {
                let _ = world.handle.mailbox().send(id, Message::Binary(&vec![3; len])).now();
                world.wake();
            }
        }
        Act::Publish(len) => {
            let _ = world.handle.mailbox().publish("all", Message::Binary(&vec![4; len])).now();
            world.wake();
        }
        Act::Dismiss(number) => {
            if let Some(id) = there(world, number) {
                let _ = world.handle.mailbox().close(id, CloseCode::POLICY, "out").now();
                world.wake();
            }
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
        seed: u64,
        slow_consumer in prop::sample::select(&SlowConsumer::ALL[..]),
        output_max in prop_oneof![Just(1 << 20), 1usize..100_000],
        acts in prop::collection::vec(act(), 1..120),
    ) {
        let config = Config { seed, connections_max: 6, refusals_max: 2, ..config() };
        let config = Config { slow_consumer, output_max, mailbox_letters: 3, ..config };
        let mut world = World::with_room(config, 5, Obliging::default());
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
        prop_assert!(world.shard.app().there.is_empty());
    }
}
