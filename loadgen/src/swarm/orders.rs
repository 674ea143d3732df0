//! What a swarm is told from outside while it runs.

use halfopen_driver::Waker;
use halfopen_wheel::Instant;
use std::sync::{Arc, Mutex};

/// An order to one swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Begin to send messages at the plan's rate.
    Traffic {
        /// When the first is due.
        from: Instant,
    },
    /// Choose who will die, and find out their addresses.
    Choose,
    /// Let those die.
    Kill {
        /// When the first is due.
        from: Instant,
    },
    /// Send no more messages.
    Hush,
    /// Say goodbye, end every connection, and stop.
    Leave,
}

/// The mailbox of one swarm. It holds no more than a run has orders: a handful.
#[derive(Debug)]
pub struct Orders {
    mail: Mutex<Vec<Order>>,
    waker: Waker,
}

impl Orders {
    /// An empty mailbox of the swarm that `waker` wakes.
    pub fn new(waker: Waker) -> Arc<Self> {
        Arc::new(Self { mail: Mutex::default(), waker })
    }

    /// Gives an order.
    pub fn send(&self, order: Order) {
        self.mail.lock().expect("nobody panics with it").push(order);
        self.waker.wake();
    }

    /// All orders since the last call.
    pub(super) fn take(&self) -> Vec<Order> {
        std::mem::take(&mut *self.mail.lock().expect("nobody panics with it"))
    }
}
