//! From the diaries of a probe to what they say of the server: pure, and asked again and again while
//! the probe goes on, so that it can end when everything is known.
//!
//! - **Interval**: from a ping that was answered to the next, on connections that say nothing.
//! - **Timeout**: from the first ping that a mute left unanswered to the news of its end, whatever
//!   the server does in between: ping on, or wait for its next sweep.
//! - **Idle limit**: the age at which those end who say nothing but pongs, while others live on.
//! - **Detection**: a peer that dies now is asked within an interval, and given up a timeout later.

use super::diary::{Diary, Role};
use super::idle::{Counts, Cut};
use super::interval::{Intervals, Phase};
use super::traffic;
use halfopen_wheel::Instant;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// So many intervals are enough where they are all alike.
const INTERVALS: usize = 2;

/// So many where each may have been drawn anew: that they are alike by chance is unlikely then.
const INTERVALS_DRAWN: usize = 6;

/// So many where they are not alike: the greatest of them is hardly less than the longest there is, and
/// half of them have ten beyond.
const INTERVALS_JITTERED: usize = 20;

/// Who keeps a connection alive by pings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pings {
    /// The server pings.
    Server,
    /// The server does not, and ends who says nothing: a client that pings is spared.
    Client,
    /// The server pings, and still ends a client that answers but does not ping itself.
    Both,
    /// Nobody does, as far as was seen.
    None,
}

/// What the diaries say.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Who pings.
    pub pings: Pings,
    pub(super) intervals: Intervals,
    /// From a ping left unanswered to the end.
    pub(super) timeouts: Vec<Duration>,
    pub(super) traffic: Traffic,
    pub(super) cut: Cut,
    /// Nothing more is to be learned by waiting.
    pub complete: bool,
}

/// Whether words suppress pings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    /// Messages.
    pub(super) messages: Option<bool>,
    /// A client's pings.
    pub(super) pings: Option<bool>,
}

/// When a silent death is found, from the death on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    /// At the soonest: it died just before it was asked.
    pub min: Option<Duration>,
    /// Half of them by then.
    pub p50: Option<Duration>,
    /// At the latest: it died just after it had answered.
    pub max: Option<Duration>,
}

impl Verdict {
    /// What `diaries` say at `now`.
    pub fn of(diaries: &[Diary], now: Instant) -> Self {
        let cut = Cut::of(diaries, now);
        let mut intervals = Intervals::of(diaries);
        let traffic = Traffic::of(diaries, intervals.max(), now);
        if traffic.suppresses() == Some(true) {
            intervals.count_from_openings(diaries);
        }
        let mut verdict = Self {
            pings: pings(diaries, &cut),
            timeouts: timeouts(diaries, cut.after()),
            traffic,
            intervals,
            cut,
            complete: false,
        };
        verdict.complete = verdict.is_complete(diaries, now);
        verdict
    }

    /// How far the pings of different connections lie together.
    pub fn phase(&self) -> Option<Phase> {
        self.intervals.phase
    }

    /// The age at which those are ended who say nothing, and what breaks the silence.
    pub fn idle_limit(&self) -> Option<(Duration, Option<Counts>)> {
        match self.cut {
            Cut::Idle { after, counts, .. } => Some((after, counts)),
            _ => None,
        }
    }

    /// Whether messages suppress pings; where none were sent, a client's pings.
    pub fn traffic_suppresses(&self) -> Option<bool> {
        self.traffic.suppresses()
    }

    /// When a silent death is found.
    pub fn window(&self) -> Window {
        let timeout = self.timeouts.iter().min().zip(self.timeouts.iter().max());
        let interval = self.intervals.mean().zip(self.intervals.max());
        if let (Some((least, greatest)), Some((mean, longest))) = (timeout, interval) {
            let half = self.timeouts.iter().sum::<Duration>() / self.timeouts.len() as u32;
            return Window {
                min: Some(*least),
                p50: Some(half + mean / 2),
                max: Some(*greatest + longest),
            };
        }
        // Nobody asks: it is found when it has said nothing for too long.
        let limit = self.idle_limit().filter(|_| self.pings != Pings::Server);
        Window { max: limit.map(|(limit, _)| limit), ..Window::default() }
    }

    fn is_complete(&self, diaries: &[Diary], now: Instant) -> bool {
        let opened = || diaries.iter().filter(|diary| diary.opened.is_some());
        if matches!(self.cut, Cut::AtOnce { .. } | Cut::Lifetime { .. }) {
            return true;
        }
        if opened().count() == diaries.len() && opened().all(|diary| diary.end.is_some()) {
            return true;
        }
        let known = self.knows_limit(diaries, now);
        if matches!(self.cut, Cut::Idle { .. }) && matches!(self.pings, Pings::Client | Pings::None)
        {
            // Pings that come later than the limit come too late.
            return known;
        }
        known && self.knows_interval() && self.knows_timeout(diaries) && self.knows_traffic(diaries)
    }

    /// Who outlives the limit of the idle has done so, or nobody was ended.
    fn knows_limit(&self, diaries: &[Diary], now: Instant) -> bool {
        let Cut::Idle { after, .. } = self.cut else { return true };
        let outlives = |d: &Diary| d.age(now).is_none_or(|age| age >= after + after / 4);
        diaries.iter().all(|diary| diary.end.is_some() || outlives(diary))
    }

    fn knows_interval(&self) -> bool {
        let suppressed = self.traffic.suppresses() == Some(true);
        let enough = if suppressed { INTERVALS_DRAWN } else { INTERVALS };
        self.intervals.alike.is_some_and(|alike| alike >= enough)
            || self.intervals.seen.len() >= INTERVALS_JITTERED
    }

    /// All who fell silent have been ended.
    fn knows_timeout(&self, diaries: &[Diary]) -> bool {
        let mut mutes = diaries.iter().filter(|diary| diary.role.is_mute());
        mutes.all(|mute| mute.opened.is_none() || mute.end.is_some())
    }

    fn knows_traffic(&self, diaries: &[Diary]) -> bool {
        let speaks = |role| diaries.iter().any(|diary| diary.role == role && diary.is_open());
        (self.traffic.messages.is_some() || !speaks(Role::Talker))
            && (self.traffic.pings.is_some() || !speaks(Role::Pinger))
    }
}

impl Traffic {
    fn of(diaries: &[Diary], interval: Option<Duration>, now: Instant) -> Self {
        let of = |role| {
            let speakers = diaries.iter().filter(|diary| diary.role == role);
            let verdicts = speakers.filter_map(|d| traffic::suppresses(d, interval?, now));
            // Where they contradict each other one was pinged though it spoke.
            verdicts.min()
        };
        Self { messages: of(Role::Talker), pings: of(Role::Pinger) }
    }

    fn suppresses(self) -> Option<bool> {
        self.messages.or(self.pings)
    }
}

fn pings(diaries: &[Diary], cut: &Cut) -> Pings {
    let server = diaries.iter().any(|diary| !diary.pings.is_empty());
    let client = matches!(cut, Cut::Idle { counts: Some(Counts::Bytes), .. });
    match (server, client) {
        (true, true) => Pings::Both,
        (true, false) => Pings::Server,
        (false, true) => Pings::Client,
        (false, false) => Pings::None,
    }
}

/// Of those mutes that were not ended for another reason, at an age at which everybody is who says
/// nothing.
fn timeouts(diaries: &[Diary], limit: Option<Duration>) -> Vec<Duration> {
    let ended = diaries.iter().filter(|diary| {
        let age = diary.age_at_end();
        age.is_some_and(|age| limit.is_none_or(|limit| age < limit - limit / 50))
    });
    let silent = ended.filter(|diary| diary.role.is_mute());
    let times = silent
        .filter_map(|mute| Some(mute.end.as_ref()?.at.saturating_since(mute.first_unanswered()?)));
    times.collect()
}
