//! What a heartbeat costs, by the slope of CPU over a ladder of heartbeat rates.
//!
//! At a usual rate a heartbeat's cost drowns in the noise of everything else; over a ladder of
//! rates all that does not depend on the rate falls out. The `halfopen` program and the floor are
//! measured in turns, forth and back, so that a drift of the machine meets both alike, and the
//! floor is measured against itself, which tells how much of a difference is noise.
//!
//! A *pair* is one way over the ladder, all columns at each rate: it gives one slope of each column,
//! and so one ratio. The interval of a ratio comes from drawing whole pairs anew. What is taken without
//! a heartbeat may be measured in the first pair alone ([`Ladder::zero_once`]).

mod admin;
pub mod markdown;
pub mod sides;
pub mod slope;

use serde::Serialize;
use sides::{Point, Setup, Side};
use slope::{Estimate, Line, estimate, least_squares, mean, ratio};

/// The sides of one measurement.
#[derive(Clone, Debug)]
pub struct Sides {
    /// The `halfopen` program.
    pub halfopen: Side,
    /// The floor; measured twice, once against itself.
    pub floor: Side,
}

/// A column of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// The `halfopen` program.
    Halfopen,
    /// The floor.
    Floor,
    /// The floor once more.
    FloorAgain,
}

/// The order at each rate, in one pair; in the next it is turned round.
pub const ORDER: [Column; 3] = [Column::Halfopen, Column::Floor, Column::FloorAgain];

/// One run of one column.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Run {
    /// In which pair.
    pub pair: usize,
    /// Whose.
    pub column: Column,
    /// What came of it.
    #[serde(flatten)]
    pub point: Point,
}

/// The rates, and how often they are gone over.
#[derive(Clone, Debug)]
pub struct Ladder {
    /// Heartbeats a second.
    pub rates: Vec<u32>,
    /// How often.
    pub pairs: usize,
    /// The rate 0 is for the first pair alone. It costs as much time as any other, and tells of less
    /// than a hundredth of what a high rate takes.
    pub zero_once: bool,
}

/// Goes over the ladder once for each pair: two pairs upwards, forth and back, then two downwards.
///
/// # Errors
/// A process did not start, or ended early, or lost connections.
pub fn measure(
    sides: &Sides,
    setup: &Setup,
    ladder: &Ladder,
    mut progress: impl FnMut(&Run),
) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for pair in 0..ladder.pairs {
        let wanted = |rate: u32| rate > 0 || pair == 0 || !ladder.zero_once;
        for (rate, column) in way(&ladder.rates, pair).into_iter().filter(|&(rate, _)| wanted(rate))
        {
            let side = match column {
                Column::Halfopen => &sides.halfopen,
                Column::Floor | Column::FloorAgain => &sides.floor,
            };
            let run = Run { pair, column, point: side.run(setup, rate)? };
            progress(&run);
            runs.push(run);
        }
    }
    Ok(runs)
}

/// The runs of one pair, in their order.
fn way(rates: &[u32], pair: usize) -> Vec<(u32, Column)> {
    let (mut rates, mut order) = (rates.to_vec(), ORDER);
    if pair % 4 >= 2 {
        rates.reverse();
    }
    if pair % 2 == 1 {
        order.reverse();
    }
    rates.into_iter().flat_map(|rate| order.map(|column| (rate, column))).collect()
}

/// The result with one number of connections.
#[derive(Debug, Serialize)]
pub struct Step {
    /// Connections in every run.
    pub connections: u32,
    /// Rings of each process.
    pub rings: u32,
    /// How many times the ladder was gone over.
    pub pairs: usize,
    /// Seconds of each run that count.
    pub window_s: f64,
    /// CPU a heartbeat, both ends together, in µs.
    pub both_ends_us: Columns,
    /// The server's part of it.
    pub server_us: Columns,
    /// The client's part of it.
    pub client_us: Columns,
    /// What the server takes without a heartbeat, in per cent of a core.
    pub server_idle_percent: Columns,
    /// What the client takes without a heartbeat.
    pub client_idle_percent: Columns,
    /// `halfopen` over the floor, both ends together. The floor is what both its runs come to.
    pub ratio: Estimate,
    /// The floor over itself, its second run over its first: what a ratio of 1 looks like here.
    pub ratio_of_the_same: Estimate,
    /// Every run.
    pub runs: Vec<Run>,
}

/// A figure for each column.
#[derive(Debug, Serialize)]
pub struct Columns {
    /// The `halfopen` program.
    pub halfopen: Estimate,
    /// The floor, in both its runs.
    pub floor: Estimate,
}

impl Step {
    /// Draws the conclusions from the runs.
    pub fn new(setup: &Setup, runs: Vec<Run>) -> Self {
        let both: fn(&Point) -> f64 = |point| point.server_cpu_us + point.client_cpu_us;
        let [halfopen, first, again] = ORDER.map(|column| slopes(&runs, column, both));
        let floor = means(&first, &again);
        let idle = |cost: fn(&Point) -> f64| {
            // µs of CPU a second, of which a core has a million.
            columns(|column| lines(&runs, column, cost).map(|line| line.at_zero / 1e4).collect())
        };
        let cost = |cost: fn(&Point) -> f64| columns(|column| slopes(&runs, column, cost));
        Self {
            connections: setup.connections,
            rings: setup.rings,
            pairs: halfopen.len(),
            window_s: setup.window.as_secs_f64(),
            both_ends_us: cost(both),
            server_us: cost(|point| point.server_cpu_us),
            client_us: cost(|point| point.client_cpu_us),
            server_idle_percent: idle(|point| point.server_cpu_us),
            client_idle_percent: idle(|point| point.client_cpu_us),
            ratio: estimate(halfopen.len(), |pairs| ratio(&halfopen, &floor, pairs)),
            ratio_of_the_same: estimate(first.len(), |pairs| ratio(&again, &first, pairs)),
            runs,
        }
    }
}

/// The mean over the pairs, for each column.
fn columns(values: impl Fn(Column) -> Vec<f64>) -> Columns {
    let [halfopen, first, again] = ORDER.map(values);
    let of = |values: &[f64]| estimate(values.len(), |pairs| mean(values, pairs));
    Columns { halfopen: of(&halfopen), floor: of(&means(&first, &again)) }
}

/// What two runs of a pair come to.
fn means(first: &[f64], again: &[f64]) -> Vec<f64> {
    first.iter().zip(again).map(|(first, again)| f64::midpoint(*first, *again)).collect()
}

/// CPU a heartbeat in each pair.
fn slopes(runs: &[Run], column: Column, cost: fn(&Point) -> f64) -> Vec<f64> {
    lines(runs, column, cost).map(|line| line.slope).collect()
}

/// CPU a second over heartbeats a second, for each pair. A pair without a run at rate 0 borrows that of
/// the first.
fn lines(runs: &[Run], column: Column, cost: fn(&Point) -> f64) -> impl Iterator<Item = Line> {
    let pairs = runs.iter().map(|run| run.pair + 1).max().unwrap_or(0);
    let is_zero = |run: &&Run| run.point.heartbeats == 0.0;
    (0..pairs).map(move |pair| {
        let of =
            move |pair| runs.iter().filter(move |run| run.pair == pair && run.column == column);
        let borrows = !of(pair).any(|run| is_zero(&run));
        let borrowed = of(0).filter(is_zero).filter(move |_| borrows);
        let mine = of(pair).chain(borrowed);
        let a_second =
            |point: &Point| (point.heartbeats / point.window_s, cost(point) / point.window_s);
        least_squares(&mine.map(|run| a_second(&run.point)).collect::<Vec<_>>())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A step in which `halfopen` costs one and a half times what the floor costs.
    pub(super) fn made_up() -> Step {
        let mut runs = Vec::new();
        for pair in 0..4 {
            for (rate, column) in way(&[0, 5_000, 10_000], pair) {
                let each = if column == Column::Halfopen { 15.0 } else { 10.0 };
                let rate = f64::from(rate);
                let point = Point {
                    window_s: 2.0,
                    heartbeats: rate * 2.0,
                    server_cpu_us: 2.0 * (3_000.0 + each * rate),
                    client_cpu_us: 2.0 * (1_000.0 + each * rate),
                    syscalls: None,
                };
                runs.push(Run { pair, column, point });
            }
        }
        let setup = Setup { window: Duration::from_secs(2), ..Setup::default() };
        Step::new(&setup, runs)
    }

    #[test]
    fn a_made_up_cost_is_found_again() {
        let step = made_up();
        assert_eq!(step.pairs, 4);
        assert!((step.both_ends_us.halfopen.value - 30.0).abs() < 1e-6);
        assert!((step.server_us.floor.value - 10.0).abs() < 1e-6);
        assert!((step.ratio.low - 1.5).abs() < 1e-6 && (step.ratio.high - 1.5).abs() < 1e-6);
        assert!((step.ratio_of_the_same.value - 1.0).abs() < 1e-6);
        assert!((step.server_idle_percent.halfopen.value - 0.3).abs() < 1e-6);
        assert!((step.client_idle_percent.floor.value - 0.1).abs() < 1e-6);
    }

    #[test]
    fn what_is_taken_without_a_heartbeat_may_be_measured_once() {
        let whole = made_up();
        let at_zero_in_the_first = |run: &&Run| run.pair == 0 || run.point.heartbeats > 0.0;
        let runs = whole.runs.iter().filter(at_zero_in_the_first).copied().collect();
        let step = Step::new(&Setup::default(), runs);
        assert_eq!((step.runs.len(), step.pairs), (whole.runs.len() - 9, 4));
        assert_eq!(step.ratio, whole.ratio);
        assert_eq!(step.both_ends_us.halfopen, whole.both_ends_us.halfopen);
    }

    #[test]
    fn over_four_pairs_each_column_stands_at_each_place_alike() {
        let all: Vec<_> = (0..4).flat_map(|pair| way(&[0, 1], pair)).collect();
        for column in ORDER {
            for rate in [0, 1] {
                let places = (0..24).filter(|&place| all[place] == (rate, column));
                assert_eq!(places.map(|place| place % 6).sum::<usize>(), 10, "{column:?} {rate}");
            }
        }
    }
}
