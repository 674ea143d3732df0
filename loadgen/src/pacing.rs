//! When things are due: an open-loop schedule that is computed, not accumulated, so that it never
//! drifts and does not slow down with what it drives.

use halfopen_wheel::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One of several workers who divide a numbered series among them, taking turns: worker 1 of 3 has
/// the numbers 1, 4, 7, …
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Which worker, from zero.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// How many of the numbers below `total` are this worker's.
    pub const fn count(self, total: u64) -> u64 {
        let (index, of) = (self.index as u64, self.of as u64);
        if total <= index { 0 } else { (total - index).div_ceil(of) }
    }

    /// The number of this worker's `nth`.
    pub const fn number(self, nth: u64) -> u64 {
        self.index as u64 + nth * self.of as u64
    }
}

/// The schedule of one worker: number `n` of the whole series is due `n / rate` seconds after the
/// start, or at a moment that was drawn, whoever does it and however late the one before it was.
#[derive(Clone, Debug)]
pub struct Pace {
    start: Instant,
    /// How long after the start each of this worker's own is due, where that was drawn.
    drawn: Option<Vec<Duration>>,
    /// Seconds between two numbers of the whole series.
    gap: f64,
    share: Share,
    /// How many of its own this worker has taken, and how many it may.
    taken: u64,
    limit: u64,
}

impl Pace {
    /// `rate` a second over all workers, without end.
    ///
    /// # Panics
    /// If `rate` is not positive.
    pub fn endless(start: Instant, rate: f64, share: Share) -> Self {
        assert!(rate > 0.0, "a rate is positive");
        Self { start, drawn: None, gap: 1.0 / rate, share, taken: 0, limit: u64::MAX }
    }

    /// The numbers below `total`, at `rate` a second over all workers.
    ///
    /// # Panics
    /// If `rate` is not positive.
    pub fn limited(start: Instant, rate: f64, share: Share, total: u64) -> Self {
        Self { limit: share.count(total), ..Self::endless(start, rate, share) }
    }

    /// The numbers below `total`, spread evenly over `time`; all at once if that is zero.
    pub fn spread(start: Instant, time: Duration, share: Share, total: u64) -> Self {
        let gap = time.as_secs_f64() / total.max(1) as f64;
        Self { start, drawn: None, gap, share, taken: 0, limit: share.count(total) }
    }

    /// The numbers below `total` at random moments of `time`, drawn from `seed`, the same for all
    /// workers: a Poisson process of which it is known how many it had in that time.
    pub fn poisson(start: Instant, time: Duration, share: Share, total: u64, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut all: Vec<_> = (0..total).map(|_| time.mul_f64(rng.f64())).collect();
        all.sort_unstable();
        let own = (0..share.count(total)).map(|nth| all[share.number(nth) as usize]);
        Self { drawn: Some(own.collect()), ..Self::spread(start, time, share, total) }
    }

    /// When the next is due; none after the last.
    pub fn due(&self) -> Option<Instant> {
        (self.taken < self.limit).then(|| match &self.drawn {
            Some(own) => self.start + own[self.taken as usize],
            None => self.at(self.share.number(self.taken)),
        })
    }

    /// Takes the next if it is due at `now`: its number in the whole series, and when it was due.
    pub fn take(&mut self, now: Instant) -> Option<(u64, Instant)> {
        let due = self.due().filter(|&due| due <= now)?;
        let number = self.share.number(self.taken);
        self.taken += 1;
        Some((number, due))
    }

    /// How many of its own this worker has not taken yet.
    pub fn left(&self) -> u64 {
        self.limit - self.taken
    }

    /// A double holds the product exactly enough: its error stays below a nanosecond for the first
    /// fifty days.
    fn at(&self, number: u64) -> Instant {
        self.start + Duration::from_nanos((number as f64 * self.gap * 1e9) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Instant = Instant::from_nanos(1_000_000_007);

    fn take_all(pace: &mut Pace, now: Instant) -> Vec<(u64, Instant)> {
        std::iter::from_fn(|| pace.take(now)).collect()
    }

    #[test]
    fn poisson_moments_are_the_same_for_all_workers_and_as_many_as_there_should_be() {
        let time = Duration::from_secs(100);
        let of = |share| Pace::poisson(START, time, share, 10_001, 7);
        let whole = take_all(&mut of(Share::WHOLE), START + time);
        assert_eq!(whole.len(), 10_001);
        assert!(whole.is_sorted_by_key(|&(_, due)| due));
        let mut parts: Vec<_> = (0..3)
            .flat_map(|index| take_all(&mut of(Share { index, of: 3 }), START + time))
            .collect();
        parts.sort_unstable();
        assert_eq!(parts, whole);
        // Gaps of a Poisson process are exponential: 1 in e is longer than the mean, and none of an
        // even one would be.
        let gaps = whole.windows(2).map(|pair| pair[1].1.saturating_since(pair[0].1));
        let long = gaps.filter(|gap| *gap > time / 10_001).count();
        assert!((3_500..3_860).contains(&long), "{long}");
    }

    #[test]
    fn a_table_of_rates_gives_exact_counts() {
        // rate, seconds, how many are due in them (the first at once)
        let table: [(f64, u64, usize); 6] = [
            (1.0, 10, 11),
            (3.0, 100, 301),
            (0.1, 60, 7),
            (7_777.0, 9, 69_994),
            (20_000.0, 5, 100_001),
            (333_333.0, 3, 1_000_000),
        ];
        for (rate, seconds, count) in table {
            let mut pace = Pace::endless(START, rate, Share::WHOLE);
            let taken = take_all(&mut pace, START + Duration::from_secs(seconds));
            assert_eq!(taken.len(), count, "{rate}/s for {seconds} s");
        }
    }

    #[test]
    fn a_worker_that_was_stalled_owes_all_that_was_due_meanwhile() {
        let mut pace = Pace::endless(START, 1_000.0, Share::WHOLE);
        let owed = take_all(&mut pace, START + Duration::from_secs(2));
        assert_eq!(owed.len(), 2_001);
        assert_eq!(owed[1_500].1, START + Duration::from_millis(1_500));
    }

    #[test]
    fn nothing_is_taken_early() {
        let mut pace = Pace::limited(START, 10.0, Share { index: 1, of: 2 }, 4);
        assert_eq!(pace.take(START + Duration::from_millis(99)), None);
        assert_eq!(pace.take(START + Duration::from_millis(101)).unwrap().0, 1);
        assert_eq!(pace.left(), 1);
    }

    #[test]
    fn deaths_over_no_time_are_all_due_at_once() {
        let mut pace = Pace::spread(START, Duration::ZERO, Share::WHOLE, 1_000);
        assert_eq!(take_all(&mut pace, START).len(), 1_000);
        assert_eq!(pace.due(), None);
    }

    proptest! {
        #[test]
        fn workers_together_do_each_number_once(
            of in 1u32..20, total in 0u64..5_000, rate in 0.5f64..1e6,
        ) {
            let end = START + Duration::from_secs(20_000);
            let mut numbers: Vec<_> = (0..of)
                .flat_map(|index| take_all(&mut Pace::limited(START, rate, Share { index, of }, total), end))
                .map(|(number, _)| number)
                .collect();
            numbers.sort_unstable();
            prop_assert_eq!(numbers, (0..total).collect::<Vec<_>>());
        }

        #[test]
        fn the_schedule_never_drifts(rate in 1u64..1_000_000, hour in 0u64..1_000) {
            // After whole hours a whole number is due, to the nanosecond's rounding.
            let mut pace = Pace::endless(START, rate as f64, Share::WHOLE);
            pace.taken = rate * 3_600 * hour;
            let exact = START + Duration::from_secs(3_600 * hour);
            let due = pace.due().unwrap();
            prop_assert!(due.saturating_since(exact).max(exact.saturating_since(due)) <= Duration::from_nanos(4));
        }

        #[test]
        fn order_is_kept(rate in 0.5f64..1e7) {
            let mut pace = Pace::limited(START, rate, Share::WHOLE, 1_000);
            let taken = take_all(&mut pace, Instant::FAR);
            prop_assert!(taken.is_sorted_by_key(|&(_, due)| due));
        }
    }
}
