//! Clause 3: indices, generations, and operations that come too late.

use super::millis;
use crate::contract::{Hands, Harness, Node, Told, run};
use bytes::BytesMut;
use halfopen_driver::{Chunk, ConnId, Op, Severance};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The same few indices, and no name twice.
pub fn an_index_is_used_again_with_another_generation(harness: &dyn Harness) {
    const ROUNDS: usize = 30;
    let address = harness.address();
    let server = Node::new("server").at(&address).room(2).script(|me, told| match told {
        Told::Started => me.accept(true),
        Told::Opened { id, .. } => me.send(id, b"w"),
        Told::Woken => me.stop(),
        _ => {}
    });
    let (end, mut closed, mut token) = (server.waker(), 0, 0);
    let client = Node::new("client").room(2).script(move |me, told| match told {
        Told::Received { id, .. } => me.abort(id),
        Told::Closed { .. } if closed + 1 == ROUNDS => {
            end.wake();
            me.stop();
        }
        Told::Closed { .. } => {
            closed += 1;
            me.alarm(millis(1));
        }
        Told::Started | Told::Deadline { .. } => {
            token += 1;
            me.connect(token, address.at);
        }
        _ => {}
    });
    let logs = run(harness, [server, client]);
    for log in logs {
        let opened = log.told().into_iter().filter_map(|(_, told)| match told {
            Told::Opened { id, .. } => Some(id),
            _ => None,
        });
        let opened: Vec<_> = opened.collect();
        assert_eq!(opened.len(), ROUNDS);
        assert_eq!(opened.iter().collect::<BTreeSet<_>>().len(), ROUNDS, "clause 3: {opened:?}");
    }
}

/// Everything that an engine could still want of a connection.
fn everything(me: &mut Hands, id: ConnId) {
    me.op(Op::Send { id, chunk: Chunk::Own(BytesMut::from(&b"late"[..])) });
    me.op(Op::Probe { id });
    me.op(Op::Locate { id });
    me.op(Op::Sever { id, how: Severance::Drop });
    me.pause(id);
    me.resume(id);
    me.shutdown(id);
    me.abort(id);
}

/// Neither the driver nor the connection that has the index now is disturbed.
pub fn operations_on_an_id_that_is_gone_are_ignored(harness: &dyn Harness) {
    const ROUNDS: u32 = 20;
    let address = harness.address();
    let server = Node::new("server").at(&address).room(2).script(|me, told| match told {
        Told::Started => me.accept(true),
        Told::Received { id, bytes } => {
            assert_eq!(bytes, b"!", "clause 3: a chunk went to another connection");
            me.send(id, b"y");
        }
        Told::Woken => me.stop(),
        _ => {}
    });
    let (end, mut gone, mut rounds) = (server.waker(), Vec::new(), 0);
    let client = Node::new("client").room(2).script(move |me, told| match told {
        Told::Opened { id, .. } => {
            gone.iter().for_each(|&old| everything(me, old));
            me.send(id, b"!");
        }
        Told::Received { id, .. } => {
            gone.iter().for_each(|&old| everything(me, old));
            me.abort(id);
        }
        Told::Closed { id, .. } => {
            everything(me, id);
            gone.push(id);
            me.alarm(millis(1));
        }
        Told::Started | Told::Deadline { .. } if rounds < ROUNDS => {
            rounds += 1;
            me.connect(rounds, address.at);
        }
        Told::Deadline { .. } => {
            end.wake();
            me.stop();
        }
        _ => {}
    });
    let [_, client] = run(harness, [server, client]);
    assert_eq!(client.bytes(), b"y".repeat(ROUNDS as usize), "clause 3");
}

/// Those who were spoken to and have not gone.
///
/// RST is sent once, and a network that is overrun loses it like any packet; loopback, too, drops
/// what a busy processor has not looked at. Then one side is gone, and the other waits for ever. A
/// word to it is answered by the kernel with RST.
#[derive(Default)]
struct Company {
    /// Whether a word is under way.
    speaking: BTreeMap<ConnId, bool>,
    asked_in_vain: u32,
}

impl Company {
    fn send(&mut self, me: &mut Hands, id: ConnId, bytes: &[u8]) {
        self.speaking.insert(id, true);
        me.send(id, bytes);
    }

    fn leave(&mut self, id: ConnId) {
        self.speaking.remove(&id);
    }

    /// After a second without an event asks all whether they are there.
    fn on(&mut self, me: &mut Hands, told: &Told) {
        match told {
            Told::Deadline { .. } => self.ask(me),
            Told::Sent { id, .. } => {
                if let Some(speaking) = self.speaking.get_mut(id) {
                    *speaking = false;
                }
            }
            Told::Closed { id, .. } => {
                self.leave(*id);
                self.asked_in_vain = 0;
            }
            _ => self.asked_in_vain = 0,
        }
        if !self.speaking.is_empty() {
            me.alarm(millis(1_000));
        }
    }

    fn ask(&mut self, me: &mut Hands) {
        self.asked_in_vain += 1;
        assert!(self.asked_in_vain < 30, "clause 2: nothing comes of {:?}", self.speaking);
        let silent = self.speaking.iter_mut().filter(|(_, speaking)| !**speaking);
        for (&id, speaking) in silent {
            *speaking = true;
            // Nobody takes it for an answer.
            me.send(id, b"?");
        }
    }
}

/// Opens and closes over eight slots, as many as [`Harness::churn`] says, ended by either side with
/// RST, and now and then with FIN: none is lost, none is told twice, no slot leaks.
pub fn very_many_opens_and_closes_over_eight_slots(harness: &dyn Harness) {
    let (address, total) = (harness.address(), harness.churn());
    let opened = Arc::new(AtomicU32::new(0));
    let seen = opened.clone();
    let mut guests = Company::default();
    let server = Node::new("server").at(&address).room(8).quiet().script(move |me, told| {
        match &told {
            Told::Started => me.accept(true),
            Told::Opened { id, .. } => {
                seen.fetch_add(1, Ordering::Relaxed);
                guests.send(me, *id, b"w");
            }
            Told::Received { id, bytes } if bytes.contains(&b'a') => {
                guests.leave(*id);
                me.abort(*id);
            }
            Told::Received { id, bytes } if bytes.contains(&b'f') => {
                guests.leave(*id);
                me.shutdown(*id);
            }
            Told::Woken => me.stop(),
            _ => {}
        }
        guests.on(me, &told);
    });
    let (end, mut asked, mut closed) = (server.waker(), 8, 0);
    let mut hosts = Company::default();
    let client = Node::new("client").room(8).quiet().script(move |me, told| {
        match &told {
            Told::Started => (0..8).for_each(|token| me.connect(token, address.at)),
            // A FIN leaves TIME_WAIT behind, and ports are few.
            Told::Received { id, bytes } if bytes.contains(&b'w') => match id.generation % 256 {
                0 => hosts.send(me, *id, b"f"),
                n if n % 2 == 0 => hosts.send(me, *id, b"a"),
                _ => me.abort(*id),
            },
            Told::Closed { .. } => {
                closed += 1;
                if asked < total {
                    me.connect(asked, address.at);
                    asked += 1;
                } else if closed == total {
                    end.wake();
                    me.stop();
                }
            }
            Told::Refused { token, cause } => panic!("clause 10: {token:?} refused: {cause:?}"),
            _ => {}
        }
        hosts.on(me, &told);
    });
    run(harness, [server, client]);
    assert_eq!(opened.load(Ordering::Relaxed), total, "clause 2");
}
