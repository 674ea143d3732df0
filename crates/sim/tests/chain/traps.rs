//! What others fell into, each by its name.

use crate::holds;
use crate::play::Case;
use crate::spy::Spoil;
use halfopen_loadgen::death::Death;
use halfopen_server::End;
use halfopen_sim::Faults;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// A crowd that is asked often, and a loop that comes back to more answers than one turn hands over.
fn stalled_for(time: Duration) -> Case {
    Case {
        faults: Faults { handover_max: 3, ..Faults::none() },
        peace: time + 10 * SECOND,
        spoil: Spoil { stall: Some((5 * SECOND, time)), ..Spoil::default() },
        ..Case::calm(40, 1_000, 300)
    }
}

#[test]
fn a_loop_that_stalled_for_42_seconds_kills_nobody() {
    let case = stalled_for(42 * SECOND);
    let played = case.play();
    assert!(played.tally.losses.is_empty(), "{:?}", played.tally.losses);
    assert_eq!(played.stats.ended(End::Silent), 0);
}

/// What the client says of its messages, in seconds: at the median and at most.
macro_rules! median_and_most {
    ($ns:expr) => {
        ($ns.value_at_quantile(0.5) / 1_000_000_000, $ns.max() / 1_000_000_000)
    };
}

/// Suspended, and resumed: the messages of an hour wait in its sockets, and were sent in time.
#[test]
fn a_server_whose_clock_jumps_an_hour_kills_nobody_and_the_client_says_what_it_waited() {
    let played = Case { messages: Some(2.0), ..stalled_for(HOUR) }.play();
    let tally = &played.tally;
    assert!(tally.losses.is_empty(), "{:?}", tally.losses);
    assert_eq!(played.stats.ended(End::Silent), 0);
    // The last message may be on its way.
    assert!(tally.living_at_end == 40 && tally.messages_unanswered <= 1);
    for waited in [&tally.latency_ns, &tally.service_ns] {
        let (median, most) = median_and_most!(waited);
        assert!((1_700..1_900).contains(&median) && most >= 3_590, "{median} s, {most} s");
    }
    assert_eq!(median_and_most!(tally.send_late_ns), (0, 0));
}

/// Its peers are patient. What it was to send in that hour leaves afterwards, all at once, and is
/// answered at once: only the time from the intended send tells of the hour.
#[test]
fn a_client_whose_clock_jumps_an_hour_is_not_lost_and_says_how_late_it_was() {
    let patient =
        Case { peace: HOUR + 10 * SECOND, watch: SECOND, ..Case::calm(40, 1_000, 7_200_000) };
    let spoil = Spoil { client_stall: Some((5 * SECOND, HOUR)), ..Spoil::default() };
    let played = Case { messages: Some(2.0), spoil, ..patient }.play();
    let tally = &played.tally;
    assert!(tally.losses.is_empty(), "{:?}", tally.losses);
    // The last message may be on its way.
    assert!(tally.living_at_end == 40 && tally.messages_unanswered <= 1);
    assert!(tally.messages_sent >= 7_200 && tally.messages_skipped == 0, "{}", tally.messages_sent);
    for late in [&tally.latency_ns, &tally.send_late_ns] {
        let (median, most) = median_and_most!(late);
        assert!((1_700..1_900).contains(&median) && most >= 3_590, "{median} s, {most} s");
    }
    assert_eq!(median_and_most!(tally.service_ns).0, 0);
}

#[test]
fn a_stall_shorter_than_the_timeout_kills_nobody() {
    let case = stalled_for(SECOND / 4);
    let played = case.play();
    assert!(played.tally.losses.is_empty(), "{:?}", played.tally.losses);
}

/// The canary: a shard that kills by the clock instead of by what was heard has to be caught.
#[test]
fn a_shard_that_kills_by_the_clock_is_caught() {
    let mut case = stalled_for(2 * SECOND);
    assert!(case.play().tally.losses.is_empty());
    case.spoil.deaf = true;
    let broken = case.judge(&case.play()).expect_err("it kills the living after a stall");
    assert!(broken.contains("lost") || broken.contains("not silent"), "{broken}");
}

#[test]
fn without_pings_no_silent_victim_is_found() {
    let case = Case {
        heartbeat: None,
        kills: vec![(Death::Freeze, 3), (Death::Mute, 3), (Death::Blackhole, 3)],
        peace: SECOND,
        watch: 300 * SECOND,
        ..Case::calm(12, 1_000, 1_000)
    };
    holds(&case);
}

#[test]
fn with_pings_every_kind_of_death_is_found_on_time() {
    for (interval, timeout) in [(5_000, 3_000), (1_000, 600), (500, 5_000)] {
        let kills = Death::DEADLY.map(|death| (death, 4)).to_vec();
        let played = holds(&Case { kills, ..Case::calm(40, interval, timeout) });
        assert_eq!(played.stats.ended(End::Silent), 12);
        assert_eq!(played.stats.ended(End::Closed), 4 + 12, "the polite, and the living at last");
        assert_eq!(played.stats.ended(End::Fin), 4);
        assert_eq!(played.stats.ended(End::Reset), 4 + 4, "the killed, and the vanished");
    }
}

#[test]
fn everyone_dies_at_once_and_everyone_is_found() {
    let played = holds(&Case { kills: vec![(Death::Blackhole, 40)], ..Case::calm(40, 2_000, 900) });
    assert_eq!(played.stats.ended(End::Silent), 40);
}

#[test]
fn a_timeout_longer_than_the_interval_does_not_thin_the_pings() {
    let case = Case { watch: 30 * SECOND, ..Case::calm(10, 1_000, 20_000) };
    let played = holds(&case);
    for seen in &played.seen {
        assert!((30..=33).contains(&seen.pings.len()), "{} pings in 32 s", seen.pings.len());
    }
}

#[test]
fn a_crowd_that_came_together_is_not_pinged_together() {
    let played = holds(&Case { watch: 30 * SECOND, ..Case::calm(40, 4_000, 1_000) });
    let mut pings: Vec<_> = played.seen.iter().flat_map(|seen| &seen.pings).copied().collect();
    pings.sort_unstable();
    let within = |at: usize| {
        let end = pings[at] + Duration::from_millis(100);
        pings[at..].iter().take_while(|&&ping| ping < end).count()
    };
    let most = (0..pings.len()).map(within).max().unwrap_or(0);
    assert!(most <= 8, "{most} of 40 peers pinged within 100 ms");
}

#[test]
fn a_busy_peer_is_pinged_like_an_idle_one() {
    let busy = Case { messages: Some(200.0), watch: 20 * SECOND, ..Case::calm(10, 1_000, 2_000) };
    let played = holds(&busy);
    assert!(played.seen.iter().all(|seen| seen.pings.len() >= 19));
}

/// No turn leaves the driver dry, so it cannot say that it has heard; a second timeout stands in.
#[test]
fn a_saturated_server_kills_no_living_peer_and_finds_the_dead() {
    let faults =
        Faults { exhausted: 0.9, exhausted_max: Duration::from_millis(9), ..Faults::none() };
    let case = Case {
        faults,
        messages: Some(2_000.0),
        kills: vec![(Death::Mute, 4), (Death::Blackhole, 4)],
        watch: 8 * SECOND,
        ..Case::calm(24, 1_000, 1_500)
    };
    let played = case.play();
    assert!(played.tally.losses.is_empty(), "{:?}", played.tally.losses);
    assert_eq!(played.stats.ended(End::Silent), 8);
}

/// The proxy's kernel acknowledges whatever the client has become, so no timer of TCP ever fires.
#[test]
fn behind_a_proxy_a_blackholed_client_looks_frozen_and_only_the_heartbeat_finds_it() {
    let victims = vec![(Death::Blackhole, 4), (Death::Freeze, 4), (Death::Mute, 4)];
    let near = Case { kills: victims.clone(), proxied: true, ..Case::calm(20, 5_000, 3_000) };
    let played = near.play();
    assert!(played.tally.losses.is_empty(), "{:?}", played.tally.losses);
    assert_eq!(played.stats.ended(End::Silent), 12);

    // A heartbeat that is not to find anybody: its pings are what the kernels retransmit.
    let blind = Case { watch: 1_500 * SECOND, ..Case::calm(20, 5_000, 10_000_000) };
    let blind = Case { kills: victims, ..blind };
    let direct = blind.play();
    assert_eq!(
        direct.stats.ended(End::TimedOut),
        4,
        "the kernel gives up who acknowledges nothing"
    );
    // In the end the proxy's own kernel gives them up, and the proxy may tell.
    let proxied = Case { proxied: true, ..blind }.play();
    assert_eq!(proxied.stats.ended(End::TimedOut), 0, "the proxy acknowledges everything");
}

#[test]
fn the_dead_are_aborted_and_leave_nothing_in_fin_wait() {
    let case = Case { kills: vec![(Death::Blackhole, 20)], ..Case::calm(20, 1_000, 500) };
    let played = holds(&case);
    for seen in &played.seen {
        let aborted = seen.aborted.expect("it was found");
        let (closed, cause) = seen.closed.expect("it is gone");
        assert_eq!(cause, halfopen_driver::Cause::Aborted);
        assert!(closed.saturating_since(aborted) < Duration::from_millis(1), "{seen:?}");
    }
}
