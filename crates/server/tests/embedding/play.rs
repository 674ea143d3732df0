//! An app that does what its peers tell it to.

use crate::world::{Seen, World};
use halfopen_server::{
    Accept, App, CloseCode, Config, Context, End, Handshake, Mailbox, Message, Peer, PeerId,
    Rejection, SendError, SubscribeError,
};
use std::time::Duration;

/// Obeys `join TOPIC`, `leave TOPIC`, `say TOPIC TEXT`, `flood TOPIC COUNT`, `timer NUMBER MILLIS`,
/// `untimer NUMBER`, `all-timer NUMBER MILLIS`, `tell TEXT` (to the peer before), `close`.
#[derive(Default)]
pub(crate) struct Obedient {
    pub(crate) mailbox: Option<Mailbox>,
    pub(crate) peers: Vec<PeerId>,
    pub(crate) published: Vec<Result<(), SendError>>,
    pub(crate) subscribed: Vec<Result<(), SubscribeError>>,
    /// Timers of the app, and when they fired, in milliseconds after the first.
    pub(crate) rang: Vec<u32>,
    pub(crate) ended: Vec<(usize, End)>,
    pub(crate) told_to_drain: Vec<Duration>,
}

impl App for Obedient {
    /// Which of the peers it is.
    type State = usize;

    fn on_start(&mut self, shard: &mut Context<'_>) {
        self.mailbox = Some(shard.mailbox());
    }

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<usize>, Rejection> {
        Ok(Accept::new(self.peers.len()))
    }

    fn on_open(&mut self, peer: &mut Peer<'_>, state: &mut usize) {
        assert_eq!(*state, self.peers.len());
        self.peers.push(peer.id());
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, state: &mut usize, message: Message<'_>) {
        let Message::Text(text) = message else { return };
        let mut words = text.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default();
        match word() {
            "join" => self.subscribed.push(peer.subscribe(word())),
            "leave" => drop(peer.unsubscribe(word())),
            "say" => {
                let (topic, text) = (word(), word());
                self.published.push(peer.publish(topic, Message::Text(text)));
            }
            "flood" => {
                let (topic, count) = (word(), word().parse().unwrap());
                for number in 0..count {
                    let text = number.to_string();
                    self.published.push(peer.publish(topic, Message::Text(&text)));
                }
            }
            "timer" => {
                let (number, after) = (word().parse().unwrap(), word().parse().unwrap());
                peer.set_timer(number, Duration::from_millis(after));
            }
            "untimer" => drop(peer.clear_timer(word().parse().unwrap())),
            "all-timer" => {
                let (number, after) = (word().parse().unwrap(), word().parse().unwrap());
                peer.shard().set_timer(number, Duration::from_millis(after));
            }
            "tell" => {
                let before = self.peers[*state - 1];
                let told = peer.shard().send(before, Message::Text(word()));
                self.published.push(told);
            }
            "close" => peer.close(CloseCode::NORMAL, "as you like"),
            other => panic!("nobody knows how to {other}"),
        }
    }

    fn on_peer_timer(&mut self, peer: &mut Peer<'_>, _state: &mut usize, timer: u8) {
        peer.send(Message::Text(&format!("timer {timer}")));
    }

    fn on_timer(&mut self, shard: &mut Context<'_>, timer: u32) {
        self.rang.push(timer);
        let text = format!("timer {timer}");
        self.published.push(shard.publish("timers", Message::Text(&text)));
    }

    fn on_drain(&mut self, shard: &mut Context<'_>, window: Duration) {
        self.told_to_drain.push(window);
        self.published.push(shard.publish("all", Message::Text("last orders")));
    }

    fn on_close(&mut self, _shard: &mut Context<'_>, id: PeerId, state: usize, end: End) {
        assert_eq!(self.peers[state], id);
        self.ended.push((state, end));
    }
}

pub(crate) type Stage = World<Obedient>;

pub(crate) fn stage(config: Config) -> Stage {
    World::new(config, Obedient::default())
}

impl Stage {
    /// A peer says something.
    pub(crate) fn say(&mut self, peer: usize, text: &str) {
        self.send(peer, Message::Text(text));
    }

    /// The texts that a peer has seen since it was last asked.
    pub(crate) fn texts(&mut self, peer: usize) -> Vec<String> {
        let text = |seen| if let Seen::Text(text) = seen { Some(text) } else { None };
        self.seen(peer).into_iter().filter_map(text).collect()
    }

    pub(crate) fn mailbox(&self) -> Mailbox {
        self.handle.mailbox()
    }

    pub(crate) fn id(&self, peer: usize) -> PeerId {
        self.shard.app().peers[peer]
    }
}
