//! The ramp and the opening handshake.

use crate::world::{Script, WAY, World, asked};
use crate::{assert_about, ms, pinging, secs};
use halfopen_loadgen::plan::{Asked, resolve};
use halfopen_loadgen::record::Tag;

#[test]
fn the_ramp_opens_each_connection_at_its_time() {
    let asked = Asked { connect_rate: 100.0, ..asked(1_000) };
    let mut world = World::new(&asked, Script::default());
    world.run(ms(4_995));
    assert_eq!(world.snapshot().opened, 500);
    world.run(secs(6));
    assert_eq!(world.snapshot().opened, 1_000);
    let tally = world.leave();
    assert_eq!((tally.opened, tally.peak, tally.living_at_end), (1_000, 1_000, 1_000));
    assert!(tally.seconds[1..9].iter().all(|second| second.opened == 100), "{:?}", tally.seconds);
    assert_about(&tally.connect_ns, WAY);
    assert_about(&tally.handshake_ns, WAY * 2);
    let connects = tally.intervals.iter().filter(|interval| interval.tag == Tag::Connect);
    let counted = connects.flat_map(|interval| &interval.counts).map(|&(_, count)| count);
    assert_eq!(counted.sum::<u64>(), 1_000);
}

#[test]
fn connects_under_way_are_bounded() {
    let asked = Asked { connect_rate: 1e6, ..asked(5_000) };
    let mut world = World::new(&asked, Script { mute: true, ..Script::default() });
    world.run(secs(1));
    assert_eq!(world.seen().count(), 1_024);
}

#[test]
fn input_that_comes_byte_by_byte_makes_no_difference() {
    let script = Script { piece: 1, ..pinging(secs(1)) };
    let mut world = World::new(&asked(5), script);
    world.run(ms(3_500));
    let tally = world.leave();
    assert_eq!((tally.opened, tally.pings_answered), (5, 15));
}

#[test]
fn an_address_that_refuses_is_followed_by_the_next() {
    let mut plan = resolve(&asked(20)).unwrap();
    let second = "127.0.0.2:9001".parse().unwrap();
    plan.targets.push(second);
    let script = Script { refuses: Some(plan.targets[0]), ..Script::default() };
    let mut world = World::with_plan(plan, script);
    world.run(secs(1));
    assert_eq!(world.snapshot().opened, 20);
    let knocks = world.log.iter().filter(|line| line.contains("to: 127.0.0.1:9001")).count();
    assert!(knocks < 5, "the others need not knock there: {knocks}");
    assert_eq!(world.leave().failed.len(), 0);
}

#[test]
fn where_nobody_listens_it_says_so() {
    let script = Script { refuses: Some("127.0.0.1:9001".parse().unwrap()), ..Script::default() };
    let mut world = World::new(&asked(20), script);
    world.run(secs(1));
    assert_eq!(world.snapshot().failed, 20);
    assert_eq!(world.leave().failed["refused"], 20);
}

#[test]
fn a_server_that_is_no_websocket_server_is_quoted() {
    let refusals: [(&[&str], &str, &str); 3] = [
        (
            &["HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\n", "no such page\n"],
            "status_404",
            "404 Not Found: no such page",
        ),
        (&["HTTP/1.1 200 OK\r\n\r\n<html>"], "status_200", "200 OK: <html>"),
        (&["220 mail.example ESMTP\r\n"], "not_websocket", "HTTP/1.1"),
    ];
    for (said, reason, words) in refusals {
        let script = Script { answers_with: said.to_vec(), ..Script::default() };
        let mut world = World::new(&asked(20), script);
        world.run(secs(1));
        let tally = world.leave();
        assert_eq!(tally.failed[reason], 20);
        let example = tally.failure_example.unwrap();
        assert!(example.contains(words), "{example}");
    }
}

#[test]
fn a_server_that_never_answers_the_request_times_out() {
    let asked = Asked { connect_timeout: secs(2), ..asked(20) };
    let mut world = World::new(&asked, Script { mute: true, ..Script::default() });
    world.run(ms(1_900));
    assert_eq!(world.snapshot().failed, 0);
    world.run(secs(1));
    assert_eq!(world.leave().failed["handshake_timeout"], 20);
}
