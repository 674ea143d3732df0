//! What has become of each of the server's sockets: pure bookkeeping of what the kernel told.

use super::Sighting;
use super::diag::Cookie;
use halfopen_wheel::Instant;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

/// The fates of the server's sockets. Of a million that are mapped a handful die, so a socket of
/// which nothing else is known is a row in two sorted lists, 64 bytes in all.
#[derive(Default)]
pub(super) struct Fates {
    /// The server's sockets, by their ends.
    mapped: Vec<(Ends, Cookie)>,
    /// The places of `mapped`, by their cookies.
    by_cookie: Vec<(Cookie, u32)>,
    /// What is known of some of them, and of victims that were not mapped.
    fates: HashMap<Ends, Fate>,
    /// In the order in which they were named.
    victims: Vec<Ends>,
    detected: usize,
    reclaimed: usize,
}

/// A connection as the client sees it. The client's address alone would not do: one port of the
/// client may be connected to several addresses of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

#[derive(Default)]
struct Fate {
    victim: Option<(SocketAddr, SocketAddr)>,
    detected: Option<Instant>,
    reclaimed: Option<Instant>,
    doubtful: bool,
}

impl Fates {
    /// The server has these sockets, in ESTABLISHED. One that was mapped before keeps its cookie.
    pub(super) fn map(&mut self, found: impl IntoIterator<Item = (Ends, Cookie)>) {
        self.mapped.extend(found);
        self.mapped.sort_by_key(|&(ends, _)| ends);
        self.mapped.dedup_by_key(|&mut (ends, _)| ends);
        let cookies = self.mapped.iter().zip(0..).map(|(&(_, cookie), place)| (cookie, place));
        self.by_cookie = cookies.collect();
        self.by_cookie.sort_unstable();
    }

    pub(super) fn mapped(&self) -> usize {
        self.mapped.len()
    }

    /// From now on the connection counts as a victim.
    pub(super) fn watch(&mut self, client: SocketAddr, server: SocketAddr) {
        let ends = Ends::new(client, server);
        let fate = self.fates.entry(ends).or_default();
        if fate.victim.replace((client, server)).is_none() {
            self.victims.push(ends);
            self.detected += usize::from(fate.detected.is_some());
            self.reclaimed += usize::from(fate.reclaimed.is_some());
        }
    }

    /// The socket has left ESTABLISHED.
    pub(super) fn left(&mut self, ends: Ends, at: Instant) {
        if self.fates.contains_key(&ends) || self.cookie_of(ends).is_some() {
            self.detect(ends, at);
        }
    }

    /// The socket was destroyed.
    pub(super) fn destroyed(&mut self, cookie: Cookie, at: Instant) {
        if let Ok(found) = self.by_cookie.binary_search_by_key(&cookie, |&(cookie, _)| cookie) {
            let (_, place) = self.by_cookie[found];
            self.reclaim(self.mapped[place as usize].0, at);
        }
    }

    /// News were lost; `alive` are the sockets that a later dump still found, begun when so many
    /// were `mapped`. What is missing from it was destroyed in the gap, nobody knows when: the time
    /// stays a doubt. False if others were mapped meanwhile, of which the dump says nothing.
    pub(super) fn survive(&mut self, alive: &HashSet<Cookie>, mapped: usize, at: Instant) -> bool {
        if mapped != self.mapped.len() {
            return false;
        }
        for place in 0..mapped {
            let (ends, cookie) = self.mapped[place];
            let known = || self.fates.get(&ends).is_some_and(|fate| fate.reclaimed.is_some());
            if !alive.contains(&cookie) && !known() {
                self.reclaim(ends, at);
                self.fates.entry(ends).or_default().doubtful = true;
            }
        }
        true
    }

    /// How many are watched, were detected, were reclaimed.
    pub(super) fn progress(&self) -> (usize, usize, usize) {
        (self.victims.len(), self.detected, self.reclaimed)
    }

    /// Whether nothing is left to be seen of the victims so far.
    pub(super) fn all_found(&self) -> bool {
        let (watched, detected, reclaimed) = self.progress();
        detected == watched && reclaimed == watched
    }

    /// What was seen of each victim.
    pub(super) fn sightings(&self) -> Vec<Sighting> {
        let seen = |ends: &Ends| self.fates[ends].sighting(self.cookie_of(*ends).is_some());
        self.victims.iter().filter_map(seen).collect()
    }

    fn cookie_of(&self, ends: Ends) -> Option<Cookie> {
        let found = self.mapped.binary_search_by_key(&ends, |&(ends, _)| ends).ok()?;
        Some(self.mapped[found].1)
    }

    fn detect(&mut self, ends: Ends, at: Instant) {
        let fate = self.fates.entry(ends).or_default();
        if fate.detected.is_none() {
            fate.detected = Some(at);
            self.detected += usize::from(fate.victim.is_some());
        }
    }

    fn reclaim(&mut self, ends: Ends, at: Instant) {
        self.detect(ends, at);
        let fate = self.fates.entry(ends).or_default();
        if fate.reclaimed.is_none() {
            fate.reclaimed = Some(at);
            self.reclaimed += usize::from(fate.victim.is_some());
        }
    }
}

impl Fate {
    fn sighting(&self, observable: bool) -> Option<Sighting> {
        let (client, server) = self.victim?;
        Some(Sighting {
            client,
            server,
            detected: self.detected,
            reclaimed: self.reclaimed,
            doubtful: self.doubtful,
            observable,
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
        fates.map([(ends(CLIENT, SERVER), cookie(1))]);
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
        fates.map([(ends(CLIENT, "127.0.0.2:9001"), cookie(2))]);
        watch(&mut fates, CLIENT, SERVER);
        fates.left(ends(CLIENT, "127.0.0.2:9001"), at(5));
        assert_eq!(fates.progress(), (1, 0, 0));
    }

    #[test]
    fn a_mapped_address_is_the_plain_one() {
        let mut fates = Fates::default();
        fates.map([(ends("[::ffff:127.0.0.1]:40000", "[::ffff:127.0.0.1]:9001"), cookie(1))]);
        watch(&mut fates, CLIENT, SERVER);
        assert!(fates.sightings()[0].observable);
    }

    #[test]
    fn what_vanished_in_a_gap_is_reclaimed_with_a_doubt() {
        let mut fates = one_mapped();
        fates.map([(ends("127.0.0.1:40001", SERVER), cookie(2))]);
        watch(&mut fates, CLIENT, SERVER);
        watch(&mut fates, "127.0.0.1:40001", SERVER);
        assert!(!fates.survive(&HashSet::new(), 1, at(7)), "the second was mapped later");
        assert_eq!(fates.progress(), (2, 0, 0));
        assert!(fates.survive(&HashSet::from([cookie(2)]), 2, at(8)));
        assert_eq!(fates.progress(), (2, 1, 1));
        let doubts: Vec<_> = fates.sightings().iter().map(|seen| seen.doubtful).collect();
        assert_eq!(doubts, [true, false]);
    }

    #[test]
    fn a_socket_that_is_mapped_again_keeps_its_first_cookie() {
        let mut fates = one_mapped();
        fates.map([(ends(CLIENT, SERVER), cookie(2))]);
        watch(&mut fates, CLIENT, SERVER);
        fates.destroyed(cookie(2), at(6));
        assert_eq!((fates.mapped(), fates.progress()), (1, (1, 0, 0)));
        fates.destroyed(cookie(1), at(7));
        assert_eq!(fates.progress(), (1, 1, 1));
    }

    #[test]
    fn a_victim_that_was_never_mapped_is_unobservable() {
        let mut fates = Fates::default();
        watch(&mut fates, CLIENT, SERVER);
        assert!(fates.survive(&HashSet::new(), 0, at(8)));
        let seen = fates.sightings()[0];
        assert!(!seen.observable && seen.detected.is_none() && !seen.doubtful);
    }
}
