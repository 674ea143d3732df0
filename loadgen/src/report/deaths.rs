//! How soon the dead were found: joins the victims with what was seen of their sockets.

use super::input::Input;
use super::prediction::Prediction;
use super::schema::{DeathBlock, ObserverKind, PredictedBlock};
use crate::death::Death;
use crate::observer::Sighting;
use crate::plan::ServerPing;
use crate::record::Victim;
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
        let client_can_tell = matches!(victim.death, Death::Freeze | Death::Mute);
        let observable = match by {
            Some(ObserverKind::SockDiag) => seen.is_some_and(|seen| seen.observable),
            Some(ObserverKind::Client) | None => client_can_tell,
        };
        Self {
            victim,
            detected: [detected, victim.client_saw].into_iter().flatten().min(),
            reclaimed: seen.and_then(|seen| seen.reclaimed),
            observable,
        }
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

    pub(super) fn block(&self, input: &Input<'_>) -> DeathBlock {
        let missing = |outcome: &&Outcome<'_>| outcome.detected.is_none();
        let unseen = self.outcomes.iter().filter(missing);
        let (pending, unobservable): (Vec<_>, Vec<_>) = unseen.partition(|found| found.observable);
        let detections = milliseconds(&self.detections());
        DeathBlock {
            killed: self.outcomes.len() as u64,
            detected: detections.len() as u64,
            reclaimed: self.reclaims().len() as u64,
            pending: pending.len() as u64,
            unobservable: unobservable.len() as u64,
            watched_s: self.watched(input.observed.until).as_secs_f64(),
            observer: input.observed.by,
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
        let messages = self.plan.message_rate.unwrap_or(0.0) / f64::from(self.plan.connections);
        let pings = self.plan.client_ping.map_or(0.0, |every| 1.0 / every.as_secs_f64());
        messages + pings
    }
}

fn milliseconds(times: &[Duration]) -> Vec<f64> {
    times.iter().map(|time| time.as_nanos() as f64 / MS).collect()
}
