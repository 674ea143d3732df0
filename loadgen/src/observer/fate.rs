//! What has become of each of the server's sockets: pure bookkeeping of what the kernel told.

use super::Sighting;
use super::diag::Cookie;
use halfopen_wheel::Instant;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

/// The fates of every socket that was mapped or is watched.
#[derive(Default)]
pub(super) struct Fates {
    fates: Vec<Fate>,
    by_cookie: HashMap<Cookie, usize>,
    by_ends: HashMap<Ends, usize>,
    watched: usize,
    detected: usize,
    reclaimed: usize,
}

/// A connection as the client sees it. The client's address alone would not do: one port of the
/// client may be connected to several addresses of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    client: (IpAddr, u16),
    server: (IpAddr, u16),
}

impl Ends {
    /// The same for an address and its v4-mapped form.
    pub(super) fn new(client: SocketAddr, server: SocketAddr) -> Self {
        let plain = |end: SocketAddr| (end.ip().to_canonical(), end.port());
        Self { client: plain(client), server: plain(server) }
    }
}

struct Fate {
    cookie: Option<Cookie>,
    victim: Option<(SocketAddr, SocketAddr)>,
    detected: Option<Instant>,
    reclaimed: Option<Instant>,
    doubtful: bool,
}

impl Fates {
    /// The server has this socket, in ESTABLISHED.
    pub(super) fn map(&mut self, ends: Ends, cookie: Cookie) {
        let index = self.index_of(ends);
        let fate = &mut self.fates[index];
        if fate.cookie.is_none() {
            fate.cookie = Some(cookie);
            self.by_cookie.insert(cookie, index);
        }
    }

    pub(super) fn mapped(&self) -> usize {
        self.by_cookie.len()
    }

    /// From now on the connection counts as a victim.
    pub(super) fn watch(&mut self, client: SocketAddr, server: SocketAddr) {
        let index = self.index_of(Ends::new(client, server));
        let fate = &mut self.fates[index];
        if fate.victim.replace((client, server)).is_none() {
            self.watched += 1;
            self.detected += usize::from(fate.detected.is_some());
            self.reclaimed += usize::from(fate.reclaimed.is_some());
        }
    }

    /// The socket has left ESTABLISHED.
    pub(super) fn left(&mut self, ends: Ends, at: Instant) {
        if let Some(&index) = self.by_ends.get(&ends) {
            self.detect(index, at);
        }
    }

    /// The socket was destroyed.
    pub(super) fn destroyed(&mut self, cookie: Cookie, at: Instant) {
        if let Some(&index) = self.by_cookie.get(&cookie) {
            self.reclaim(index, at);
        }
    }

    /// News were lost; `alive` are the sockets that a later dump still found. What is missing from
    /// it was destroyed in the gap, nobody knows when: the time stays a doubt. Only the first
    /// `known` can be missing, because the others were mapped while the dump ran.
    pub(super) fn survive(&mut self, alive: &HashSet<Cookie>, known: usize, at: Instant) {
        for index in 0..known {
            let fate = &mut self.fates[index];
            let missing = fate.cookie.is_some_and(|cookie| !alive.contains(&cookie));
            if missing && fate.reclaimed.is_none() {
                fate.doubtful = true;
                self.reclaim(index, at);
            }
        }
    }

    /// How many connections are known at all.
    pub(super) fn known(&self) -> usize {
        self.fates.len()
    }

    /// How many are watched, were detected, were reclaimed.
    pub(super) fn progress(&self) -> (usize, usize, usize) {
        (self.watched, self.detected, self.reclaimed)
    }

    /// What was seen of each victim.
    pub(super) fn sightings(&self) -> Vec<Sighting> {
        self.fates.iter().filter_map(Fate::sighting).collect()
    }

    fn index_of(&mut self, ends: Ends) -> usize {
        *self.by_ends.entry(ends).or_insert_with(|| {
            self.fates.push(Fate {
                cookie: None,
                victim: None,
                detected: None,
                reclaimed: None,
                doubtful: false,
            });
            self.fates.len() - 1
        })
    }

    fn detect(&mut self, index: usize, at: Instant) {
        let fate = &mut self.fates[index];
        if fate.detected.is_none() {
            fate.detected = Some(at);
            self.detected += usize::from(fate.victim.is_some());
        }
    }

    fn reclaim(&mut self, index: usize, at: Instant) {
        self.detect(index, at);
        let fate = &mut self.fates[index];
        if fate.reclaimed.is_none() {
            fate.reclaimed = Some(at);
            self.reclaimed += usize::from(fate.victim.is_some());
        }
    }
}

impl Fate {
    fn sighting(&self) -> Option<Sighting> {
        let (client, server) = self.victim?;
        Some(Sighting {
            client,
            server,
            detected: self.detected,
            reclaimed: self.reclaimed,
            doubtful: self.doubtful,
            observable: self.cookie.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "127.0.0.1:9001";
    const CLIENT: &str = "127.0.0.1:40000";

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    fn cookie(n: u8) -> Cookie {
        Cookie([n; 8])
    }

    fn ends(client: &str, server: &str) -> Ends {
        Ends::new(client.parse().unwrap(), server.parse().unwrap())
    }

    fn one_mapped() -> Fates {
        let mut fates = Fates::default();
        fates.map(ends(CLIENT, SERVER), cookie(1));
        fates
    }

    fn watch(fates: &mut Fates, client: &str, server: &str) {
        fates.watch(client.parse().unwrap(), server.parse().unwrap());
    }

    #[test]
    fn an_event_that_comes_before_the_victim_is_named_is_not_lost() {
        let mut fates = one_mapped();
        fates.destroyed(cookie(1), at(7));
        watch(&mut fates, CLIENT, SERVER);
        assert_eq!(fates.progress(), (1, 1, 1));
        assert_eq!(fates.sightings()[0].reclaimed, Some(at(7)));
    }

    #[test]
    fn a_victim_that_leaves_and_is_destroyed_later_has_two_moments() {
        let mut fates = one_mapped();
        watch(&mut fates, CLIENT, SERVER);
        fates.left(ends(CLIENT, SERVER), at(5));
        fates.left(ends(CLIENT, SERVER), at(6));
        assert_eq!(fates.progress(), (1, 1, 0));
        fates.destroyed(cookie(1), at(9));
        let seen = fates.sightings()[0];
        assert_eq!((seen.detected, seen.reclaimed), (Some(at(5)), Some(at(9))));
        assert!(seen.observable && !seen.doubtful);
    }

    #[test]
    fn one_client_port_may_serve_two_connections() {
        let mut fates = one_mapped();
        fates.map(ends(CLIENT, "127.0.0.2:9001"), cookie(2));
        watch(&mut fates, CLIENT, SERVER);
        fates.left(ends(CLIENT, "127.0.0.2:9001"), at(5));
        assert_eq!(fates.progress(), (1, 0, 0));
    }

    #[test]
    fn a_mapped_address_is_the_plain_one() {
        let mut fates = Fates::default();
        fates.map(ends("[::ffff:127.0.0.1]:40000", "[::ffff:127.0.0.1]:9001"), cookie(1));
        watch(&mut fates, CLIENT, SERVER);
        assert!(fates.sightings()[0].observable);
    }

    #[test]
    fn what_vanished_in_a_gap_is_reclaimed_with_a_doubt() {
        let mut fates = one_mapped();
        fates.map(ends("127.0.0.1:40001", SERVER), cookie(2));
        watch(&mut fates, CLIENT, SERVER);
        watch(&mut fates, "127.0.0.1:40001", SERVER);
        fates.survive(&HashSet::from([cookie(2)]), 2, at(8));
        assert_eq!(fates.progress(), (2, 1, 1));
        let doubts: Vec<_> = fates.sightings().iter().map(|seen| seen.doubtful).collect();
        assert_eq!(doubts, [true, false]);
    }

    #[test]
    fn a_victim_that_was_never_mapped_is_unobservable() {
        let mut fates = Fates::default();
        watch(&mut fates, CLIENT, SERVER);
        fates.survive(&HashSet::new(), 1, at(8));
        let seen = fates.sightings()[0];
        assert!(!seen.observable && seen.detected.is_none() && !seen.doubtful);
    }
}
