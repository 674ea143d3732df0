//! Chance that is looked up and not drawn: the same number of the same series is the same for
//! everyone who asks, in any order and on any thread.

/// The random number `n` of the series `seed` (the finalizer of SplitMix64 over a counter).
pub(crate) fn at(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// As [`at`], from 0 up to and without 1.
pub(crate) fn unit(seed: u64, n: u64) -> f64 {
    (at(seed, n) >> 11) as f64 / (1u64 << 53) as f64
}

/// As [`at`], from 0 up to and without `end`.
pub(crate) fn below(end: u64, seed: u64, n: u64) -> u64 {
    ((u128::from(at(seed, n)) * u128::from(end)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenth_of_the_range_comes_as_often() {
        let mut tenths = [0; 10];
        (0..100_000).for_each(|n| tenths[(unit(7, n) * 10.0) as usize] += 1);
        // Four standard deviations of a count of 10,000.
        assert!(tenths.iter().all(|count| (9_620..=10_380).contains(count)), "{tenths:?}");
        assert!((0..1_000).all(|n| below(3, 7, n) < 3 && below(1, 7, n) == 0));
    }

    #[test]
    fn other_seeds_are_other_series() {
        let same = (0..1_000).filter(|&n| below(100, 1, n) == below(100, 2, n)).count();
        assert!((1..40).contains(&same), "{same} of 1,000 alike, ten expected");
    }
}
