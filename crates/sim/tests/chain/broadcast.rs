//! Topics and timers among everything that connections survive: each message comes once, in order.

use crate::each_seed;
use crate::puppet::{Habits, Puppets, Stage};
use fastrand::Rng;
use halfopen_proto::Message;
use halfopen_server::{Accept, App, Config, Context, Handshake, Heartbeat, Peer, Rejection, Stats};
use halfopen_sim::Faults;
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Messages to everybody, and to each one alone.
const NEWS: u32 = 100;
const TICKS: u32 = 20;

/// Counts aloud for everybody, and for each one alone.
#[derive(Default)]
struct Crier {
    said: u32,
}

impl App for Crier {
    /// Ticks that were told to it alone.
    type State = u32;

    fn on_start(&mut self, shard: &mut Context<'_>) {
        shard.set_timer(0, 50 * MILLI);
    }

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<u32>, Rejection> {
        Ok(Accept::new(0))
    }

    fn on_open(&mut self, peer: &mut Peer<'_>, _ticks: &mut u32) {
        peer.subscribe("news").unwrap();
        peer.send(Message::Text(&format!("from {}", self.said)));
        peer.set_timer(7, 250 * MILLI);
    }

    fn on_timer(&mut self, shard: &mut Context<'_>, _timer: u32) {
        // Some that are too long to be copied.
        let padding = " ".repeat(if self.said.is_multiple_of(20) { 2_000 } else { 0 });
        let news = format!("{}{padding}", self.said);
        shard.publish("news", Message::Text(&news)).unwrap();
        self.said += 1;
        if self.said < NEWS {
            shard.set_timer(0, 50 * MILLI);
        }
    }

    fn on_peer_timer(&mut self, peer: &mut Peer<'_>, ticks: &mut u32, timer: u8) {
        assert_eq!(timer, 7);
        peer.send(Message::Text(&format!("tick {ticks}")));
        *ticks += 1;
        if *ticks < TICKS {
            peer.set_timer(7, 250 * MILLI);
        }
    }

    fn on_message(&mut self, _peer: &mut Peer<'_>, _ticks: &mut u32, _message: Message<'_>) {}
}

fn play(seed: u64) -> (Puppets, Stats) {
    let mut puppets = Puppets::new([Habits { answers: true, ..Habits::default() }; 24], 4 * SECOND);
    let heartbeat = Heartbeat { interval: SECOND, timeout: 20 * SECOND, ..Heartbeat::default() };
    let config = Config { heartbeat: Some(heartbeat), seed, ..Config::default() };
    let faults = Faults::survivable(&mut Rng::with_seed(seed));
    let stats = Stage::new(config, faults, Crier::default()).serve(&mut puppets, 60 * SECOND);
    (puppets, stats)
}

#[test]
fn what_is_published_comes_once_and_in_order_whatever_the_network_does() {
    each_seed(40, |seed| {
        let (puppets, stats) = play(seed);
        for (who, puppet) in puppets.all.iter().enumerate() {
            let said: Vec<&str> = puppet.texts.iter().map(|text| text.trim_end()).collect();
            let from =
                said[0].strip_prefix("from ").expect("its first word").parse::<u32>().unwrap();
            let (ticks, news): (Vec<&str>, Vec<&str>) =
                said[1..].iter().partition(|text| text.starts_with("tick "));
            let expected: Vec<_> = (from..NEWS).map(|number| number.to_string()).collect();
            assert_eq!(news, expected, "news of {who}, seed {seed}");
            let expected: Vec<_> = (0..TICKS).map(|number| format!("tick {number}")).collect();
            assert_eq!(ticks, expected, "ticks of {who}, seed {seed}");
        }
        assert_eq!((stats.messages_dropped, stats.undeliverable), (0, 0));
    });
}

#[test]
fn the_same_seed_publishes_at_the_same_moments() {
    each_seed(4, |seed| {
        let seen = |(puppets, stats): (Puppets, Stats)| {
            let texts: Vec<_> = puppets.all.into_iter().map(|puppet| puppet.texts).collect();
            (texts, stats.pings_sent, stats.rtt_ns)
        };
        assert!(seen(play(seed)) == seen(play(seed)), "seed {seed}");
    });
}
