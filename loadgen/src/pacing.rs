//! When things are due: an open-loop schedule that is computed, not accumulated, so that it never
//! drifts and does not slow down with what it drives.

mod arrivals;
mod rate;

pub use arrivals::Arrivals;
pub use rate::Rate;

use arrivals::Places;
use halfopen_wheel::Instant;
use rate::Course;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
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

    /// The part of this share that is its worker `index` of `of`'s, where it is divided further.
    pub const fn part(self, index: u32, of: u32) -> Self {
        Self { index: self.index + self.of * index, of: self.of * of }
    }

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

/// Counted from one, as it is typed: `2/4`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.of)
    }
}

/// The most processes that share a plan.
const SLICES_MAX: u32 = 1_024;

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Option<(u32, u32)> =
            text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((nth, of)) if 1 <= nth && nth <= of && of <= SLICES_MAX => {
                Ok(Self { index: nth - 1, of })
            }
            _ => Err(format!("a slice is written as 1/4 to 4/4, of {SLICES_MAX} at most")),
        }
    }
}

/// The schedule of one worker: number `n` of the whole series is due when the rate has let `n` come
/// since the start, or at a moment that was drawn, whoever does it and however late the one before it was.
#[derive(Clone, Debug)]
pub struct Pace {
    start: Instant,
    course: Course,
    places: Places,
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
        Self::new(start, Course::constant(rate), Places::Even, share)
    }

    /// `rate` over all workers, in the course that it has over `time`, without end. With random
    /// arrivals the series is that of `seed`, the same for all workers.
    ///
    /// # Panics
    /// If `rate` is not [valid](Rate::is_valid).
    pub fn shaped(
        start: Instant,
        (rate, time): (&Rate, Duration),
        (arrivals, seed): (Arrivals, u64),
        share: Share,
    ) -> Self {
        assert!(rate.is_valid(), "a rate is positive");
        Self::new(start, rate.course(time), Places::new(arrivals, seed), share)
    }

    fn new(start: Instant, course: Course, mut places: Places, share: Share) -> Self {
        places.walk_to(share.number(0));
        Self { start, course, places, share, taken: 0, limit: u64::MAX }
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
        Self::within(start, time, Places::Even, share, total)
    }

    /// The numbers below `total` at random moments of `time`, drawn from `seed`, the same for all
    /// workers: a Poisson process of which it is known how many it had in that time.
    pub fn poisson(start: Instant, time: Duration, share: Share, total: u64, seed: u64) -> Self {
        Self::within(start, time, Places::drawn(seed, share, total), share, total)
    }

    fn within(start: Instant, time: Duration, places: Places, share: Share, total: u64) -> Self {
        // All at once is a rate without bound.
        let course = Course::constant(total.max(1) as f64 / time.as_secs_f64());
        Self { limit: share.count(total), ..Self::new(start, course, places, share) }
    }

    /// When the next is due; none after the last.
    pub fn due(&self) -> Option<Instant> {
        (self.taken < self.limit).then(|| self.at(self.share.number(self.taken)))
    }

    /// Takes the next if it is due at `now`: its number in the whole series, and when it was due.
    pub fn take(&mut self, now: Instant) -> Option<(u64, Instant)> {
        let due = self.due().filter(|&due| due <= now)?;
        let number = self.share.number(self.taken);
        self.taken += 1;
        self.places.walk_to(self.share.number(self.taken));
        Some((number, due))
    }

    /// How many of its own this worker has not taken yet.
    pub fn left(&self) -> u64 {
        self.limit - self.taken
    }

    fn at(&self, number: u64) -> Instant {
        let seconds = self.course.seconds(self.places.place(number));
        self.start + Duration::from_nanos((seconds * 1e9) as u64)
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
    fn a_slice_is_shown_as_it_is_typed() {
        for (text, index, of) in [("1/1", 0, 1), ("2/4", 1, 4), ("4/4", 3, 4)] {
            assert_eq!(text.parse(), Ok(Share { index, of }));
            assert_eq!(Share { index, of }.to_string(), text);
        }
        for wrong in ["", "1", "0/4", "5/4", "1/0", "a/b", "1/9999"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
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
    fn poisson_arrivals_have_the_planned_rate_and_its_scatter() {
        let rate = Rate::Constant(1_000.0);
        let series = (Arrivals::Poisson, 7);
        let mut pace = Pace::shaped(START, (&rate, Duration::ZERO), series, Share::WHOLE);
        let counts: Vec<f64> = (1..=1_000)
            .map(|tenth| START + Duration::from_millis(100) * tenth)
            .map(|now| take_all(&mut pace, now).len() as f64)
            .collect();
        let mean = counts.iter().sum::<f64>() / 1_000.0;
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 1_000.0;
        // Both are 100; three standard deviations of the mean and of the variance.
        assert!((mean - 100.0).abs() < 1.0 && (variance - 100.0).abs() < 14.0, "{mean} {variance}");
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

        /// However many threads each of several processes has.
        #[test]
        fn parts_of_shares_do_each_number_once(of in 1u32..6, parts in prop::collection::vec(1u32..5, 5)) {
            let mut numbers: Vec<u64> = Vec::new();
            for index in 0..of {
                let (share, parts) = (Share { index, of }, parts[index as usize]);
                let shares = (0..parts).map(|part| share.part(part, parts));
                let own: Vec<u64> =
                    shares.flat_map(|part| (0..part.count(500)).map(move |nth| part.number(nth))).collect();
                prop_assert_eq!(own.len() as u64, share.count(500));
                numbers.extend(own);
            }
            numbers.sort_unstable();
            prop_assert_eq!(numbers, (0..500).collect::<Vec<_>>());
        }

        /// Whatever the rate and the arrivals: several workers together do exactly what one does
        /// alone, to the nanosecond.
        #[test]
        fn shares_of_any_shape_make_the_whole(
            of in 1u32..9, seed: u64, poisson: bool, from in 1.0f64..500.0, to in 1.0f64..500.0, steps: bool,
        ) {
            let rate = if steps { Rate::Steps(vec![from, to]) } else { Rate::Ramp { from, to } };
            let arrivals = if poisson { Arrivals::Poisson } else { Arrivals::Constant };
            let minute = Duration::from_secs(60);
            let all = |share| {
                let mut pace = Pace::shaped(START, (&rate, minute), (arrivals, seed), share);
                take_all(&mut pace, START + Duration::from_secs(3))
            };
            let mut parts: Vec<_> = (0..of).flat_map(|index| all(Share { index, of })).collect();
            parts.sort_unstable();
            prop_assert_eq!(parts, all(Share::WHOLE));
        }

        #[test]
        fn order_is_kept(rate in 0.5f64..1e7) {
            let mut pace = Pace::limited(START, rate, Share::WHOLE, 1_000);
            let taken = take_all(&mut pace, Instant::FAR);
            prop_assert!(taken.is_sorted_by_key(|&(_, due)| due));
        }
    }
}
