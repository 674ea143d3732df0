//! How soon the dead were found: joins the victims with what was seen of their sockets.

use super::input::Input;
use super::prediction::Prediction;
use super::schema::{DeathBlock, ObserverKind, OutcomesBlock, PredictedBlock, RevivalBlock};
use crate::death::Death;
use crate::observer::Sighting;
use crate::pacing::Rate;
use crate::plan::ServerPing;
use crate::record::{SLACK, Sight, Victim};
use crate::stats::{Ks, MS, Summary};
use halfopen_wheel::Instant;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What became of those who died in one way. Times are in milliseconds.
#[derive(Debug)]
pub(super) struct Deaths<'a> {
    death: Death,
    outcomes: Vec<Outcome<'a>>,
}

#[derive(Debug)]
struct Outcome<'a> {
    victim: &'a Victim,
    detected: Option<Instant>,
    reclaimed: Option<Instant>,
    observable: bool,
    fate: Fate,
}

/// What became of one that lives on, or came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The server still had it.
    Survived,
    /// It was told by RST that the server had given it up.
    Reset,
    /// It was told by a Close frame or by FIN.
    Closed,
    /// Nothing was heard.
    Unknown,
}

impl Fate {
    fn of(victim: &Victim) -> Self {
        let answered = victim.back.is_some_and(|back| back.alive.is_some());
        match victim.sight {
            Some(Sight::Reset) => Self::Reset,
            Some(Sight::Closed(_) | Sight::Fin) => Self::Closed,
            None if answered || victim.death == Death::Slow => Self::Survived,
            None => Self::Unknown,
        }
    }
}

/// Every way in which somebody died, and how many were gone before they could: the server had let
/// go of them, and its word never reached the client. Those did not die, they were lost.
pub(super) fn by_kind<'a>(input: &Input<'a>) -> (Vec<Deaths<'a>>, u64) {
    let sightings: HashMap<_, _> = input
        .observed
        .sightings
        .iter()
        .map(|seen| (ends(seen.client, seen.server), seen))
        .collect();
    let mut kinds: BTreeMap<Death, Vec<Outcome<'a>>> = BTreeMap::new();
    let mut gone_before = 0;
    for victim in &input.tally.victims {
        let seen = sightings.get(&ends(victim.local, victim.peer)).copied();
        let outcome = Outcome::of(victim, seen, input.observed.by);
        if outcome.was_gone_before() {
            gone_before += 1;
        } else {
            kinds.entry(victim.death).or_default().push(outcome);
        }
    }
    let kinds = kinds.into_iter().map(|(death, outcomes)| Deaths { death, outcomes });
    (kinds.collect(), gone_before)
}

/// The same for an address and its v4-mapped form.
fn ends(client: SocketAddr, server: SocketAddr) -> [(IpAddr, u16); 2] {
    [client, server].map(|end| (end.ip().to_canonical(), end.port()))
}

impl<'a> Outcome<'a> {
    fn of(victim: &'a Victim, seen: Option<&Sighting>, by: Option<ObserverKind>) -> Self {
        let detected = seen.and_then(|seen| seen.detected);
        // A client that is deaf or gone is not told of its own end.
        let reads = matches!(victim.death, Death::Freeze | Death::Mute | Death::Slow);
        let fate = Fate::of(victim);
        let client_can_tell = reads || (victim.back.is_some() && fate != Fate::Unknown);
        // Who comes back hears of an end that was some time ago.
        let saw = victim.client_saw.filter(|_| victim.back.is_none());
        let observable = match by {
            Some(ObserverKind::SockDiag) => seen.is_some_and(|seen| seen.observable),
            Some(ObserverKind::Client) | None => client_can_tell,
        };
        Self {
            victim,
            detected: [detected, saw].into_iter().flatten().min(),
            reclaimed: seen.and_then(|seen| seen.reclaimed),
            observable,
            fate,
        }
    }

    /// The server had given it up when it came back, and nobody saw when that was.
    fn was_found_meanwhile(&self) -> bool {
        let answered = self.victim.back.is_none_or(|back| back.alive.is_some());
        self.detected.is_none() && !answered && matches!(self.fate, Fate::Reset | Fate::Closed)
    }

    /// A death that we announce ourselves may be seen before the clock is read again.
    fn was_gone_before(&self) -> bool {
        self.victim.death.is_silent() && self.detected.is_some_and(|at| at < self.victim.killed)
    }

    fn after_death(&self, at: Instant) -> Duration {
        at.saturating_since(self.victim.killed)
    }
}

impl Deaths<'_> {
    pub(super) fn death(&self) -> Death {
        self.death
    }

    /// From each death to its detection.
    pub(super) fn detections(&self) -> Vec<Duration> {
        self.each(|outcome| Some(outcome.after_death(outcome.detected?)))
    }

    /// From each death to the end of the server's socket.
    pub(super) fn reclaims(&self) -> Vec<Duration> {
        self.each(|outcome| Some(outcome.after_death(outcome.reclaimed?)))
    }

    /// When each was detected, and how long that was after the death.
    pub(super) fn detection_moments(&self) -> Vec<(Instant, Duration)> {
        self.each(|outcome| Some((outcome.detected?, outcome.after_death(outcome.detected?))))
    }

    /// When the first died.
    pub(super) fn first_death(&self) -> Option<Instant> {
        self.outcomes.iter().map(|outcome| outcome.victim.killed).min()
    }

    /// How many had died at that moment.
    pub(super) fn dead_at(&self, at: Instant) -> u64 {
        self.count(|outcome| outcome.victim.killed <= at) as u64
    }

    /// How many of the dead the server still held.
    pub(super) fn held_at(&self, at: Instant) -> u64 {
        let held = |outcome: &Outcome<'_>| {
            outcome.victim.killed <= at && outcome.detected.is_none_or(|found| found > at)
        };
        self.count(held) as u64
    }

    /// How many of the dead still had a socket in the server's kernel.
    pub(super) fn unreclaimed_at(&self, at: Instant) -> u64 {
        let kept = |outcome: &Outcome<'_>| {
            outcome.victim.killed <= at && outcome.reclaimed.is_none_or(|gone| gone > at)
        };
        self.count(kept) as u64
    }

    /// How many of the dead the heartbeat leaves to be found by then; none where nothing is
    /// predicted.
    pub(super) fn expected_at(&self, input: &Input<'_>, at: Instant) -> Option<f64> {
        let prediction = self.prediction(input)?;
        let dead = self.outcomes.iter().filter(|outcome| outcome.victim.killed <= at);
        let age = |outcome: &Outcome<'_>| outcome.after_death(at).as_nanos() as f64 / MS;
        Some(dead.map(|outcome| 1.0 - prediction.cdf(age(outcome))).sum())
    }

    pub(super) fn block(&self, input: &Input<'_>) -> DeathBlock {
        let missing = |outcome: &&Outcome<'_>| {
            outcome.detected.is_none() && !outcome.was_found_meanwhile() && !self.death.spares()
        };
        let unseen = self.outcomes.iter().filter(missing);
        let (pending, unobservable): (Vec<_>, Vec<_>) = unseen.partition(|found| found.observable);
        let detections = milliseconds(&self.detections());
        let meanwhile = self.outcomes.iter().filter(|outcome| outcome.was_found_meanwhile());
        let meanwhile = meanwhile.count() as u64;
        DeathBlock {
            killed: self.outcomes.len() as u64,
            detected: detections.len() as u64 + meanwhile,
            reclaimed: self.reclaims().len() as u64,
            pending: pending.len() as u64,
            unobservable: unobservable.len() as u64,
            watched_s: self.watched(input.observed.until).as_secs_f64(),
            observer: input.observed.by,
            outcomes: self.fates(),
            false_kills: self.false_kills(input),
            revivals: self.revivals(),
            detection_ms: Summary::of_samples(&detections),
            reclaim_ms: Summary::of_samples(&milliseconds(&self.reclaims())),
            residual_ms: self.residuals(input).map(|all| Summary::of_samples(&all)),
            lateness_ms: self.lateness(input),
            predicted: self.prediction(input).map(|prediction| PredictedBlock {
                min_ms: prediction.min_ms(),
                p50_ms: prediction.p50_ms(),
                max_ms: prediction.max_ms(),
                ks: Ks::of(&detections, |ms| prediction.cdf(ms)),
            }),
        }
    }

    fn count(&self, which: impl Fn(&Outcome<'_>) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| which(outcome)).count()
    }

    /// What became of those who live on, or came back; none where nobody does.
    fn fates(&self) -> Option<OutcomesBlock> {
        let any_back = self.count(|outcome| outcome.victim.back.is_some()) > 0;
        let of = |fate| self.count(|outcome| outcome.fate == fate) as u64;
        (self.death.spares() || any_back).then(|| OutcomesBlock {
            survived: of(Fate::Survived),
            reset: of(Fate::Reset),
            closed: of(Fate::Closed),
            unknown: of(Fate::Unknown),
        })
    }

    /// Slow ones that the server gave up though the pong was to come within its timeout; none where
    /// that is not known.
    pub(super) fn false_kills(&self, input: &Input<'_>) -> Option<u64> {
        let ping = input.plan.server_ping.filter(|_| self.death == Death::Slow)?;
        let in_time = |outcome: &Outcome<'_>| {
            let owed = outcome.victim.owed;
            outcome.detected.is_some() && owed.is_none_or(|owed| owed + SLACK < ping.timeout)
        };
        Some(self.count(in_time) as u64)
    }

    /// Of those who came back dead, how many had been found by then, by their age.
    fn revivals(&self) -> Vec<RevivalBlock> {
        let mut back = self.each(|outcome| {
            let back = outcome.victim.back.filter(|_| self.death == Death::Blackhole)?;
            let found = back.alive.is_none();
            (outcome.fate != Fate::Unknown).then(|| (outcome.after_death(back.at), found))
        });
        back.sort_unstable();
        let size = back.len().div_ceil(REVIVALS_MAX).max(1);
        let group = |group: &[(Duration, bool)]| {
            let sum: Duration = group.iter().map(|(age, _)| *age).sum();
            RevivalBlock {
                age_ms: sum.as_nanos() as f64 / MS / group.len() as f64,
                revived: group.len() as u64,
                found: group.iter().filter(|(_, found)| *found).count() as u64,
            }
        };
        back.chunks(size).map(group).collect()
    }

    /// Whether nobody but the heartbeat can find it, so that the heartbeat tells when.
    fn is_left_to_the_heartbeat(&self, input: &Input<'_>) -> bool {
        self.death.is_silent() && !(self.death.takes_the_host() && input.kernel_watches())
    }

    /// What the heartbeat promises for this death.
    pub(super) fn prediction(&self, input: &Input<'_>) -> Option<Prediction> {
        if !self.is_left_to_the_heartbeat(input) {
            return None;
        }
        Prediction::new(self.heartbeat(input)?, input.restarts_per_s())
    }

    /// The server's heartbeat as far as this death has to wait for it: a host that answers with RST
    /// is found by the ping itself.
    fn heartbeat(&self, input: &Input<'_>) -> Option<ServerPing> {
        let ping = input.plan.server_ping?;
        let timeout = if self.death.answers_with_reset() { Duration::ZERO } else { ping.timeout };
        Some(ServerPing { timeout, ..ping })
    }

    /// Detection, minus (last ping that the victim answered + interval + timeout); negative where
    /// the server was too soon.
    fn residuals(&self, input: &Input<'_>) -> Option<Vec<f64>> {
        let ping = self.heartbeat(input)?;
        let patience = ping.interval? + ping.timeout;
        let residual = |outcome: &Outcome<'_>| {
            let due = outcome.victim.answered? + patience;
            Some((outcome.detected?.as_nanos() as f64 - due.as_nanos() as f64) / MS)
        };
        self.is_left_to_the_heartbeat(input).then(|| self.each(residual))
    }

    fn lateness(&self, input: &Input<'_>) -> Option<Summary> {
        let server = input.server.as_ref().filter(|_| self.death.is_left_to_the_timeout())?;
        Some(Summary::of_histogram(&server.lateness_ns, MS))
    }

    fn watched(&self, until: Instant) -> Duration {
        let watched = self.outcomes.iter().map(|outcome| outcome.after_death(until));
        watched.min().unwrap_or_default()
    }

    fn each<T>(&self, value: impl Fn(&Outcome<'_>) -> Option<T>) -> Vec<T> {
        self.outcomes.iter().filter_map(value).collect()
    }
}

/// Points of a curve of those who came back.
const REVIVALS_MAX: usize = 20;

/// The server's settings that have its kernel give up a host.
const KERNEL_WATCHES: [&str; 2] = ["tcp_keepalive_ms", "tcp_user_timeout_ms"];

impl Input<'_> {
    fn kernel_watches(&self) -> bool {
        KERNEL_WATCHES.iter().any(|&name| self.settings.get(name).is_some_and(Value::is_number))
    }

    /// How often other traffic restarts the silence on one connection, for a server whose pings
    /// wait for silence.
    fn restarts_per_s(&self) -> f64 {
        if !self.pings_only_the_silent {
            return 0.0;
        }
        let rate = self.plan.message_rate.as_ref().map_or(0.0, Rate::mean);
        let messages = rate / f64::from(self.plan.connections);
        let pings = self.plan.client_ping.map_or(0.0, |every| 1.0 / every.as_secs_f64());
        messages + pings
    }
}

fn milliseconds(times: &[Duration]) -> Vec<f64> {
    times.iter().map(|time| time.as_nanos() as f64 / MS).collect()
}
