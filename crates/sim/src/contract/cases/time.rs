//! Clauses 1 and 9: the clock, and deadlines among arrivals.

use super::{Echo, Pump, millis, noise};
use crate::contract::{Harness, Node, Told, run};
use std::time::Duration;

/// Never before its time (the checker sees to that), and one after the other.
pub fn a_deadline_is_called_when_it_has_come(harness: &dyn Harness) {
    let mut calls = 0;
    let node = Node::new("timer").script(move |me, told| match told {
        Told::Started => me.alarm(millis(20)),
        Told::Deadline { .. } => {
            calls += 1;
            if calls == 5 { me.stop() } else { me.alarm(millis(20)) }
        }
        _ => {}
    });
    let [log] = run(harness, [node]);
    let told = log.told();
    assert!(told[told.len() - 1].0 >= told[0].0 + millis(100), "clause 9: {}", log.tail());
}

/// What remains due is asked for again.
pub fn a_deadline_is_called_again_while_it_stays_in_the_past(harness: &dyn Harness) {
    let mut calls = 0;
    let node = Node::new("timer").script(move |me, told| match told {
        Told::Started => me.alarm(Duration::ZERO),
        Told::Deadline { .. } => {
            calls += 1;
            if calls == 10_000 { me.stop() } else { me.alarm(Duration::ZERO) }
        }
        _ => {}
    });
    run(harness, [node]);
}

/// An engine with endless work due is still told what arrives.
pub fn deadlines_do_not_starve_arrivals(harness: &dyn Harness) {
    let address = harness.address();
    let mut echo = Echo::default();
    let server = Node::new("server").at(&address).quiet().script(move |me, told| match told {
        Told::Deadline { .. } => me.alarm(Duration::ZERO),
        Told::Started => {
            me.alarm(Duration::ZERO);
            echo.on(me, told);
        }
        told => echo.on(me, told),
    });
    let (end, mut trips) = (server.waker(), 0);
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(0, address.at),
        Told::Opened { id, .. } => me.send(id, b"?"),
        Told::Received { id, .. } => {
            trips += 1;
            if trips < 100 {
                me.send(id, b"?");
            } else {
                end.wake();
                me.stop();
            }
        }
        _ => {}
    });
    let [_, client] = run(harness, [server, client]);
    assert_eq!(client.bytes().len(), 100, "clause 9");
}

/// An engine to which bytes come without end still has its deadlines.
pub fn arrivals_do_not_starve_deadlines(harness: &dyn Harness) {
    let address = harness.address();
    let mut deadlines = 0;
    let server = Node::new("server").at(&address).quiet().script(move |me, told| match told {
        Told::Started => {
            me.accept(true);
            me.alarm(millis(1));
        }
        Told::Deadline { .. } => {
            deadlines += 1;
            if deadlines == 50 { me.stop() } else { me.alarm(millis(1)) }
        }
        _ => {}
    });
    let mut pumps = Vec::from_iter((0..4).map(|_| Pump::new(Vec::new())));
    let mut left = pumps.len();
    let client = Node::new("client").quiet().script(move |me, told| match told {
        Told::Started => (0..4).for_each(|token| me.connect(token, address.at)),
        Told::Opened { id, .. } | Told::Sent { id, .. } => {
            let pump = &mut pumps[id.index as usize];
            if !pump.next(me, id) {
                *pump = Pump::new(noise(1, 100_000));
                pump.next(me, id);
            }
        }
        Told::Closed { .. } | Told::Refused { .. } => {
            left -= 1;
            if left == 0 {
                me.stop();
            }
        }
        _ => {}
    });
    run(harness, [server, client]);
}
