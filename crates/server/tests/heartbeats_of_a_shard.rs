//! What a shard does about peers that are silent, slow, or not listened to.

mod world;

use halfopen_driver::{Busy, CHUNK_MAX, Cause, Engine, Heard};
use halfopen_proto::Message;
use halfopen_server::{
    Accept, App, Config, Echo, End, Handshake, Heartbeat, Peer, Policy, Rejection, Rtt,
};
use world::{MILLI, SECOND, Seen, World, config, unpinged};

const TICK: std::time::Duration = std::time::Duration::from_millis(8);

fn pings(seen: &[Seen]) -> usize {
    seen.iter().filter(|seen| matches!(seen, Seen::Ping(_))).count()
}

#[test]
fn silent_peer_is_pinged_then_aborted() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    world.clients[peer].answers = true;
    world.pass(10 * SECOND);
    world.clients[peer].answers = false;
    world.seen(peer);
    while pings(&world.clients[peer].seen) == 0 {
        world.pass(MILLI);
    }
    world.pass(3 * SECOND - 2 * MILLI);
    assert_eq!(world.clients[peer].closed, None, "the timeout has not passed");
    world.pass(TICK + 2 * MILLI);
    assert_eq!(world.clients[peer].closed, Some(Cause::Aborted));
    assert_eq!(world.seen(peer).last(), Some(&Seen::Reset));

    let stats = world.stats();
    assert_eq!((stats.pings_sent, stats.pongs_matched, stats.open), (2, 1, 0));
    assert_eq!(stats.ended(End::Silent), 1);
    assert_eq!(stats.lateness_ns.len(), 1);
    assert!(stats.lateness_ns.max() <= TICK.as_nanos() as u64 + 10_000);
    assert_eq!(world.probes, 0, "an idle connection's silence needs no second look");
}

#[test]
fn a_peer_that_answers_is_pinged_every_interval_and_kept() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    world.clients[peer].answers = true;
    world.pass(1000 * SECOND);
    assert_eq!(world.clients[peer].closed, None);
    let stats = world.stats();
    assert!((99..=101).contains(&stats.pings_sent), "{} pings", stats.pings_sent);
    assert_eq!(stats.pongs_matched, stats.pings_sent);
    assert_eq!(stats.rtt_ns.len(), stats.pings_sent);
}

#[test]
fn who_has_answered_is_not_visited_before_the_next_ping_is_due() {
    for (interval, timeout) in [(5, 3), (20, 20), (5, 20), (50, 20), (60, 60), (300, 10)] {
        let (interval, timeout) = (interval * SECOND, timeout * SECOND);
        let heartbeat = Heartbeat { policy: Policy::Periodic, interval, timeout };
        let mut world = World::new(Config { heartbeat: Some(heartbeat), ..config() }, Echo);
        let peer = world.open();
        world.clients[peer].answers = true;
        for _ in 0..3 {
            while pings(&world.seen(peer)) == 0 {
                world.pass(MILLI);
            }
            let next = world.shard.deadline().expect("another ping").saturating_since(world.now);
            let due = interval - MILLI..=interval + TICK;
            assert!(due.contains(&next), "{interval:?}, {timeout:?}: {next:?}");
        }
    }
}

#[test]
fn without_a_heartbeat_nobody_is_pinged_and_nobody_is_found() {
    let mut world = World::new(unpinged(), Echo);
    let peer = world.open();
    world.pass(100_000 * SECOND);
    assert_eq!((world.clients[peer].closed, world.stats().pings_sent), (None, 0));
}

#[test]
fn any_byte_is_life_but_only_an_exact_payload_is_a_round_trip() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    for _ in 0..20 {
        world.pass(2 * SECOND);
        world.pong(peer, b"none");
        world.pong(peer, b"");
    }
    assert_eq!(world.clients[peer].closed, None);
    let stats = world.stats();
    assert!(stats.pings_sent >= 3);
    assert_eq!((stats.pongs_matched, stats.pongs_unsolicited), (0, 40));
    assert_eq!(stats.rtt_ns.len(), 0);
}

#[test]
fn a_pong_is_measured_once_and_also_when_another_byte_came_before_it() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    while pings(&world.clients[peer].seen) == 0 {
        world.pass(MILLI);
    }
    let Some(Seen::Ping(payload)) = world.seen(peer).pop() else { panic!("a ping came") };
    world.pass(50 * MILLI);
    world.send(peer, Message::Text("something else"));
    world.pass(200 * MILLI);
    world.pong(peer, &payload);
    world.pong(peer, &payload);
    let stats = world.stats();
    assert_eq!((stats.pongs_matched, stats.pongs_unsolicited), (1, 1));
    let rtt = stats.rtt_ns.max();
    assert!((250_000_000..252_000_000).contains(&rtt), "{rtt} ns");
}

/// Remembers the round trips of the peer that spoke last.
#[derive(Default)]
struct Asks(Option<Rtt>);

impl App for Asks {
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, _state: &mut (), _message: Message<'_>) {
        self.0 = peer.rtt();
    }
}

#[test]
fn an_app_reads_the_last_and_the_shortest_round_trip_of_a_connection() {
    let mut world = World::new(config(), Asks::default());
    let (peer, other) = (world.open(), world.open());
    world.send(peer, Message::Text("none yet?"));
    assert_eq!(world.shard.app().0, None);
    for (trip, shortest) in [(70, 70), (30, 30), (250, 30)] {
        while pings(&world.clients[peer].seen) == 0 {
            world.clients[other].answers = true;
            world.pass(MILLI);
        }
        let Some(Seen::Ping(payload)) = world.seen(peer).pop() else { panic!("a ping came") };
        world.pass(trip * MILLI);
        world.pong(peer, &payload);
        world.send(peer, Message::Text("how far am I?"));
        let rtt = world.shard.app().0.expect("a pong came");
        assert!((trip * MILLI..(trip + 2) * MILLI).contains(&rtt.last), "{rtt:?}");
        assert!((shortest * MILLI..(shortest + 2) * MILLI).contains(&rtt.min), "{rtt:?}");
    }
}

#[test]
fn a_ping_behind_a_send_in_flight_is_no_question_yet() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    world.clients[peer].reads = false;
    world.send(peer, Message::Text("held"));
    world.pass(15 * SECOND);
    assert_eq!(world.clients[peer].closed, None, "the ping has not left");
    world.clients[peer].answers = true;
    world.read_on(peer);
    assert_eq!(pings(&world.seen(peer)), 1, "it leaves as soon as it can");
    assert_eq!(world.stats().pongs_matched, 1);
}

#[test]
fn a_ping_jumps_the_queue_between_two_frames() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    world.clients[peer].reads = false;
    let large = vec![7; 200_000];
    world.send(peer, Message::Binary(&large));
    world.pass(11 * SECOND);
    world.read_once(peer);
    world.read_once(peer);
    assert_eq!(pings(&world.clients[peer].seen), 1, "behind one chunk, not behind all");
    world.read_on(peer);
    assert!(matches!(world.seen(peer)[..], [Seen::Ping(_), Seen::Binary(_)]));
}

#[test]
fn a_slow_peer_is_not_dead_while_its_queue_falls() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    world.send(peer, Message::Binary(&vec![1; 60_000]));
    world.clients[peer].unacknowledged = 60_000;
    for _ in 0..100 {
        world.pass(SECOND / 4);
        let left = world.clients[peer].unacknowledged.saturating_sub(400);
        world.clients[peer].unacknowledged = left;
    }
    assert_eq!(world.clients[peer].closed, None, "it is acknowledging 1.6 kB/s");
    assert_eq!(world.stats().pings_sent, 1, "and no second ping was sent");
    world.pass(3 * SECOND);
    assert_eq!(world.stats().ended(End::Silent), 1, "it stopped acknowledging");
}

#[test]
fn a_dead_peer_that_was_spoken_to_is_found_on_time_by_three_looks() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    world.pass(SECOND);
    world.send(peer, Message::Text("my last word"));
    world.clients[peer].unacknowledged = 14;
    world.pass(14 * SECOND);
    assert_eq!(world.stats().ended(End::Silent), 1);
    assert_eq!(world.probes, 3);
    assert!(world.stats().lateness_ns.max() <= TICK.as_nanos() as u64 + 10_000);
}

/// A peer to whom much is sent, that reads so much in each quarter of a second, and answers nothing.
struct Reader {
    peer: usize,
    each: u32,
    /// Of the chunk in flight, what our kernel has no room for.
    rest: u32,
}

/// What our kernel holds of a connection, and how much of it has to go before it takes more.
const KERNEL_BYTES: u32 = 100_000;
const REFILL_BYTES: u32 = 32 * 1024;

impl Reader {
    fn new(world: &mut World<Echo>, each: u32) -> Self {
        let peer = world.open();
        world.clients[peer].reads = false;
        world.send(peer, Message::Binary(&vec![1; 4_000_000]));
        let mut reader = Self { peer, each, rest: CHUNK_MAX as u32 };
        reader.refill(world);
        reader
    }

    fn read(&mut self, world: &mut World<Echo>) {
        world.pass(SECOND / 4);
        let client = &mut world.clients[self.peer];
        client.unacknowledged = client.unacknowledged.saturating_sub(self.each);
        if client.unacknowledged <= KERNEL_BYTES - REFILL_BYTES {
            self.refill(world);
        }
    }

    fn refill(&mut self, world: &mut World<Echo>) {
        while world.has_in_flight(self.peer) {
            let client = &mut world.clients[self.peer];
            let taken = self.rest.min(KERNEL_BYTES - client.unacknowledged);
            client.unacknowledged += taken;
            self.rest -= taken;
            if self.rest > 0 {
                return;
            }
            world.read_once(self.peer);
            self.rest = *world.clients[self.peer].chunks.last().unwrap() as u32;
        }
    }
}

fn roomy() -> Config {
    Config { output_max: 16 << 20, ..config() }
}

/// How much our kernel holds says nothing: what is read is made up for.
#[test]
fn a_slow_peer_whose_queue_is_refilled_is_not_dead() {
    for each in [8_000, 12_000, 20_000, 25_000, 40_000] {
        let mut world = World::new(roomy(), Echo);
        let mut reader = Reader::new(&mut world, each);
        while world.has_in_flight(reader.peer) {
            reader.read(&mut world);
        }
        let stats = world.stats();
        assert_eq!(stats.ended.len(), 0, "{each} bytes each time, and {:?}", stats.ended);
        assert!(stats.pings_sent > 0 && world.probes > 3, "{} looks", world.probes);
    }
}

#[test]
fn a_slow_peer_that_stops_reading_is_found_within_a_timeout() {
    let mut world = World::new(roomy(), Echo);
    let mut reader = Reader::new(&mut world, 10_000);
    for _ in 0..60 {
        reader.read(&mut world);
    }
    assert_eq!((world.stats().pings_sent, world.stats().ended.len()), (1, 0));
    world.pass(3 * SECOND + TICK);
    assert_eq!(world.stats().ended(End::Silent), 1);
}

/// Says 4,000 bytes four times a second.
struct Ticker;

impl App for Ticker {
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_open(&mut self, peer: &mut Peer<'_>, _state: &mut ()) {
        peer.set_timer(0, SECOND / 4);
    }

    fn on_message(&mut self, _peer: &mut Peer<'_>, _state: &mut (), _message: Message<'_>) {}

    fn on_peer_timer(&mut self, peer: &mut Peer<'_>, _state: &mut (), _timer: u8) {
        peer.send(Message::Binary(&[7; 4_000]));
        peer.set_timer(0, SECOND / 4);
    }
}

/// Our kernel has room for all that is said, and the peer reads less than that.
#[test]
fn a_slow_peer_whose_queue_grows_is_not_dead_while_it_reads() {
    let mut world = World::new(config(), Ticker);
    let peer = world.open();
    (world.clients[peer].hoards, world.clients[peer].unacknowledged) = (true, 100_000);
    for _ in 0..100 {
        world.pass(SECOND / 4);
        world.clients[peer].unacknowledged -= 3_000;
    }
    assert_eq!(world.stats().ended.len(), 0, "{:?}", world.stats().ended);
    assert!(world.probes > 3 && world.clients[peer].unacknowledged > 110_000);
    world.pass(3 * SECOND);
    assert_eq!(world.stats().ended(End::Silent), 1, "it reads no more");
    let late = world.stats().lateness_ns.max();
    assert!(late <= TICK.as_nanos() as u64 + 10_000, "the time that it was given is not ours");
}

/// The host of a program that hangs acknowledges what is sent to it, and the network nothing.
#[test]
fn a_dead_peer_to_whom_much_is_said_is_found_on_time() {
    for hoards in [false, true] {
        let mut world = World::new(config(), Ticker);
        let peer = world.open();
        world.clients[peer].hoards = hoards;
        world.pass(14 * SECOND);
        assert_eq!(world.stats().ended(End::Silent), 1, "{:?}", world.stats().ended);
        assert!(world.stats().lateness_ns.max() <= TICK.as_nanos() as u64 + 10_000);
    }
}

#[test]
fn a_dead_peer_of_whom_the_kernel_says_nothing_is_found_a_little_later() {
    let mut world = World::new(config(), Ticker);
    world.withholds_probes = true;
    let peer = world.open();
    while pings(&world.clients[peer].seen) == 0 {
        world.pass(MILLI);
    }
    world.pass(3 * SECOND - TICK);
    assert_eq!(world.clients[peer].closed, None);
    world.pass(SECOND + 8 * TICK);
    assert_eq!(world.stats().ended(End::Silent), 1, "{:?}", world.stats().ended);
}

#[test]
fn a_peer_that_never_reads_and_of_whom_the_kernel_says_nothing_is_found_a_little_later() {
    let mut world = World::new(unpinged(), Echo);
    world.withholds_probes = true;
    let peer = world.open();
    world.clients[peer].reads = false;
    world.send(peer, Message::Text("held"));
    world.pass(20 * SECOND);
    assert_eq!(world.clients[peer].closed, None);
    world.pass(7 * SECOND);
    assert_eq!(world.stats().ended(End::OutputStuck), 1, "{:?}", world.stats().ended);
}

#[test]
fn a_stalled_loop_kills_nobody() {
    let mut world = World::new(config(), Echo);
    let peers: Vec<_> = (0..200).map(|_| world.open()).collect();
    let answer = |world: &mut World<Echo>, answers| {
        peers.iter().for_each(|&peer| world.clients[peer].answers = answers);
    };
    answer(&mut world, true);
    world.pass(18 * SECOND);
    answer(&mut world, false);
    world.pass(2 * SECOND);
    let unanswered = world.stats().pings_sent - world.stats().pongs_matched;
    assert!((20..60).contains(&unanswered), "{unanswered} pings are out");

    // The loop stands still for a minute. Then it looks again and again before it has heard what
    // came meanwhile.
    world.heard = Some(Heard { until: world.now, busy_since: None });
    world.now = world.now + 60 * SECOND;
    for _ in 0..100 {
        world.look();
        world.now = world.now + TICK;
    }
    assert_eq!(world.stats().open, 200);
    peers.iter().for_each(|&peer| world.send(peer, Message::Text("I was here all the time")));
    answer(&mut world, true);
    world.heard = None;
    world.pass(60 * SECOND);
    assert_eq!(world.stats().open, 200);
}

/// The driver measures the time between two looks, and hands over arrivals when it is up.
#[test]
fn all_pings_at_one_instant_go_out_a_few_at_a_time_and_none_is_forgotten() {
    let mut world = World::new(Config { connections_max: 2_000, ..config() }, Echo);
    for _ in 0..2_000 {
        world.open();
    }
    world.now = world.now + 11 * SECOND;
    let mut before = 0;
    while world.stats().pings_sent < 2_000 {
        world.look();
        let sent = world.stats().pings_sent;
        assert!((1..=64).contains(&(sent - before)), "{} pings in one look", sent - before);
        before = sent;
    }
}

#[test]
fn a_saturated_driver_owes_a_second_timeout() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    let busy = world.now;
    world.heard = Some(Heard { until: busy, busy_since: Some(Busy::since(busy)) });
    while pings(&world.clients[peer].seen) == 0 {
        world.pass(MILLI);
    }
    world.pass(6 * SECOND - 10 * MILLI);
    assert_eq!(world.clients[peer].closed, None);
    world.pass(30 * MILLI);
    assert_eq!(world.clients[peer].closed, Some(Cause::Aborted));
}

#[test]
fn the_idle_policy_leaves_a_busy_peer_alone() {
    let heartbeat = Heartbeat { policy: Policy::Idle, ..config().heartbeat.unwrap() };
    let mut world = World::new(Config { heartbeat: Some(heartbeat), ..config() }, Echo);
    let (busy, quiet) = (world.open(), world.open());
    world.clients[quiet].answers = true;
    for _ in 0..25 {
        world.pass(4 * SECOND);
        world.send(busy, Message::Text("hello"));
    }
    assert_eq!(pings(&world.seen(busy)), 0);
    assert!((9..=11).contains(&pings(&world.seen(quiet))));
}

#[test]
fn a_peer_that_never_reads_costs_a_bounded_queue_and_the_output_timeout() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    world.clients[peer].reads = false;
    world.clients[peer].unacknowledged = 70_000;
    let mut sent = 0;
    while !world.clients[peer].paused {
        world.send(peer, Message::Binary(&[1; 10_000]));
        sent += 10_000;
    }
    assert!(sent < (1 << 20) + 100_000, "{sent} bytes were taken");
    world.pass(19 * SECOND);
    assert_eq!(world.clients[peer].closed, None);
    world.pass(2 * SECOND);
    assert_eq!(world.clients[peer].closed, Some(Cause::Aborted));
    assert_eq!(world.stats().ended(End::OutputStuck), 1);
}

#[test]
fn a_peer_paused_by_us_is_not_silent() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    world.clients[peer].reads = false;
    while !world.clients[peer].paused {
        world.send(peer, Message::Binary(&vec![1; 60_000]));
    }
    // It takes a chunk now and then, so it is not stuck; nothing of it is read meanwhile.
    for _ in 0..8 {
        world.pass(10 * SECOND);
        world.read_once(peer);
        assert!(world.clients[peer].paused);
    }
    assert_eq!(world.clients[peer].closed, None);
    world.clients[peer].answers = true;
    world.read_on(peer);
    assert!(!world.clients[peer].paused);
    world.pass(60 * SECOND);
    assert_eq!(world.clients[peer].closed, None);
}

#[test]
fn a_ping_that_left_while_we_did_not_read_is_a_question_only_when_we_read_again() {
    let mut world = World::new(config(), Echo);
    let peer = world.open();
    world.clients[peer].reads = false;
    world.send(peer, Message::Text("held"));
    world.pass(10 * SECOND);
    while !world.clients[peer].paused {
        world.send(peer, Message::Binary(&vec![1; 60_000]));
    }
    world.pass(MILLI);
    world.read_once(peer);
    world.read_once(peer);
    assert_eq!(pings(&world.clients[peer].seen), 1);
    world.pass(9 * SECOND);
    world.read_on(peer);
    world.pass(2 * SECOND);
    assert_eq!(world.clients[peer].closed, None, "its answer could not be heard before");
    world.pass(2 * SECOND);
    assert_eq!(world.stats().ended(End::Silent), 1);
}
