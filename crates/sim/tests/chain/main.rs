//! The chain from end to end in virtual time: the server's shard and the load generator's swarm in
//! one world, with deaths of all kinds and everything going wrong that connections survive.

mod broadcast;
#[path = "../identity/mod.rs"]
mod identity;
mod judge;
mod play;
mod puppet;
mod relay;
mod spy;
mod traps;
mod traps_of_flow;

use halfopen_server::End;
use judge::silent;
use play::Case;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Runs `check` for each seed, on all cores; a seed that fails is printed with the line that replays
/// it. `HALFOPEN_SEEDS` asks for another count, and `HALFOPEN_SEED` picks one.
fn each_seed(count: u64, check: impl Fn(u64) + Sync) {
    let asked = |name| std::env::var(name).ok().map(|asked| asked.parse().expect("a number"));
    let count = asked("HALFOPEN_SEEDS").unwrap_or(count);
    let (first, end) = asked("HALFOPEN_SEED").map_or((0, count), |seed: u64| (seed, seed + 1));
    let next = AtomicU64::new(first);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(seed))) {
                eprintln!("HALFOPEN_SEED={seed} cargo test -p halfopen-sim --test chain");
                next.store(end, Ordering::Relaxed);
                resume_unwind(panic);
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
}

#[track_caller]
fn holds(case: &Case) -> play::Played {
    let played = case.play();
    if let Err(broken) = case.judge(&played) {
        panic!("{broken}\n{case:?}");
    }
    played
}

#[test]
fn many_seeds_of_server_and_load_generator() {
    each_seed(250, |seed| {
        let case = Case::seeded(seed);
        let played = holds(&case);
        assert!(silent(&case.kills).contains(&played.stats.ended(End::Silent)), "{case:?}");
    });
}

/// The long runs are days of a thousand connections, and many of them are played by the example
/// `seeds`; here an hour shows that the case is sound.
#[test]
fn an_hour_of_two_hundred_connections() {
    each_seed(2, |seed| drop(holds(&Case::day(seed).cut_to(200, Duration::from_secs(3_600)))));
}

#[test]
fn where_connections_are_reset_and_refused_only_the_silent_are_aborted() {
    let lost = AtomicU64::new(0);
    each_seed(200, |seed| {
        let mut case = Case::seeded(seed);
        case.faults.resets = 0.002;
        case.faults.refused = 0.1;
        let played = case.play();
        if let Err(broken) = case.judge_hostile(&played) {
            panic!("{broken}\n{case:?}");
        }
        lost.fetch_add(played.tally.losses.len() as u64, Ordering::Relaxed);
    });
    assert!(lost.into_inner() > 0, "nobody living was reset");
}

/// Their keys are drawn by the kernel, so such a run is not the same to the byte when it is played again.
#[test]
fn server_and_load_generator_over_tls() {
    each_seed(12, |seed| {
        let case = Case { tls: true, ..Case::seeded(seed) };
        let played = holds(&case);
        assert!(silent(&case.kills).contains(&played.stats.ended(End::Silent)), "{case:?}");
        let secured: u64 = played.tally.secured.values().sum();
        assert_eq!(secured, u64::from(case.connections));
    });
}

#[test]
fn the_same_seed_gives_the_same_log_to_the_last_byte() {
    each_seed(60, |seed| {
        let case = Case::seeded(seed);
        assert_eq!(case.play().hash, case.play().hash, "{case:?}");
    });
}
