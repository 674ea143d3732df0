//! A shard while something happens in it.

use crate::mailbox::Posting;
use crate::peer::Shared;
use crate::post::{Letter, Post};
use crate::timers::Timer;
use crate::{CloseCode, Frame, Mailbox, PeerId, SendError};
use halfopen_wheel::Instant;
use std::time::Duration;

/// A shard, lent to its [`App`](crate::App) for the time of one call.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) shared: &'a mut Shared,
}

impl Context<'_> {
    /// The number of the shard, from zero.
    pub fn number(&self) -> usize {
        self.shared.inbox.number.into()
    }

    /// The present, by the driver's clock: what happens together has the same.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// What sends to the connections and topics of all shards, for other threads and tasks to have.
    pub fn mailbox(&self) -> Mailbox {
        Mailbox::new(self.shared.inbox.exchange.clone())
    }

    /// Sends a message to any connection of the server, after this call.
    ///
    /// # Errors
    /// The connection is gone, or its shard has no room for a letter.
    pub fn send(&self, to: PeerId, message: impl Into<Frame>) -> Result<(), SendError> {
        self.post(to, Letter::Send { to: to.conn, frame: message.into() })
    }

    /// Begins the closing handshake of any connection of the server, after this call.
    ///
    /// # Errors
    /// The connection is gone, or its shard has no room for a letter.
    pub fn close(&self, to: PeerId, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.post(to, Letter::Close { to: to.conn, code, reason: reason.into() })
    }

    /// Sends a message to all subscribers of a topic on all shards, after this call. See
    /// [`Mailbox::publish`].
    ///
    /// # Errors
    /// [`SendError::Full`] if a shard has no room for it; then nobody gets it.
    pub fn publish(&self, topic: &str, message: impl Into<Frame>) -> Result<(), SendError> {
        let letter = Letter::Publish { topic: topic.into(), frame: message.into() };
        Posting::to_all(&self.shared.inbox.exchange, letter).now()
    }

    /// Has [`App::on_timer`](crate::App::on_timer) called with this number once, `after` from now or
    /// up to a tick later; not any more when it was set to before.
    pub fn set_timer(&mut self, timer: u32, after: Duration) {
        self.shared.timers.set(self.now, Timer::App(timer), self.now + after);
    }

    /// Takes a timer back; whether it was set.
    pub fn clear_timer(&mut self, timer: u32) -> bool {
        self.shared.timers.clear(Timer::App(timer))
    }

    fn post(&self, to: PeerId, letter: Letter) -> Result<(), SendError> {
        let exchange = &self.shared.inbox.exchange;
        exchange.get(to.shard()).into_iter().for_each(Post::want_roll);
        Posting::to(exchange, to, letter).now()
    }
}
