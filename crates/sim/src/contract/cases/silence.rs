//! Clause 8: nobody is silent who was not given the time to be heard.

use super::{Echo, SETTLED, millis};
use crate::contract::{Harness, Log, Node, Told, run};
use halfopen_driver::{Cause, ConnId, Op, Opening, Severance, Token};
use halfopen_wheel::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

const PEERS: u8 = 200;
const TIMEOUT: Duration = millis(50);
/// What may lie between a byte that was sent and its arrival.
const ON_THE_WAY: Duration = millis(80);

/// The server asks everyone, and stands still for many timeouts; the answers wait meanwhile. When
/// it looks at the clock again, `heard` must not claim to have heard what it has not handed over.
pub fn nobody_who_answered_is_silent_after_a_stall(harness: &dyn Harness) {
    let (address, stall) = (harness.address(), harness.stall());
    let (mut peers, mut asked, mut answers) = (Vec::new(), 0, 0);
    let server =
        Node::new("server").at(&address).room(PEERS.into()).script(move |me, told| match told {
            Told::Started => me.accept(true),
            Told::Opened { id, .. } => {
                peers.push(id);
                if peers.len() == usize::from(PEERS) {
                    // To each its number, so that the answers are known apart.
                    let ask = |(n, &id): (u8, _)| me.send(id, &[n]);
                    (0..).zip(&peers).for_each(ask);
                }
            }
            Told::Sent { .. } => {
                asked += 1;
                if asked == PEERS {
                    me.alarm(TIMEOUT);
                    stall(8 * TIMEOUT);
                }
            }
            Told::Deadline { .. } => me.alarm(millis(1)),
            Told::Received { .. } => {
                answers += 1;
                if answers == PEERS {
                    me.stop();
                }
            }
            _ => {}
        });
    let mut closed = 0;
    let client = Node::new("client").room(PEERS.into()).script(move |me, told| match told {
        Told::Started => (0..PEERS).for_each(|token| me.connect(token.into(), address.at)),
        Told::Received { id, bytes } => me.send(id, &bytes),
        Told::Closed { .. } => {
            closed += 1;
            if closed == PEERS {
                me.stop();
            }
        }
        _ => {}
    });
    let [server, client] = run(harness, [server, client]);
    check_heard(&server, &client);
}

/// No deadline claims to have heard until after the arrival of an answer that is handed over later.
fn check_heard(server: &Log, client: &Log) {
    let arrived = arrivals(client);
    let told = server.told();
    let opened = told.iter().filter_map(|(_, told)| match told {
        Told::Opened { id, .. } => Some(*id),
        _ => None,
    });
    let numbers: BTreeMap<ConnId, u8> = opened.zip(0..).collect();
    // Backwards: whatever is handed over later than a deadline was waiting then, or not there yet.
    let mut oldest = Instant::FAR;
    for (_, told) in told.iter().rev() {
        match told {
            Told::Received { id, .. } => oldest = oldest.min(arrived[&numbers[id]]),
            Told::Deadline { heard } => assert!(
                heard.until <= oldest + ON_THE_WAY,
                "clause 8: heard until {:?}, and an answer waits since {oldest:?}",
                heard.until,
            ),
            _ => {}
        }
    }
}

/// When each answer had left the client at the latest.
fn arrivals(client: &Log) -> BTreeMap<u8, Instant> {
    let mut number_of = BTreeMap::<ConnId, u8>::new();
    let mut sent = BTreeMap::new();
    for (now, told) in client.told() {
        match told {
            Told::Received { id, bytes } => drop(number_of.insert(id, bytes[0])),
            Told::Sent { id, .. } => drop(sent.insert(number_of[&id], now)),
            _ => {}
        }
    }
    sent
}

/// `heard` moves on: who has not answered is silent when the timeout has passed, and not before.
pub fn a_peer_that_never_answers_is_silent_in_the_end(harness: &dyn Harness) {
    let address = harness.address();
    let mut asked = Instant::default();
    let server = Node::new("server").at(&address).script(move |me, told| match told {
        Told::Started => me.accept(true),
        Told::Opened { id, .. } => me.send(id, b"?"),
        Told::Sent { at, .. } => {
            asked = at;
            me.alarm(TIMEOUT);
        }
        Told::Deadline { heard } if heard.silent_since(me.now(), asked, TIMEOUT) => {
            assert!(me.now() >= asked + TIMEOUT, "clause 8: silent too soon");
            me.stop();
        }
        Told::Deadline { .. } => me.alarm(millis(5)),
        _ => {}
    });
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(0, address.at),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    run(harness, [server, client]);
}

/// Peers to whom every answer is the next question keep a server busy that works for a while at
/// each. It is never dry, its turns are long, and who never answers is found all the same.
pub fn a_mute_peer_is_found_by_a_driver_that_is_never_dry(harness: &dyn Harness) {
    find_the_mute(harness, 40, millis(4));
}

/// And where it works so long at each event that it might have been stopped meanwhile.
pub fn a_mute_peer_is_found_where_each_event_takes_long(harness: &dyn Harness) {
    find_the_mute(harness, 4, millis(60));
}

fn find_the_mute(harness: &dyn Harness, talkers: u8, work: Duration) {
    /// More than anybody is given.
    const EVENTS_MAX: u32 = 1000;
    let (address, stall) = (harness.address(), harness.stall());
    let room = u32::from(talkers) + 1;
    let (mut echo, mut mute, mut heard_of) = (Echo::default(), None, 0);
    let (mut asked, mut events) = (None, 0);
    let server = Node::new("server").at(&address).room(room).script(move |me, told| {
        match told {
            Told::Deadline { heard } => {
                let asked = asked.expect("it is due once somebody was asked");
                if heard.silent_since(me.now(), asked, TIMEOUT) {
                    assert!(me.now() >= asked + TIMEOUT, "clause 8: silent too soon");
                    return me.stop();
                }
                return me.alarm(millis(1));
            }
            Told::Sent { id, at, .. } if mute == Some(id) => {
                asked = Some(at);
                return me.alarm(TIMEOUT);
            }
            Told::Received { id, ref bytes } if asked.is_none() => {
                mute = mute.or((bytes[0] == MUTE).then_some(id));
                heard_of += u32::from(bytes[0] != ANSWER);
                if bytes[0] != ANSWER && heard_of == room {
                    me.send(mute.expect("it has spoken"), b"?");
                }
                if bytes[0] == MUTE {
                    return;
                }
            }
            Told::Received { .. } | Told::Sent { .. } => {
                events += 1;
                assert!(events < EVENTS_MAX, "clause 8: a mute peer is never silent");
                stall(work);
            }
            _ => {}
        }
        echo.on(me, told);
    });
    let mut left = room;
    let client = Node::new("client").room(room).quiet().script(move |me, told| match told {
        Told::Started => (0..room).for_each(|token| me.connect(token, address.at)),
        Told::Opened { id, by: Opening::Connected(Token(0)) } => me.send(id, &[MUTE]),
        Told::Opened { id, .. } => me.send(id, &[TALKER]),
        Told::Received { id, bytes } if bytes != b"?" => me.send(id, &[ANSWER]),
        Told::Closed { .. } => {
            left -= 1;
            if left == 0 {
                me.stop();
            }
        }
        _ => {}
    });
    run(harness, [server, client]);
}

const MUTE: u8 = b'm';
const TALKER: u8 = b't';
const ANSWER: u8 = b'!';

/// `Sever`: nothing arrives, nobody is told; later all arrives after all.
pub fn severed_and_restored_it_goes_on(harness: &dyn Harness) {
    let address = harness.address();
    let mut open = None;
    let server = Node::new("server").at(&address).script(move |me, told| match told {
        Told::Started => me.accept(true),
        Told::Opened { id, .. } => open = Some(id),
        Told::Woken => me.send(open.expect("it was opened"), b"anybody?"),
        Told::Received { .. } => me.stop(),
        _ => {}
    });
    let (speak, mut mine, mut waits, mut got) = (server.waker(), None, 0, 0);
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(0, address.at),
        Told::Opened { id, .. } => {
            mine = Some(id);
            me.alarm(SETTLED);
        }
        Told::Deadline { .. } => {
            waits += 1;
            let id = mine.expect("it was opened");
            match waits {
                1 => {
                    me.sever(id, Severance::Drop);
                    me.alarm(SETTLED);
                }
                2 => {
                    speak.wake();
                    me.alarm(millis(500));
                }
                _ => {
                    assert_eq!(got, 0, "bytes arrived on a severed connection");
                    me.sever(id, Severance::Undrop);
                }
            }
        }
        Told::Received { id, bytes } => {
            got += bytes.len();
            if got == 8 {
                me.send(id, b"yes");
            }
        }
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let [server, client] = run(harness, [server, client]);
    assert_eq!(client.bytes(), b"anybody?");
    assert!(server.bytes().starts_with(b"y"), "{}", server.tail());
}

/// `Vanish`: nobody is told, until somebody speaks; then he hears RST.
pub fn a_vanished_connection_is_silent_until_it_is_spoken_to(harness: &dyn Harness) {
    if !harness.may_vanish() {
        return crate::skipped("nothing vanishes without CAP_NET_ADMIN");
    }
    let (server, client) = vanish(harness);
    assert_eq!((server.ends(), client.ends()), (vec![Cause::Reset], vec![Cause::Aborted]));
    let asked = |told: &Told| matches!(told, Told::Deadline { .. });
    let ended = |told: &Told| matches!(told, Told::Closed { .. });
    let told = server.told();
    let place = |what: &dyn Fn(&Told) -> bool| told.iter().position(|(_, told)| what(told));
    assert!(place(&asked) < place(&ended), "it ended before it was spoken to: {}", server.tail());
}

/// Where it is refused, the peer is told at once.
pub fn a_vanish_that_is_refused_is_an_abort(harness: &dyn Harness) {
    assert!(!harness.may_vanish(), "this is for whoever has no CAP_NET_ADMIN");
    let (server, client) = vanish(harness);
    assert_eq!((server.ends(), client.ends()), (vec![Cause::Reset], vec![Cause::Aborted]));
    let spoke = server.told().iter().any(|(_, told)| matches!(told, Told::Deadline { .. }));
    assert!(!spoke, "it was to be told unasked: {}", server.tail());
}

/// A client vanishes as soon as it was heard, and later the server speaks to it.
fn vanish(harness: &dyn Harness) -> (Log, Log) {
    let address = harness.address();
    let mut heard = None;
    let server = Node::new("server").at(&address).script(move |me, told| match told {
        Told::Started => me.accept(true),
        Told::Opened { id, .. } => me.send(id, b"here"),
        Told::Received { id, .. } => {
            heard = Some(id);
            me.alarm(2 * SETTLED);
        }
        Told::Deadline { .. } => me.send(heard.expect("it has spoken"), b"anybody?"),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let mut got = 0;
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(0, address.at),
        Told::Received { id, bytes } => {
            got += bytes.len();
            if got == 4 {
                me.send(id, b"and here");
            }
        }
        // What has left is acknowledged first: nothing may be under way when it goes.
        Told::Sent { id, .. } => me.op(Op::Probe { id }),
        Told::Probed { id, queued: 0 } => me.sever(id, Severance::Vanish),
        Told::Probed { id, .. } => me.op(Op::Probe { id }),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let [server, client] = run(harness, [server, client]);
    (server, client)
}
