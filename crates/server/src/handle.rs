use crate::mailbox::Exchange;
use crate::{Mailbox, Stats};
use halfopen_driver::Waker;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Commands that may wait at one time; a sender of more is held.
const MAILBOX_LEN: usize = 16;

/// What other threads ask of a shard.
#[derive(Debug)]
pub(crate) enum Command {
    Drain(Duration),
    Stop,
    Snapshot(SyncSender<Stats>),
}

/// Speaks to a shard from any thread. Without effect once the shard has stopped.
#[derive(Clone, Debug)]
pub struct ShardHandle {
    mailbox: SyncSender<Command>,
    waker: Waker,
    exchange: Exchange,
}

impl ShardHandle {
    pub(crate) fn new(waker: Waker, exchange: Exchange) -> (Self, Receiver<Command>) {
        let (mailbox, receiver) = sync_channel(MAILBOX_LEN);
        (Self { mailbox, waker, exchange }, receiver)
    }

    /// Sends to the connections and topics of all shards of the server.
    pub fn mailbox(&self) -> Mailbox {
        Mailbox::new(self.exchange.clone())
    }

    /// Takes no more connections, closes those that are open with 1001, spread over `window`, and
    /// stops when the last is gone.
    pub fn drain(&self, window: Duration) {
        self.command(Command::Drain(window));
    }

    /// Stops at once.
    pub fn stop(&self) {
        self.command(Command::Stop);
    }

    /// What the shard has done so far; none if it has stopped, or does not answer in `patience`.
    pub fn snapshot(&self, patience: Duration) -> Option<Stats> {
        let (answer, stats) = sync_channel(1);
        self.command(Command::Snapshot(answer));
        stats.recv_timeout(patience).ok()
    }

    /// Asks for what the shard has done so far, and does not wait: neither for the answer nor for
    /// a place in the mailbox.
    pub(crate) fn ask_stats(&self) -> Option<Receiver<Stats>> {
        let (answer, stats) = sync_channel(1);
        self.mailbox.try_send(Command::Snapshot(answer)).ok()?;
        self.waker.wake();
        Some(stats)
    }

    fn command(&self, command: Command) {
        // It fails only when the shard is gone.
        if self.mailbox.send(command).is_ok() {
            self.waker.wake();
        }
    }
}
