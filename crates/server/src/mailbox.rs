//! Letters to connections and topics, from any thread and any task.

use crate::post::{Letter, Post, Queue, Ticket};
use crate::{CloseCode, Frame, PeerId};
use std::cell::Cell;
use std::pin::Pin;
use std::sync::{Arc, MutexGuard};
use std::task::{self, Poll};
use std::thread::{self, Thread};

/// The letter boxes of all shards of a server.
pub(crate) type Exchange = Arc<[Post]>;

/// Sends to connections and topics of a server, from any thread and any task.
///
/// What is asked for becomes a [`Posting`], which is done at once ([`now`](Posting::now)), waits for
/// room as a thread ([`wait`](Posting::wait)) or as a task (`.await`, in whatever runtime). Each shard
/// has a letter box of bounded size ([`Config::mailbox_letters`](crate::Config::mailbox_letters));
/// what one thread posts arrives in its order, where it goes to one connection.
///
/// ```no_run
/// # use halfopen_server::{Mailbox, Message, PeerId, SendError};
/// # async fn example(mailbox: Mailbox, peer: PeerId) -> Result<(), SendError> {
/// mailbox.send(peer, Message::Text("done")).await?;
/// mailbox.publish("news", Message::Text("it is out")).now()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Mailbox(Exchange);

/// Why a [`Posting`] came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closing or gone.
    #[error("the connection is gone")]
    Gone,
    /// The letter box is full.
    #[error("the shard's letter box is full")]
    Full,
    /// The server has ended.
    #[error("the server has ended")]
    Stopped,
}

impl Mailbox {
    pub(crate) fn new(exchange: Exchange) -> Self {
        exchange.iter().for_each(Post::want_roll);
        Self(exchange)
    }

    /// Sends a message to a connection. It waits in the connection's queue like one that its handler
    /// sends, and is dropped if the connection closes before it was sent.
    pub fn send(&self, to: PeerId, message: impl Into<Frame>) -> Posting {
        Posting::to(&self.0, to, Letter::Send { to: to.conn, frame: message.into() })
    }

    /// Sends a message to all subscribers of a topic, on every shard or on none. It is encoded once.
    ///
    /// All get what is published in the same order, and only what was published after they have
    /// subscribed. A topic without subscribers is no error.
    pub fn publish(&self, topic: &str, message: impl Into<Frame>) -> Posting {
        Posting::to_all(&self.0, Letter::Publish { topic: topic.into(), frame: message.into() })
    }

    /// Begins the closing handshake of a connection, as [`Peer::close`](crate::Peer::close).
    pub fn close(&self, to: PeerId, code: CloseCode, reason: &str) -> Posting {
        Posting::to(&self.0, to, Letter::Close { to: to.conn, code, reason: reason.into() })
    }
}

/// Something that goes to a letter box when it is awaited, or when [`now`](Self::now) or
/// [`wait`](Self::wait) is called.
///
/// It succeeds when it lies in the box. A connection that is gone by then is told as
/// [`SendError::Gone`]; what goes wrong later, nobody can be told.
#[derive(Debug)]
#[must_use = "nothing is sent before it is awaited, or `now` or `wait` is called"]
pub struct Posting {
    exchange: Exchange,
    to: To,
    letter: Option<Letter>,
    /// A place among those that wait for a shard's room.
    place: Option<(usize, Ticket)>,
}

#[derive(Clone, Copy, Debug)]
enum To {
    Peer(PeerId),
    All,
}

impl Posting {
    pub(crate) fn to(exchange: &Exchange, to: PeerId, letter: Letter) -> Self {
        Self::new(exchange, To::Peer(to), letter)
    }

    pub(crate) fn to_all(exchange: &Exchange, letter: Letter) -> Self {
        Self::new(exchange, To::All, letter)
    }

    fn new(exchange: &Exchange, to: To, letter: Letter) -> Self {
        Self { exchange: exchange.clone(), to, letter: Some(letter), place: None }
    }

    /// Does it at once, or not at all.
    ///
    /// # Errors
    /// [`SendError::Full`] if there is no room; the connection is gone, or the server has ended.
    pub fn now(mut self) -> Result<(), SendError> {
        match self.attempt(None) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(SendError::Full),
        }
    }

    /// Blocks the thread until there is room. On the thread of a shard, which would wait for itself,
    /// it is the same as [`now`](Self::now).
    ///
    /// # Errors
    /// The connection is gone, or the server has ended.
    pub fn wait(mut self) -> Result<(), SendError> {
        if IS_SHARD.get() {
            return self.now();
        }
        let waker = task::Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            match self.attempt(Some(&waker)) {
                Poll::Ready(result) => return result,
                Poll::Pending => thread::park(),
            }
        }
    }

    /// Puts the letter in. Without room `waker` is left behind, if there is one.
    fn attempt(&mut self, waker: Option<&task::Waker>) -> Poll<Result<(), SendError>> {
        if self.letter.is_none() {
            return Poll::Ready(Ok(()));
        }
        let exchange = self.exchange.clone();
        match self.to {
            To::Peer(peer) => self.attempt_one(&exchange, peer, waker),
            To::All => self.attempt_all(&exchange, waker),
        }
    }

    fn attempt_one(
        &mut self,
        exchange: &Exchange,
        peer: PeerId,
        waker: Option<&task::Waker>,
    ) -> Poll<Result<(), SendError>> {
        let shard = peer.shard();
        let Some(post) = exchange.get(shard) else { return Poll::Ready(Err(SendError::Gone)) };
        if post.roll().is_some_and(|roll| !roll.has(peer.conn)) {
            return Poll::Ready(Err(SendError::Gone));
        }
        let mut queue = post.lock();
        if queue.is_closed() {
            return Poll::Ready(Err(SendError::Stopped));
        }
        let Some(letter) = self.letter.take_if(|letter| post.has_room(&queue, letter)) else {
            let old = self.wait_at(shard, &mut queue, waker);
            drop((queue, old));
            return Poll::Pending;
        };
        queue.push(letter);
        let own = self.place.take().and_then(|(_, ticket)| queue.leave(ticket));
        drop((queue, own));
        post.waker().wake();
        Poll::Ready(Ok(()))
    }

    /// All boxes are locked, in their order, so that none gets what another has no room for, and all
    /// get everything in the same order.
    fn attempt_all(
        &mut self,
        exchange: &Exchange,
        waker: Option<&task::Waker>,
    ) -> Poll<Result<(), SendError>> {
        let Some(letter) = &self.letter else { return Poll::Ready(Ok(())) };
        let mut queues: Vec<_> = exchange.iter().map(Post::lock).collect();
        let is_full = |(post, queue): (&Post, &MutexGuard<'_, Queue>)| {
            !queue.is_closed() && !post.has_room(queue, letter)
        };
        if let Some(shard) = exchange.iter().zip(&queues).position(is_full) {
            let before = self.place;
            let old = self.wait_at(shard, &mut queues[shard], waker);
            drop((queues, old));
            if let Some((at, ticket)) = before.filter(|_| self.place != before) {
                exchange[at].withdraw(ticket);
            }
            return Poll::Pending;
        }
        let mut open = 0;
        for queue in queues.iter_mut().filter(|queue| !queue.is_closed()) {
            queue.push(letter.clone());
            open += 1;
        }
        let own = self.place.take().and_then(|(at, ticket)| queues[at].leave(ticket));
        drop((queues, own));
        exchange.iter().for_each(|post| post.waker().wake());
        self.letter = None;
        Poll::Ready(if open > 0 { Ok(()) } else { Err(SendError::Stopped) })
    }

    /// Leaves `waker` where there is no room. The one that it replaces is to be dropped without the
    /// lock.
    fn wait_at(
        &mut self,
        shard: usize,
        queue: &mut Queue,
        waker: Option<&task::Waker>,
    ) -> Option<task::Waker> {
        let before = self.place.filter(|&(at, _)| at == shard).map(|(_, ticket)| ticket);
        let (ticket, old) = queue.wait(before, waker?);
        self.place = Some((shard, ticket));
        old
    }
}

impl Future for Posting {
    type Output = Result<(), SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.attempt(Some(context.waker()))
    }
}

impl Drop for Posting {
    fn drop(&mut self) {
        if let Some((shard, ticket)) = self.place {
            self.exchange[shard].withdraw(ticket);
        }
    }
}

struct Unpark(Thread);

impl task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    static IS_SHARD: Cell<bool> = const { Cell::new(false) };
}

/// A shard's place in the exchange. When the shard is gone, its letter box is closed.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) exchange: Exchange,
    pub(crate) number: u16,
}

impl Inbox {
    pub(crate) fn post(&self) -> &Post {
        &self.exchange[usize::from(self.number)]
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.post().close();
    }
}

/// From now on nothing on this thread waits for room: it is the thread of a shard.
pub(crate) fn enter_shard() {
    IS_SHARD.set(true);
}

#[cfg(test)]
mod tests {
    use super::*;
    use halfopen_driver::Waker;
    use halfopen_proto::Message;
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// The boxes of shards with room for one letter each, which nobody empties.
    fn exchange(shards: usize) -> Exchange {
        with_room_for(1, shards)
    }

    fn with_room_for(letters: usize, shards: usize) -> Exchange {
        (0..shards).map(|_| Post::new(Waker::new().unwrap().0, letters, 1 << 20)).collect()
    }

    fn collect(post: &Post) -> usize {
        collect_some(post, 10)
    }

    fn collect_some(post: &Post, most: usize) -> usize {
        let mut letters = VecDeque::new();
        post.collect(&mut letters, most);
        letters.len()
    }

    #[derive(Default)]
    struct Alarm(AtomicU32);

    impl task::Wake for Alarm {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_pending(posting: &mut Posting, alarm: &Arc<Alarm>) -> bool {
        let waker = task::Waker::from(alarm.clone());
        posting.attempt(Some(&waker)).is_pending()
    }

    fn rung(alarm: &Alarm) -> u32 {
        alarm.0.load(Ordering::Relaxed)
    }

    fn peer(shard: u16) -> PeerId {
        PeerId { shard, conn: halfopen_driver::ConnId { index: 0, generation: 1 } }
    }

    const HELLO: Message<'_> = Message::Text("hello");

    #[test]
    fn a_publish_waits_until_every_shard_has_room_and_then_goes_to_all() {
        let exchange = exchange(3);
        let mailbox = Mailbox(exchange.clone());
        mailbox.send(peer(1), HELLO).now().unwrap();
        assert_eq!(mailbox.publish("a", HELLO).now(), Err(SendError::Full));
        assert_eq!(collect(&exchange[0]) + collect(&exchange[2]), 0, "nobody has it");

        let (mut posting, alarm) = (mailbox.publish("a", HELLO), Arc::default());
        assert!(is_pending(&mut posting, &alarm));
        assert_eq!((collect(&exchange[1]), rung(&alarm)), (1, 1));
        assert!(!is_pending(&mut posting, &alarm));
        assert_eq!(exchange.iter().map(collect).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn who_goes_to_wait_elsewhere_leaves_the_room_to_the_next() {
        let exchange = with_room_for(2, 2);
        let mailbox = Mailbox(exchange.clone());
        for shard in [0, 0, 1] {
            mailbox.send(peer(shard), HELLO).now().unwrap();
        }
        let (mut publish, mut send) = (mailbox.publish("a", HELLO), mailbox.send(peer(0), HELLO));
        let (first, second) = (Arc::default(), Arc::default());
        assert!(is_pending(&mut publish, &first) && is_pending(&mut send, &second));
        mailbox.send(peer(1), HELLO).now().unwrap();
        assert_eq!((collect_some(&exchange[0], 1), rung(&first), rung(&second)), (1, 1, 0));
        assert!(is_pending(&mut publish, &first), "now the other is full");
        assert_eq!(rung(&second), 1);
        assert!(!is_pending(&mut send, &second));
    }

    #[test]
    fn who_was_woken_and_gives_up_wakes_the_next() {
        let exchange = with_room_for(2, 1);
        let mailbox = Mailbox(exchange.clone());
        let send = || mailbox.send(peer(0), HELLO);
        send().now().unwrap();
        send().now().unwrap();
        let alarms = [(); 3].map(|()| Arc::default());
        let [mut first, mut second, mut third] = [send(), send(), send()];
        assert!(is_pending(&mut first, &alarms[0]));
        assert!(is_pending(&mut second, &alarms[1]));
        assert!(is_pending(&mut third, &alarms[2]));
        drop(second);
        let rung = || alarms.each_ref().map(|alarm| rung(alarm));
        assert_eq!((collect_some(&exchange[0], 1), rung()), (1, [1, 0, 0]), "one letter is left");
        drop(first);
        assert_eq!(rung(), [1, 0, 1]);
        assert!(!is_pending(&mut third, &alarms[2]));
        assert!(!is_pending(&mut third, &alarms[2]), "it is done once");
        assert_eq!(collect(&exchange[0]), 2);
    }

    #[test]
    fn who_is_woken_and_does_nothing_about_it_holds_nobody_up_before_an_empty_box() {
        let exchange = exchange(1);
        let mailbox = Mailbox(exchange.clone());
        mailbox.send(peer(0), HELLO).now().unwrap();
        let (mut kept_aside, mut send) =
            (mailbox.send(peer(0), HELLO), mailbox.send(peer(0), HELLO));
        let (first, second) = (Arc::default(), Arc::default());
        assert!(is_pending(&mut kept_aside, &first) && is_pending(&mut send, &second));
        assert_eq!((collect(&exchange[0]), rung(&first), rung(&second)), (1, 1, 1));
        assert!(!is_pending(&mut send, &second));
    }

    #[test]
    fn shards_that_have_ended_hold_no_publish_up() {
        let exchange = exchange(2);
        let mailbox = Mailbox(exchange.clone());
        exchange[0].close();
        mailbox.publish("a", HELLO).now().unwrap();
        assert_eq!(collect(&exchange[1]), 1);
        assert_eq!(mailbox.send(peer(0), HELLO).now(), Err(SendError::Stopped));
        exchange[1].close();
        assert_eq!(mailbox.publish("a", HELLO).now(), Err(SendError::Stopped));
        assert_eq!(
            mailbox.send(peer(2), HELLO).now(),
            Err(SendError::Gone),
            "there is no such shard"
        );
    }

    #[test]
    fn it_goes_to_any_thread_and_any_task() {
        fn is_free<T: Clone + Send + Sync + 'static>(_: &T) {}
        fn is_task<T: Future<Output = Result<(), SendError>> + Send + Unpin + 'static>(_: &T) {}
        let mailbox = Mailbox(exchange(1));
        is_free(&mailbox);
        is_task(&mailbox.publish("a", HELLO));
    }

    #[test]
    fn a_shard_does_not_wait_for_itself() {
        let mailbox = Mailbox(exchange(1));
        thread::spawn(move || {
            enter_shard();
            mailbox.send(peer(0), HELLO).wait().unwrap();
            assert_eq!(mailbox.send(peer(0), HELLO).wait(), Err(SendError::Full));
        })
        .join()
        .unwrap();
    }
}
