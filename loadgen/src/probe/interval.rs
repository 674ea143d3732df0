//! How often the server pings, and in which order it visits its connections.

use super::diary::{Diary, Role};
use halfopen_wheel::Instant;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Times that differ by less than this are the same: the way, and a busy machine.
const SAME: Duration = Duration::from_millis(50);

/// How the pings of different connections lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Each counts from its own opening.
    Opening,
    /// All at one instant, whenever they were opened: a sweep.
    Together,
    /// Each at a moment of its own.
    Spread,
}

/// What is known of the interval.
#[derive(Clone, Debug, Default)]
pub(super) struct Intervals {
    /// Each that was seen.
    pub(super) seen: Vec<Duration>,
    /// How many lie between two pings; none of them is far from the others.
    pub(super) alike: Option<usize>,
    /// No connection was pinged twice: these are the ages at which each was pinged first, which all
    /// were the same.
    pub(super) by_age: bool,
    pub(super) phase: Option<Phase>,
}

impl Intervals {
    pub(super) fn of(diaries: &[Diary]) -> Self {
        let silent: Vec<_> = gaps(diaries, |role| !role.speaks());
        let mut found = Self { seen: silent, ..Self::default() };
        if found.seen.is_empty() {
            // Whoever speaks may be pinged less often, but it is all that there is.
            found.seen = gaps(diaries, Role::speaks);
        }
        let steady =
            found.jitter().zip(found.mean()).filter(|(jitter, mean)| *jitter <= *mean / 50);
        found.alike = steady.map(|_| found.seen.len());
        let first = first_pings(diaries);
        found.phase = phase(&first, mean(&found.seen));
        if found.seen.is_empty() && ages_are_alike(&first) {
            found.seen = first.iter().map(|first| first.age).collect();
            found.by_age = true;
        }
        found
    }

    /// Where a ping is due after a silence, the first is due after one that began with the opening.
    pub(super) fn count_from_openings(&mut self, diaries: &[Diary]) {
        if !self.by_age && !self.seen.is_empty() {
            self.seen.extend(first_pings(diaries).iter().map(|first| first.age));
        }
    }

    pub(super) fn mean(&self) -> Option<Duration> {
        mean(&self.seen)
    }

    pub(super) fn max(&self) -> Option<Duration> {
        self.seen.iter().max().copied()
    }

    /// The greatest distance of one from their mean.
    pub(super) fn jitter(&self) -> Option<Duration> {
        let mean = self.mean().filter(|_| self.seen.len() > 1 && !self.by_age)?;
        self.seen.iter().map(|seen| seen.abs_diff(mean)).max()
    }
}

fn gaps(diaries: &[Diary], of: impl Fn(Role) -> bool) -> Vec<Duration> {
    diaries.iter().filter(|diary| of(diary.role)).flat_map(Diary::intervals).collect()
}

fn mean(times: &[Duration]) -> Option<Duration> {
    let sum: Duration = times.iter().sum();
    (!times.is_empty()).then(|| sum / times.len() as u32)
}

/// The first ping of a connection.
#[derive(Clone, Copy)]
struct First {
    age: Duration,
    at: Instant,
}

/// Of those who say nothing: others may be pinged later for it.
fn first_pings(diaries: &[Diary]) -> Vec<First> {
    let silent = diaries.iter().filter(|diary| !diary.role.speaks());
    let first = silent.filter_map(|diary| {
        let (at, opened) = (diary.pings.first()?.at, diary.opened?);
        Some(First { age: at.saturating_since(opened), at })
    });
    first.collect()
}

/// Within a twentieth: what is visited by a coarse clock is visited that much later.
fn ages_are_alike(first: &[First]) -> bool {
    let oldest = first.iter().map(|first| first.age).max().unwrap_or_default();
    spread(first.iter().map(|first| first.age)).is_some_and(|spread| spread <= oldest / 20)
}

fn phase(first: &[First], interval: Option<Duration>) -> Option<Phase> {
    let ages = spread(first.iter().map(|first| first.age))?;
    let start = first.iter().map(|first| first.at).min()?;
    let since = first.iter().map(|first| first.at.saturating_since(start));
    let oldest = first.iter().map(|first| first.age).max()?;
    let same = SAME.max(interval.unwrap_or(oldest) / 20);
    // Who is visited one interval later is visited in the same sweep.
    let instants =
        spread(since.map(|since| interval.map_or(since, |every| wrapped(since, every))))?;
    Some(if ages <= same && ages <= instants {
        Phase::Opening
    } else if instants <= same {
        Phase::Together
    } else {
        Phase::Spread
    })
}

/// How far `since` is from a whole number of intervals, as a place about one.
fn wrapped(since: Duration, interval: Duration) -> Duration {
    let (since, interval) = (since.as_nanos() as u64, (interval.as_nanos() as u64).max(1));
    Duration::from_nanos((since + interval / 2) % interval)
}

/// From the least to the greatest, of two at least.
fn spread(times: impl Iterator<Item = Duration> + Clone) -> Option<Duration> {
    let (least, greatest) = (times.clone().min()?, times.clone().max()?);
    (times.count() > 1).then_some(greatest - least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    fn pinged(role: Role, opened: f64, pings: &[f64]) -> Diary {
        let at = |s: f64| Instant::default() + secs(s);
        let mut diary = Diary::new(role);
        diary.opened = Some(at(opened));
        for &ping in pings {
            diary.pinged(at(ping));
        }
        diary
    }

    #[test]
    fn pings_of_the_silent_tell_the_interval() {
        let mute = Role::Mute { answers: 0 };
        let diaries = [
            pinged(Role::Idle, 0.0, &[10.0, 20.0, 30.1]),
            pinged(Role::Talker, 0.0, &[17.0, 31.0]),
            pinged(mute, 0.0, &[10.0, 12.0, 14.0]),
        ];
        let found = Intervals::of(&diaries);
        assert_eq!(found.seen, [secs(10.0), secs(10.1)]);
        assert_eq!(found.jitter(), Some(secs(0.05)));
        let of_talker = Intervals::of(&diaries[1..2]);
        assert_eq!(of_talker.seen, [secs(14.0)], "better than nothing");
    }

    #[test]
    fn a_table_of_phases_is_told_apart() {
        /// When each was opened, and when it was pinged.
        type Row<'a> = (&'a [(f64, &'a [f64])], Option<Phase>);
        let table: [Row<'_>; 7] = [
            (&[(0.0, &[20.0, 40.0]), (0.6, &[20.6, 40.6])], Some(Phase::Opening)),
            (&[(0.0, &[12.0, 42.0]), (0.6, &[12.0, 42.0])], Some(Phase::Together)),
            (&[(0.0, &[0.3, 30.3]), (0.6, &[30.3, 60.3])], Some(Phase::Together)),
            (&[(0.0, &[3.0, 23.0]), (0.6, &[14.6, 34.6])], Some(Phase::Spread)),
            (&[(0.0, &[104.0]), (0.6, &[104.9])], Some(Phase::Opening)),
            (&[(0.0, &[20.0])], None),
            (&[(0.0, &[])], None),
        ];
        for (connections, expected) in table {
            let each = |&(opened, pings): &(f64, &[f64])| pinged(Role::Idle, opened, pings);
            let diaries: Vec<_> = connections.iter().map(each).collect();
            assert_eq!(Intervals::of(&diaries).phase, expected, "{connections:?}");
        }
    }

    #[test]
    fn where_nobody_is_pinged_twice_equal_ages_tell_the_interval() {
        let diaries = [
            pinged(Role::Idle, 0.0, &[104.0]),
            pinged(Role::Idle, 0.6, &[104.9]),
            pinged(Role::Pinger, 0.3, &[]),
        ];
        let found = Intervals::of(&diaries);
        assert!(found.by_age);
        assert_eq!(found.mean(), Some(secs(104.15)));
        let spread = [pinged(Role::Idle, 0.0, &[4.0]), pinged(Role::Idle, 0.6, &[94.9])];
        assert_eq!(Intervals::of(&spread).mean(), None);
    }
}
