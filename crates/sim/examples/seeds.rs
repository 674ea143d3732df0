//! Many seeds of the whole chain, short ones and days of a thousand connections:
//!
//! ```text
//! cargo run --release -p halfopen-sim --example seeds -- --short 10000 --long 20 [--from 0]
//! ```
//!
//! A short seed is a minute or so of up to 40 connections, a long one 24 hours of 1,000; server and
//! load generator in one world, with faults and deaths of every kind, all drawn from the seed. What
//! has to hold is what the tests hold. It runs all that it was asked for, prints each seed that
//! fails with the command that replays it, and exits 1 if one did.
#![allow(dead_code, unreachable_pub, reason = "the tests use more of the modules they share")]

#[path = "../tests/identity/mod.rs"]
mod identity;
#[path = "../tests/chain/judge.rs"]
mod judge;
#[path = "../tests/chain/play.rs"]
mod play;
#[path = "../tests/chain/relay.rs"]
mod relay;
#[path = "../tests/chain/spy.rs"]
mod spy;

use halfopen_server::{End, Stats};
use play::Case;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// What is asked for.
struct Wanted {
    short: u64,
    long: u64,
    from: u64,
}

/// What came of all seeds of one kind.
#[derive(Default)]
struct Sum {
    failed: Vec<u64>,
    seconds: Vec<f64>,
    stats: Stats,
}

fn main() -> ExitCode {
    let Some(wanted) = Wanted::read(std::env::args().skip(1)) else {
        eprintln!("usage: seeds [--short COUNT] [--long COUNT] [--from SEED]");
        return ExitCode::from(2);
    };
    let short = run("short", wanted.from, wanted.short, Case::seeded);
    let long = run("long", wanted.from, wanted.long, Case::day);
    if short.failed.is_empty() && long.failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}

impl Wanted {
    fn read(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut wanted = Self { short: 0, long: 0, from: 0 };
        while let Some(flag) = words.next() {
            let value = words.next()?.parse().ok()?;
            match flag.as_str() {
                "--short" => wanted.short = value,
                "--long" => wanted.long = value,
                "--from" => wanted.from = value,
                _ => return None,
            }
        }
        (wanted.short + wanted.long > 0).then_some(wanted)
    }
}

/// Plays and judges `count` seeds on all cores.
fn run(kind: &str, from: u64, count: u64, case: fn(u64) -> Case) -> Sum {
    let (next, sum) = (AtomicU64::new(from), Mutex::new(Sum::default()));
    let began = Instant::now();
    let work = || {
        while let Some(seed) =
            Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < from + count)
        {
            let began = Instant::now();
            let verdict = check(&case(seed));
            let seconds = began.elapsed().as_secs_f64();
            let mut sum = sum.lock().expect("nobody panics with it");
            match verdict {
                Ok(stats) => sum.stats.add(&stats),
                Err(why) => {
                    println!("{why}\nseeds --{kind} 1 --from {seed}");
                    sum.failed.push(seed);
                }
            }
            sum.seconds.push(seconds);
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let sum = sum.into_inner().expect("nobody panics with it");
    if count > 0 {
        sum.print(kind, began.elapsed().as_secs_f64());
    }
    sum
}

/// What the server counted, or which rule was broken.
fn check(case: &Case) -> Result<Stats, String> {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let played = case.play();
        case.judge(&played).map(|()| played.stats)
    }));
    match played {
        Ok(judged) => judged.map_err(|broken| format!("{broken}\n{case:?}")),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map_or("a panic", String::as_str);
            Err(format!("{words}\n{case:?}"))
        }
    }
}

impl Sum {
    fn print(&self, kind: &str, wall: f64) {
        let Self { failed, seconds, stats } = self;
        let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
        let most = seconds.iter().copied().fold(0.0, f64::max);
        println!(
            "{kind}: {} seeds, {} failed; {} connections, {} pings, {} found silent, lateness at \
             most {} ms; {wall:.0} s, a seed {mean:.2} s, at most {most:.2} s",
            seconds.len(),
            failed.len(),
            stats.opened,
            stats.pings_sent,
            stats.ended(End::Silent),
            stats.lateness_ns.max() / 1_000_000,
        );
    }
}
