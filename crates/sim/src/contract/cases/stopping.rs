//! Clause 12: after `Stop` nothing is called and nothing is left open.

use super::{Pump, SETTLED, noise};
use crate::contract::{Harness, Node, Told, run};
use halfopen_driver::Cause;

/// Whatever is under way: a send that is not taken, a paused reader, a connect without answer.
pub fn a_stop_closes_what_is_open(harness: &dyn Harness) {
    let address = harness.address();
    let (silent, _hush) = harness.silent();
    let mut pump = Pump::whole(noise(1, harness.bulk()));
    let (mut closed, mut stopped, mut paused) = (0, false, None);
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => (0..3).for_each(|token| me.connect(token, address.at)),
        Told::Received { id, .. } if !stopped => {
            paused = Some(id);
            me.pause(id);
        }
        // A FIN behind unread bytes is seen when they have been read.
        Told::Woken => {
            stopped = true;
            paused.into_iter().for_each(|id| me.resume(id));
        }
        Told::Closed { .. } => {
            closed += 1;
            if closed == 3 {
                me.stop();
            }
        }
        _ => {}
    });
    let (stopping, mut opened) = (client.waker(), 0);
    let server = Node::new("server").at(&address).script(move |me, told| match told {
        Told::Started => {
            me.accept(true);
            me.connect(0, silent);
        }
        Told::Opened { id, .. } => {
            opened += 1;
            match opened {
                1 => drop(pump.next(me, id)),
                2 => me.pause(id),
                _ => me.alarm(SETTLED),
            }
        }
        Told::Sent { id, .. } => drop(pump.next(me, id)),
        Told::Deadline { .. } => {
            stopping.wake();
            me.stop();
        }
        _ => {}
    });
    let [_, client] = run(harness, [server, client]);
    let is_end = |cause: &Cause| matches!(cause, Cause::Fin | Cause::Reset);
    assert!(client.ends().iter().all(is_end), "clause 12: {:?}", client.ends());
}

/// Also before anything was done.
pub fn a_stop_at_the_start_is_obeyed(harness: &dyn Harness) {
    let address = harness.address();
    let node = Node::new("stopped").at(&address).script(|me, _| {
        me.accept(true);
        me.stop();
    });
    let [log] = run(harness, [node]);
    assert_eq!(log.told().len(), 1, "clause 12: {}", log.tail());
}
