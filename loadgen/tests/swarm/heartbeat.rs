//! Pings of both sides, and connections that the server ends.

use crate::world::{End, Script, WAY, World, asked};
use crate::{assert_about, ms, pinging, secs};
use halfopen_loadgen::plan::{Asked, ServerPing};
use halfopen_loadgen::record::Tally;

#[test]
fn every_ping_is_answered_at_once_and_its_interval_is_known() {
    let mut world = World::new(&asked(50), pinging(secs(2)));
    world.run(secs(11));
    assert!(world.snapshot().all_answered());
    assert!(world.seen().all(|seen| seen.pongs.len() == 5));
    let tally = world.leave();
    assert_eq!((tally.pings_seen, tally.pings_answered), (250, 250));
    assert_eq!(tally.ping_interval_ns.len(), 200);
    assert_about(&tally.ping_interval_ns, secs(2));
    let in_slots: u32 = tally.pings_per_100ms.iter().sum();
    assert_eq!((in_slots, tally.pings_per_100ms[19]), (250, 0));
}

#[test]
fn the_interval_of_a_ping_that_is_met_while_leaving_is_not_taken() {
    let asked = Asked { connect_rate: 200_000.0, ..asked(50) };
    let mut world = World::new(&asked, pinging(secs(2)));
    world.run(secs(3));
    while world.snapshot().pings_seen == 50 {
        world.run(WAY / 10);
    }
    // The others are under way, and in our kernel when we leave.
    world.stall(WAY);
    let in_time = world.snapshot().pings_seen;
    let tally = world.leave();
    assert!(in_time < 100 && tally.pings_seen == 100, "{in_time} of {}", tally.pings_seen);
    assert_eq!(tally.ping_interval_ns.len(), in_time - 50);
}

#[test]
fn own_pings_tell_the_round_trip() {
    let asked = Asked { client_ping: Some(secs(1)), ..asked(20) };
    let mut world = World::new(&asked, Script::default());
    world.run(ms(10_100));
    let tally = world.leave();
    assert!((190..=210).contains(&tally.client_pings_sent), "{}", tally.client_pings_sent);
    assert_eq!(tally.client_pings_answered, tally.client_pings_sent);
    assert_about(&tally.client_rtt_ns, WAY * 2);
}

fn losing(end: End) -> Tally {
    let script = Script { ends_at_ping: Some((3, end)), ..pinging(secs(1)) };
    let mut world = World::new(&asked(7), script);
    world.run(secs(8));
    assert_eq!(world.snapshot().lost, 7);
    let mut tally = world.leave();
    // One that lives on, so that it does not look like the server's own death.
    tally.living_at_end = 1;
    tally.sort_losses(Some(ServerPing { interval: Some(secs(1)), timeout: ms(900) }));
    tally
}

#[test]
fn the_living_who_are_lost_are_told_apart() {
    let tally = losing(End::Close(1011, "keepalive ping timeout"));
    assert_eq!((tally.lost_heartbeat, tally.lost_closed.len(), tally.lost_reset), (7, 0, 0));
    let tally = losing(End::Close(1001, "stopping"));
    assert_eq!((tally.lost_heartbeat, tally.lost_closed[&1001], tally.lost_reset), (0, 7, 0));
    // A second after the last ping, with a timeout of 900 ms.
    let tally = losing(End::Reset);
    assert_eq!((tally.lost_heartbeat, tally.lost_reset), (7, 0));
    let tally = losing(End::MaskedFrame);
    assert_eq!((tally.lost_heartbeat, tally.lost_closed[&1002]), (0, 7));
    assert!(tally.failure_example.is_some());
}

#[test]
fn a_close_of_the_server_is_answered() {
    let script = Script { ends_at_ping: Some((1, End::Close(1001, ""))), ..pinging(secs(1)) };
    let mut world = World::new(&asked(3), script);
    world.run(secs(2));
    assert!(world.seen().all(|seen| seen.close.is_some()));
}

#[test]
fn a_server_that_breaks_the_protocol_is_told_so_also_behind_a_send_in_flight() {
    // Byte by byte, the pong is in flight when the fault comes.
    for piece in [usize::MAX, 1] {
        let script =
            Script { ends_at_ping: Some((1, End::MaskedFrame)), piece, ..pinging(secs(1)) };
        let mut world = World::new(&asked(3), script);
        world.run(secs(2));
        for seen in world.seen() {
            assert_eq!(seen.pongs.len(), usize::from(piece == 1));
            assert_eq!(seen.close.unwrap().1, Some(1002));
            assert!(seen.fin.is_some() && seen.reset.is_none());
        }
    }
}
