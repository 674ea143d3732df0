//! Clause 6: `Pause` and `Resume`.

use super::{Pump, SETTLED, noise};
use crate::contract::{Harness, Log, Node, Told, run};
use halfopen_driver::ConnId;
use halfopen_driver::{Cause, Op};
use std::time::Duration;

/// After `Pause` has settled, bytes wait in the kernel until `Resume`.
pub fn a_paused_connection_hears_nothing_and_loses_nothing(harness: &dyn Harness) {
    const LEN: usize = 1000;
    let address = harness.address();
    let mut open = None;
    let mut server = Node::new("server").at(&address);
    let heard = server.waker();
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(0, address.at),
        Told::Opened { id, .. } => open = Some(id),
        Told::Woken => me.send(open.expect("it was opened"), &noise(1, LEN)),
        Told::Sent { .. } => me.alarm(SETTLED),
        Told::Deadline { .. } => heard.wake(),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let (speak, mut reader, mut got) = (client.waker(), None, 0);
    server = server.script(move |me, told| match told {
        Told::Started => me.accept(true),
        Told::Opened { id, .. } => {
            reader = Some(id);
            me.pause(id);
            me.alarm(SETTLED);
        }
        Told::Deadline { .. } => speak.wake(),
        Told::Woken => me.resume(reader.expect("it was opened")),
        Told::Received { bytes, .. } => {
            got += bytes.len();
            if got == LEN {
                me.stop();
            }
        }
        _ => {}
    });
    let [server, _] = run(harness, [server, client]);
    assert!(server.bytes() == noise(1, LEN), "clause 6: bytes were lost");
    let told = server.told();
    let resumed = told.iter().position(|(_, told)| matches!(told, Told::Woken));
    let first = told.iter().position(|(_, told)| matches!(told, Told::Received { .. }));
    assert!(resumed < first, "clause 6: bytes arrived while paused");
}

/// The server pauses; then the client ends the connection.
fn paused_then(harness: &dyn Harness, end: fn(ConnId) -> Op) -> [Log; 2] {
    let address = harness.address();
    let mut open = None;
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(0, address.at),
        Told::Opened { id, .. } => open = Some(id),
        Told::Woken => me.op(end(open.expect("it was opened"))),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let now = client.waker();
    let server = Node::new("server").at(&address).script(move |me, told| match told {
        Told::Started => me.accept(true),
        Told::Opened { id, .. } => {
            me.pause(id);
            me.alarm(SETTLED);
        }
        Told::Deadline { .. } => now.wake(),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    run(harness, [server, client])
}

/// FIN is told without reading.
pub fn a_paused_connection_is_told_of_fin(harness: &dyn Harness) {
    let [server, _] = paused_then(harness, |id| Op::Shutdown { id });
    assert_eq!(server.ends(), [Cause::Fin], "clause 6");
}

/// RST is told without reading.
pub fn a_paused_connection_is_told_of_reset(harness: &dyn Harness) {
    let [server, _] = paused_then(harness, |id| Op::Abort { id });
    assert_eq!(server.ends(), [Cause::Reset], "clause 6");
}

/// However often a reader pauses and goes on, the stream is whole.
pub fn pausing_and_resuming_at_every_turn_loses_nothing(harness: &dyn Harness) {
    const LEN: usize = 300_000;
    let address = harness.address();
    let (mut pump, mut open) = (Pump::new(noise(1, LEN)), None);
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(0, address.at),
        Told::Opened { id, .. } | Told::Sent { id, .. } => {
            open = Some(id);
            pump.next(me, id);
        }
        Told::Woken => me.shutdown(open.expect("it was opened")),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let (end, mut reader, mut got) = (client.waker(), None, 0);
    let server = Node::new("server").at(&address).script(move |me, told| match told {
        Told::Started => me.accept(true),
        Told::Opened { id, .. } => reader = Some(id),
        Told::Received { id, bytes } => {
            got += bytes.len();
            me.pause(id);
            me.alarm(Duration::ZERO);
            if got == LEN {
                end.wake();
            }
        }
        Told::Deadline { .. } => me.resume(reader.expect("it was opened")),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let [server, _] = run(harness, [server, client]);
    assert!(server.bytes() == noise(1, LEN), "clause 6: {} B arrived", server.bytes().len());
    assert_eq!(server.ends(), [Cause::Fin]);
}
