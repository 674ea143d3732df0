//! What the engine is to be told, in its order.
//!
//! A send that the kernel takes at once is told like everything else, in its turn; only where the
//! same connection hands over bytes before that, they may be the answer to it, and it is told first.

use crate::{Cause, Chunk, ConnId, Ends, Opening, Token};
use halfopen_wheel::Instant;
use std::collections::VecDeque;

/// What the engine is to be told: [`Event`](crate::Event), but for bytes.
#[derive(Debug)]
pub(super) enum News {
    Started,
    Opened(ConnId, Opening),
    Refused(Token, Cause),
    Sent(ConnId, Chunk, Instant),
    Probed(ConnId, u32),
    Located(ConnId, Option<Ends>),
    Closed(ConnId),
    Woken,
    /// It was told before its turn.
    Told,
}

/// The news that wait, each with a number by which it is found again.
#[derive(Default)]
pub(super) struct Waiting {
    queue: VecDeque<News>,
    /// The number of the first.
    first: u64,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn push(&mut self, news: News) {
        self.queue.push_back(news);
    }

    /// The number of what is pushed next.
    pub(super) fn next_number(&self) -> u64 {
        self.first + self.queue.len() as u64
    }

    pub(super) fn pop(&mut self) -> Option<News> {
        let news = self.queue.pop_front()?;
        self.first += 1;
        Some(news)
    }

    /// Takes the send of `id` with that number out, if it waits still.
    pub(super) fn take_sent(&mut self, id: ConnId, number: u64) -> Option<(Chunk, Instant)> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let news = self.queue.get_mut(place)?;
        if !matches!(news, News::Sent(of, ..) if *of == id) {
            return None;
        }
        let News::Sent(_, chunk, at) = std::mem::replace(news, News::Told) else { return None };
        Some((chunk, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_send_is_taken_out_of_its_turn_once_and_only_while_it_waits() {
        let id = |index| ConnId { index, generation: 1 };
        let sent = |index| News::Sent(id(index), Chunk::Shared(Bytes::new()), Instant::FAR);
        let mut news = Waiting::default();
        news.push(News::Started);
        for index in [1, 2] {
            assert_eq!(news.next_number(), index);
            news.push(sent(index as u32));
        }
        assert!(matches!(news.pop(), Some(News::Started)));
        assert!(news.take_sent(id(2), 1).is_none() && news.take_sent(id(2), 0).is_none());
        assert!(news.take_sent(id(2), 2).is_some());
        assert!(news.take_sent(id(2), 2).is_none());
        assert!(matches!(news.pop(), Some(News::Sent(of, ..)) if of == id(1)));
        assert!(matches!(news.pop(), Some(News::Told)));
        assert!(news.pop().is_none() && news.take_sent(id(1), 1).is_none());
        assert_eq!(news.next_number(), 3);
    }
}
