//! Values on their way into a histogram.
//!
//! A histogram is larger than the cache that is left to us between two system calls, so each value
//! that is recorded by itself waits for memory. Of a row of values all are fetched together.

use hdrhistogram::Histogram;

/// How many are recorded at once.
const ROW: usize = 256;

/// Values that are not recorded yet.
#[derive(Debug, Default)]
pub(crate) struct Row(Vec<u64>);

impl Row {
    /// Notes a value that belongs into `histogram`, always the same.
    pub(crate) fn note(&mut self, value: u64, histogram: &mut Histogram<u64>) {
        self.0.push(value);
        if self.0.len() == ROW {
            self.record(histogram);
            self.0.clear();
        }
    }

    /// Records what is noted into a copy of that histogram.
    pub(crate) fn record(&self, copy: &mut Histogram<u64>) {
        for &value in &self.0 {
            copy.saturating_record(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_nor_counted_twice_whenever_one_looks() {
        let (mut row, mut histogram) = (Row::default(), Histogram::new(3).unwrap());
        for count in 1..=1_000 {
            row.note(count, &mut histogram);
            let mut copy = histogram.clone();
            row.record(&mut copy);
            assert_eq!((copy.len(), copy.max()), (count, count));
        }
    }
}
