use crate::{Accept, Answer, Context, End, Handshake, Peer, PeerId, PlainRequest};
use halfopen_proto::Message;
use halfopen_proto::handshake::Rejection;
use std::time::Duration;

/// What a server does with messages. Each shard has one of its own, on its own thread.
///
/// All calls come on that thread, one after the other, between the events of its connections: an app
/// that blocks or computes for long holds up all connections of its shard, their heartbeats too.
/// What takes long belongs on another thread, which answers through a [`Mailbox`](crate::Mailbox).
pub trait App {
    /// What the app keeps of each connection, from its opening handshake on. `()` costs nothing.
    type State;

    /// Whether [`on_request`](Self::on_request) is to know where the peer comes from. The kernel has
    /// to be asked for it, which costs some system calls a handshake (about 2 µs beside some 15 for
    /// the connection itself), so only those pay who want it.
    const WANTS_PEER_ADDR: bool = false;

    /// The shard begins; the first call.
    fn on_start(&mut self, shard: &mut Context<'_>) {
        let _ = shard;
    }

    /// Somebody asks for a connection, in a request that is valid. This is the place to look at the
    /// Origin ([`check_origin`](crate::Request::check_origin)), at cookies and the path.
    ///
    /// # Errors
    /// The answer to those who get none: 401, 403 for a foreign Origin, 404, …
    fn on_request(&mut self, request: &Handshake<'_>) -> Result<Accept<Self::State>, Rejection>;

    /// Somebody asks for a page and not for a connection: what is answered, after which the
    /// connection is closed; however long it is, it is not cut while it is read. By default they get
    /// 426 and a line of help.
    fn on_http(&mut self, request: &PlainRequest<'_>) -> Option<Answer> {
        let _ = request;
        None
    }

    /// A connection's opening handshake is done.
    fn on_open(&mut self, peer: &mut Peer<'_>, state: &mut Self::State) {
        let _ = (peer, state);
    }

    /// A message came, whole.
    fn on_message(&mut self, peer: &mut Peer<'_>, state: &mut Self::State, message: Message<'_>);

    /// A timer fires that [`Peer::set_timer`] has set.
    fn on_peer_timer(&mut self, peer: &mut Peer<'_>, state: &mut Self::State, timer: u8) {
        let _ = (peer, state, timer);
    }

    /// A timer fires that [`Context::set_timer`] has set.
    fn on_timer(&mut self, shard: &mut Context<'_>, timer: u32) {
        let _ = (shard, timer);
    }

    /// The shard is to end: within `window` its connections are closed with 1001, one by one. What
    /// they are to hear before that is published or sent now.
    fn on_drain(&mut self, shard: &mut Context<'_>, window: Duration) {
        let _ = (shard, window);
    }

    /// A connection of which [`on_open`](Self::on_open) was told is gone. Of those that are open when
    /// the server stops nothing is told; their states are dropped.
    fn on_close(&mut self, shard: &mut Context<'_>, id: PeerId, state: Self::State, end: End) {
        let _ = (shard, id, state, end);
    }
}

/// Sends every message back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl App for Echo {
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, _state: &mut (), message: Message<'_>) {
        peer.send(message);
    }
}

/// Answers every message with the text `ok`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ack;

impl App for Ack {
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, _state: &mut (), _message: Message<'_>) {
        peer.send(Message::Text("ok"));
    }
}
