//! Heartbeats in text, on a virtual clock.

use crate::world::{START, Script as Server, World, asked};
use crate::{ms, secs};
use halfopen_driver::CHUNK_MAX;
use halfopen_loadgen::death::Death;
use halfopen_loadgen::plan::{Amount, Asked, Beat, Expect, MessageKind, Preset, Script};
use halfopen_loadgen::swarm::Order;
use std::time::Duration;

/// Says `text` every second, and nothing else.
fn beating(text: &'static str) -> Server {
    Server { pings: Some(secs(1)), pings_with: Some(text), echoes: false, ..Server::default() }
}

fn scripted(connections: u32, script: Script) -> Asked {
    Asked { script, ..asked(connections) }
}

fn texts(world: &World) -> Vec<Vec<String>> {
    let text = |(_, bytes): &(_, Vec<u8>)| String::from_utf8(bytes.clone()).unwrap();
    world.seen().map(|seen| seen.messages.iter().map(text).collect()).collect()
}

#[test]
fn the_hello_is_said_once_and_each_heartbeat_in_text_is_answered_as_a_ping() {
    let mut world = World::new(&scripted(20, Preset::EngineIo.script()), beating("2"));
    world.run(ms(5_500));
    assert!(world.snapshot().all_answered());
    for said in texts(&world) {
        assert_eq!(said, ["40", "3", "3", "3", "3", "3"]);
    }
    let tally = world.leave();
    assert_eq!((tally.pings_seen, tally.pings_answered, tally.replies_sent), (100, 100, 100));
    assert_eq!((tally.hellos_sent, tally.messages_received, tally.messages_sent), (20, 0, 0));
    crate::assert_about(&tally.ping_interval_ns, secs(1));
}

#[test]
fn what_is_no_heartbeat_is_a_message_and_is_not_answered() {
    let mut world = World::new(&scripted(3, Preset::EngineIo.script()), beating("20"));
    world.run(ms(2_500));
    assert!(texts(&world).iter().all(|said| said == &["40"]));
    let tally = world.leave();
    assert_eq!((tally.pings_seen, tally.messages_received), (0, 6));
}

#[test]
fn the_dead_do_not_answer_in_text_either() {
    for death in [Death::Freeze, Death::Mute, Death::Blackhole] {
        let kills = vec![(death, Amount::Count(4))];
        let mut script = Preset::EngineIo.script();
        script.beat = Some(Beat { every: secs(1), text: "beat".into() });
        let mut world = World::new(&Asked { kills, ..scripted(6, script) }, beating("2"));
        world.run(ms(2_500));
        world.kill();
        let before: Vec<_> = texts(&world).iter().map(Vec::len).collect();
        world.run(secs(3));
        let quiet = texts(&world).iter().zip(&before).filter(|(said, n)| said.len() == **n).count();
        assert_eq!(quiet, 4, "{death:?}");
        let tally = world.leave();
        let answered = tally.victims.iter().filter_map(|victim| victim.answered);
        assert_eq!(answered.filter(|&at| at >= START + secs(2)).count(), 4, "{death:?}");
    }
}

#[test]
fn each_connection_beats_on_a_phase_of_its_own_with_its_number() {
    let script = Script {
        beat: Some(Beat { every: secs(2), text: "beat {n}".into() }),
        ..Script::default()
    };
    let asked = Asked { client_ping: Some(secs(3)), ..scripted(40, script) };
    let mut world = World::new(&asked, Server { echoes: false, ..Server::default() });
    world.run(ms(10_200));
    let mut phases: Vec<Duration> = Vec::new();
    for (n, seen) in world.seen().enumerate() {
        assert!((5..=6).contains(&seen.messages.len()), "{}", seen.messages.len());
        let expected = format!("beat {n}").into_bytes();
        assert!(seen.messages.iter().all(|(_, bytes)| *bytes == expected));
        let times = seen.messages.iter().map(|(at, _)| *at).collect::<Vec<_>>();
        for pair in times.windows(2) {
            let apart = pair[1].saturating_since(pair[0]);
            assert!(apart.abs_diff(secs(2)) < ms(10), "{apart:?}");
        }
        phases.push(times[0].saturating_since(START));
    }
    phases.sort();
    assert!(phases[39] - phases[0] > secs(1), "{phases:?}");
    let tally = world.leave();
    assert!((120..=160).contains(&tally.client_pings_sent), "{}", tally.client_pings_sent);
    assert!(tally.beats_sent >= 200);
}

#[test]
fn an_answer_waits_for_the_end_of_a_message_in_fragments() {
    let asked = Asked {
        size: (3 * CHUNK_MAX).into(),
        kind: MessageKind::Binary,
        expect: Expect::None,
        message_rate: Some(100.0.into()),
        ..scripted(3, Preset::EngineIo.script())
    };
    // The server's end would not take a text between two fragments.
    let mut world = World::new(&asked, Server { pings: Some(ms(20)), ..beating("2") });
    world.run(secs(1));
    world.order(Order::Traffic { from: world.now });
    world.run(secs(1));
    world.order(Order::Hush);
    world.run(secs(1));
    let tally = world.leave();
    assert!(tally.messages_sent >= 90 && tally.replies_sent > 100);
}

#[test]
fn signalr_and_phoenix_speak_as_their_libraries_do() {
    let mut world =
        World::new(&scripted(1, Preset::SignalR.script()), beating("{\"type\":6}\u{1e}"));
    world.run(ms(1_500));
    let said = texts(&world).remove(0);
    assert_eq!(said[0], "{\"protocol\":\"json\",\"version\":1}\u{1e}");
    assert!(said[1..].iter().all(|text| text == "{\"type\":6}\u{1e}") && said.len() >= 2);

    let server = Server { echoes: false, ..Server::default() };
    let mut world = World::new(&scripted(2, Preset::Phoenix.script()), server);
    world.run(secs(31));
    for (n, said) in texts(&world).iter().enumerate() {
        let beat = format!("[null,\"{n}\",\"phoenix\",\"heartbeat\",{{}}]");
        assert!(said.iter().all(|text| *text == beat) && (1..=2).contains(&said.len()), "{said:?}");
    }
}
