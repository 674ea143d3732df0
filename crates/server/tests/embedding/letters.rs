//! From other threads and tasks to a connection.

use crate::play::stage;
use crate::world::{MILLI, SECOND, Seen, config, unpinged};
use halfopen_driver::Cause;
use halfopen_server::{CloseCode, Config, Mailbox, Message, Posting, SendError};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Longer than threads take to wake each other some hundred times; nothing is asserted about it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Counts how often it is woken.
#[derive(Default)]
struct Alarm(AtomicU32);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Alarm {
    fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

fn poll(posting: &mut Posting, alarm: &Arc<Alarm>) -> Poll<Result<(), SendError>> {
    let waker = Waker::from(alarm.clone());
    pin!(posting).poll(&mut Context::from_waker(&waker))
}

#[test]
fn a_letter_reaches_its_connection_alone_and_in_order() {
    let mut world = stage(unpinged());
    let (first, second) = (world.open(), world.open());
    let mailbox = world.mailbox();
    let large = "x".repeat(200_000);
    for text in ["a", "b", &large, "c"] {
        mailbox.send(world.id(second), Message::Text(text)).now().unwrap();
    }
    assert_eq!(world.texts(second), [""; 0], "it comes with the shard's next turn");
    world.wake();
    assert_eq!(world.texts(second), ["a", "b", &large, "c"]);
    assert_eq!(world.texts(first), [""; 0]);
    assert_eq!(world.stats().messages_sent, 4);
}

#[test]
fn a_handler_sends_to_another_connection() {
    let mut world = stage(unpinged());
    let (first, second) = (world.open(), world.open());
    world.say(second, "tell hello");
    assert_eq!(world.texts(first), ["hello"]);
}

#[test]
fn who_sends_to_a_connection_that_is_gone_is_told() {
    let mut world = stage(unpinged());
    let peers = [world.open(), world.open(), world.open()];
    let ids = peers.map(|peer| world.id(peer));
    let mailbox = world.mailbox();
    world.wake();
    let send = |id| mailbox.send(id, Message::Text("?")).now();
    assert_eq!(ids.map(send), [Ok(()); 3]);

    world.say(peers[0], "close");
    assert_eq!(send(ids[0]), Err(SendError::Gone), "it is closing");
    world.end(peers[1], Cause::Reset);
    assert_eq!(send(ids[1]), Err(SendError::Gone));
    assert_eq!(send(ids[2]), Ok(()));
    let next = world.open();
    assert_eq!(send(world.id(next)), Ok(()));
    drop(world);
    assert_eq!(
        ids.map(send),
        [Err(SendError::Gone), Err(SendError::Gone), Err(SendError::Stopped)]
    );
}

#[test]
fn a_letter_that_crosses_with_the_end_of_its_connection_is_counted() {
    let mut world = stage(unpinged());
    let peer = world.open();
    let mailbox = world.mailbox();
    world.wake();
    mailbox.send(world.id(peer), Message::Text("too late")).now().unwrap();
    world.say(peer, "close");
    assert_eq!(world.seen(peer), [Seen::Close(Some(1000))]);
    assert_eq!(world.stats().undeliverable, 1);
}

#[test]
fn a_connection_is_closed_from_elsewhere_with_code_and_reason() {
    let mut world = stage(unpinged());
    let peer = world.open();
    let code = CloseCode::new(4001).unwrap();
    let mailbox = world.mailbox();
    mailbox.send(world.id(peer), Message::Text("bye")).now().unwrap();
    mailbox.close(world.id(peer), code, "you were reported").now().unwrap();
    world.wake();
    assert_eq!(world.seen(peer), [Seen::Text("bye".into()), Seen::Close(Some(4001))]);
    assert_eq!(world.stats().closed[&4001], 1);
}

/// Room for two letters.
fn narrow() -> Config {
    Config { mailbox_letters: 2, ..unpinged() }
}

#[test]
fn a_letter_box_is_bounded_in_letters_and_in_bytes() {
    let mut world = stage(Config { mailbox_letters: 3, mailbox_bytes: 1000, ..unpinged() });
    let peer = world.open();
    let (mailbox, id) = (world.mailbox(), world.id(peer));
    world.wake();
    let send = |len: usize| mailbox.send(id, Message::Binary(&vec![0; len])).now();
    assert_eq!([1, 1, 1].map(send), [Ok(()); 3]);
    assert_eq!(send(1), Err(SendError::Full));
    world.wake();
    assert_eq!(send(5000), Ok(()), "one that is larger than all goes alone");
    assert_eq!(send(1), Err(SendError::Full));
    world.wake();
    assert_eq!([400, 600].map(send), [Ok(()), Err(SendError::Full)]);
    world.wake();
    assert_eq!(world.stats().messages_sent, 5);
}

#[test]
fn those_that_wait_for_room_get_it_in_their_turn() {
    let mut world = stage(narrow());
    let peer = world.open();
    let (mailbox, id) = (world.mailbox(), world.id(peer));
    world.wake();
    let send = |text: &str| mailbox.send(id, Message::Text(text));
    send("0").now().unwrap();
    send("1").now().unwrap();
    let mut waiting: Vec<_> =
        ["2", "3", "4", "5", "6"].map(|text| (send(text), Arc::new(Alarm::default()))).into();
    for (posting, alarm) in &mut waiting {
        assert_eq!(poll(posting, alarm), Poll::Pending);
        assert_eq!(poll(posting, alarm), Poll::Pending, "looked at twice it has one place");
    }
    for round in 1.. {
        world.wake();
        let woken = waiting.iter().all(|(_, alarm)| alarm.count() == round);
        assert!(woken, "the box is empty, and nobody knows who will come");
        for (mut posting, alarm) in waiting.drain(..waiting.len().min(2)) {
            assert_eq!(poll(&mut posting, &alarm), Poll::Ready(Ok(())));
        }
        for (posting, alarm) in &mut waiting {
            assert_eq!(poll(posting, alarm), Poll::Pending);
        }
        if waiting.is_empty() {
            break;
        }
    }
    world.wake();
    assert_eq!(world.texts(peer), ["0", "1", "2", "3", "4", "5", "6"]);
}

#[test]
fn who_waits_hears_of_the_end_of_the_connection_and_of_the_shard() {
    let mut world = stage(narrow());
    let (peer, other) = (world.open(), world.open());
    let (mailbox, id) = (world.mailbox(), world.id(peer));
    world.wake();
    (0..2).for_each(|_| mailbox.send(world.id(other), Message::Text("")).now().unwrap());
    let alarm = Arc::new(Alarm::default());
    let mut posting = mailbox.send(id, Message::Text("hello"));
    let mut publishing = mailbox.publish("topic", Message::Text("hello"));
    assert_eq!(poll(&mut posting, &alarm), Poll::Pending);
    assert_eq!(poll(&mut publishing, &alarm), Poll::Pending);
    world.end(peer, Cause::Fin);
    assert_eq!(alarm.count(), 2);
    assert_eq!(poll(&mut posting, &alarm), Poll::Ready(Err(SendError::Gone)));
    drop(world);
    assert_eq!(poll(&mut publishing, &alarm), Poll::Ready(Err(SendError::Stopped)));
}

#[test]
fn a_thread_that_waits_is_let_go_on_when_there_is_room() {
    let mut world = stage(Config { mailbox_letters: 1, ..config() });
    let peer = world.open();
    let (mailbox, id) = (world.mailbox(), world.id(peer));
    const COUNT: usize = 500;
    let poster = std::thread::spawn(move || {
        for number in 0..COUNT {
            mailbox.send(id, Message::Text(&number.to_string())).wait().unwrap();
        }
    });
    let begun = Instant::now();
    let mut came = Vec::new();
    while came.len() < COUNT {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for a letter after {}", came.len());
        world.wake();
        came.extend(world.texts(peer));
        std::thread::yield_now();
    }
    poster.join().unwrap();
    assert_eq!(came, (0..COUNT).map(|number| number.to_string()).collect::<Vec<_>>());
}

/// A wake that is lost leaves somebody asleep before an empty box, and this would never end.
#[test]
fn nobody_sleeps_for_ever_among_threads_that_wait_and_give_up() {
    const THREADS: usize = 6;
    const COUNT: usize = 200;
    let mut world = stage(Config { mailbox_letters: 2, ..unpinged() });
    let peer = world.open();
    let (mailbox, id) = (world.mailbox(), world.id(peer));
    world.say(peer, "join all");
    let work = move |number: usize, mailbox: Mailbox| {
        let mut rng = fastrand::Rng::with_seed(number as u64);
        for _ in 0..COUNT {
            let mut given_up = mailbox.send(id, Message::Text("given up"));
            if rng.bool() {
                // In or not, it is dropped when the other is in.
                let _ = poll(&mut given_up, &Arc::new(Alarm::default()));
            }
            let posting = match rng.bool() {
                true => mailbox.publish("all", Message::Text("kept")),
                false => mailbox.send(id, Message::Text("kept")),
            };
            posting.wait().unwrap();
        }
    };
    let threads: Vec<_> = (0..THREADS)
        .map(|number| (number, mailbox.clone()))
        .map(|(number, mailbox)| std::thread::spawn(move || work(number, mailbox)))
        .collect();
    let begun = Instant::now();
    let mut kept = 0;
    while kept < THREADS * COUNT {
        assert!(begun.elapsed() < PATIENCE, "somebody sleeps, after {kept}");
        world.wake();
        kept += world.texts(peer).iter().filter(|text| *text == "kept").count();
        std::thread::yield_now();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn letters_are_served_a_few_at_a_time_so_that_nobody_else_waits_long() {
    let mut world = stage(unpinged());
    let peer = world.open();
    let mailbox = world.mailbox();
    world.wake();
    for _ in 0..1000 {
        mailbox.send(world.id(peer), Message::Text("x")).now().unwrap();
    }
    world.wake();
    let mut sent = world.stats().messages_sent;
    assert!((1..=100).contains(&sent), "{sent} in one call");
    while world.stats().messages_sent < 1000 {
        world.look();
        let now = world.stats().messages_sent;
        assert!((1..=100).contains(&(now - sent)), "{} in one call", now - sent);
        sent = now;
    }
    world.pass(Duration::ZERO);
    world.pass(SECOND + MILLI);
    assert_eq!(world.texts(peer).len(), 1000);
}
