//! close_notify, FIN, RST, and what is under way when they come.

use crate::identity::LOCALHOST;
use crate::pair::{End, ID, Pair, Told};
use halfopen_driver::{Cause, Chunk, Event, Op, Opening};

#[test]
fn a_shutdown_says_what_was_sent_then_close_notify_then_fin() {
    let mut pair = Pair::established();
    pair.client.send(b"last words");
    pair.client.ask(Op::Shutdown { id: ID });
    assert!(!pair.client.shut, "the words are in flight, and close_notify is not sealed yet");
    pair.client.bring_home();
    assert!(pair.client.shut);
    pair.settle();
    let server = &pair.server;
    assert_eq!(server.script().heard(), b"last words");
    assert!(server.shut, "close_notify is answered by close_notify and FIN");
    assert_eq!(server.script().failure(), None);
    pair.server.close(Cause::Fin);
    pair.client.close(Cause::Fin);
    assert_eq!(pair.client.script().told.last(), Some(&Told::Closed(Cause::Fin)));
    assert_eq!(pair.server.script().told.last(), Some(&Told::Closed(Cause::Fin)));
}

#[test]
fn what_the_engine_sends_when_the_peer_has_said_close_notify_comes_home_before_the_end() {
    let mut pair = Pair::established();
    pair.client.ask(Op::Shutdown { id: ID });
    pair.settle();
    assert!(pair.server.shut);
    let before = pair.server.sends;
    pair.server.send(b"too late");
    assert_eq!(pair.server.sends, before);
    pair.server.ask(Op::Shutdown { id: ID });
    pair.server.close(Cause::Fin);
    let told = &pair.server.script().told;
    assert!(
        matches!(told[told.len() - 2..], [Told::Sent(8, _), Told::Closed(Cause::Fin)]),
        "{told:?}"
    );
}

#[test]
fn an_answer_to_the_last_words_goes_before_our_close_notify() {
    let mut pair = Pair::established();
    pair.client.send(b"bye");
    pair.client.ask(Op::Shutdown { id: ID });
    pair.client.bring_home();
    // The engine answers within the call in which it hears them.
    pair.server.layer.engine_mut().asks = vec![answer(b"bye, too")];
    pair.settle();
    assert!(pair.server.shut);
    assert_eq!(pair.client.script().heard(), b"bye, too", "bytes still arrive after our own end");
}

fn answer(bytes: &[u8]) -> Op {
    Op::Send { id: ID, chunk: Chunk::Own(bytes.into()) }
}

#[test]
fn bytes_behind_close_notify_count_for_nothing() {
    let mut pair = Pair::established();
    pair.client.ask(Op::Shutdown { id: ID });
    pair.settle();
    let told = pair.server.script().told.clone();
    pair.server.hear(&mut [0x17; 300]);
    assert_eq!(pair.server.script().told, told);
    assert_eq!(pair.server.layer.held_bytes(), 0);
}

/// In builds with its debug assertions rustls panics here: they are off in this workspace.
#[test]
fn noise_behind_our_own_close_notify_harms_nobody() {
    let mut pair = Pair::established();
    pair.client.ask(Op::Shutdown { id: ID });
    pair.client.bring_home();
    pair.client.hear(&mut [0xff; 300]);
    assert!(pair.client.script().failure().is_some());
    assert_eq!((pair.client.sends, pair.client.layer.held_bytes()), (3, 0), "nothing behind FIN");
    pair.client.close(Cause::Fin);
}

#[test]
fn an_end_without_close_notify_passes_as_it_is() {
    for cause in [Cause::Fin, Cause::Reset, Cause::TimedOut] {
        let mut pair = Pair::established();
        pair.server.close(cause);
        let told = &pair.server.script().told;
        assert_eq!(told[2..], [Told::Closed(cause)]);
    }
}

#[test]
fn an_abort_passes_at_once_and_the_chunk_comes_home_first() {
    let mut pair = Pair::established();
    pair.client.send(&vec![1; 60_000]);
    pair.client.ask(Op::Abort { id: ID });
    assert!(pair.client.aborted && !pair.client.shut);
    pair.client.close(Cause::Aborted);
    let told = &pair.client.script().told;
    assert!(matches!(told[2..], [Told::Sent(60_000, _), Told::Closed(Cause::Aborted)]), "{told:?}");
    assert_eq!(pair.client.layer.held_bytes(), 0);
}

#[test]
fn a_shutdown_amid_the_handshake_is_fin_alone() {
    let mut early = End::server(LOCALHOST.server());
    early.tell(Event::Opened { id: ID, by: Opening::Accepted });
    early.ask(Op::Shutdown { id: ID });
    assert!(early.shut && early.wire.is_empty());
    early.close(Cause::Fin);
    assert_eq!(early.script().told[1..], [Told::Closed(Cause::Fin)]);
}

#[test]
fn what_was_sent_before_a_shutdown_amid_the_handshake_is_said_first() {
    let mut pair = Pair::new(LOCALHOST.client(), LOCALHOST.server());
    pair.server.send(b"HTTP/1.1 503 Service Unavailable\r\n\r\n");
    pair.server.ask(Op::Shutdown { id: ID });
    assert!(!pair.server.shut);
    pair.settle();
    assert!(pair.server.shut && pair.client.shut);
    assert_eq!(pair.client.script().heard().len(), 36);
}

#[test]
fn operations_on_a_connection_that_is_gone_are_ignored() {
    let mut pair = Pair::established();
    pair.client.close(Cause::Reset);
    pair.client.send(b"nobody");
    pair.client.ask(Op::Shutdown { id: ID });
    pair.client.ask(Op::Abort { id: ID });
    assert!(!pair.client.shut && !pair.client.aborted);
}
