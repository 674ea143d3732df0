//! Clause 11: wakes share events, and none is lost.

use crate::contract::{Harness, Node, Told, run};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Whatever was written before a wake is seen after it.
pub fn no_wake_of_another_thread_is_lost(harness: &dyn Harness) {
    const WAKES: usize = 10_000;
    let written = Arc::new(AtomicUsize::new(0));
    let seen = written.clone();
    let node = Node::new("woken").script(move |me, told| {
        if told == Told::Woken && seen.load(Ordering::Relaxed) == WAKES {
            me.stop();
        }
    });
    let waker = node.waker();
    let outside = thread::spawn(move || {
        for n in 1..=WAKES {
            written.store(n, Ordering::Relaxed);
            waker.wake();
            if n % 64 == 0 {
                thread::yield_now();
            }
        }
    });
    let [log] = run(harness, [node]);
    outside.join().expect("it has only woken");
    let woken = log.count(|told| *told == Told::Woken);
    assert!((1..=WAKES).contains(&woken), "clause 11: {woken} events for {WAKES} wakes");
}

/// A wake does not need anybody to listen yet.
pub fn a_wake_before_the_start_is_heard(harness: &dyn Harness) {
    let node = Node::new("woken").script(|me, told| {
        if told == Told::Woken {
            me.stop();
        }
    });
    node.waker().wake();
    let [log] = run(harness, [node]);
    assert_eq!(log.told()[0].1, Told::Started, "clause 2");
}
