//! Who ends connections that live: a limit for those who say nothing, a lifetime for everybody, or
//! a server that went away.

use super::diary::{Diary, How, Role};
use halfopen_wheel::Instant;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Ages that differ by less than this, or by a twentieth, are the same.
const SAME: Duration = Duration::from_millis(500);

/// What breaks a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Counts {
    /// Anything: a ping of the client's will do.
    Bytes,
    /// Messages only.
    Messages,
}

/// What ended the living.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Nothing.
    Nobody,
    /// Some who say nothing were ended and others like them not.
    Some,
    /// Those who say nothing, at that age.
    Idle { after: Duration, how: How, counts: Option<Counts> },
    /// Everybody at the same age.
    Lifetime { after: Duration, how: How },
    /// Everybody at the same moment.
    AtOnce { how: How },
}

impl Cut {
    pub(super) fn of(diaries: &[Diary], now: Instant) -> Self {
        let living = || diaries.iter().filter(|d| !d.role.is_mute() && d.opened.is_some());
        let idle = || living().filter(|diary| diary.role == Role::Idle);
        let ages: Vec<_> = idle().filter_map(Diary::age_at_end).collect();
        let Some(how) = idle().find_map(|diary| Some(diary.end.as_ref()?.how.clone())) else {
            return Self::Nobody;
        };
        if ages.len() < idle().count() {
            return Self::Some;
        }
        let after = ages.iter().sum::<Duration>() / ages.len() as u32;
        if living().all(|diary| diary.end.is_some()) && living().count() > 1 {
            if came_at_once(living()) {
                return Self::AtOnce { how };
            }
            let same = |diary: &Diary| is_same(diary.age(now).unwrap_or_default(), after);
            if living().any(|diary| diary.role.speaks()) && living().all(same) {
                return Self::Lifetime { after, how };
            }
        }
        Self::Idle { after, how, counts: counts(diaries, after, now) }
    }

    /// The age at which those who say nothing are ended.
    pub(super) fn after(&self) -> Option<Duration> {
        match self {
            Self::Idle { after, .. } | Self::Lifetime { after, .. } => Some(*after),
            _ => None,
        }
    }
}

/// Whether two ages are the same.
fn is_same(one: Duration, other: Duration) -> bool {
    one.abs_diff(other) <= SAME.max(one.max(other) / 20)
}

/// Whether the moments lie closer together than the ages, which differ because the connections were
/// opened one after the other.
fn came_at_once<'a>(diaries: impl Iterator<Item = &'a Diary> + Clone) -> bool {
    let ends = diaries.clone().filter_map(|diary| Some(diary.end.as_ref()?.at.as_nanos()));
    let ages = diaries.filter_map(|diary| Some(diary.age_at_end()?.as_nanos() as u64));
    let spread = |times: &mut dyn Iterator<Item = u64>| {
        let times: Vec<_> = times.collect();
        times.iter().max().zip(times.iter().min()).map_or(0, |(most, least)| most - least)
    };
    let (mut ends, mut ages) = (ends, ages);
    let (moments, ages) = (spread(&mut ends), spread(&mut ages));
    moments < ages && Duration::from_nanos(moments) <= SAME
}

/// Whose speech kept it alive past the limit.
fn counts(diaries: &[Diary], limit: Duration, now: Instant) -> Option<Counts> {
    let outlived = |role: Role| {
        let mut ages = diaries.iter().filter(|d| d.role == role).filter_map(|d| d.age(now));
        ages.any(|age| age >= limit + limit / 4)
    };
    if outlived(Role::Pinger) {
        return Some(Counts::Bytes);
    }
    let pinger_ended = diaries.iter().any(|d| d.role == Role::Pinger && d.end.is_some());
    (pinger_ended && outlived(Role::Talker)).then_some(Counts::Messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 100_000;

    /// Opened at `opened` and ended at `end`, in ms.
    fn diary(role: Role, opened: u64, end: Option<u64>) -> Diary {
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        let mut diary = Diary::new(role);
        diary.opened = Some(at(opened));
        if let Some(end) = end {
            diary.ended(at(end), How::Fin);
        }
        diary
    }

    #[test]
    fn a_table_of_ends_is_told_apart() {
        use Role::{Idle, Pinger, Talker};
        let idle = |counts| Cut::Idle { after: Duration::from_secs(60), how: How::Fin, counts };
        type Row<'a> = (&'a [(Role, u64, Option<u64>)], Cut);
        let table: [Row<'_>; 9] = [
            (&[(Idle, 0, None), (Pinger, 0, None)], Cut::Nobody),
            (&[(Idle, 0, Some(60_000)), (Idle, 300, None)], Cut::Some),
            (&[(Idle, 0, Some(60_000)), (Pinger, 300, None)], idle(Some(Counts::Bytes))),
            (
                &[(Idle, 0, Some(60_000)), (Pinger, 300, Some(60_300)), (Talker, 700, None)],
                idle(Some(Counts::Messages)),
            ),
            // A talker whose message was refused is no witness.
            (
                &[(Idle, 0, Some(60_000)), (Pinger, 300, None), (Talker, 700, Some(710))],
                idle(Some(Counts::Bytes)),
            ),
            (&[(Idle, 0, Some(60_000))], idle(None)),
            (
                &[
                    (Idle, 0, Some(30_000)),
                    (Pinger, 300, Some(30_310)),
                    (Talker, 700, Some(30_700)),
                ],
                Cut::Lifetime { after: Duration::from_secs(30), how: How::Fin },
            ),
            (
                &[
                    (Idle, 0, Some(30_000)),
                    (Pinger, 300, Some(30_010)),
                    (Talker, 700, Some(30_001)),
                ],
                Cut::AtOnce { how: How::Fin },
            ),
            (&[(Pinger, 0, Some(3_000)), (Talker, 0, None)], Cut::Nobody),
        ];
        for (connections, expected) in table {
            let diaries: Vec<_> = connections.iter().map(|&(r, o, e)| diary(r, o, e)).collect();
            let cut = Cut::of(&diaries, Instant::from_nanos(NOW * 1_000_000));
            assert_eq!(cut, expected, "{connections:?}");
        }
    }

    #[test]
    fn who_has_not_outlived_the_limit_by_much_proves_nothing_yet() {
        let diaries = [diary(Role::Idle, 0, Some(60_000)), diary(Role::Pinger, 0, None)];
        let cut = |ms: u64| Cut::of(&diaries, Instant::from_nanos(ms * 1_000_000));
        assert!(matches!(cut(61_000), Cut::Idle { counts: None, .. }));
        assert!(matches!(cut(76_000), Cut::Idle { counts: Some(Counts::Bytes), .. }));
    }
}
