//! What others fell into about output, crowds and turns, each by its name.

use crate::puppet::{Act, Habits, Puppets, Stage, control, message};
use halfopen_proto::Message;
use halfopen_proto::handshake::Rejection;
use halfopen_server::{
    Accept, App, Config, Context, Echo, End, Handshake, Heartbeat, Peer, Policy,
};
use halfopen_sim::Faults;
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(8);

const ANSWERS: Habits = Habits { answers: true, garbles: false, talks: None };

fn pinged(interval: Duration, timeout: Duration) -> Config {
    let heartbeat = Some(Heartbeat { interval, timeout, ..Heartbeat::default() });
    Config { heartbeat, tick: TICK, seed: 1, ..Config::default() }
}

/// A line of some hundred kilobytes a second.
fn slow_line() -> Faults {
    let delay = 10 * MILLI..20 * MILLI;
    Faults { delay, segment_max: 1460, send_buffer: 64 * 1024, ..Faults::none() }
}

/// Says so many bytes to those who come, and then something small again and again.
struct Says {
    at_first: usize,
    every: Option<Duration>,
}

impl App for Says {
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_open(&mut self, peer: &mut Peer<'_>, _state: &mut ()) {
        peer.send(Message::Binary(&vec![0; self.at_first]));
        self.again(peer);
    }

    fn on_message(&mut self, _peer: &mut Peer<'_>, _state: &mut (), _message: Message<'_>) {}

    fn on_peer_timer(&mut self, peer: &mut Peer<'_>, _state: &mut (), _timer: u8) {
        peer.send(Message::Text("still there?"));
        self.again(peer);
    }
}

impl Says {
    fn again(&self, peer: &mut Peer<'_>) {
        if let Some(every) = self.every {
            peer.set_timer(1, every);
        }
    }
}

#[test]
fn a_ping_behind_10_mb_of_data_is_no_false_death() {
    // The answers come within the time, or take longer than that: then there are looks after the
    // third, at which a dead one would be let go.
    for (timeout, looks_min) in [(500 * MILLI, 0), (100 * MILLI, 8)] {
        let mut puppets = Puppets::new([ANSWERS], SECOND);
        let app = Says { at_first: 10_000_000, every: None };
        let stage = Stage::new(pinged(SECOND, timeout), slow_line(), app);
        let looks = stage.looks.clone();
        let stats = stage.serve(&mut puppets, 60 * SECOND);
        assert_eq!((stats.open, stats.ended.len()), (1, 0), "{timeout:?}: {:?}", stats.ended);
        let puppet = &puppets.all[0];
        assert_eq!(puppet.messages, 1, "all of it came");
        let gaps = puppet.pings.windows(2).map(|pair| pair[1].saturating_since(pair[0]));
        assert!(gaps.max().unwrap_or_default() < 2 * SECOND, "pings pass between fragments");
        assert_eq!(stats.pings_sent, stats.pongs_matched);
        assert!(looks.get() >= looks_min, "{} looks", looks.get());
    }
}

/// It floods us and reads nothing, so we stop reading from it, and its pongs with the rest.
#[test]
fn a_reader_that_we_paused_is_not_silent() {
    let config = Config { output_max: 100_000, ..pinged(SECOND, SECOND / 2) };
    let config = Config { output_timeout: 100 * SECOND, ..config };
    let flood = message(&[7; 10_000]).repeat(100);
    let mut puppets = Puppets::new([ANSWERS], SECOND)
        .then(3 * SECOND, 0, Act::Read(false))
        .then(3 * SECOND, 0, Act::Say(flood))
        .then(63 * SECOND, 0, Act::Read(true));
    let stats = Stage::new(config, slow_line(), Echo).serve(&mut puppets, 120 * SECOND);
    assert!(stats.pauses > 0);
    assert_eq!(stats.open, 1, "{:?}", stats.ended);
    assert_eq!(puppets.all[0].messages, 100);
    assert!(puppets.all[0].pings.len() > 40, "it is pinged as before");
}

#[test]
fn a_peer_that_floods_pings_and_never_reads_leaves_a_few_pongs_and_the_newest() {
    let pings: Vec<u8> = (0..100_000u32).flat_map(|n| control(0x89, &n.to_be_bytes())).collect();
    let mut puppets = Puppets::new([Habits::default()], SECOND)
        .then(SECOND, 0, Act::Read(false))
        .then(SECOND, 0, Act::Say(pings))
        .then(15 * SECOND, 0, Act::Read(true));
    let faults = Faults { send_buffer: 4096, receive_buffer: 4096, ..Faults::none() };
    let config = Config { heartbeat: None, ..pinged(SECOND, SECOND) };
    let stats = Stage::new(config, faults, Echo).serve(&mut puppets, 20 * SECOND);
    assert_eq!((stats.pings_received, stats.open), (100_000, 1));
    let pongs = &puppets.all[0].pongs;
    // What two kernels held, a chunk in flight, and a chunk that waited: 6 bytes each.
    assert!(pongs.len() < 6 * 4096 / 6, "{} pongs were kept for it", pongs.len());
    assert_eq!(pongs.last().map(Vec::as_slice), Some(&99_999u32.to_be_bytes()[..]));
}

/// Our kernel takes message after message for it; that is no sign of its life, and no reason not to
/// ping.
#[test]
fn a_sent_message_does_not_reset_the_deadline() {
    for policy in [Policy::Periodic, Policy::Idle] {
        let mut config = pinged(SECOND, SECOND);
        config.heartbeat = config.heartbeat.map(|heartbeat| Heartbeat { policy, ..heartbeat });
        let mut puppets = Puppets::new([ANSWERS], MILLI).then(3 * SECOND, 0, Act::Vanish);
        let app = Says { at_first: 0, every: Some(100 * MILLI) };
        let stats = Stage::new(config, Faults::none(), app).serve(&mut puppets, 6 * SECOND);
        let name = policy.name();
        assert_eq!(stats.ended(End::Silent), 1, "{name}: {:?}", stats.ended);
        assert!(puppets.all[0].pings.len() >= 2, "{name}: it was pinged while it lived");
        assert!(stats.messages_sent > 35, "{name}: it was spoken to until the end");
        assert!(stats.lateness_ns.max() < SECOND.as_nanos() as u64 / 2, "{name}");
    }
}

/// Pings wait for silence only where that is asked for.
#[test]
fn activity_does_not_suppress_pings_for_ever() {
    let talks = Habits { talks: Some(10), ..ANSWERS };
    for (policy, expected) in [(Policy::Periodic, 9..=11), (Policy::Idle, 0..=0)] {
        let mut config = pinged(SECOND, SECOND);
        config.heartbeat = config.heartbeat.map(|heartbeat| Heartbeat { policy, ..heartbeat });
        let mut puppets = Puppets::new([talks], MILLI).then(10 * SECOND, 0, Act::Vanish);
        let delay = 5 * MILLI..10 * MILLI;
        let stage = Stage::new(config, Faults { delay, ..Faults::none() }, Echo);
        let stats = stage.serve(&mut puppets, 15 * SECOND);
        let pings = puppets.all[0].pings.len();
        assert!(expected.contains(&pings), "{pings} pings, {}", policy.name());
        assert_eq!(stats.ended(End::Silent), 1, "{}: {:?}", policy.name(), stats.ended);
    }
}

/// Any byte keeps a peer; but what it sends unasked tells nothing about its distance.
#[test]
fn any_inbound_byte_is_life_but_only_an_exact_payload_is_a_round_trip() {
    let garbles = Habits { garbles: true, ..ANSWERS };
    let mut puppets = Puppets::new([ANSWERS, garbles, Habits::default()], MILLI);
    let delay = 5 * MILLI..10 * MILLI;
    let stage = Stage::new(pinged(SECOND, SECOND / 2), Faults { delay, ..Faults::none() }, Echo);
    let stats = stage.serve(&mut puppets, 30 * SECOND);
    assert_eq!((stats.open, stats.ended(End::Silent)), (2, 1), "{:?}", stats.ended);
    let [exact, garbled, mute] = [0, 1, 2].map(|who: usize| puppets.all[who].pings.len() as u64);
    assert!(exact > 25 && garbled > 25 && mute == 1, "{exact}, {garbled} and {mute} pings");
    assert_eq!((stats.pongs_matched, stats.pongs_unsolicited), (exact, garbled));
    assert_eq!(stats.rtt_ns.len(), exact);
    assert!(stats.rtt_ns.min() >= 10_000_000, "{} ns", stats.rtt_ns.min());
}

/// Tells all the same, once.
struct Broadcast;

impl App for Broadcast {
    type State = ();

    fn on_start(&mut self, shard: &mut Context<'_>) {
        shard.set_timer(0, 15 * SECOND);
    }

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_open(&mut self, peer: &mut Peer<'_>, _state: &mut ()) {
        peer.subscribe("all").expect("it is its first");
    }

    fn on_timer(&mut self, shard: &mut Context<'_>, _timer: u32) {
        shard.publish("all", Message::Text("who is there?")).expect("there is room");
    }

    fn on_message(&mut self, _peer: &mut Peer<'_>, _state: &mut (), _message: Message<'_>) {}
}

/// Everybody answers a broadcast at once, and so is silent from one moment on.
#[test]
fn one_broadcast_does_not_line_up_an_idle_fleet() {
    let talks = Habits { talks: Some(10), ..ANSWERS };
    let mut puppets = Puppets::new([talks; 200], 10 * SECOND);
    let mut config = pinged(10 * SECOND, SECOND);
    config.heartbeat = config.heartbeat.map(|beat| Heartbeat { policy: Policy::Idle, ..beat });
    let mut began = None;
    let stage = Stage::new(config, Faults::none(), Broadcast);
    let stats = stage.play(&mut puppets, |world, _| {
        began = Some(world.now());
        world.run_for(60 * SECOND);
    });
    assert_eq!((stats.open, stats.ended.len()), (200, 0));
    let told = began.expect("it ran") + 15 * SECOND;
    let mut first = Vec::new();
    for puppet in &puppets.all {
        assert_eq!(puppet.messages, 1);
        let ping = *puppet.pings.iter().find(|ping| **ping > told).expect("it is pinged");
        let silence = ping.saturating_since(told);
        assert!((9 * SECOND - TICK..=10 * SECOND + 5 * TICK).contains(&silence), "{silence:?}");
        first.push(silence);
    }
    first.sort_unstable();
    let within = |at: usize| first[at..].partition_point(|ping| *ping < first[at] + SECOND / 10);
    let most = (0..first.len()).map(within).max().unwrap_or(0);
    assert!(most <= 45, "{most} of 200 peers pinged within 100 ms");
}

/// Whatever they were in the middle of, and also if nothing more can be sent to them.
#[test]
fn peers_that_sent_fin_leave_nothing_in_close_wait() {
    let config = Config { output_timeout: 2 * SECOND, heartbeat: None, ..pinged(SECOND, SECOND) };
    let large = message(&vec![7; 300_000]);
    let half = message(&[7; 10_000])[..5_000].to_vec();
    let mut puppets = Puppets::new([Habits::default(); 4], SECOND)
        .then(2 * SECOND, 1, Act::Say(half))
        .then(2 * SECOND, 2, Act::Say(large.clone()))
        .then(2 * SECOND, 3, Act::Read(false))
        .then(2 * SECOND, 3, Act::Say(large));
    for who in 0..4 {
        puppets = puppets.then(3 * SECOND, who, Act::Leave);
    }
    let faults = Faults { send_buffer: 4096, receive_buffer: 4096, ..Faults::none() };
    let mut began = None;
    let stats = Stage::new(config, faults, Echo).play(&mut puppets, |world, _| {
        began = Some(world.now());
        world.run_for(10 * SECOND);
    });
    let left = began.expect("it ran") + 3 * SECOND;
    for (who, patience) in [MILLI, MILLI, MILLI, 3 * SECOND].into_iter().enumerate() {
        let (at, _) = puppets.all[who].closed.expect("the server has let go of it");
        let after = at.saturating_since(left);
        assert!(after < patience, "{who} left, and was let go {after:?} later");
    }
    assert_eq!(stats.open, 0);
    assert_eq!((stats.ended(End::Fin), stats.ended(End::OutputStuck)), (3, 1), "{:?}", stats.ended);
}

#[test]
fn a_drain_does_not_send_everyone_back_at_once() {
    let mut puppets = Puppets::new([ANSWERS; 200], SECOND);
    let mut began = None;
    let stage = Stage::new(pinged(SECOND, SECOND), Faults::none(), Echo);
    stage.play(&mut puppets, |world, shard| {
        world.run_for(2 * SECOND);
        began = Some(world.now());
        shard.drain(20 * SECOND);
        world.run_for(30 * SECOND);
    });
    let began = began.expect("it ran");
    let mut seconds = [0; 20];
    for puppet in &puppets.all {
        let (at, code) = puppet.close.expect("it was told");
        assert_eq!(code, Some(1001));
        seconds[at.saturating_since(began).as_secs() as usize] += 1;
    }
    assert!(seconds.iter().all(|count| (8..=12).contains(count)), "{seconds:?}");
}

/// Quiet connections, and behind them some that talk without a break.
fn crowd(quiet: usize, busy: usize, len: usize) -> Puppets {
    let talks = Habits { talks: Some(len), ..ANSWERS };
    let habits = (0..quiet + busy).map(|who| if who < quiet { ANSWERS } else { talks });
    Puppets::new(habits, SECOND)
}

#[test]
fn a_thousand_busy_connections_get_equal_turns_and_leave_fifty_thousand_quiet_ones_theirs() {
    let (quiet, busy) = (50_000, 1_000);
    let mut puppets = crowd(quiet, busy, 100);
    let faults = Faults { handover_max: 64, ..Faults::none() };
    let config = pinged(4 * SECOND, 2 * SECOND);
    let stats = Stage::new(config, faults, Echo).serve(&mut puppets, 6 * SECOND);
    assert_eq!((stats.open, stats.ended.len()), (51_000, 0));
    let turns: Vec<u64> = puppets.all[quiet..].iter().map(|puppet| puppet.messages).collect();
    let (least, most) = (turns.iter().min().unwrap(), turns.iter().max().unwrap());
    assert!(*least > 100 && *most < least + least / 4, "{least} to {most} turns");
    for puppet in &puppets.all[..quiet] {
        let gap = puppet.pings.windows(2).map(|pair| pair[1].saturating_since(pair[0])).max();
        assert!(gap.is_none_or(|gap| gap < 4 * SECOND + 5 * TICK), "{gap:?} between two pings");
        assert!(!puppet.pings.is_empty(), "pinged in its first interval");
    }
}

/// The loop stood still for longer than an interval: all pings are due at one instant, and together
/// they take 88 ms to send.
#[test]
fn all_pings_at_one_instant_are_carried_over_and_hold_nobody_up() {
    let (quiet, busy) = (20_000, 50);
    let mut puppets = crowd(quiet, busy, 100);
    let config = pinged(5 * SECOND, 2 * SECOND);
    let stall = Some((4 * SECOND, 6 * SECOND));
    let faults = Faults { send: Duration::from_nanos(4_400), ..Faults::none() };
    let stage = Stage { stall, ..Stage::new(config, faults, Echo) };
    let stats = stage.serve(&mut puppets, 16 * SECOND);
    assert_eq!((stats.open, stats.ended.len()), (20_050, 0), "a stall kills nobody");
    for puppet in &puppets.all[..quiet] {
        let gap = puppet.pings.windows(2).map(|pair| pair[1].saturating_since(pair[0])).max();
        assert!(gap.is_some_and(|gap| gap < 12 * SECOND), "{gap:?} between two pings");
    }
    for puppet in &puppets.all[quiet..] {
        let long = puppet.waits.iter().filter(|wait| **wait > 20 * MILLI).count();
        assert_eq!(long, 1, "only the stall itself was waited for");
    }
}
