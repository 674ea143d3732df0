//! A distribution of times as it is printed.

use super::milliseconds;
use halfopen_loadgen::report::number::count;
use hdrhistogram::Histogram;
use serde::Serialize;

/// A distribution of times, in ms. Not measured is null: fewer than ten samples beyond.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Samples.
    pub count: u64,
    /// The median.
    pub p50_ms: Option<f64>,
    /// The 99th percentile.
    pub p99_ms: Option<f64>,
    /// The 99.9th percentile.
    pub p99_9_ms: Option<f64>,
    /// The greatest.
    pub max_ms: Option<f64>,
}

impl Latency {
    /// What a histogram of nanoseconds tells.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let count = histogram.len();
        let ms = |nanos: u64| nanos as f64 / 1e6;
        let at = |quantile: f64| {
            let beyond = count as f64 * (1.0 - quantile);
            (beyond >= 10.0).then(|| ms(histogram.value_at_quantile(quantile)))
        };
        let max_ms = (count > 0).then(|| ms(histogram.max()));
        Self { count, p50_ms: at(0.5), p99_ms: at(0.99), p99_9_ms: at(0.999), max_ms }
    }

    /// A line of a table of latencies.
    pub(crate) fn row(&self, name: &str) -> String {
        let cells = [self.p50_ms, self.p99_ms, self.p99_9_ms, self.max_ms].map(milliseconds);
        format!("| {name} | {} | {} |", count(self.count), cells.join(" | "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halfopen_loadgen::record::histogram;

    #[test]
    fn a_percentile_stands_only_where_ten_samples_lie_beyond_it() {
        let mut times = histogram();
        for ms in 1..=1_000u64 {
            times.record(ms * 1_000_000).unwrap();
        }
        let latency = Latency::of(&times);
        assert_eq!((latency.count, latency.p99_9_ms), (1_000, None));
        assert!((latency.p50_ms.unwrap() - 500.0).abs() < 1.0);
        assert!((latency.p99_ms.unwrap() - 990.0).abs() < 1.0);
        assert_eq!(Latency::of(&histogram()).max_ms, None);
    }
}
