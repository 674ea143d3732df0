//! Reasons not to trust a probe's verdict, each with what to try.

use super::diary::{Diary, How, Role};
use super::idle::Cut;
use super::verdict::{Pings, Verdict};
use crate::report::number::millis;
use crate::report::schema::Doubt;
use halfopen_wheel::Instant;
use std::time::Duration;

/// A loop that came so much too late may have seen pings and ends late, too.
const LATE: Duration = Duration::from_millis(100);

/// So many unasked messages in equal steps are a heartbeat in text.
const BEATS: usize = 3;

/// What else is known, beside the diaries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Circumstances {
    /// How long it was watched.
    pub(super) watched: Duration,
    /// Connections that could not be opened.
    pub(super) failed: u64,
    /// The most by which our own loop was late.
    pub(super) late: Duration,
    /// It was ended before its time.
    pub(super) interrupted: bool,
    /// Messages of the talkers were sent.
    pub(super) talked: bool,
}

pub(super) fn all(
    verdict: &Verdict,
    diaries: &[Diary],
    now: Instant,
    around: Circumstances,
) -> Vec<Doubt> {
    let found = [
        failed(diaries, around),
        interrupted(verdict, around),
        ended_all(verdict),
        ended_some(verdict),
        refused(diaries, verdict),
        no_pings(verdict, around),
        one_ping(verdict, around),
        not_enforced(verdict, diaries, now),
        unequal(verdict),
        too_late(verdict),
        undecided(verdict, diaries, around),
        differ(verdict),
        text_heartbeat(diaries),
        late(around),
    ];
    found.into_iter().flatten().collect()
}

fn doubt(code: &str, message: String, hint: &str) -> Option<Doubt> {
    Some(Doubt { code: code.into(), message, hint: hint.into() })
}

fn time(time: Duration) -> String {
    millis(time.as_secs_f64() * 1e3)
}

fn failed(diaries: &[Diary], around: Circumstances) -> Option<Doubt> {
    let (failed, all) = (around.failed, diaries.len());
    let message = format!("{failed} of {all} connections could not be opened");
    let hint = "a limit of connections for each client? Fewer --connections";
    doubt("connect_failed", message, hint).filter(|_| failed > 0)
}

fn interrupted(verdict: &Verdict, around: Circumstances) -> Option<Doubt> {
    let message = format!("it was interrupted after {}", time(around.watched));
    doubt("interrupted", message, "let it end by itself")
        .filter(|_| around.interrupted && !verdict.complete)
}

fn ended_all(verdict: &Verdict) -> Option<Doubt> {
    match &verdict.cut {
        Cut::AtOnce { how } => doubt(
            "all_at_once",
            format!("all connections ended at the same moment, with {}", how.in_words()),
            "did the server or a proxy restart? Once more",
        ),
        Cut::Lifetime { after, how } => doubt(
            "lifetime",
            format!(
                "every connection ended at the age of {}, whatever it said, with {}",
                time(*after),
                how.in_words()
            ),
            "a lifetime set on the way, a login that is missing, or only another --message counts",
        ),
        _ => None,
    }
}

fn ended_some(verdict: &Verdict) -> Option<Doubt> {
    let message = "some connections that answered every ping were ended, and others not".into();
    doubt("living_lost", message, "once more; the server's own log knows the reason")
        .filter(|_| verdict.cut == Cut::Some)
}

/// Talkers that were ended while the idle live.
fn refused(diaries: &[Diary], verdict: &Verdict) -> Option<Doubt> {
    let cut = verdict.cut.after();
    let talkers = diaries.iter().filter(|diary| diary.role == Role::Talker);
    let how = talkers.filter_map(|talker| Some((talker.age_at_end()?, talker.end.as_ref()?)));
    let mut early = how.filter(|(age, _)| cut.is_none_or(|cut| *age < cut - cut / 10));
    let (_, end) = early.next()?;
    let message = format!("who sent messages was ended with {}", end.how.in_words());
    let hint = "say what the application understands with --message, or nothing: --message off";
    doubt("message_refused", message, hint).filter(|_| !matches!(verdict.cut, Cut::AtOnce { .. }))
}

fn no_pings(verdict: &Verdict, around: Circumstances) -> Option<Doubt> {
    let quiet = verdict.pings == Pings::None && verdict.cut == Cut::Nobody;
    let watched = time(around.watched);
    let message = format!("nobody pinged and nobody was ended within {watched}");
    doubt("nothing_seen", message, "longer intervals want a longer --max-wait").filter(|_| quiet)
}

fn one_ping(verdict: &Verdict, around: Circumstances) -> Option<Doubt> {
    let pinged = matches!(verdict.pings, Pings::Server | Pings::Both);
    let watched = time(around.watched);
    let hint = "a longer --max-wait";
    if verdict.intervals.by_age {
        let message = format!(
            "no connection was pinged twice within {watched}: the interval is the age at the first \
             ping, and may be longer"
        );
        return doubt("one_ping", message, hint);
    }
    let message = format!("no connection was pinged twice within {watched}");
    doubt("one_ping", message, hint).filter(|_| pinged && verdict.intervals.seen.is_empty())
}

/// Mutes that are still open.
fn not_enforced(verdict: &Verdict, diaries: &[Diary], now: Instant) -> Option<Doubt> {
    let mutes = diaries.iter().filter(|diary| diary.role.is_mute() && diary.is_open());
    let silent = mutes.filter_map(|mute| Some(now.saturating_since(mute.first_unanswered()?)));
    let longest = silent.max()?;
    let long = verdict.timeouts.iter().max().is_none_or(|timeout| longest > *timeout * 2);
    let message = format!(
        "who answered no ping for {} was still connected: the server pings, but does not end the dead",
        time(longest)
    );
    doubt("not_enforced", message, "its timeout may be longer: a longer --max-wait")
        .filter(|_| long)
}

fn unequal(verdict: &Verdict) -> Option<Doubt> {
    let (least, greatest) = (verdict.timeouts.iter().min()?, verdict.timeouts.iter().max()?);
    let message = format!("timeouts differ: {} to {}", time(*least), time(*greatest));
    let apart = *greatest - *least > Duration::from_millis(200).max(*greatest / 10);
    doubt("timeouts_differ", message, "a coarse clock of the server, or pings that are counted")
        .filter(|_| apart)
}

/// The way cuts before the server asks.
fn too_late(verdict: &Verdict) -> Option<Doubt> {
    let ((limit, _), interval) = (verdict.idle_limit()?, verdict.intervals.mean()?);
    let message = format!(
        "the living who say nothing are ended after {}, before the server pings at {}",
        time(limit),
        time(interval)
    );
    doubt("pings_too_late", message, "an interval well below the limit")
        .filter(|_| limit < interval)
}

fn undecided(verdict: &Verdict, diaries: &[Diary], around: Circumstances) -> Option<Doubt> {
    let known = verdict.traffic_suppresses().is_some() || verdict.intervals.seen.is_empty();
    let spoke = diaries.iter().any(|diary| diary.role.speaks() && diary.opened.is_some());
    let message = "whether traffic suppresses pings was not seen".into();
    let hint = if around.talked { "a longer --max-wait" } else { "more --connections" };
    doubt("traffic_unknown", message, hint).filter(|_| !known && spoke)
}

fn differ(verdict: &Verdict) -> Option<Doubt> {
    let (messages, pings) = (verdict.traffic.messages?, verdict.traffic.pings?);
    let message = match messages {
        true => "messages suppress the server's pings, a client's pings do not",
        false => "a client's pings suppress the server's pings, messages do not",
    };
    doubt("traffic_differs", message.into(), "name the kind of traffic where it matters")
        .filter(|_| messages != pings)
}

/// Messages in equal steps to somebody who said nothing.
fn text_heartbeat(diaries: &[Diary]) -> Option<Doubt> {
    let step = diaries.iter().find_map(|diary| {
        let steps = diary.unasked.windows(2).map(|pair| pair[1].saturating_since(pair[0]));
        let (least, greatest) = (steps.clone().min()?, steps.clone().max()?);
        let regular = greatest - least <= Duration::from_millis(100).max(greatest / 20);
        (steps.count() + 1 >= BEATS && regular).then_some(greatest)
    })?;
    let message = format!(
        "the server says something every {} by itself: a heartbeat in text is not seen here",
        time(step)
    );
    doubt("text_heartbeat", message, "the protocol of its library tells how it is to be answered")
}

fn late(around: Circumstances) -> Option<Doubt> {
    let message = format!("this machine was busy: our own clock came {} late", time(around.late));
    doubt("machine_late", message, "once more when it is quiet").filter(|_| around.late > LATE)
}

/// Why nothing can be said: everybody was ended before anything was seen, with the same news.
pub(super) fn turned_away(diaries: &[Diary]) -> Option<(Duration, How)> {
    let opened = diaries.iter().filter(|diary| diary.opened.is_some());
    let all_young = opened.clone().all(|diary| {
        diary.pings.is_empty() && diary.age_at_end().is_some_and(|age| age < Duration::from_secs(2))
    });
    let first = opened.filter_map(|diary| Some((diary.age_at_end()?, diary.end.as_ref()?))).next();
    first.filter(|_| all_young).map(|(age, end)| (age, end.how.clone()))
}
