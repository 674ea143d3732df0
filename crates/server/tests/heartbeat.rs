//! The heartbeat's promises, for any interval and any timeout.
//!
//! One connection's beat is run on a virtual clock by a loop that looks when a deadline has come,
//! at most one tick late, and whose driver may stall.

use fastrand::Rng;
use halfopen_driver::Heard;
use halfopen_server::heartbeat::{Beat, Heartbeat, Policy, Verdict};
use halfopen_wheel::Instant;
use proptest::prelude::*;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(8);
const START: Instant = Instant::from_nanos(1_000_000_000_000);

/// What happens to the beat, in the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// The peer's bytes arrive.
    Arrive,
    /// The loop looks.
    Look,
}

/// A run of one connection: when pings left, and when it was found silent.
#[derive(Debug, Default)]
struct Run {
    pings: Vec<Instant>,
    dead: Option<Instant>,
}

/// A peer, and the loop on our side.
#[derive(Clone, Debug)]
struct Scene {
    heartbeat: Heartbeat,
    seed: u64,
    /// How long the peer takes to answer; it dies (answers no more) at `dies`.
    rtt: Duration,
    dies: Instant,
    /// When the peer sends something of its own.
    chatter: Vec<Instant>,
    /// Times in which our loop does nothing, and hears nothing.
    stalls: Vec<(Instant, Duration)>,
    ends: Instant,
}

impl Scene {
    fn quiet(heartbeat: Heartbeat, seed: u64, rtt: Duration) -> Self {
        let ends = START + heartbeat.interval * 12 + heartbeat.timeout * 3;
        let (dies, chatter, stalls) = (Instant::FAR, Vec::new(), Vec::new());
        Self { heartbeat, seed, rtt, dies, chatter, stalls, ends }
    }

    fn run(&self) -> Run {
        let mut rng = Rng::with_seed(self.seed);
        let mut beat = Beat::start(START, &self.heartbeat, &mut rng);
        let mut agenda: Vec<_> = self.chatter.iter().map(|&at| (at, Happening::Arrive)).collect();
        let mut run = Run::default();
        let mut now = START;
        loop {
            let due = beat.deadline(&self.heartbeat);
            let late = Duration::from_nanos(rng.u64(0..TICK.as_nanos() as u64));
            let look = (due.max(now) + late, Happening::Look);
            agenda.sort_unstable();
            let next = *agenda.iter().chain([&look]).min().expect("there is a look at least");
            let woke = self.after_stalls(now.max(next.0));
            // After a stall more may wait than one turn hands over, so the loop looks with
            // arrivals before it that it has not heard: the earliest of them bounds `until`.
            let is_dazed = woke > now.max(next.0);
            now = woke;
            if now > self.ends {
                return run;
            }
            if next.1 == Happening::Arrive && !is_dazed {
                agenda.remove(0);
                beat.heard(now);
                continue;
            }
            let until = agenda.first().map_or(now, |(at, _)| now.min(*at));
            match beat.check(now, Heard { until, busy_since: None }, &self.heartbeat, &mut rng) {
                Verdict::Ping => {
                    run.pings.push(now);
                    beat.left(now, &self.heartbeat, &mut rng);
                    let answer = now + self.rtt;
                    if answer < self.dies {
                        agenda.push((answer, Happening::Arrive));
                    }
                }
                Verdict::Silent => {
                    run.dead = Some(now);
                    return run;
                }
                Verdict::Wait | Verdict::Unheard => {}
            }
        }
    }

    fn after_stalls(&self, now: Instant) -> Instant {
        let stalled =
            |(begins, lasts): &&(Instant, Duration)| *begins <= now && now < *begins + *lasts;
        self.stalls.iter().find(stalled).map_or(now, |(begins, lasts)| *begins + *lasts)
    }
}

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn periodic() -> impl Strategy<Value = Heartbeat> {
    let (interval, timeout) = (millis(20..60_000), millis(20..60_000));
    (interval, timeout).prop_map(|(interval, timeout)| Heartbeat {
        policy: Policy::Periodic,
        interval,
        timeout,
    })
}

fn idle() -> impl Strategy<Value = Heartbeat> {
    periodic().prop_map(|heartbeat| Heartbeat { policy: Policy::Idle, ..heartbeat })
}

fn any_policy() -> impl Strategy<Value = Heartbeat> {
    prop_oneof![periodic(), idle()]
}

/// A share of a duration, in per cent.
fn percent(of: Duration, share: u64) -> Duration {
    of.mul_f64(share as f64 / 100.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_living_peer_is_pinged_every_interval_and_never_killed(
        heartbeat in periodic(), seed: u64, rtt in 0u64..99,
    ) {
        let rtt = percent(heartbeat.timeout.min(heartbeat.interval), rtt);
        let run = Scene::quiet(heartbeat, seed, rtt).run();
        prop_assert_eq!(run.dead, None);
        prop_assert!(run.pings[0] < START + heartbeat.interval + TICK);
        prop_assert!(run.pings.len() >= 10, "{} pings", run.pings.len());
        for pair in run.pings.windows(2) {
            let gap = pair[1].saturating_since(pair[0]);
            prop_assert!(heartbeat.interval <= gap && gap <= heartbeat.interval + TICK, "{gap:?}");
        }
    }

    #[test]
    fn a_late_answer_within_the_timeout_is_followed_by_the_next_ping_at_once(
        interval in millis(20..5_000), factor in 2u32..9, seed: u64,
    ) {
        let timeout = interval * factor;
        let heartbeat = Heartbeat { policy: Policy::Periodic, interval, timeout };
        let rtt = timeout - interval / 2;
        let run = Scene::quiet(heartbeat, seed, rtt).run();
        prop_assert_eq!(run.dead, None);
        for pair in run.pings.windows(2) {
            let gap = pair[1].saturating_since(pair[0]);
            prop_assert!(rtt <= gap && gap <= rtt + TICK, "{gap:?} after {rtt:?}");
        }
    }

    #[test]
    fn the_dead_are_found_within_interval_and_timeout(
        heartbeat in periodic(), seed: u64, rtt in 0u64..90, dies in 100u64..500,
    ) {
        let rtt = percent(heartbeat.timeout.min(heartbeat.interval), rtt);
        let dies = START + percent(heartbeat.interval, dies);
        let run = Scene { dies, ..Scene::quiet(heartbeat, seed, rtt) }.run();
        let answered = run.pings.iter().rev().find(|ping| **ping + rtt < dies);
        let asked = answered.map_or(run.pings[0], |ping| *ping + heartbeat.interval);
        let (dead, due) = (run.dead.expect("it is found"), asked + heartbeat.timeout);
        prop_assert!(due <= dead, "found {dead:?} before {due:?}");
        prop_assert!(dead <= due + TICK + TICK, "found {dead:?} long after {due:?}");
    }

    #[test]
    fn a_stalled_loop_kills_nobody(
        heartbeat in any_policy(), seed: u64, rtt in 0u64..99,
        stalls in prop::collection::vec((0u64..1_200, 1u64..400), 1..6),
    ) {
        let rtt = percent(heartbeat.timeout.min(heartbeat.interval), rtt);
        let stalls = stalls.iter().map(|&(begins, lasts)| {
            (START + percent(heartbeat.interval, begins), percent(heartbeat.timeout, lasts))
        });
        let scene = Scene { stalls: stalls.collect(), ..Scene::quiet(heartbeat, seed, rtt) };
        prop_assert_eq!(scene.run().dead, None);
    }

    #[test]
    fn the_idle_policy_asks_only_after_silence_and_never_later_than_an_interval(
        heartbeat in idle(), seed: u64, rtt in 0u64..90,
        chatter in prop::collection::vec(0u64..1_200, 0..20),
    ) {
        let rtt = percent(heartbeat.timeout.min(heartbeat.interval), rtt);
        let at = |share: &u64| START + percent(heartbeat.interval, *share);
        let mut chatter: Vec<_> = chatter.iter().map(at).collect();
        chatter.sort_unstable();
        let scene = Scene { chatter: chatter.clone(), ..Scene::quiet(heartbeat, seed, rtt) };
        let run = scene.run();
        prop_assert_eq!(run.dead, None);
        let mut answered = START;
        for &ping in &run.pings {
            let spoke = chatter.iter().rev().find(|at| **at < ping).copied();
            let heard = spoke.unwrap_or(START).max(answered);
            let silence = ping.saturating_since(heard);
            let shortest = heartbeat.interval - heartbeat.interval / 10;
            prop_assert!(shortest <= silence, "asked after {silence:?}");
            prop_assert!(silence <= heartbeat.interval + TICK * 2, "asked after {silence:?}");
            answered = ping + rtt;
        }
    }
}

#[test]
fn the_first_pings_of_a_crowd_are_spread_over_the_interval() {
    let heartbeat = Heartbeat::default();
    let mut rng = Rng::with_seed(5);
    let mut tenths = [0; 10];
    for _ in 0..10_000 {
        let first = Beat::start(START, &heartbeat, &mut rng).deadline(&heartbeat);
        tenths[(first.saturating_since(START).as_millis() / 2_000) as usize] += 1;
    }
    assert!(tenths.iter().all(|count| (800..1_200).contains(count)), "{tenths:?}");
}

#[test]
fn a_byte_that_crossed_with_the_ping_is_an_answer_only_if_it_came_after_the_flush() {
    let heartbeat = Heartbeat::default();
    let listened = |until| Heard { until, busy_since: None };
    let second = Duration::from_secs(1);
    let (now, mut rng) = (START + heartbeat.interval, Rng::with_seed(1));
    for (heard, flushed, asked) in
        [(now, now + second, Some(now + second)), (now + second, now, None), (now, now, None)]
    {
        let mut beat = Beat::start(START, &heartbeat, &mut rng);
        assert_eq!(beat.check(now, listened(now), &heartbeat, &mut rng), Verdict::Ping);
        beat.heard(heard);
        beat.left(flushed, &heartbeat, &mut rng);
        assert_eq!(beat.asked(), asked);
    }
}

#[test]
fn a_peer_that_we_did_not_read_from_is_asked_anew() {
    let heartbeat = Heartbeat::default();
    let mut rng = Rng::with_seed(1);
    let asked = START + heartbeat.interval;
    let mut beat = Beat::start(START, &heartbeat, &mut rng);
    let heard = |until| Heard { until, busy_since: None };
    assert_eq!(beat.check(asked, heard(asked), &heartbeat, &mut rng), Verdict::Ping);
    beat.left(asked, &heartbeat, &mut rng);
    let resumed = asked + heartbeat.timeout * 3;
    beat.excuse(resumed);
    assert_eq!(beat.check(resumed, heard(resumed), &heartbeat, &mut rng), Verdict::Wait);
    let later = resumed + heartbeat.timeout;
    assert_eq!(beat.check(later, heard(later), &heartbeat, &mut rng), Verdict::Silent);
}
