use hdrhistogram::Histogram;

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const S: u64 = 1_000 * MS;

/// Upper bounds for round trips, ns: from loopback to a radio that sleeps. The histograms behind
/// them end at 60 s, so that what is beyond the last bound is `+Inf` and nothing else.
pub(super) const RTT_NS: [u64; 18] = [
    100 * US,
    250 * US,
    500 * US,
    MS,
    2_500 * US,
    5 * MS,
    10 * MS,
    25 * MS,
    50 * MS,
    100 * MS,
    250 * MS,
    500 * MS,
    S,
    2_500 * MS,
    5 * S,
    10 * S,
    20 * S,
    30 * S,
];

/// Upper bounds for how late the dead were let go, ns: fine around a tick of the wheel (8 ms) and
/// what is tolerable beyond it, coarse where something is wrong.
pub(super) const LATENESS_NS: [u64; 14] = [
    MS,
    2 * MS,
    5 * MS,
    10 * MS,
    15 * MS,
    20 * MS,
    30 * MS,
    50 * MS,
    100 * MS,
    250 * MS,
    500 * MS,
    S,
    5 * S,
    30 * S,
];

/// A histogram with few fixed bounds, as Prometheus wants it: what is added up over shards, over
/// time and over servers must have the same bounds everywhere.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Buckets {
    bounds_ns: &'static [u64],
    /// One for each bound, and one for what is beyond the last.
    counts: Vec<u64>,
    sum_ns: f64,
}

impl Buckets {
    /// No value yet.
    pub(super) fn new(bounds_ns: &'static [u64]) -> Self {
        Self { bounds_ns, counts: vec![0; bounds_ns.len() + 1], sum_ns: 0.0 }
    }

    /// The values of an HDR histogram in nanoseconds. Each counts as the middle of its cell, which
    /// is right to a part in a thousand, and the same at each reading: sum and counts only grow.
    pub(super) fn of(histogram: &Histogram<u64>, bounds_ns: &'static [u64]) -> Self {
        let mut buckets = Self::new(bounds_ns);
        for cell in histogram.iter_recorded() {
            let value = histogram.median_equivalent(cell.value_iterated_to());
            let bucket = bounds_ns.partition_point(|&bound| bound < value);
            buckets.counts[bucket] += cell.count_since_last_iteration();
            buckets.sum_ns += value as f64 * cell.count_since_last_iteration() as f64;
        }
        buckets
    }

    /// What somebody else has counted: one number for each bound, and one for what is beyond.
    pub(super) fn counted(bounds_ns: &'static [u64], counts: &[u64], sum_ns: u64) -> Self {
        assert_eq!(counts.len(), bounds_ns.len() + 1, "each count has its bound");
        Self { bounds_ns, counts: counts.to_vec(), sum_ns: sum_ns as f64 }
    }

    /// Adds what another shard has counted in the same bounds.
    pub(super) fn add(&mut self, other: &Self) {
        assert_eq!(self.bounds_ns, other.bounds_ns, "only like is added to like");
        self.counts.iter_mut().zip(&other.counts).for_each(|(to, from)| *to += from);
        self.sum_ns += other.sum_ns;
    }

    /// Upper bound in seconds, and how many values are at most that; without `+Inf`.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        self.bounds_ns.iter().map(|&bound| bound as f64 / 1e9).zip(sums)
    }

    /// How many values there are.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum, in seconds.
    pub(super) fn sum(&self) -> f64 {
        self.sum_ns / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: &[u64] = &[MS, 10 * MS, S];

    fn histogram(values: &[u64]) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1_000, 60 * S, 3).unwrap();
        values.iter().for_each(|&value| histogram.saturating_record(value));
        histogram
    }

    #[test]
    fn values_fall_below_the_next_bound_and_what_is_beyond_is_counted_too() {
        let buckets = Buckets::of(&histogram(&[500 * US, 2 * MS, 3 * MS, 2 * S, u64::MAX]), BOUNDS);
        let rows: Vec<_> = buckets.cumulative().collect();
        assert_eq!(rows, [(0.001, 1), (0.01, 3), (1.0, 3)]);
        assert_eq!(buckets.count(), 5);
        assert!((buckets.sum() - (0.0055 + 2.0 + 60.0)).abs() < 0.1, "{}", buckets.sum());
    }

    #[test]
    fn shards_add_up() {
        let (one, other) = (histogram(&[MS / 2; 3]), histogram(&[2 * S]));
        let mut sum = Buckets::of(&one, BOUNDS);
        sum.add(&Buckets::of(&other, BOUNDS));
        let mut all = one;
        all += &other;
        assert_eq!(sum, Buckets::of(&all, BOUNDS));
    }

    #[test]
    fn bounds_rise() {
        assert!(RTT_NS.is_sorted() && LATENESS_NS.is_sorted());
    }
}
