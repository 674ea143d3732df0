//! Who has subscribed to what in a shard, and the message that is on its way to all of them.
//!
//! A subscription stands in two lists, that of its topic and that of its connection, and each entry
//! knows its place in the other, so that all leave in constant time. A topic is there as long as it
//! has subscribers.
//!
//! One message at a time is carried to its subscribers, a few in each call, from the first to the
//! last; the served stand in front. Who leaves is replaced by the last of the served, and that one
//! by the last of all, so that nobody is passed over or served twice:
//!
//! ```text
//!   a b c│d e f   ── b leaves ──▶   a c│f d e
//! ```

use crate::Frame;
use slab::Slab;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The longest name of a topic, in bytes.
const NAME_MAX: usize = 256;

/// Why a connection could not subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// It has as many subscriptions as [`Config::subscriptions_max`](crate::Config) allows.
    #[error("the connection has too many subscriptions")]
    TooMany,
    /// The topic's name is longer than 256 bytes.
    #[error("the topic's name is too long")]
    NameTooLong,
    /// The connection is closing.
    #[error("the connection is closing")]
    Closing,
}

#[derive(Debug, Default)]
pub(crate) struct Topics {
    names: BTreeMap<Arc<str>, usize>,
    topics: Slab<Topic>,
    /// By the index of the connection; no longer than somebody's who has subscribed.
    subscriptions: Vec<Vec<Subscription>>,
    broadcast: Option<Broadcast>,
}

#[derive(Debug)]
struct Topic {
    name: Arc<str>,
    members: Vec<Member>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    /// Whose index.
    index: u32,
    /// The place among the subscriptions of the connection.
    place: u32,
    /// The number of the first letter that it gets.
    since: u64,
}

#[derive(Clone, Copy, Debug)]
struct Subscription {
    topic: usize,
    /// The place among the members of the topic.
    place: usize,
}

#[derive(Debug)]
struct Broadcast {
    topic: usize,
    number: u64,
    frame: Frame,
    /// How many members had their turn; they stand at the front.
    served: usize,
}

impl Topics {
    /// Subscribes the connection at `index` to what has the number `since` or a later one.
    pub(crate) fn subscribe(
        &mut self,
        index: u32,
        name: &str,
        since: u64,
        max: usize,
    ) -> Result<(), SubscribeError> {
        if name.len() > NAME_MAX {
            return Err(SubscribeError::NameTooLong);
        }
        if self.find(index, name).is_some() {
            return Ok(());
        }
        if self.of(index).len() >= max {
            return Err(SubscribeError::TooMany);
        }
        let topic = self.topic(name);
        let connection = index as usize;
        if self.subscriptions.len() <= connection {
            self.subscriptions.resize_with(connection + 1, Vec::new);
        }
        let own = &mut self.subscriptions[connection];
        let members = &mut self.topics[topic].members;
        let place = own.len() as u32;
        own.push(Subscription { topic, place: members.len() });
        members.push(Member { index, place, since });
        Ok(())
    }

    /// Whether the connection at `index` had subscribed.
    pub(crate) fn unsubscribe(&mut self, index: u32, name: &str) -> bool {
        let Some(place) = self.find(index, name) else { return false };
        self.leave(index, place);
        true
    }

    /// The connection at `index` is gone.
    pub(crate) fn forget(&mut self, index: u32) {
        while let Some(last) = self.of(index).len().checked_sub(1) {
            self.leave(index, last);
        }
        if let Some(own) = self.subscriptions.get_mut(index as usize) {
            *own = Vec::new();
        }
    }

    /// Begins to carry a letter to the members of a topic.
    pub(crate) fn publish(&mut self, name: &str, number: u64, frame: Frame) {
        if let Some(&topic) = self.names.get(name) {
            self.broadcast = Some(Broadcast { topic, number, frame, served: 0 });
        }
    }

    /// Whose turn it is, and what it gets; none when all had theirs.
    pub(crate) fn next(&mut self) -> Option<(u32, Frame)> {
        let Broadcast { topic, number, frame, served } = self.broadcast.as_mut()?;
        let members = &self.topics[*topic].members;
        while let Some(member) = members.get(*served) {
            *served += 1;
            if member.since <= *number {
                return Some((member.index, frame.clone()));
            }
        }
        self.broadcast = None;
        None
    }

    /// Whether a letter is on its way to the members of its topic.
    pub(crate) fn is_publishing(&self) -> bool {
        self.broadcast.is_some()
    }

    /// The subscriptions of the connection at `index`.
    fn of(&self, index: u32) -> &[Subscription] {
        self.subscriptions.get(index as usize).map_or(&[], Vec::as_slice)
    }

    /// The place of a topic among the subscriptions of the connection at `index`.
    fn find(&self, index: u32, name: &str) -> Option<usize> {
        let topic = *self.names.get(name)?;
        self.of(index).iter().position(|subscription| subscription.topic == topic)
    }

    /// The topic of that name, which is made if it is not there.
    fn topic(&mut self, name: &str) -> usize {
        if let Some(&topic) = self.names.get(name) {
            return topic;
        }
        let name: Arc<str> = name.into();
        let topic = self.topics.insert(Topic { name: name.clone(), members: Vec::new() });
        self.names.insert(name, topic);
        topic
    }

    /// Takes a subscription out of both lists.
    fn leave(&mut self, index: u32, place: usize) {
        let Subscription { topic, place: mut at } = self.subscriptions[index as usize][place];
        if let Some(broadcast) = self.broadcast.as_mut().filter(|b| b.topic == topic)
            && at < broadcast.served
        {
            broadcast.served -= 1;
            let last_served = broadcast.served;
            self.topics[topic].members.swap(at, last_served);
            self.note_place(topic, at);
            at = last_served;
        }
        self.topics[topic].members.swap_remove(at);
        self.note_place(topic, at);
        self.take_from_connection(index, place);
        self.drop_if_empty(topic);
    }

    /// Tells the connection of the member at `at` where that stands now.
    fn note_place(&mut self, topic: usize, at: usize) {
        if let Some(&Member { index, place, .. }) = self.topics[topic].members.get(at) {
            self.subscriptions[index as usize][place as usize].place = at;
        }
    }

    fn take_from_connection(&mut self, index: u32, place: usize) {
        let own = &mut self.subscriptions[index as usize];
        own.swap_remove(place);
        if let Some(&Subscription { topic, place: at }) = own.get(place) {
            self.topics[topic].members[at].place = place as u32;
        }
    }

    fn drop_if_empty(&mut self, topic: usize) {
        if !self.topics[topic].members.is_empty() {
            return;
        }
        let Topic { name, .. } = self.topics.remove(topic);
        self.names.remove(&name);
        self.broadcast.take_if(|broadcast| broadcast.topic == topic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;
    use halfopen_proto::Message;
    use std::collections::BTreeSet;

    fn frame() -> Frame {
        Frame::new(Message::Text("news"))
    }

    fn served(topics: &mut Topics) -> Vec<u32> {
        std::iter::from_fn(|| topics.next().map(|(index, _)| index)).collect()
    }

    #[test]
    fn what_was_published_before_a_subscription_does_not_come() {
        let mut topics = Topics::default();
        topics.subscribe(1, "a", 5, 8).unwrap();
        topics.publish("a", 4, frame());
        assert_eq!(served(&mut topics), [0; 0]);
        topics.publish("a", 5, frame());
        assert_eq!(served(&mut topics), [1]);
    }

    #[test]
    fn a_connection_has_no_more_subscriptions_than_it_may() {
        let mut topics = Topics::default();
        topics.subscribe(0, "a", 0, 2).unwrap();
        topics.subscribe(0, "b", 0, 2).unwrap();
        assert_eq!(topics.subscribe(0, "c", 0, 2), Err(SubscribeError::TooMany));
        assert_eq!(topics.subscribe(0, "b", 0, 2), Ok(()), "it has it already");
        let long = "x".repeat(NAME_MAX + 1);
        assert_eq!(topics.subscribe(1, &long, 0, 2), Err(SubscribeError::NameTooLong));
        assert!(topics.unsubscribe(0, "a") && !topics.unsubscribe(0, "a"));
        topics.subscribe(0, "c", 0, 2).unwrap();
    }

    #[test]
    fn a_topic_is_gone_with_its_last_subscriber() {
        let mut topics = Topics::default();
        topics.subscribe(3, "a", 0, 2).unwrap();
        topics.publish("a", 0, frame());
        topics.forget(3);
        assert_eq!((served(&mut topics).len(), topics.names.len(), topics.topics.len()), (0, 0, 0));
    }

    /// Each who stays subscribed during a broadcast gets it once, whoever comes and goes meanwhile.
    #[test]
    fn nobody_is_passed_over_or_served_twice_while_others_come_and_go() {
        for seed in 0..300 {
            let mut rng = Rng::with_seed(seed);
            let mut topics = Topics::default();
            let mut model: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
            for number in 0..30 {
                let name = ["a", "b", "c"][rng.usize(0..3)];
                topics.publish(name, number, frame());
                let mut owed = model.get(name).cloned().unwrap_or_default();
                loop {
                    for _ in 0..rng.u32(0..3) {
                        let (index, other) = (rng.u32(0..12), ["a", "b", "c"][rng.usize(0..3)]);
                        let members = model.entry(other.to_owned()).or_default();
                        if rng.bool() {
                            topics.subscribe(index, other, number + 1, 3).unwrap();
                            members.insert(index);
                        } else {
                            assert_eq!(topics.unsubscribe(index, other), members.remove(&index));
                            if other == name {
                                owed.remove(&index);
                            }
                        }
                    }
                    if rng.u32(0..20) == 0 {
                        let gone = rng.u32(0..12);
                        topics.forget(gone);
                        owed.remove(&gone);
                        for members in model.values_mut() {
                            members.remove(&gone);
                        }
                    }
                    let Some((index, _)) = topics.next() else { break };
                    assert!(owed.remove(&index), "seed {seed}: {index} is not owed");
                }
                assert_eq!(owed, BTreeSet::new(), "seed {seed}");
            }
        }
    }
}
