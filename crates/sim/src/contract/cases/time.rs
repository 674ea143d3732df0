//! Clauses 1 and 9: the clock, and deadlines among arrivals.

use super::{Echo, Pump, millis, noise};
use crate::contract::{Hands, Harness, Node, Told, run};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What an engine does in one call, where it does much.
const PIECE: Duration = Duration::from_micros(50);

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

/// An engine with endless work due is still told what arrives, and soon: most often after a few
/// pieces of that work, each of which takes a quarter of what a turn has for deadlines.
pub fn deadlines_do_not_starve_arrivals(harness: &dyn Harness) {
    const TRIPS: usize = 100;
    let address = harness.address();
    let (stall, mut echo) = (harness.stall(), Echo::default());
    let pieces = Arc::new(AtomicU64::new(0));
    // How many pieces were done when the question that is under way had left; none before that.
    let asked = Arc::new(Mutex::new(None));
    let waits = Arc::new(Mutex::new(Vec::new()));
    let (done, question, waited) = (pieces.clone(), asked.clone(), waits.clone());
    let server = Node::new("server").at(&address).quiet().script(move |me, told| {
        if let Told::Deadline { .. } = told {
            stall(PIECE);
            done.fetch_add(1, Ordering::Relaxed);
            return me.alarm(Duration::ZERO);
        }
        if let Told::Started = told {
            me.alarm(Duration::ZERO);
        }
        if let Told::Received { .. } = told {
            let now = done.load(Ordering::Relaxed);
            let asked = question.lock().unwrap().take().unwrap_or(now);
            waited.lock().unwrap().push(now - asked);
        }
        echo.on(me, told);
    });
    let (end, mut trips) = (server.waker(), 0);
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(0, address.at),
        Told::Opened { id, .. } => me.send(id, b"?"),
        Told::Sent { .. } => *asked.lock().unwrap() = Some(pieces.load(Ordering::Relaxed)),
        Told::Received { id, .. } => {
            trips += 1;
            *asked.lock().unwrap() = None;
            if trips < TRIPS {
                me.send(id, b"?");
            } else {
                end.wake();
                me.stop();
            }
        }
        _ => {}
    });
    let [_, client] = run(harness, [server, client]);
    assert_eq!(client.bytes().len(), TRIPS, "clause 9");
    let mut waits = waits.lock().unwrap();
    waits.sort();
    assert!(waits[TRIPS / 2] <= harness.pieces(), "clause 9: {waits:?} pieces before the arrival");
}

/// Where many ask, and each answer brings the next question, deadlines still come.
pub fn a_crowd_that_never_falls_silent_does_not_starve_deadlines(harness: &dyn Harness) {
    let mut echo = Echo::default();
    let ask = |me: &mut Hands, told: Told| {
        if let Told::Opened { id, .. } | Told::Received { id, .. } = told {
            me.send(id, b"?");
        }
    };
    deadlines_come(harness, move |me, told| echo.on(me, told), ask);
}

/// And where each send that is taken brings the next one.
pub fn sends_without_end_do_not_starve_deadlines(harness: &dyn Harness) {
    let tell = |me: &mut Hands, told: Told| match told {
        Told::Started => me.accept(true),
        Told::Opened { id, .. } | Told::Sent { id, .. } => me.send(id, b"!"),
        _ => {}
    };
    deadlines_come(harness, tell, |_, _| {});
}

/// A server that works for a while at each event, and many peers.
fn deadlines_come(
    harness: &dyn Harness,
    mut serve: impl FnMut(&mut Hands, Told) + Send + 'static,
    mut visit: impl FnMut(&mut Hands, Told) + Send + 'static,
) {
    const PEERS: u32 = 64;
    /// At 50 us each they are a tenth of a second.
    const EVENTS_MAX: u32 = 2000;
    let address = harness.address();
    let stall = harness.stall();
    let (mut deadlines, mut events, mut since, mut opened) = (0, 0, 0, 0);
    let server = Node::new("server").at(&address).room(PEERS).quiet().script(move |me, told| {
        if let Told::Deadline { .. } = told {
            (deadlines, since) = (deadlines + 1, 0);
            // Who was not taken by the end would wait for ever.
            let enough = deadlines >= 100 && events >= 3000 && opened == PEERS;
            return if enough { me.stop() } else { me.alarm(millis(1)) };
        }
        if let Told::Started = told {
            me.alarm(millis(1));
        }
        if let Told::Opened { .. } = told {
            opened += 1;
        }
        stall(PIECE);
        (events, since) = (events + 1, since + 1);
        assert!(since <= EVENTS_MAX, "clause 9: {since} events, and a deadline every millisecond");
        serve(me, told);
    });
    let mut left = PEERS;
    let client = Node::new("client").room(PEERS).quiet().script(move |me, told| match told {
        Told::Started => (0..PEERS).for_each(|token| me.connect(token, address.at)),
        Told::Closed { .. } | Told::Refused { .. } => {
            left -= 1;
            if left == 0 {
                me.stop();
            }
        }
        told => visit(me, told),
    });
    run(harness, [server, client]);
}

/// An engine to which bytes come without end still has its deadlines.
pub fn arrivals_do_not_starve_deadlines(harness: &dyn Harness) {
    let address = harness.address();
    let (mut deadlines, mut opened) = (0, 0);
    let server = Node::new("server").at(&address).quiet().script(move |me, told| match told {
        Told::Started => {
            me.accept(true);
            me.alarm(millis(1));
        }
        Told::Opened { .. } => opened += 1,
        Told::Deadline { .. } => {
            deadlines += 1;
            // Who was not taken by the end would wait for ever.
            if deadlines >= 50 && opened == 4 { me.stop() } else { me.alarm(millis(1)) }
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
