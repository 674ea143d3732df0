//! `Probe` and `Locate` tell the truth.

use super::SETTLED;
use crate::contract::{Harness, Log, Node, Told, run};
use halfopen_driver::{Ends, Op, Severance};

/// Bytes count as queued until their acknowledgement has come.
pub fn a_probe_tells_what_is_not_acknowledged(harness: &dyn Harness) {
    let address = harness.address();
    let server = Node::new("server").at(&address).script(|me, told| match told {
        Told::Started => me.accept(true),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let mut open = None;
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(0, address.at),
        Told::Opened { id, .. } => {
            open = Some(id);
            me.op(Op::Probe { id });
        }
        Told::Probed { id, queued: 0 } if open.is_some() => {
            open = None;
            // The acknowledgement cannot come back.
            me.sever(id, Severance::Drop);
            me.send(id, &[0; 100]);
        }
        Told::Sent { id, .. } => {
            open = Some(id);
            me.alarm(SETTLED);
        }
        Told::Deadline { .. } => me.op(Op::Probe { id: open.take().expect("it was opened") }),
        Told::Probed { id, queued } => {
            if queued > 0 {
                me.sever(id, Severance::Undrop);
                open = Some(id);
                me.alarm(SETTLED);
            } else {
                me.stop();
            }
        }
        _ => {}
    });
    let [_, client] = run(harness, [server, client]);
    let answers = client.told().into_iter().filter_map(|(_, told)| match told {
        Told::Probed { queued, .. } => Some(queued),
        _ => None,
    });
    let answers: Vec<_> = answers.collect();
    let (first, last) = (answers[0], answers[answers.len() - 1]);
    let between = &answers[1..answers.len() - 1];
    assert_eq!((first, last), (0, 0), "{answers:?}");
    assert!(!between.is_empty() && between.iter().all(|&queued| queued == 100), "{answers:?}");
}

/// What is local here is the peer there.
pub fn both_ends_are_located_alike(harness: &dyn Harness) {
    let address = harness.address();
    let client = Node::new("client").script(move |me, told| match told {
        Told::Started => me.connect(0, address.at),
        Told::Opened { id, .. } => me.op(Op::Locate { id }),
        Told::Located { id, .. } => me.send(id, b"!"),
        Told::Closed { .. } => me.stop(),
        _ => {}
    });
    let server = Node::new("server").at(&address).script(|me, told| match told {
        Told::Started => me.accept(true),
        Told::Received { id, .. } => me.op(Op::Locate { id }),
        Told::Located { .. } => me.stop(),
        _ => {}
    });
    let [server, client] = run(harness, [server, client]);
    let (here, there) = (ends(&server), ends(&client));
    assert_eq!((here.local, here.peer), (there.peer, there.local));
    assert_eq!(here.local, address.at);
}

fn ends(log: &Log) -> Ends {
    let located = log.told().into_iter().find_map(|(_, told)| match told {
        Told::Located { ends, .. } => ends,
        _ => None,
    });
    located.expect("the kernel knows both ends")
}
