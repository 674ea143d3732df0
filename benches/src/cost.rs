//! What a heartbeat costs, by the slope of CPU over a ladder of heartbeat rates.
//!
//! At a usual rate a heartbeat's cost drowns in the noise of everything else; over a ladder of
//! rates all that does not depend on the rate falls out. The `halfopen` program and the floor are
//! measured in turns, forth and back, so that a drift of the machine meets both alike, and the
//! floor is measured against itself, which tells how much of a difference is noise.

pub mod sides;
pub mod slope;

use serde::Serialize;
use sides::{Point, Setup, Side};
use slope::{Estimate, estimate, mean, ratio};

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

/// Forth and back: the mean time of each column in it is the same.
pub const ROUND: [Column; 6] = {
    use Column::{Floor, FloorAgain, Halfopen};
    [Halfopen, Floor, FloorAgain, FloorAgain, Floor, Halfopen]
};

/// One run of one column.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Run {
    /// In which block; a block goes once over the ladder.
    pub block: usize,
    /// Whose.
    pub column: Column,
    /// What came of it.
    #[serde(flatten)]
    pub point: Point,
}

/// Goes over the ladder once for each block, upwards and downwards in turn.
///
/// # Errors
/// A process did not start, or ended early, or lost connections.
pub fn measure(
    sides: &Sides,
    setup: &Setup,
    rates: &[u32],
    blocks: usize,
    mut progress: impl FnMut(&Run),
) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for block in 0..blocks {
        let mut ladder = rates.to_vec();
        if block % 2 == 1 {
            ladder.reverse();
        }
        for (rate, column) in ladder.iter().flat_map(|&rate| ROUND.map(|column| (rate, column))) {
            let side = match column {
                Column::Halfopen => &sides.halfopen,
                Column::Floor | Column::FloorAgain => &sides.floor,
            };
            let run = Run { block, column, point: side.run(setup, rate)? };
            progress(&run);
            runs.push(run);
        }
    }
    Ok(runs)
}

/// The result of a measurement, as it is printed for `--json`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The name and version of this form.
    pub schema: &'static str,
    /// Connections in every run.
    pub connections: u32,
    /// Seconds of a run that count.
    pub window_s: f64,
    /// How many times the ladder was gone over.
    pub blocks: usize,
    /// CPU a heartbeat, both ends together, in µs.
    pub both_ends_us: Columns,
    /// The server's part of it.
    pub server_us: Columns,
    /// The client's part of it.
    pub client_us: Columns,
    /// `halfopen` over the floor, both ends together.
    pub ratio: Estimate,
    /// The floor over itself: what a ratio of 1 looks like here.
    pub ratio_of_the_same: Estimate,
    /// Every run.
    pub runs: Vec<Run>,
}

/// A figure for each column.
#[derive(Debug, Serialize)]
pub struct Columns {
    /// The `halfopen` program.
    pub halfopen: Estimate,
    /// The floor.
    pub floor: Estimate,
    /// The floor once more.
    pub floor_again: Estimate,
}

impl Report {
    /// Draws the conclusions from the runs.
    pub fn new(setup: &Setup, runs: Vec<Run>) -> Self {
        let both = |point: &Point| point.server_cpu_us + point.client_cpu_us;
        let slopes = |column| slopes(&runs, column, both);
        let [halfopen, floor, again] =
            [Column::Halfopen, Column::Floor, Column::FloorAgain].map(slopes);
        Self {
            schema: "halfopen.heartbeat-cost/1",
            connections: setup.connections,
            window_s: setup.window.as_secs_f64(),
            blocks: halfopen.len(),
            both_ends_us: columns(&runs, both),
            server_us: columns(&runs, |point| point.server_cpu_us),
            client_us: columns(&runs, |point| point.client_cpu_us),
            ratio: estimate(halfopen.len(), |blocks| ratio(&halfopen, &floor, blocks)),
            ratio_of_the_same: estimate(floor.len(), |blocks| ratio(&again, &floor, blocks)),
            runs,
        }
    }
}

fn columns(runs: &[Run], cost: impl Fn(&Point) -> f64 + Copy) -> Columns {
    let of = |column| {
        let slopes = slopes(runs, column, cost);
        estimate(slopes.len(), |blocks| mean(&slopes, blocks))
    };
    Columns {
        halfopen: of(Column::Halfopen),
        floor: of(Column::Floor),
        floor_again: of(Column::FloorAgain),
    }
}

/// CPU a heartbeat in each block.
fn slopes(runs: &[Run], column: Column, cost: impl Fn(&Point) -> f64) -> Vec<f64> {
    let blocks = runs.iter().map(|run| run.block + 1).max().unwrap_or(0);
    let of_block = |block| {
        let mine = runs.iter().filter(|run| run.block == block && run.column == column);
        let points: Vec<_> = mine
            .map(|run| {
                (run.point.heartbeats / run.point.window_s, cost(&run.point) / run.point.window_s)
            })
            .collect();
        slope::least_squares(&points)
    };
    (0..blocks).map(of_block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_made_up_cost_is_found_again() {
        let mut runs = Vec::new();
        for block in 0..4 {
            for rate in [0.0, 5_000.0, 10_000.0] {
                for column in ROUND {
                    let each = if column == Column::Halfopen { 15.0 } else { 10.0 };
                    let point = Point {
                        window_s: 2.0,
                        heartbeats: rate * 2.0,
                        server_cpu_us: 2.0 * (3_000.0 + each * rate),
                        client_cpu_us: 2.0 * (1_000.0 + each * rate),
                        syscalls: None,
                    };
                    runs.push(Run { block, column, point });
                }
            }
        }
        let setup = Setup { connections: 10, window: Duration::from_secs(2), ..Setup::default() };
        let report = Report::new(&setup, runs);
        assert_eq!(report.blocks, 4);
        assert!((report.both_ends_us.halfopen.value - 30.0).abs() < 1e-6);
        assert!((report.server_us.floor.value - 10.0).abs() < 1e-6);
        assert!((report.ratio.low - 1.5).abs() < 1e-6 && (report.ratio.high - 1.5).abs() < 1e-6);
        assert!((report.ratio_of_the_same.value - 1.0).abs() < 1e-6);
    }
}
