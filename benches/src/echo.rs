//! An echo in a closed loop: the `halfopen` program beside a floor that sends back what it gets.
//!
//! The client is the same for both, one process on a core of its own; so is the server. A *pair* is
//! one way over all that is compared: one message under way and several, each with `halfopen`, with
//! the floor, and with the floor a second time to tell what noise is. In the next pair all of it is
//! turned round, so a drift of the machine meets everyone alike.

mod page;

pub use page::page;

use crate::cost::slope::{Estimate, estimate, ratio};
use crate::cost::{Column, ORDER};
use crate::process::Process;
use crate::table::spread::Spread;
use anyhow::{Context, ensure};
use serde::Serialize;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What is said on each connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Talk {
    /// Connections.
    pub connections: u32,
    /// Bytes of text in a message.
    pub size: u32,
    /// Messages under way on each connection: these are compared with each other.
    pub windows: Vec<u32>,
}

/// What is the same in every run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The `halfopen` program.
    pub halfopen: PathBuf,
    /// The `floor` program.
    pub floor: PathBuf,
    /// The driver of `halfopen serve`.
    pub driver: String,
    /// The time that counts.
    pub window: Duration,
    /// The time before it.
    pub settle: Duration,
    /// The cores of server and client.
    pub cores: [usize; 2],
}

/// What came of one run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Run {
    /// In which pair.
    pub pair: usize,
    /// Messages under way on each connection.
    pub window: u32,
    /// Whose.
    pub column: Column,
    /// Echoes a second.
    pub echoes_per_s: f64,
    /// CPU of the server a message, µs.
    pub server_us: f64,
    /// CPU of the client a message, µs.
    pub client_us: f64,
}

/// Runs a talk so many times in pairs.
///
/// # Errors
/// A process did not start, or ended early, or does not echo.
pub fn measure(
    setup: &Setup,
    talk: &Talk,
    pairs: usize,
    mut progress: impl FnMut(&Run),
) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for pair in 0..pairs {
        for (window, column) in way(&talk.windows, pair) {
            let run = setup.run(talk, window, pair, column);
            let run = run.with_context(|| format!("{column:?}"))?;
            progress(&run);
            runs.push(run);
        }
    }
    Ok(runs)
}

/// The runs of one pair, in their order.
fn way(windows: &[u32], pair: usize) -> Vec<(u32, Column)> {
    let forth = windows.iter().flat_map(|&window| ORDER.map(|column| (window, column)));
    let mut way: Vec<_> = forth.collect();
    if pair % 2 == 1 {
        way.reverse();
    }
    way
}

impl Setup {
    fn run(&self, talk: &Talk, window: u32, pair: usize, column: Column) -> anyhow::Result<Run> {
        let is_ours = column == Column::Halfopen;
        let mut serve = if is_ours { self.ours(talk) } else { self.theirs(talk) };
        let mut server = Process::start(self.cores[0], &mut serve)?;
        let line = server.line()?;
        let address = line.split([' ', '/']).rfind(|word| word.contains("127.0.0.1:"));
        let address = address.with_context(|| format!("no address in {line:?}"))?;
        let mut ask = Command::new(&self.floor);
        ask.args(["ask", address]).arg(format!("--connections={}", talk.connections));
        ask.arg(format!("--window={window}")).arg(format!("--size={}", talk.size));
        if is_ours {
            ask.arg("--websocket");
        }
        let mut client = Process::start(self.cores[1], &mut ask)?;
        client.ask()?;
        sleep(self.settle);
        let (begun, cpu_before, before) = (Instant::now(), server.cpu()?, client.ask()?);
        sleep(self.window);
        let (ended, cpu_after, after) = (Instant::now(), server.cpu()?, client.ask()?);
        let done = after.since(&before);
        ensure!(done.pongs > 0, "nothing came back");
        let echoes = done.pongs as f64;
        Ok(Run {
            pair,
            window,
            column,
            echoes_per_s: echoes / (ended - begun).as_secs_f64(),
            server_us: (cpu_after - cpu_before).as_secs_f64() * 1e6 / echoes,
            client_us: done.cpu_ns as f64 / 1e3 / echoes,
        })
    }

    fn ours(&self, talk: &Talk) -> Command {
        let mut command = Command::new(&self.halfopen);
        command.args(["serve", "--listen=127.0.0.1:0", "--shards=1", "--ping-interval=off"]);
        command.arg(format!("--driver={}", self.driver));
        command.arg(format!("--max-connections={}", talk.connections));
        command
    }

    fn theirs(&self, talk: &Talk) -> Command {
        let mut command = Command::new(&self.floor);
        command.arg("echo").arg(format!("--connections={}", talk.connections));
        command
    }
}

/// What came of a talk.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Which.
    #[serde(flatten)]
    pub talk: Talk,
    /// How many pairs.
    pub pairs: usize,
    /// Seconds of a run that count.
    pub window_s: f64,
    /// With each number of messages under way.
    pub cases: Vec<Case>,
    /// How many times as many echoes go with several under way as with the first number of them.
    pub pipelining: Vec<Pipelining>,
    /// Every run.
    pub runs: Vec<Run>,
}

/// The result with one number of messages under way.
#[derive(Debug, Serialize)]
pub struct Case {
    /// That number.
    pub window: u32,
    /// Echoes a second of `halfopen`.
    pub halfopen: Spread,
    /// Of the floor.
    pub floor: Spread,
    /// Echoes of `halfopen` over those of the floor.
    pub ratio: Estimate,
    /// The floor over itself.
    pub ratio_of_the_same: Estimate,
    /// The server's CPU a message, `halfopen` over the floor.
    pub server_cpu_ratio: Estimate,
}

/// Several messages under way beside fewer, of the same pairs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Pipelining {
    /// Messages under way.
    pub window: u32,
    /// Beside how many.
    pub beside: u32,
    /// Echoes of `halfopen` over its echoes.
    pub times: Estimate,
}

impl Outcome {
    /// Draws the conclusions from the runs of a talk.
    pub fn new(talk: Talk, window: Duration, runs: Vec<Run>) -> Self {
        let echoes = |window| of(&runs, window, Column::Halfopen, |run| run.echoes_per_s);
        let first = talk.windows[0];
        let few = echoes(first);
        let pipelining = talk.windows[1..].iter().map(|&window| {
            let many = echoes(window);
            let times = estimate(few.len(), |pairs| ratio(&many, &few, pairs));
            Pipelining { window, beside: first, times }
        });
        Self {
            pairs: few.len(),
            window_s: window.as_secs_f64(),
            cases: talk.windows.iter().map(|&window| Case::new(window, &runs)).collect(),
            pipelining: pipelining.collect(),
            talk,
            runs,
        }
    }
}

impl Case {
    fn new(window: u32, runs: &[Run]) -> Self {
        let [ours, floor, again] =
            ORDER.map(|column| of(runs, window, column, |run| run.echoes_per_s));
        let [ours_cpu, floor_cpu, _] =
            ORDER.map(|column| of(runs, window, column, |run| run.server_us));
        let over =
            |over: &[f64], under: &[f64]| estimate(over.len(), |pairs| ratio(over, under, pairs));
        Self {
            window,
            halfopen: Spread::of(&ours),
            floor: Spread::of(&floor),
            ratio: over(&ours, &floor),
            ratio_of_the_same: over(&again, &floor),
            server_cpu_ratio: over(&ours_cpu, &floor_cpu),
        }
    }
}

/// A figure of each pair, in the order of the pairs.
fn of(runs: &[Run], window: u32, column: Column, what: fn(&Run) -> f64) -> Vec<f64> {
    let mine = runs.iter().filter(|run| run.window == window && run.column == column);
    mine.map(what).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four pairs in which the machine is faster each time.
    pub(super) fn made_up(ours: [f64; 2]) -> Outcome {
        let talk = Talk { connections: 200, size: 20, windows: vec![1, 16] };
        let runs = (0..4).flat_map(|pair| {
            let drift = 1.0 + pair as f64 / 10.0;
            way(&[1, 16], pair).into_iter().map(move |(window, column)| {
                let of_window = usize::from(window == 16);
                let floor = [1_000.0, 10_000.0][of_window];
                let rate = if column == Column::Halfopen { ours[of_window] } else { floor };
                let echoes_per_s = rate * drift;
                Run { pair, window, column, echoes_per_s, server_us: 1.0, client_us: 1.0 }
            })
        });
        let runs = runs.collect();
        Outcome::new(talk, Duration::from_secs(1), runs)
    }

    #[test]
    fn what_moves_all_of_a_pair_moves_no_ratio() {
        let outcome = made_up([950.0, 9_500.0]);
        let is = |estimate: Estimate, expected: f64| {
            let Estimate { value, low, high } = estimate;
            [value, low, high].iter().all(|ratio| (ratio - expected).abs() < 1e-9)
        };
        assert!(outcome.cases.iter().all(|case| is(case.ratio, 0.95)));
        assert!((outcome.cases[0].floor.median - 1_150.0).abs() < 1e-9);
        let [Pipelining { window: 16, beside: 1, times }] = outcome.pipelining[..] else {
            panic!("{:?}", outcome.pipelining)
        };
        assert!(is(times, 10.0), "{times:?}");
    }

    #[test]
    fn over_two_pairs_each_stands_at_each_place_alike() {
        let all: Vec<_> = (0..2).flat_map(|pair| way(&[1, 16], pair)).collect();
        for window in [1, 16] {
            for column in ORDER {
                let places = (0..12).filter(|&place| all[place] == (window, column));
                assert_eq!(places.map(|place| place % 6).sum::<usize>(), 5, "{window} {column:?}");
            }
        }
    }
}
