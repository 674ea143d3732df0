//! Clause 10: connections are taken when they are wanted, and never one that cannot be kept.

use super::SETTLED;
use crate::contract::{Address, Harness, Node, Told, run};
use halfopen_driver::ConnId;

/// `Accept` opens and closes the door; who came meanwhile waits outside, and is taken later.
pub fn nobody_is_taken_before_and_after_accepting(harness: &dyn Harness) {
    let address = harness.address();
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(0, address.at),
        Told::Woken => me.connect(1, address.at),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let (another, mut waits, mut opened) = (client.waker(), 0, 0);
    let server = Node::new("server").at(&address).script(move |me, told| match told {
        Told::Started => me.alarm(SETTLED),
        Told::Opened { .. } => {
            opened += 1;
            me.accept(false);
            me.alarm(SETTLED);
            if opened == 2 {
                me.stop();
            }
        }
        Told::Deadline { .. } => {
            waits += 1;
            match waits {
                1 => {
                    assert_eq!(opened, 0, "clause 10: taken before Accept(true)");
                    me.accept(true);
                }
                2 => {
                    another.wake();
                    me.alarm(SETTLED);
                }
                _ => {
                    assert_eq!(opened, 1, "clause 10: taken after Accept(false)");
                    me.accept(true);
                }
            }
        }
        _ => {}
    });
    let [server, _] = run(harness, [server, client]);
    assert_eq!(server.count(|told| matches!(told, Told::Opened { .. })), 2);
}

/// Greets everyone who is taken, until it is woken.
fn greeter(address: &Address, room: u32) -> Node {
    Node::new("server").at(address).room(room).script(|me, told| match told {
        Told::Started => me.accept(true),
        Told::Opened { id, .. } => me.send(id, b"w"),
        Told::Woken => me.stop(),
        _ => {}
    })
}

/// Two tables at one listener: as many as both hold are taken at once.
pub fn nobody_waits_at_a_full_table_while_another_has_room(harness: &dyn Harness) {
    let address = harness.address();
    let servers = [greeter(&address, 4), greeter(&address, 4)];
    let (ends, mut greeted) = (servers.each_ref().map(Node::waker), 0);
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => (0..8).for_each(|token| me.connect(token, address.at)),
        Told::Received { .. } => {
            greeted += 1;
            if greeted == 8 {
                ends.iter().for_each(halfopen_driver::Waker::wake);
                me.stop();
            }
        }
        Told::Closed { id, cause } => panic!("clause 10: {id:?} was taken and lost: {cause:?}"),
        _ => {}
    });
    let [a, b] = servers;
    let [a, b, _] = run(harness, [a, b, client]);
    let opened = [a, b].map(|log| log.count(|told| matches!(told, Told::Opened { .. })));
    assert_eq!(opened, [4, 4], "clause 10");
}

/// Who finds every table full waits, and is taken when a place is free; nobody is lost.
pub fn a_full_table_goes_on_by_itself_when_room_comes_back(harness: &dyn Harness) {
    const ALL: u32 = 12;
    let address = harness.address();
    let servers = [greeter(&address, 2), greeter(&address, 2)];
    let ends = servers.each_ref().map(Node::waker);
    let (mut greeted, mut leaving) = (0, Vec::<ConnId>::new());
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => (0..ALL).for_each(|token| me.connect(token, address.at)),
        Told::Received { id, .. } => {
            greeted += 1;
            leaving.push(id);
            me.alarm(SETTLED);
        }
        Told::Deadline { .. } => {
            assert!(leaving.len() <= 4, "clause 10: taken beyond the tables");
            leaving.drain(..).for_each(|id| me.abort(id));
            if greeted == ALL {
                ends.iter().for_each(halfopen_driver::Waker::wake);
                me.stop();
            }
        }
        Told::Closed { id, cause } if cause != halfopen_driver::Cause::Aborted => {
            panic!("clause 10: {id:?} was taken and lost: {cause:?}")
        }
        _ => {}
    });
    let [a, b] = servers;
    let [a, b, _] = run(harness, [a, b, client]);
    let opened = [a, b].map(|log| log.count(|told| matches!(told, Told::Opened { .. })));
    assert_eq!(opened[0] + opened[1], ALL as usize, "clause 10");
}
