use crate::{End, Peer};
use halfopen_driver::ConnId;
use halfopen_proto::Message;
use halfopen_proto::handshake::{Rejection, Request};

/// What a server does with messages. Each shard has one of its own, on its own thread.
pub trait App {
    /// Somebody asks for a connection, in a request that is valid. Gives back which of the
    /// subprotocols that they offered is spoken, if any.
    ///
    /// # Errors
    /// The answer to those who get none: 401, 403 for a foreign Origin, 404, …
    fn on_request<'r>(&mut self, request: &Request<'r>) -> Result<Option<&'r str>, Rejection> {
        let _ = request;
        Ok(None)
    }

    /// A connection's opening handshake is done.
    fn on_open(&mut self, peer: &mut Peer<'_>) {
        let _ = peer;
    }

    /// A message came, whole.
    fn on_message(&mut self, peer: &mut Peer<'_>, message: Message<'_>);

    /// A connection of which [`on_open`](Self::on_open) was told is gone.
    fn on_close(&mut self, id: ConnId, end: End) {
        let _ = (id, end);
    }
}

/// Sends every message back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl App for Echo {
    fn on_message(&mut self, peer: &mut Peer<'_>, message: Message<'_>) {
        peer.send(message);
    }
}

/// Answers every message with the text `ok`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ack;

impl App for Ack {
    fn on_message(&mut self, peer: &mut Peer<'_>, _message: Message<'_>) {
        peer.send(Message::Text("ok"));
    }
}
