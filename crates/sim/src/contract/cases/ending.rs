//! Clauses 2 and 7: FIN, RST, `Shutdown` and `Abort`.

use super::{Pump, SETTLED, millis, noise};
use crate::contract::{Harness, Node, Told, run};
use halfopen_driver::{CHUNK_MAX, Cause};

/// A client that connects, says something, and stops when its connection has ended.
fn caller(harness_address: std::net::SocketAddr) -> Node {
    Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(0, harness_address),
        Told::Opened { id, .. } => me.send(id, b"h"),
        Told::Closed { .. } | Told::Refused { .. } => me.stop(),
        _ => {}
    })
}

/// Clause 7: one side's `Shutdown` ends the connection on both, each by the other's FIN.
pub fn fin_ends_both_sides(harness: &dyn Harness) {
    let address = harness.address();
    let server = Node::new("server").at(&address).script(|me, told| match told {
        Told::Started => me.accept(true),
        Told::Received { id, .. } => me.shutdown(id),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let [server, client] = run(harness, [server, caller(address.at)]);
    assert_eq!((server.ends(), client.ends()), (vec![Cause::Fin], vec![Cause::Fin]));
}

/// Clause 7: `Abort` sends RST.
pub fn an_abort_is_a_reset_for_the_peer(harness: &dyn Harness) {
    let address = harness.address();
    let server = Node::new("server").at(&address).script(|me, told| match told {
        Told::Started => me.accept(true),
        Told::Received { id, .. } => me.abort(id),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let [server, client] = run(harness, [server, caller(address.at)]);
    assert_eq!((server.ends(), client.ends()), (vec![Cause::Aborted], vec![Cause::Reset]));
}

/// Clauses 2 and 7: a send that the kernel would never take comes home when it is given up.
pub fn an_abort_brings_the_send_in_flight_home_first(harness: &dyn Harness) {
    let address = harness.address();
    let server = Node::new("server").at(&address).script(|me, told| match told {
        Told::Started => me.accept(true),
        Told::Opened { id, .. } => me.pause(id),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let mut pump = Pump::whole(noise(1, harness.bulk()));
    let mut open = None;
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(0, address.at),
        Told::Opened { id, .. } | Told::Sent { id, .. } => {
            open = Some(id);
            pump.next(me, id);
            me.alarm(SETTLED);
        }
        Told::Deadline { .. } => me.abort(open.expect("it was opened")),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let [server, client] = run(harness, [server, client]);
    assert_eq!((server.ends(), client.ends()), (vec![Cause::Reset], vec![Cause::Aborted]));
    let told = client.told();
    let last = &told[told.len() - 2].1;
    assert!(matches!(last, Told::Sent { .. }), "clause 2: {last:?} before Closed");
}

/// Clauses 2 and 7: both sides abort at once, and each is told of one end.
pub fn an_abort_is_told_once_whatever_the_peer_does(harness: &dyn Harness) {
    const ROUNDS: u32 = 200;
    let address = harness.address();
    let server = Node::new("server").at(&address).script(|me, told| match told {
        Told::Started => me.accept(true),
        Told::Opened { id, .. } => me.send(id, b"w"),
        Told::Received { id, .. } => me.abort(id),
        Told::Woken => me.alarm(SETTLED),
        Told::Deadline { .. } => me.stop(),
        _ => {}
    });
    let (end, mut rounds) = (server.waker(), 0);
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => (0..8).for_each(|token| me.connect(token, address.at)),
        Told::Opened { id, .. } => me.send(id, b"w"),
        Told::Received { id, .. } => me.abort(id),
        Told::Closed { .. } => {
            rounds += 1;
            match rounds {
                ..ROUNDS => me.connect(rounds + 8, address.at),
                ROUNDS => {
                    end.wake();
                    me.stop();
                }
                _ => {}
            }
        }
        _ => {}
    });
    let [server, client] = run(harness, [server, client]);
    let is_end = |cause: &Cause| matches!(cause, Cause::Aborted | Cause::Reset | Cause::Fin);
    assert!(client.ends().iter().all(is_end), "clause 7: {:?}", client.ends());
    assert!(server.ends().iter().all(is_end), "clause 7: {:?}", server.ends());
    let opened = server.count(|told| matches!(told, Told::Opened { .. }));
    assert!(opened >= ROUNDS as usize, "only {opened} were opened");
    assert_eq!(server.ends().len(), opened, "clause 2: each is closed once");
}

/// Clause 7: `Shutdown` sends FIN after the send in flight.
pub fn a_shutdown_sends_what_is_in_flight_before_fin(harness: &dyn Harness) {
    let address = harness.address();
    let server = Node::new("server").at(&address).script(|me, told| match told {
        Told::Started => me.accept(true),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(0, address.at),
        Told::Opened { id, .. } => {
            me.send(id, &noise(1, CHUNK_MAX));
            me.shutdown(id);
        }
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let [server, client] = run(harness, [server, client]);
    assert!(server.bytes() == noise(1, CHUNK_MAX), "clause 7: FIN overtook the send in flight");
    assert_eq!((server.ends(), client.ends()), (vec![Cause::Fin], vec![Cause::Fin]));
}

/// Clause 7: what the peer had sent arrives after a `Shutdown`, up to its FIN.
pub fn after_a_shutdown_bytes_still_arrive(harness: &dyn Harness) {
    const LEN: usize = 4096;
    let address = harness.address();
    let mut open = None;
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(0, address.at),
        Told::Opened { id, .. } => {
            open = Some(id);
            me.pause(id);
            me.send(id, b"p");
        }
        Told::Woken => {
            let id = open.expect("it was opened");
            me.shutdown(id);
            me.resume(id);
        }
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let now = client.waker();
    let server = Node::new("server").at(&address).script(move |me, told| match told {
        Told::Started => me.accept(true),
        Told::Received { id, .. } => me.send(id, &noise(1, LEN)),
        Told::Sent { .. } => now.wake(),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let [server, client] = run(harness, [server, client]);
    assert!(client.bytes() == noise(1, LEN), "clause 7: {} B arrived", client.bytes().len());
    assert_eq!((server.ends(), client.ends()), (vec![Cause::Fin], vec![Cause::Fin]));
}

/// Clause 2: a connection that was over before it was taken is opened and closed like others (or
/// not at all, where the kernel does not hand it over), and the next ones are not harmed.
pub fn a_peer_that_left_before_it_was_taken_is_opened_and_closed(harness: &dyn Harness) {
    let address = harness.address();
    let server = Node::new("server").at(&address).script(|me, told| match told {
        Told::Woken => me.accept(true),
        Told::Received { id, bytes } if bytes.ends_with(b"!") => me.send(id, b"!"),
        Told::Sent { .. } => me.alarm(SETTLED),
        Told::Deadline { .. } => me.stop(),
        _ => {}
    });
    let (go_on, mut opened) = (server.waker(), 0);
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => (0..2).for_each(|token| me.connect(token, address.at)),
        Told::Opened { id, .. } => {
            opened += 1;
            match opened {
                1 => me.abort(id),
                2 => me.shutdown(id),
                _ => me.send(id, b"!"),
            }
            me.alarm(millis(50));
        }
        Told::Deadline { .. } if opened == 2 => {
            go_on.wake();
            me.connect(2, address.at);
        }
        Told::Received { .. } => me.stop(),
        _ => {}
    });
    let [server, _] = run(harness, [server, client]);
    let opened = server.count(|told| matches!(told, Told::Opened { .. }));
    assert!((1..=3).contains(&opened), "{opened} were opened");
    assert!(server.ends().len() + 1 >= opened, "clause 7: {opened} opened, {:?}", server.ends());
}
