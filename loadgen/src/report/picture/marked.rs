//! An axis with its marks at chosen places. The library's own cannot be labelled.

use plotters::coord::ranged1d::{AsRangedCoord, DefaultFormatting, KeyPointHint, Ranged};
use std::ops::Range;

/// A range of numbers, marked at some of them.
pub(super) struct Marked<R> {
    range: R,
    marks: Vec<f64>,
}

/// Marks a range.
pub(super) fn marked<R: AsRangedCoord<Value = f64>>(
    range: R,
    marks: Vec<f64>,
) -> Marked<R::CoordDescType> {
    Marked { range: range.into(), marks }
}

impl<R: Ranged<ValueType = f64>> Ranged for Marked<R> {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.range.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.range()
    }
}
