//! Clauses 2, 4 and 5: bytes arrive in order and whole, and a chunk comes home when it is taken.

use super::{Echo, Pump, SETTLED, noise};
use crate::contract::{Harness, Node, Told, run};
use halfopen_driver::Cause;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Clauses 2, 4, 5: several streams at once, in chunks of any size.
pub fn every_byte_comes_back_in_order_however_the_stream_is_split(harness: &dyn Harness) {
    const PEERS: u32 = 4;
    const LEN: usize = 200_000;
    let address = harness.address();
    let mut echo = Echo::default();
    let server = Node::new("server").at(&address).script(move |me, told| echo.on(me, told));
    let mut pumps = BTreeMap::new();
    let (mut back, mut left) = (BTreeMap::<_, Vec<u8>>::new(), PEERS);
    let end = server.waker();
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => (0..PEERS).for_each(|token| me.connect(token, address.at)),
        Told::Opened { id, .. } => {
            let pump = pumps.entry(id).or_insert_with(|| Pump::new(noise(id.index.into(), LEN)));
            pump.next(me, id);
        }
        Told::Sent { id, .. } => drop(pumps.get_mut(&id).map(|pump| pump.next(me, id))),
        Told::Received { id, bytes } => {
            let got = back.entry(id).or_default();
            got.extend(bytes);
            if got.len() >= LEN {
                assert!(*got == noise(id.index.into(), LEN), "clause 2: {id:?} got other bytes");
                me.abort(id);
            }
        }
        Told::Closed { .. } => {
            left -= 1;
            if left == 0 {
                end.wake();
                me.stop();
            }
        }
        _ => {}
    });
    let [_, client] = run(harness, [server, client]);
    assert_eq!(client.ends(), [Cause::Aborted; PEERS as usize]);
}

/// Clause 5: a reader that is paused stops the sender, whose chunks come home no sooner than the
/// kernel takes them; all arrives when the reader goes on.
pub fn a_chunk_to_a_paused_reader_comes_home_only_when_it_is_taken(harness: &dyn Harness) {
    let (address, bulk) = (harness.address(), harness.bulk());
    let mut reader = None;
    let server = Node::new("server").at(&address).script(move |me, told| match told {
        Told::Started => me.accept(true),
        Told::Opened { id, .. } => {
            reader = Some(id);
            me.pause(id);
        }
        Told::Woken => me.resume(reader.expect("it was opened")),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let mut pump = Pump::whole(noise(1, bulk));
    let (home, home_paused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (go_on, seen) = (server.waker(), home_paused.clone());
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(0, address.at),
        Told::Opened { id, .. } => {
            pump.next(me, id);
            me.alarm(SETTLED);
        }
        Told::Sent { id, len, .. } => {
            home.fetch_add(len, Ordering::Relaxed);
            if !pump.next(me, id) {
                me.shutdown(id);
            }
            if seen.load(Ordering::Relaxed) == 0 {
                me.alarm(SETTLED);
            }
        }
        Told::Deadline { .. } => {
            seen.store(home.load(Ordering::Relaxed).max(1), Ordering::Relaxed);
            go_on.wake();
        }
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let [server, _] = run(harness, [server, client]);
    let home_paused = home_paused.load(Ordering::Relaxed);
    assert!(
        home_paused > 0 && home_paused < bulk,
        "clause 5: {home_paused} of {bulk} B were taken"
    );
    assert!(server.bytes() == noise(1, bulk), "clause 2: other bytes arrived");
}

/// Clauses 2 and 5: sending and receiving do not wait for each other.
pub fn both_sides_send_much_at_once(harness: &dyn Harness) {
    let (address, bulk) = (harness.address(), harness.bulk());
    let node = |name, seed| {
        let mut pump = Pump::whole(noise(seed, bulk));
        let (mut got, mut sent) = (0, false);
        Node::new(name).script(move |me, told| match told {
            Told::Started if seed == 1 => me.connect(0, address.at),
            Told::Started => me.accept(true),
            Told::Opened { id, .. } => drop(pump.next(me, id)),
            Told::Sent { id, .. } | Told::Received { id, .. } => {
                if let Told::Received { bytes, .. } = &told {
                    got += bytes.len();
                } else if !sent {
                    sent = !pump.next(me, id);
                }
                if seed == 1 && sent && got == bulk {
                    // The other side may still have a chunk under way, but nothing to say.
                    me.shutdown(id);
                }
            }
            Told::Closed { .. } => me.stop(),
            _ => {}
        })
    };
    let [server, client] = run(harness, [node("server", 2).at(&address), node("client", 1)]);
    assert!(server.bytes() == noise(1, bulk), "clause 2: the server got other bytes");
    assert!(client.bytes() == noise(2, bulk), "clause 2: the client got other bytes");
    assert_eq!((server.ends(), client.ends()), (vec![Cause::Fin], vec![Cause::Fin]));
}
