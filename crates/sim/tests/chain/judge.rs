//! What has to hold of every run, whatever went wrong in it.

use crate::play::{Case, Played, RAMP, TICK};
use crate::spy::Seen;
use halfopen_driver::Cause;
use halfopen_loadgen::death::Death;
use halfopen_loadgen::record::Victim;
use halfopen_server::{End, Heartbeat, Policy};
use halfopen_wheel::Instant;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A rule that was broken, in words.
pub(crate) type Verdict = Result<(), String>;

macro_rules! hold {
    ($held:expr, $($words:tt)*) => {
        if !$held {
            return Err(format!($($words)*));
        }
    };
}

impl Case {
    /// How late a server may be that is not stalled for ever: a tick of the wheel, its stalls, the
    /// time until it has heard all, and the looks at a queue that other output may lie in.
    fn allowance(&self, timeout: Duration) -> Duration {
        let faults = &self.faults;
        let stalls =
            if faults.stall_every.is_some() { 4 * faults.stall_max } else { Duration::ZERO };
        let hearing = if faults.exhausted > 0.0 { 10 * faults.exhausted_max } else { TICK };
        let looks = if self.messages.is_some() { (timeout / 2).min(3 * SECOND) } else { TICK };
        TICK + stalls + hearing + looks + self.answer()
    }

    /// How long an answer may be on its way.
    fn answer(&self) -> Duration {
        let faults = &self.faults;
        let retransmitted = if faults.lost > 0.0 { Duration::from_millis(3_000) } else { TICK };
        20 * faults.delay.end + faults.stalled_max + faults.exhausted_max + retransmitted
    }

    /// Everything that must hold.
    pub(crate) fn judge(&self, played: &Played) -> Verdict {
        self.all_were_opened(played)?;
        self.no_living_peer_was_killed(played)?;
        self.nothing_is_left(played)?;
        let Some(heartbeat) = self.heartbeat else { return self.nobody_was_found(played) };
        for seen in &played.seen {
            match victim_of(played, seen) {
                Some(victim) if victim.death.answers_with_reset() => {
                    self.was_refused_on_time(seen, victim, &heartbeat)
                        .map_err(|why| format!("{why}\n{victim:?}\n{seen:?}"))?;
                }
                Some(victim) if victim.death.is_silent() => {
                    self.was_found_on_time(seen, &heartbeat)
                        .map_err(|why| format!("{why}\n{victim:?}\n{seen:?}"))?;
                }
                Some(_) => {}
                None => {
                    let every = self.was_asked_every_interval(seen, &heartbeat, played.end);
                    every.map_err(|why| format!("{why}\n{seen:?}"))?;
                }
            }
        }
        Ok(())
    }

    /// What must hold also where middleboxes reset and refuse connections: the heartbeat takes
    /// nobody but the silent, and nothing is left.
    pub(crate) fn judge_hostile(&self, played: &Played) -> Verdict {
        self.only_the_silent_were_aborted(played)?;
        self.nothing_is_left(played)
    }

    fn all_were_opened(&self, played: &Played) -> Verdict {
        let (opened, failed) = (played.tally.opened, &played.tally.failed);
        hold!(opened == u64::from(self.connections), "{opened} opened, {failed:?}");
        let missed = played.tally.kills_missed;
        hold!(missed == 0, "{missed} kills missed");
        Ok(())
    }

    /// Neither the client lost one that it had not killed, nor the server let one go.
    fn no_living_peer_was_killed(&self, played: &Played) -> Verdict {
        let losses = &played.tally.losses;
        hold!(losses.is_empty(), "living connections were lost: {losses:?}");
        self.only_the_silent_were_aborted(played)
    }

    fn only_the_silent_were_aborted(&self, played: &Played) -> Verdict {
        for seen in played.seen.iter().filter(|seen| seen.aborted.is_some_and(|at| at < played.end))
        {
            let dead = victim_of(played, seen).is_some_and(|victim| victim.death.is_silent());
            hold!(dead, "a peer was aborted that was not silent: {seen:?}");
        }
        Ok(())
    }

    fn nothing_is_left(&self, played: &Played) -> Verdict {
        let open = played.stats.open;
        hold!(open == 0, "{open} sessions are left");
        let ended: u64 = played.stats.ended.values().sum();
        hold!(ended == played.stats.accepted, "{ended} ended of {}", played.stats.accepted);
        Ok(())
    }

    fn nobody_was_found(&self, played: &Played) -> Verdict {
        let found = played.stats.ended(End::Silent);
        hold!(found == 0, "{found} were found without a ping");
        for seen in &played.seen {
            let silent = victim_of(played, seen).is_some_and(|victim| victim.death.is_silent());
            let gone = seen.closed.is_some_and(|(at, _)| at < played.end);
            hold!(!silent || !gone, "a silent victim is gone: {seen:?}");
        }
        Ok(())
    }

    /// Its host answers the next ping with RST. But for whoever vanished with an answer that was lost
    /// and will not be sent again: nothing is sent to it until the timeout.
    fn was_refused_on_time(&self, seen: &Seen, victim: &Victim, heartbeat: &Heartbeat) -> Verdict {
        let Some((at, cause)) = seen.closed else { return Err("never found".into()) };
        if cause == Cause::Aborted {
            return self.was_found_on_time(seen, heartbeat);
        }
        hold!(cause == Cause::Reset, "ended by {cause:?}");
        let latest = heartbeat.interval + self.allowance(heartbeat.timeout);
        let after = at.saturating_since(victim.killed);
        hold!(after <= latest, "found {after:?} after its death");
        Ok(())
    }

    /// Aborted when the timeout of the one unanswered ping had passed, and soon after; and that ping
    /// came an interval after the last answered one, not sooner and not much later.
    fn was_found_on_time(&self, seen: &Seen, heartbeat: &Heartbeat) -> Verdict {
        let allowance = self.allowance(heartbeat.timeout);
        let Some(aborted) = seen.aborted else { return Err("never found".into()) };
        let answered = seen.pings.iter().filter(|&&ping| ping <= seen.heard).count();
        let unanswered = &seen.pings[answered..];
        hold!(unanswered.len() == 1, "{} unanswered pings", unanswered.len());
        let (asked, due) = (unanswered[0], unanswered[0] + heartbeat.timeout);
        hold!(aborted >= due, "aborted {:?} before {due:?}", due.saturating_since(aborted));
        let late = aborted.saturating_since(due);
        hold!(late <= allowance, "found {late:?} late; allowed are {allowance:?}");
        let last = seen.pings[..answered].last();
        let (earliest, latest) = match (heartbeat.policy, last) {
            (Policy::Periodic, Some(&last)) => (last + heartbeat.interval, last),
            (Policy::Periodic, None) => (seen.opened, seen.opened + RAMP),
            (Policy::Idle, _) => (seen.heard + heartbeat.interval * 9 / 10, seen.heard),
        };
        hold!(asked >= earliest, "asked at {asked:?}, {earliest:?} would have been early enough");
        let latest = latest + heartbeat.interval + allowance;
        hold!(asked <= latest, "asked at {asked:?}, due until {latest:?}");
        Ok(())
    }

    /// From the opening to the end of the run no stretch longer than the interval (and the
    /// allowance) without a ping; where only silence makes one due, without a ping or a byte.
    fn was_asked_every_interval(
        &self,
        seen: &Seen,
        heartbeat: &Heartbeat,
        end: Instant,
    ) -> Verdict {
        if heartbeat.policy == Policy::Idle
            && (self.messages.is_some() || self.client_ping.is_some())
        {
            return Ok(());
        }
        let longest = heartbeat.interval + self.allowance(heartbeat.timeout);
        let mut last = seen.opened + RAMP;
        for &ping in seen.pings.iter().chain([&end]) {
            let gap = ping.saturating_since(last);
            hold!(gap <= longest, "{gap:?} without a ping, at {ping:?}");
            last = last.max(ping);
        }
        let periodic = heartbeat.policy == Policy::Periodic;
        for pair in seen.pings.windows(2).filter(|_| periodic) {
            let gap = pair[1].saturating_since(pair[0]);
            hold!(gap >= heartbeat.interval, "two pings within {gap:?}");
        }
        Ok(())
    }
}

fn victim_of<'a>(played: &'a Played, seen: &Seen) -> Option<&'a Victim> {
    let victims = &played.tally.victims;
    seen.peer.and_then(|peer| victims.iter().find(|victim| victim.local == peer))
}

/// How many of the victims are found when a timeout has passed: those who have to wait for it, and
/// some of the vanished.
pub(crate) fn silent(kills: &[(Death, u32)]) -> RangeInclusive<u64> {
    let count = |which: fn(Death) -> bool| {
        let counted = kills.iter().filter(|(death, _)| which(*death));
        counted.map(|&(_, count)| u64::from(count)).sum()
    };
    count(Death::is_left_to_the_timeout)..=count(Death::is_silent)
}

const SECOND: Duration = Duration::from_secs(1);
