//! What connections say in text beside their messages: the hello, answers to the server's heartbeat
//! in text, and the beat. What is owed is a bit in the connection; the texts are the plan's.

use super::Swarm;
use bytes::BytesMut;
use halfopen_driver::Op;
use halfopen_proto::Message;
use halfopen_wheel::Instant;

/// What a connection is to say with its next flush: a bit for each reply from the lowest on, and
/// one each for hello and beat. Of several pings at once the newest is answered, as with pongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owed(u16);

impl Owed {
    pub(super) const NOTHING: Self = Self(0);
    const HELLO: Self = Self(1 << 14);
    const BEAT: Self = Self(1 << 15);

    fn reply(nth: usize) -> Self {
        Self(1 << nth)
    }

    fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Swarm {
    /// The connection has just opened.
    pub(super) fn owe_hello(&mut self, index: usize) {
        if self.plan.script.hello.is_some() {
            self.conns[index].owed.add(Owed::HELLO);
        }
    }

    /// Its beat is due.
    pub(super) fn beat(&mut self, now: Instant, index: usize, ops: &mut Vec<Op>) {
        self.conns[index].owed.add(Owed::BEAT);
        self.flush(now, index, ops);
    }

    /// Whether a text is the server's heartbeat: it counts as its ping, and the answer is owed now.
    pub(super) fn is_text_ping(&mut self, now: Instant, index: usize, text: &str) -> bool {
        let Some(nth) = self.plan.script.reply_to(text) else { return false };
        self.take_ping(now, index);
        self.conns[index].owed.add(Owed::reply(nth));
        true
    }

    /// Says what is owed, unless a message goes in fragments: nothing may come between them but
    /// control frames (RFC 6455 §5.4).
    pub(super) fn say_owed(&mut self, index: usize, out: &mut BytesMut) {
        let owed = self.conns[index].owed;
        if owed == Owed::NOTHING || self.output.is_in_fragments(index) {
            return;
        }
        self.conns[index].owed = Owed::NOTHING;
        let plan = self.plan.clone();
        if let Some(hello) = plan.script.hello.as_ref().filter(|_| owed.has(Owed::HELLO)) {
            self.say_text(index, hello, out);
            self.ledger.tally.hellos_sent += 1;
        }
        for (nth, reply) in plan.script.replies.iter().enumerate() {
            if owed.has(Owed::reply(nth)) {
                self.say_text(index, &reply.answer, out);
                self.answered(index);
                self.ledger.tally.replies_sent += 1;
            }
        }
        if let Some(beat) = plan.script.beat.as_ref().filter(|_| owed.has(Owed::BEAT)) {
            self.say_text(index, &beat.text, out);
            self.ledger.tally.beats_sent += 1;
        }
    }

    fn say_text(&mut self, index: usize, text: &str, out: &mut BytesMut) {
        let key = self.rng.u32(..).to_ne_bytes();
        let conn = &mut self.conns[index];
        let text = crate::plan::numbered(text, conn.number);
        conn.ws.encode(Message::Text(&text), key, out);
    }
}
