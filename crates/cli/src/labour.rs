//! An app that works for its answers.

use halfopen_server::{Accept, App, Handshake, Message, Peer, Rejection};
use std::time::{Duration, Instant};

/// Keeps the core busy for a while before each message is answered, as a real app does.
pub(crate) struct Labour<A> {
    /// Who answers.
    pub app: A,
    /// For how long.
    pub work: Duration,
}

impl<A: App> App for Labour<A> {
    type State = A::State;

    fn on_request(&mut self, request: &Handshake<'_>) -> Result<Accept<A::State>, Rejection> {
        self.app.on_request(request)
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, state: &mut A::State, message: Message<'_>) {
        let begun = Instant::now();
        while begun.elapsed() < self.work {
            std::hint::spin_loop();
        }
        self.app.on_message(peer, state, message);
    }
}
