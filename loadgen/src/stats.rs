//! A distribution in a few numbers, and whether it is the one that was predicted.

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A percentile is told only where at least this many samples lie beyond it: a tail of fewer is
/// an anecdote.
pub const SAMPLES_BEYOND: f64 = 10.0;

/// A distribution, in the unit that the name of its field ends with. What too few samples support
/// is null, never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Samples.
    pub count: u64,
    /// The least.
    pub min: Option<f64>,
    /// The arithmetic mean.
    pub mean: Option<f64>,
    /// Half of the samples are at most this. Each percentile is null where fewer than 10 samples
    /// lie beyond it.
    pub p50: Option<f64>,
    /// 90 % of the samples are at most this.
    pub p90: Option<f64>,
    /// 99 % of the samples are at most this.
    pub p99: Option<f64>,
    /// 99.9 % of the samples are at most this.
    pub p99_9: Option<f64>,
    /// 99.99 % of the samples are at most this.
    pub p99_99: Option<f64>,
    /// The greatest.
    pub max: Option<f64>,
}

/// Nanoseconds in a millisecond.
pub const MS: f64 = 1e6;
/// Nanoseconds in a microsecond.
pub const US: f64 = 1e3;

impl Summary {
    /// Of a histogram of nanoseconds, in units of `unit` nanoseconds ([`MS`], [`US`]).
    pub fn of_histogram(histogram: &Histogram<u64>, unit: f64) -> Self {
        let known = !histogram.is_empty();
        Self {
            min: known.then(|| histogram.min() as f64 / unit),
            mean: known.then(|| histogram.mean() / unit),
            max: known.then(|| histogram.max() as f64 / unit),
            ..Self::percentiles(histogram.len(), |q| histogram.value_at_quantile(q) as f64 / unit)
        }
    }

    /// Of the samples themselves; they may be negative.
    pub fn of_samples(samples: &[f64]) -> Self {
        let sorted = sorted(samples);
        let known = !sorted.is_empty();
        Self {
            min: sorted.first().copied(),
            mean: known.then(|| sorted.iter().sum::<f64>() / sorted.len() as f64),
            max: sorted.last().copied(),
            ..Self::percentiles(sorted.len() as u64, |q| {
                let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
                sorted[rank - 1]
            })
        }
    }

    fn percentiles(count: u64, at: impl Fn(f64) -> f64) -> Self {
        let percentile = |q: f64| is_supported(count, q).then(|| at(q));
        Self {
            count,
            p50: percentile(0.5),
            p90: percentile(0.9),
            p99: percentile(0.99),
            p99_9: percentile(0.999),
            p99_99: percentile(0.9999),
            ..Self::default()
        }
    }
}

/// Whether `count` samples support the quantile `q`.
pub fn is_supported(count: u64, q: f64) -> bool {
    // 1 − 0.99 is not quite a hundredth: a thousand samples do have ten beyond their p99.
    count as f64 * (1.0 - q) >= SAMPLES_BEYOND - 1e-6
}

/// How far samples are from a predicted distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ks {
    /// The greatest difference between the two shares of what is at most x, over all x
    /// (Kolmogorov–Smirnov).
    pub distance: f64,
    /// How often samples that follow the prediction exactly would be at least as far from it.
    pub p: f64,
}

impl Ks {
    /// `cdf` tells the share that is predicted to be at most its argument. None without samples.
    pub fn of(samples: &[f64], cdf: impl Fn(f64) -> f64) -> Option<Self> {
        let sorted = sorted(samples);
        let n = sorted.len() as f64;
        let distance = sorted.iter().enumerate().map(|(i, &x)| {
            let predicted = cdf(x);
            (predicted - i as f64 / n).max((i + 1) as f64 / n - predicted)
        });
        let distance = distance.reduce(f64::max)?;
        Some(Self { distance, p: kolmogorov(n, distance) })
    }
}

/// The probability that the distance of `n` samples is at least `distance`: Kolmogorov's limit
/// with Stephens' correction for a finite n (Journal of the Royal Statistical Society B 32, 1970).
fn kolmogorov(n: f64, distance: f64) -> f64 {
    let lambda = (n.sqrt() + 0.12 + 0.11 / n.sqrt()) * distance;
    if lambda < 0.2 {
        return 1.0; // The series converges too slowly there, and differs from 1 by less than 1e-12.
    }
    let term = |j: i32| {
        let sign = if j % 2 == 0 { -1.0 } else { 1.0 };
        sign * (-2.0 * f64::from(j * j) * lambda * lambda).exp()
    };
    (2.0 * (1..=100).map(term).sum::<f64>()).clamp(0.0, 1.0)
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_needs_ten_samples_beyond_it() {
        let summary = |n: u32| Summary::of_samples(&(1..=n).map(f64::from).collect::<Vec<_>>());
        assert_eq!((summary(19).p50, summary(20).p50), (None, Some(10.0)));
        assert_eq!((summary(999).p99, summary(1000).p99), (None, Some(990.0)));
        assert_eq!((summary(1000).p99_9, summary(10_000).p99_9), (None, Some(9990.0)));
    }

    #[test]
    fn nothing_measured_is_none_and_one_sample_has_its_ends() {
        assert_eq!(Summary::of_samples(&[]), Summary::default());
        let one = Summary::of_samples(&[-3.5]);
        assert_eq!((one.min, one.mean, one.max), (Some(-3.5), Some(-3.5), Some(-3.5)));
        assert_eq!(one.p50, None);
    }

    #[test]
    fn a_histogram_and_its_samples_agree() {
        let mut histogram = Histogram::new(3).unwrap();
        let samples: Vec<f64> = (1..=2000).map(|ms| f64::from(ms) * MS).collect();
        for &sample in &samples {
            histogram.record(sample as u64).unwrap();
        }
        let told = Summary::of_histogram(&histogram, MS);
        let exact = Summary::of_samples(&samples);
        for (told, exact) in [(told.p50, exact.p50), (told.p99, exact.p99), (told.max, exact.max)] {
            let ratio = told.unwrap() / (exact.unwrap() / MS);
            assert!((ratio - 1.0).abs() < 0.001, "{ratio}");
        }
        assert_eq!(Summary::of_histogram(&Histogram::new(3).unwrap(), MS), Summary::default());
    }

    #[test]
    fn the_distance_is_the_greatest_gap_on_either_side_of_a_step() {
        let uniform = |x: f64| x.clamp(0.0, 1.0);
        let ks = Ks::of(&[0.5], uniform).unwrap();
        assert!((ks.distance - 0.5).abs() < 1e-12);
        let ks = Ks::of(&[0.1, 0.2, 0.3], uniform).unwrap();
        assert!((ks.distance - 0.7).abs() < 1e-12);
        assert_eq!(Ks::of(&[], uniform), None);
    }

    #[test]
    fn p_follows_the_published_table() {
        // Critical values of Kolmogorov's limit: 1.358 for 5 %, 1.628 for 1 %.
        let n = 1e8;
        assert!((kolmogorov(n, 1.3581 / n.sqrt()) - 0.05).abs() < 1e-4);
        assert!((kolmogorov(n, 1.6276 / n.sqrt()) - 0.01).abs() < 1e-4);
        assert!((kolmogorov(n, 0.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn samples_on_the_prediction_are_near_it_and_shifted_ones_are_not() {
        let grid: Vec<f64> = (0..1000).map(|i| (f64::from(i) + 0.5) / 1000.0).collect();
        assert!(Ks::of(&grid, |x| x.clamp(0.0, 1.0)).unwrap().p > 0.99);
        assert!(Ks::of(&grid, |x| (x - 0.1).clamp(0.0, 1.0)).unwrap().p < 1e-6);
    }
}
