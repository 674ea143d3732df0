//! Clause 3, its tokens: every connect has one answer.

use super::millis;
use crate::contract::{Harness, Node, Told, run};
use halfopen_driver::{Cause, Op, Token};
use std::net::IpAddr;

/// RST answers the SYN.
pub fn a_connect_where_nobody_listens_is_refused(harness: &dyn Harness) {
    let nobody = harness.nobody();
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(7, nobody),
        Told::Refused { .. } => me.stop(),
        _ => {}
    });
    let [client] = run(harness, [client]);
    assert_eq!(client.refusals(), [Cause::NobodyListens], "clause 3");
}

/// Nothing answers the SYN.
pub fn a_connect_that_is_not_answered_ends_at_its_deadline(harness: &dyn Harness) {
    let (silent, _hush) = harness.silent();
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect_from(7, silent, None, millis(200)),
        Told::Refused { .. } => me.stop(),
        _ => {}
    });
    let [client] = run(harness, [client]);
    assert_eq!(client.refusals(), [Cause::Deadline], "clause 3");
    let told = client.told();
    let (first, last) = (told[0].0, told[told.len() - 1].0);
    assert!(last >= first + millis(200), "clause 3: given up before the deadline");
}

/// Of a `Cancel` and the answer one is first; a `Cancel` that comes too late counts for nothing.
pub fn a_cancelled_connect_is_answered_once(harness: &dyn Harness) {
    const RACES: u32 = 8;
    let (silent, _hush) = harness.silent();
    let address = harness.address();
    let server = Node::new("server").at(&address).script(|me, told| match told {
        Told::Started => me.accept(true),
        Told::Woken => me.stop(),
        _ => {}
    });
    let (end, mut left) = (server.waker(), RACES + 1);
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => {
            me.connect(100, silent);
            for token in 0..RACES {
                me.connect(token, address.at);
                // Some are cancelled in the same breath, others when they may have been opened.
                if token % 2 == 0 {
                    me.op(Op::Cancel(Token(token)));
                }
            }
            me.alarm(millis(20));
        }
        Told::Deadline { .. } => {
            (1..RACES).step_by(2).chain([100, 999]).for_each(|n| me.op(Op::Cancel(Token(n))));
        }
        Told::Opened { id, .. } => me.abort(id),
        Told::Closed { .. } | Told::Refused { .. } => {
            left -= 1;
            if left == 0 {
                end.wake();
                me.stop();
            }
        }
        _ => {}
    });
    let [_, client] = run(harness, [server, client]);
    let refusals = client.refusals();
    assert!(!refusals.is_empty(), "clause 3: a connect that was not answered was not cancelled");
    assert!(refusals.iter().all(|&cause| cause == Cause::Cancelled), "clause 3: {refusals:?}");
}

/// The table bounds connects and connections together.
pub fn a_connect_without_room_is_refused(harness: &dyn Harness) {
    let address = harness.address();
    let server = Node::new("server").at(&address).script(|me, told| match told {
        Told::Started => me.accept(true),
        Told::Woken => me.stop(),
        _ => {}
    });
    let (end, mut answers) = (server.waker(), 0);
    let client = Node::new("client").room(2).script(move |me, told| match told {
        Told::Started => (0..3).for_each(|token| me.connect(token, address.at)),
        Told::Opened { .. } | Told::Refused { .. } => {
            answers += 1;
            if answers == 3 {
                end.wake();
                me.stop();
            }
        }
        _ => {}
    });
    let [_, client] = run(harness, [server, client]);
    assert_eq!(client.refusals().len(), 1, "clause 10: two have room, the third has not");
}

/// Loopback has many addresses, and a client may need several.
pub fn a_connect_comes_from_the_address_that_was_asked_for(harness: &dyn Harness) {
    let (address, from) = (harness.address(), IpAddr::from([127, 0, 0, 7]));
    let server = Node::new("server").at(&address).script(|me, told| match told {
        Told::Started => me.accept(true),
        Told::Opened { id, .. } => me.op(Op::Locate { id }),
        Told::Located { .. } => me.stop(),
        _ => {}
    });
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect_from(0, address.at, Some(from), millis(60_000)),
        Told::Closed { .. } | Told::Refused { .. } => me.stop(),
        _ => {}
    });
    let [server, _] = run(harness, [server, client]);
    let comes_from = |told: &Told| match told {
        Told::Located { ends, .. } => ends.is_some_and(|ends| ends.peer.ip() == from),
        _ => false,
    };
    assert_eq!(server.count(comes_from), 1, "{}", server.tail());
}
