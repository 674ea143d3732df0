//! Whether what a client says suppresses the server's pings.

use super::diary::Diary;
use halfopen_wheel::Instant;
use std::time::Duration;

/// What a ping may be late by.
const LATE: Duration = Duration::from_millis(200);

/// Whether the words of `speaker` kept the server from pinging it; none: that cannot be said (yet).
///
/// `interval` is the greatest between two pings of those who are silent. Words count only while they
/// come at least twice in it. A ping in the first half of an interval may be one that greets, or that
/// was due before the words began; a later one proves that they suppress none. That they do is
/// proven by a whole interval without a ping, behind that half if there was one in it.
pub(super) fn suppresses(speaker: &Diary, interval: Duration, now: Instant) -> Option<bool> {
    let words = speaker.words.filter(|words| words.period * 2 <= interval)?;
    let until = speaker.end.as_ref().map_or(now, |end| end.at);
    let proving = words.since + interval / 2;
    let mut pings = speaker.pings.iter().map(|ping| ping.at).filter(|at| *at >= words.since);
    let Some(first) = pings.next() else {
        let spoken_for = until.saturating_since(words.since);
        return (spoken_for >= interval + interval / 10 + LATE).then_some(true);
    };
    if first >= proving || pings.any(|at| at >= proving) {
        return Some(false);
    }
    (until.saturating_since(proving) >= interval + LATE).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::super::diary::Role;
    use super::*;

    #[test]
    fn a_table_of_speakers_is_judged() {
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        // Period of its words and since when, its pings, its end, now; all in ms. Others are pinged
        // every 10 s.
        type Row<'a> = (u64, u64, &'a [u64], Option<u64>, u64, Option<bool>);
        let table: [Row<'_>; 8] = [
            (1_000, 0, &[], None, 11_100, None),
            (1_000, 0, &[], None, 11_200, Some(true)),
            (1_000, 0, &[9_000], None, 9_000, Some(false)),
            // One that comes at the opening is no heartbeat.
            (1_000, 0, &[10], None, 15_000, None),
            (1_000, 0, &[10], None, 15_200, Some(true)),
            // It spoke too seldom before.
            (1_000, 20_000, &[9_000, 19_000], None, 30_000, None),
            (6_000, 0, &[9_000], None, 60_000, None),
            (1_000, 0, &[], Some(11_000), 60_000, None),
        ];
        for (period, since, pings, end, now, expected) in table {
            let mut diary = Diary::new(Role::Talker);
            diary.opened = Some(at(0));
            diary.speaks(at(since), Duration::from_millis(period));
            for &ping in pings {
                diary.pinged(at(ping));
            }
            if let Some(end) = end {
                diary.ended(at(end), super::super::diary::How::Fin);
            }
            let found = suppresses(&diary, Duration::from_secs(10), at(now));
            assert_eq!(found, expected, "{period} {since} {pings:?} {end:?} {now}");
        }
    }
}
