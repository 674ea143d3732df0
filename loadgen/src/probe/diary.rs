//! What one connection of a probe has lived through, as the verdict reads it: no sockets, no clock.

use halfopen_wheel::Instant;
use std::time::Duration;

/// Pings noted of one connection. Whoever pings more often than that is known well enough.
const PINGS_MAX: usize = 1_000;

/// Unasked messages noted of one connection.
const MESSAGES_MAX: usize = 100;

/// What a connection is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Answers pings, and says nothing by itself.
    Idle,
    /// Answers so many pings, and then no further one, though it reads on.
    Mute {
        /// How many are answered.
        answers: u32,
    },
    /// Answers pings, and sends pings of its own.
    Pinger,
    /// Answers pings, and sends messages.
    Talker,
}

impl Role {
    /// The roles of eight connections, the most telling first; more connections begin anew.
    const CAST: [Self; 8] = [
        Self::Idle,
        Self::Mute { answers: 0 },
        Self::Pinger,
        Self::Talker,
        Self::Mute { answers: 1 },
        Self::Idle,
        Self::Mute { answers: 0 },
        Self::Idle,
    ];

    /// The role of the connection `number`. Where no message may be said, a talker is idle.
    pub fn of(number: u32, talks: bool) -> Self {
        match Self::CAST[number as usize % Self::CAST.len()] {
            Self::Talker if !talks => Self::Idle,
            role => role,
        }
    }

    /// Whether it says something by itself.
    pub fn speaks(self) -> bool {
        matches!(self, Self::Pinger | Self::Talker)
    }

    /// Whether it is there to fall silent.
    pub fn is_mute(self) -> bool {
        matches!(self, Self::Mute { .. })
    }
}

/// The diary of one connection.
#[derive(Clone, Debug)]
pub struct Diary {
    /// What it is there for.
    pub role: Role,
    /// When its handshake was done; none: it has not come so far.
    pub opened: Option<Instant>,
    /// The server's pings.
    pub pings: Vec<Ping>,
    /// How it speaks, if it has begun to.
    pub words: Option<Words>,
    /// Messages that came unasked: to somebody who says nothing.
    pub unasked: Vec<Instant>,
    /// How it ended, if the server (or the way to it) has ended it.
    pub end: Option<End>,
}

/// A ping of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// When it came.
    pub at: Instant,
    /// Whether it was answered.
    pub answered: bool,
}

/// How a connection speaks: one word each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// From one word to the next.
    pub period: Duration,
    /// Since when it has been so.
    pub since: Instant,
}

/// An end that came from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// When we heard of it.
    pub at: Instant,
    /// What we heard.
    pub how: How,
}

/// What is heard of an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// A Close frame.
    Close {
        /// Its code; 1005 if it had none.
        code: u16,
        /// Its reason.
        reason: String,
    },
    /// FIN without a Close frame.
    Fin,
    /// RST, or our kernel gave the peer up.
    Reset,
    /// The server broke the protocol.
    Violation(String),
}

impl How {
    /// In a word or two: `Close 1011`.
    pub fn name(&self) -> String {
        match self {
            Self::Close { code, .. } => format!("Close {code}"),
            Self::Fin => "FIN".into(),
            Self::Reset => "RST".into(),
            Self::Violation(_) => "a protocol error".into(),
        }
    }

    /// With the reason, if one was given.
    pub fn in_words(&self) -> String {
        match self {
            Self::Close { reason, .. } if !reason.is_empty() => {
                format!("{} \"{reason}\"", self.name())
            }
            Self::Violation(what) => format!("{}: {what}", self.name()),
            _ => self.name(),
        }
    }
}

impl Diary {
    /// An empty one.
    pub fn new(role: Role) -> Self {
        Self { role, opened: None, pings: Vec::new(), words: None, unasked: Vec::new(), end: None }
    }

    /// The server has pinged. Whether it is to be answered.
    pub fn pinged(&mut self, at: Instant) -> bool {
        let answered = match self.role {
            Role::Mute { answers } => self.pings.len() < answers as usize,
            _ => true,
        };
        if self.pings.len() < PINGS_MAX {
            self.pings.push(Ping { at, answered });
        }
        answered
    }

    /// A message has come.
    pub fn heard(&mut self, at: Instant) {
        if !self.role.speaks() && self.unasked.len() < MESSAGES_MAX {
            self.unasked.push(at);
        }
    }

    /// It speaks once each `period` from now on.
    pub fn speaks(&mut self, at: Instant, period: Duration) {
        self.words = Some(Words { period, since: at });
    }

    /// It was ended. Only the first news of it counts.
    pub fn ended(&mut self, at: Instant, how: How) {
        self.end.get_or_insert(End { at, how });
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.opened.is_some() && self.end.is_none()
    }

    /// How old it became, or is by `now`.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        let until = self.end.as_ref().map_or(now, |end| end.at);
        Some(until.saturating_since(self.opened?))
    }

    /// How old it was when it was ended.
    pub(super) fn age_at_end(&self) -> Option<Duration> {
        self.end.as_ref().and_then(|end| self.age(end.at))
    }

    /// When the first ping came that it did not answer.
    pub(super) fn first_unanswered(&self) -> Option<Instant> {
        self.pings.iter().find(|ping| !ping.answered).map(|ping| ping.at)
    }

    /// The times from pings that were answered to those that followed them.
    pub(super) fn intervals(&self) -> impl Iterator<Item = Duration> {
        let pairs = self.pings.windows(2).filter(|pair| pair[0].answered);
        pairs.map(|pair| pair[1].at.saturating_since(pair[0].at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mute_answers_as_often_as_it_should_and_then_never() {
        let at = |s: u64| Instant::from_nanos(s * 1_000_000_000);
        let mut diary = Diary::new(Role::Mute { answers: 1 });
        assert_eq!(
            [diary.pinged(at(1)), diary.pinged(at(2)), diary.pinged(at(3))],
            [true, false, false]
        );
        assert_eq!(diary.first_unanswered(), Some(at(2)));
        assert_eq!(diary.intervals().collect::<Vec<_>>(), [Duration::from_secs(1)]);
    }

    #[test]
    fn what_is_noted_is_bounded() {
        let mut diary = Diary::new(Role::Idle);
        for n in 0..10_000 {
            diary.pinged(Instant::from_nanos(n));
            diary.heard(Instant::from_nanos(n));
        }
        assert_eq!((diary.pings.len(), diary.unasked.len()), (PINGS_MAX, MESSAGES_MAX));
    }

    #[test]
    fn only_the_first_news_of_an_end_counts() {
        let mut diary = Diary::new(Role::Idle);
        diary.ended(Instant::from_nanos(1), How::Fin);
        diary.ended(Instant::from_nanos(2), How::Reset);
        assert_eq!(diary.end, Some(End { at: Instant::from_nanos(1), how: How::Fin }));
    }
}
