//! What a shard does about peers that read more slowly than is sent to them.

mod world;

use halfopen_driver::{CHUNK_MAX, Cause};
use halfopen_proto::{Connection, Message, Role};
use halfopen_server::{
    Accept, Answer, App, CloseCode, Config, Delivery, Echo, End, Handshake, Peer, PlainRequest,
    Rejection, SlowConsumer,
};
use proptest::prelude::*;
use world::{MILLI, SECOND, Seen, World, unpinged};

const BOUND: usize = 100_000;

fn bounded(slow_consumer: SlowConsumer) -> Config {
    Config { slow_consumer, output_max: BOUND, ..unpinged() }
}

/// Answers each message with so many messages, each so long, and remembers what became of them.
#[derive(Default)]
struct Amplifier {
    answers: usize,
    len: usize,
    asked: usize,
    deliveries: Vec<Delivery>,
}

impl App for Amplifier {
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, _state: &mut (), _message: Message<'_>) {
        self.asked += 1;
        for _ in 0..self.answers {
            let answer = vec![self.asked as u8; self.len];
            self.deliveries.push(peer.send(Message::Binary(&answer)));
            assert!(peer.queued() <= 2 * BOUND + self.len + 10, "{} bytes wait", peer.queued());
        }
    }
}

/// So many empty messages of a client, in one piece.
fn burst(count: usize) -> Vec<u8> {
    let mut out = Default::default();
    let mut conn = Connection::new(Role::Client);
    for _ in 0..count {
        conn.encode(Message::Binary(b""), [0; 4], &mut out);
    }
    out.to_vec()
}

#[test]
fn drop_loses_what_has_no_room_counts_it_and_goes_on_reading() {
    let mut world = World::new(bounded(SlowConsumer::Drop), Echo);
    let peer = world.open();
    world.clients[peer].reads = false;
    for number in 0..100 {
        world.send(peer, Message::Binary(&[number; 10_000]));
    }
    assert!(!world.clients[peer].paused);
    let stats = world.stats();
    // The first is with the kernel, and the tenth behind it does not fill the queue yet.
    assert_eq!((stats.messages_sent, stats.messages_dropped), (11, 89));
    assert_eq!(stats.payload_dropped, 890_000);

    world.read_on(peer);
    world.send(peer, Message::Text("and now?"));
    let expected = (0..11).map(|number| Seen::Binary(vec![number; 10_000]));
    let seen = world.seen(peer);
    assert_eq!(seen[..11], expected.collect::<Vec<_>>()[..]);
    assert_eq!(seen[11..], [Seen::Text("and now?".into())], "there is room again");
}

#[test]
fn close_puts_1008_behind_the_chunk_in_flight_and_not_behind_the_queue() {
    let mut world = World::new(bounded(SlowConsumer::Close), Echo);
    let peer = world.open();
    world.clients[peer].reads = false;
    for _ in 0..100 {
        world.send(peer, Message::Binary(&[1; 10_000]));
    }
    assert_eq!(world.clients[peer].chunks.len(), 2, "the response and one message have left");
    world.read_on(peer);
    let seen = world.seen(peer);
    assert_eq!(seen, [Seen::Binary(vec![1; 10_000]), Seen::Close(Some(1008))]);
    let stats = world.stats();
    assert_eq!((stats.closed[&1008], stats.messages_sent), (1, 11));
}

#[test]
fn one_that_is_closed_for_slowness_has_the_close_timeout() {
    let mut world = World::new(bounded(SlowConsumer::Close), Echo);
    let peer = world.open();
    world.clients[peer].reads = false;
    for _ in 0..100 {
        world.send(peer, Message::Binary(&[1; 10_000]));
    }
    world.pass(6 * SECOND);
    assert_eq!(world.clients[peer].closed, Some(Cause::Aborted));
    assert_eq!(world.stats().ended(End::SlowConsumer), 1);
}

/// Has ten chunks to say to whoever comes, and that is all.
struct Parting;

const PARTING: usize = 10 * CHUNK_MAX - 1_000;

impl App for Parting {
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_http(&mut self, _request: &PlainRequest<'_>) -> Option<Answer> {
        Some(Answer::new(200, vec![b'x'; PARTING]))
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, _state: &mut (), _message: Message<'_>) {
        peer.send(Message::Binary(&vec![1; PARTING]));
        peer.close(CloseCode::NORMAL, "that was all");
    }
}

/// A peer that does not read what it is told at parting; with an answer of plain HTTP, or not.
fn parting(is_plain: bool) -> (World<Parting>, usize) {
    let mut world = World::new(unpinged(), Parting);
    let peer = if is_plain { world.connect() } else { world.open() };
    world.clients[peer].reads = false;
    world.clients[peer].follows_fin = false;
    match is_plain {
        true => world.send_raw(peer, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        false => world.send(peer, Message::Text("what else?")),
    }
    (world, peer)
}

#[test]
fn what_is_said_at_parting_is_not_cut_while_the_peer_takes_it() {
    for is_plain in [false, true] {
        let (mut world, peer) = parting(is_plain);
        while world.has_in_flight(peer) {
            world.pass(15 * SECOND);
            assert_eq!(world.clients[peer].closed, None, "plain HTTP: {is_plain}");
            world.read_once(peer);
        }
        if is_plain {
            assert!(world.take_text(peer).len() > PARTING);
            assert_eq!(world.seen(peer), [Seen::Fin]);
        } else {
            let said = [Seen::Binary(vec![1; PARTING]), Seen::Close(Some(1000))];
            assert_eq!(world.seen(peer), said);
        }
        // The time to follow begins now.
        world.pass(4 * SECOND);
        assert_eq!(world.clients[peer].closed, None);
        world.pass(SECOND + 50 * MILLI);
        assert_eq!(world.clients[peer].closed, Some(Cause::Aborted));
    }
}

#[test]
fn who_takes_nothing_of_it_any_more_has_the_output_timeout() {
    let (mut world, peer) = parting(false);
    world.pass(15 * SECOND);
    world.read_once(peer);
    world.pass(19 * SECOND);
    assert_eq!(world.clients[peer].closed, None);
    world.pass(2 * SECOND);
    assert_eq!(world.stats().ended(End::OutputStuck), 1);
}

/// All was given to the kernel, whose queue is the last thing that we can see of it.
#[test]
fn what_the_kernel_holds_of_it_is_not_cut_while_it_moves() {
    let (mut world, peer) = parting(false);
    world.read_on(peer);
    world.clients[peer].unacknowledged = 90_000;
    for _ in 0..20 {
        world.pass(SECOND);
        assert_eq!(world.clients[peer].closed, None);
        world.clients[peer].unacknowledged -= 1_000;
    }
    world.pass(6 * SECOND);
    assert_eq!(world.stats().ended(End::CloseTimeout), 1);
}

#[test]
fn a_drain_waits_for_no_reader_at_parting_longer_than_for_an_answer() {
    let (mut world, peer) = parting(true);
    world.pass(8 * SECOND);
    world.handle.drain(2 * SECOND);
    world.wake();
    for _ in 0..6 {
        world.read_once(peer);
        world.pass(SECOND);
    }
    world.pass(SECOND + 50 * MILLI);
    assert!(world.stopped);
    assert_eq!(world.clients[peer].closed, Some(Cause::Aborted));
}

#[test]
fn a_close_that_crosses_ours_in_a_drain_gives_nobody_the_time_to_read() {
    let mut world = World::new(unpinged(), Echo);
    let peer = world.open();
    world.clients[peer].reads = false;
    for _ in 0..10 {
        world.send(peer, Message::Binary(&vec![1; 50_000]));
    }
    world.handle.drain(std::time::Duration::ZERO);
    world.wake();
    world.pass(SECOND);
    world.send_raw(peer, &[0x88, 0x80, 0, 0, 0, 0]);
    world.pass(5 * SECOND + 50 * MILLI);
    assert!(world.stopped);
}

#[test]
fn wait_asks_the_app_no_more_than_the_peer_has_read() {
    let app = Amplifier { answers: 1, len: 60_000, ..Amplifier::default() };
    let mut world = World::new(bounded(SlowConsumer::Wait), app);
    let peer = world.open();
    world.clients[peer].reads = false;
    world.send_raw(peer, &burst(250));
    assert!(world.clients[peer].paused);
    assert_eq!(world.shard.app().asked, 3, "one is with the kernel, two fill the queue");
    world.read_on(peer);
    assert_eq!(world.shard.app().asked, 250);
    assert!(!world.clients[peer].paused, "it is read from again");
    let expected: Vec<_> = (1..=250).map(|n: usize| Seen::Binary(vec![n as u8; 60_000])).collect();
    assert_eq!(world.seen(peer), expected, "nothing was lost, and nothing changed places");
}

#[test]
fn wait_closes_those_to_whom_twice_as_much_is_sent_unasked() {
    let app = Amplifier { answers: 100, len: 10_000, ..Amplifier::default() };
    let mut world = World::new(bounded(SlowConsumer::Wait), app);
    let peer = world.open();
    world.clients[peer].reads = false;
    world.send_raw(peer, &burst(1));
    let deliveries = &world.shard.app().deliveries;
    let queued = deliveries.iter().filter(|delivery| **delivery == Delivery::Queued).count();
    let at_once = CHUNK_MAX / 10_010;
    assert!((20 + at_once..=22 + at_once).contains(&queued), "{queued} were queued");
    assert_eq!(deliveries.last(), Some(&Delivery::Closing));
    assert!(!deliveries.contains(&Delivery::Dropped), "what is lost is not lost in silence");
    world.read_on(peer);
    assert_eq!(world.seen(peer).last(), Some(&Seen::Close(Some(1008))));
}

#[test]
fn a_burst_to_a_peer_that_reads_is_no_slow_consumer() {
    for slow_consumer in SlowConsumer::ALL {
        let app = Amplifier { answers: 1, len: 60_000, ..Amplifier::default() };
        let mut world = World::new(bounded(slow_consumer), app);
        let peer = world.open();
        for _ in 0..100 {
            world.send_raw(peer, &burst(1));
        }
        assert_eq!(world.seen(peer).len(), 100, "{}", slow_consumer.name());
        assert_eq!(world.stats().pauses, 0);
    }
}

#[test]
fn a_message_longer_than_the_bound_passes_whole() {
    for slow_consumer in SlowConsumer::ALL {
        let mut world = World::new(bounded(slow_consumer), Echo);
        let peer = world.open();
        world.send(peer, Message::Binary(&vec![7; 10 * BOUND]));
        assert_eq!(world.seen(peer), [Seen::Binary(vec![7; 10 * BOUND])]);
    }
}

#[test]
fn while_we_do_not_read_a_message_is_not_late_and_a_peer_is_not_idle() {
    let config = Config { idle_timeout: Some(30 * SECOND), ..bounded(SlowConsumer::Wait) };
    let config = Config { output_timeout: 3600 * SECOND, message_timeout: 20 * SECOND, ..config };
    let mut world = World::new(config, Echo);
    let peer = world.open();
    world.clients[peer].reads = false;
    while !world.clients[peer].paused {
        world.send(peer, Message::Binary(&vec![1; 50_000]));
    }
    world.send_raw(peer, &[0x81, 0x85, 0, 0, 0, 0, b'h', b'e']);
    world.pass(600 * SECOND);
    world.read_on(peer);
    world.pass(10 * SECOND);
    world.send_raw(peer, b"llo");
    assert_eq!(world.seen(peer).pop(), Some(Seen::Text("hello".into())));
    world.pass(31 * SECOND);
    assert_eq!(world.seen(peer), [Seen::Close(Some(1001))], "now it is idle");
}

#[test]
fn one_that_is_sent_away_while_it_is_not_read_from_is_heard_again() {
    let mut world = World::new(bounded(SlowConsumer::Wait), Echo);
    let peer = world.open();
    world.clients[peer].reads = false;
    world.send_raw(peer, &burst(1));
    while !world.clients[peer].paused {
        world.send(peer, Message::Binary(&vec![1; 50_000]));
    }
    world.handle.drain(std::time::Duration::ZERO);
    world.wake();
    world.pass(SECOND);
    assert!(!world.clients[peer].paused, "its Close frame is to be heard");
    world.send_raw(peer, &[0x88, 0x80, 0, 0, 0, 0]);
    world.read_on(peer);
    assert_eq!(world.stats().ended(End::Closed), 1);
}

/// What a peer does.
#[derive(Clone, Debug)]
enum Act {
    /// Sends a message so long, in pieces so long.
    Say(usize, usize),
    /// Takes one chunk, if there is one.
    Read,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let say = (0usize..3_000, 1usize..4_000).prop_map(|(len, piece)| Act::Say(len, piece));
    prop::collection::vec(prop_oneof![say, Just(Act::Read)], 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whoever_reads_in_the_end_gets_every_answer_in_order(
        acts in acts(), output_max in 1usize..8_000,
    ) {
        let config = Config { output_max, ..bounded(SlowConsumer::Wait) };
        let mut world = World::new(config, Echo);
        let peer = world.open();
        world.clients[peer].reads = false;
        let mut said = Vec::new();
        let mut conn = Connection::new(Role::Client);
        for (number, act) in acts.into_iter().enumerate() {
            match act {
                Act::Say(len, piece) => {
                    let message = vec![number as u8; len];
                    let mut out = Default::default();
                    conn.encode(Message::Binary(&message), [9, 8, 7, 6], &mut out);
                    out.chunks(piece).for_each(|piece| world.send_raw(peer, piece));
                    said.push(Seen::Binary(message));
                }
                Act::Read if world.has_in_flight(peer) => world.read_once(peer),
                Act::Read => {}
            }
        }
        world.read_on(peer);
        prop_assert!(!world.clients[peer].paused);
        prop_assert_eq!(world.seen(peer), said);
    }
}
