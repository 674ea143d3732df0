//! Outgoing connects: a socket, then bind and connect in one chain with a time limit.

use super::completion::Kind;
use super::driver::{Driver, News};
use crate::{Cause, Opening, Token, socket};
use halfopen_wheel::Instant;
use slab::Slab;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// The connects under way.
#[derive(Default)]
pub(super) struct Attempts {
    attempts: Slab<Attempt>,
    keys: HashMap<Token, u32>,
}

struct Attempt {
    token: Token,
    to: SocketAddr,
    from: Option<IpAddr>,
    deadline: Instant,
    /// Where its socket is, once there is one.
    slot: Option<u32>,
    cancelled: bool,
}

impl Attempts {
    pub(super) fn len(&self) -> u32 {
        self.attempts.len() as u32
    }

    fn insert(&mut self, attempt: Attempt) -> u32 {
        let token = attempt.token;
        let key = self.attempts.insert(attempt) as u32;
        assert!(self.keys.insert(token, key).is_none(), "a token names one connect");
        key
    }

    fn remove(&mut self, key: u32) -> Attempt {
        let attempt = self.attempts.remove(key as usize);
        self.keys.remove(&attempt.token);
        attempt
    }
}

impl Driver {
    pub(super) fn connect(
        &mut self,
        token: Token,
        to: SocketAddr,
        from: Option<IpAddr>,
        deadline: Instant,
    ) {
        if self.room() == 0 {
            self.news.push_back(News::Refused(token, Cause::NoDescriptors));
            return;
        }
        let attempt = Attempt { token, to, from, deadline, slot: None, cancelled: false };
        let key = self.attempts.insert(attempt);
        self.queue.socket(key, to);
    }

    pub(super) fn give_up(&mut self, token: Token) {
        let Some(&key) = self.attempts.keys.get(&token) else { return };
        let attempt = &mut self.attempts.attempts[key as usize];
        attempt.cancelled = true;
        if attempt.slot.is_some() {
            self.queue.cancel_all(Kind::Connect.at(key));
        }
    }

    pub(super) fn on_socket(&mut self, key: u32, result: i32) {
        let attempt = &mut self.attempts.attempts[key as usize];
        let Ok(slot) = u32::try_from(result) else {
            self.refuse(key, Cause::from_errno(-result));
            return;
        };
        attempt.slot = Some(slot);
        if attempt.cancelled {
            self.refuse(key, Cause::Cancelled);
            return;
        }
        let Attempt { to, from, deadline, .. } = *attempt;
        let Some(socket) = self.queue.by_hand(slot) else {
            return self.queue.connect(key, slot, to, from, deadline);
        };
        match socket::prepare_connect(socket, from) {
            Ok(()) => self.queue.connect(key, slot, to, None, deadline),
            Err(error) => self.refuse(key, socket::cause_of(&error)),
        }
    }

    pub(super) fn on_connect(&mut self, key: u32, result: i32, now: Instant) {
        let attempt = &self.attempts.attempts[key as usize];
        match (-result, attempt.slot) {
            (0, Some(slot)) => {
                let Attempt { token, to, .. } = self.attempts.remove(key);
                self.opened(slot, to.is_ipv6(), Opening::Connected(token), now);
            }
            // Only the time limit and a cancel end it so.
            (libc::ECANCELED, _) if attempt.cancelled => self.refuse(key, Cause::Cancelled),
            (libc::ECANCELED, _) => self.refuse(key, Cause::Deadline),
            (errno, _) => self.refuse(key, Cause::from_errno(errno)),
        }
    }

    fn refuse(&mut self, key: u32, cause: Cause) {
        let attempt = self.attempts.remove(key);
        if let Some(slot) = attempt.slot {
            self.queue.close_unheard(slot);
        }
        self.news.push_back(News::Refused(attempt.token, cause));
    }
}
