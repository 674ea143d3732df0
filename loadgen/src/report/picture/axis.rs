//! An axis that is marked where its picture wants it, linear or logarithmic.

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use std::ops::Range;

#[derive(Clone, Debug)]
pub(super) struct Axis {
    range: Range<f64>,
    ticks: Vec<f64>,
    log: bool,
}

impl Axis {
    /// From 0 to `end`, marked at every 1, 2 or 5 of some decade, about `count` times.
    pub(super) fn linear(end: f64, count: u32) -> Self {
        let step = round_step(end / f64::from(count));
        let ticks = (0..=(end / step) as u32).map(|n| f64::from(n) * step).collect();
        Self { range: 0.0..end, ticks, log: false }
    }

    /// Over `range`, marked at `ticks`.
    pub(super) fn marked(range: Range<f64>, ticks: Vec<f64>) -> Self {
        Self { range, ticks, log: false }
    }

    /// Over `range`, each decade as long as the next, marked at 1, 2 and 5 of each; at 1 alone
    /// where there are many.
    pub(super) fn log(range: Range<f64>) -> Self {
        let exponents = range.start.log10().floor() as i32..=range.end.log10().ceil() as i32;
        let digits: &[f64] = if range.end / range.start > 1e3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let ticks = exponents.flat_map(|e| digits.iter().map(move |digit| digit * 10f64.powi(e)));
        let ticks = ticks.filter(|tick| range.contains(tick)).collect();
        Self { range, ticks, log: true }
    }

    fn position(&self, value: f64) -> f64 {
        if self.log { value.log10() } else { value }
    }
}

/// The least 1, 2 or 5 of some decade that is not less than `least`.
fn round_step(least: f64) -> f64 {
    let decade = 10f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|digit| digit * decade);
    steps.into_iter().find(|&step| step >= least * 0.999).unwrap_or(10.0 * decade)
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let (start, end) = (self.position(self.range.start), self.position(self.range.end));
        let share = (self.position(*value) - start) / (end - start);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_numbers() {
        assert_eq!(Axis::linear(8.6, 10).ticks, (0..=8).map(f64::from).collect::<Vec<_>>());
        assert_eq!(Axis::linear(11_500.0, 5).ticks, [0.0, 5000.0, 10_000.0]);
        assert_eq!(Axis::log(0.9..6.0).ticks, [1.0, 2.0, 5.0]);
        assert_eq!(Axis::log(0.5..5000.0).ticks, [1.0, 10.0, 100.0, 1000.0]);
    }

    #[test]
    fn values_find_their_pixels() {
        assert_eq!(Axis::linear(10.0, 5).map(&2.5, (100, 0)), 75);
        assert_eq!(Axis::log(1.0..100.0).map(&10.0, (0, 50)), 25);
    }
}
