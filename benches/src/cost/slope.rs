//! A slope, and how sure one can be of it.

use serde::Serialize;

/// How many times the blocks are drawn anew.
const DRAWS: usize = 10_000;

/// A value and the interval that holds it 95 times in 100, by the bootstrap over blocks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// From all blocks.
    pub value: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Estimate {
    /// The value, and its interval in brackets.
    pub fn shown(&self, digits: usize) -> String {
        let Self { value, low, high } = self;
        format!("{value:.digits$} ({low:.digits$} to {high:.digits$})")
    }
}

/// A line through points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// By how much y grows with x; NaN where the points have but one x.
    pub slope: f64,
    /// y where x is 0.
    pub at_zero: f64,
}

/// The line that fits the points best.
pub fn least_squares(points: &[(f64, f64)]) -> Line {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|point| point.0).sum::<f64>() / count;
    let mean_y = points.iter().map(|point| point.1).sum::<f64>() / count;
    let over = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>();
    let under = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>();
    let slope = over / under;
    Line { slope, at_zero: mean_y - slope * mean_x }
}

/// The figure that `of` makes from some blocks, and what it makes when they are drawn anew, with
/// putting back. Blocks are drawn whole, so what was measured side by side stays together.
pub fn estimate(blocks: usize, of: impl Fn(&[usize]) -> f64) -> Estimate {
    let all: Vec<_> = (0..blocks).collect();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut draws: Vec<_> = (0..DRAWS)
        .map(|_| of(&all.iter().map(|_| rng.usize(..blocks)).collect::<Vec<_>>()))
        .collect();
    draws.sort_by(f64::total_cmp);
    Estimate { value: of(&all), low: draws[DRAWS / 40], high: draws[DRAWS - 1 - DRAWS / 40] }
}

/// The mean over the blocks.
pub fn mean(values: &[f64], blocks: &[usize]) -> f64 {
    blocks.iter().map(|&block| values[block]).sum::<f64>() / blocks.len() as f64
}

/// The ratio of the means over the blocks.
pub fn ratio(over: &[f64], under: &[f64], blocks: &[usize]) -> f64 {
    mean(over, blocks) / mean(under, blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_through_noise_that_cancels() {
        let points = [(0.0, 1.0), (10.0, 31.0), (10.0, 29.0), (20.0, 59.0)];
        let Line { slope, at_zero } = least_squares(&points);
        assert!((slope - 2.9).abs() < 0.01 && (at_zero - 1.0).abs() < 0.01, "{slope} {at_zero}");
    }

    #[test]
    fn the_interval_of_a_paired_ratio_ignores_what_moves_both() {
        let under = [1.0, 2.0, 4.0, 8.0, 3.0];
        let over = under.map(|value| 1.25 * value);
        let paired = estimate(under.len(), |blocks| ratio(&over, &under, blocks));
        assert_eq!((paired.low, paired.value, paired.high), (1.25, 1.25, 1.25));
        let alone = estimate(under.len(), |blocks| mean(&under, blocks));
        assert!(alone.low < 2.5 && alone.value == 3.6 && alone.high > 5.0);
    }
}
