//! When a heartbeat finds a silent death.
//!
//! A peer that dies has been silent for some time A already. The next ping leaves when the silence
//! has lasted the interval I, and the server gives up a timeout T after that: detection comes
//! I + T − A after the death. With a ping every interval A is uniform on (0, I), so detection is
//! uniform on (T, I + T). Where traffic at λ a second restarts the silence, A is an exponential cut
//! off at I, and detection comes later.

use crate::plan::ServerPing;

/// A predicted time from death to detection, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    interval: f64,
    timeout: f64,
    /// Events in a millisecond that restart the silence.
    restarts: f64,
}

impl Prediction {
    /// For a server with this heartbeat, none if it does not ping. `restarts_per_s` is how often a
    /// connection's silence is ended by other traffic; 0 where every interval is pinged.
    pub fn new(ping: ServerPing, restarts_per_s: f64) -> Option<Self> {
        let interval = ping.interval?.as_secs_f64() * 1e3;
        let timeout = ping.timeout.as_secs_f64() * 1e3;
        Some(Self { interval, timeout, restarts: restarts_per_s / 1e3 })
    }

    /// The prediction for this heartbeat whose median is `p50_ms`: what a report that was read again
    /// tells of the traffic.
    pub fn with_median(ping: ServerPing, p50_ms: f64) -> Option<Self> {
        let even = Self::new(ping, 0.0)?;
        if p50_ms <= even.p50_ms() + 1e-3 {
            return Some(even);
        }
        // The median grows with the traffic, towards the latest.
        let (mut low, mut high) = (0.0, 1e3);
        for _ in 0..80 {
            let middle = (low + high) / 2.0;
            let guess = Self { restarts: middle, ..even };
            if guess.p50_ms() < p50_ms { low = middle } else { high = middle }
        }
        Some(Self { restarts: low, ..even })
    }

    /// The soonest.
    pub fn min_ms(&self) -> f64 {
        self.timeout
    }

    /// The latest.
    pub fn max_ms(&self) -> f64 {
        self.interval + self.timeout
    }

    /// Half are found within it.
    pub fn p50_ms(&self) -> f64 {
        self.quantile_ms(0.5)
    }

    /// This share is found within it.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        // The oldest silence is found first.
        let older = 1.0 - share;
        let age = if self.is_uniform() {
            self.interval * older
        } else {
            let whole = -(-self.restarts * self.interval).exp_m1();
            -(-whole * older).ln_1p() / self.restarts
        };
        self.max_ms() - age
    }

    /// The mean: I + T − (1/λ − I/(e^{λI} − 1)).
    pub fn mean_ms(&self) -> f64 {
        let age = if self.is_uniform() {
            self.interval / 2.0
        } else {
            1.0 / self.restarts - self.interval / (self.restarts * self.interval).exp_m1()
        };
        self.max_ms() - age
    }

    /// The share that is found within `ms`.
    pub fn cdf(&self, ms: f64) -> f64 {
        let age = (self.max_ms() - ms).clamp(0.0, self.interval);
        let younger = if self.is_uniform() {
            age / self.interval
        } else {
            (-self.restarts * age).exp_m1() / (-self.restarts * self.interval).exp_m1()
        };
        1.0 - younger
    }

    fn is_uniform(&self) -> bool {
        self.restarts * self.interval < 1e-9
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ping(interval: u64, timeout: u64) -> ServerPing {
        ServerPing {
            interval: Some(Duration::from_secs(interval)),
            timeout: Duration::from_secs(timeout),
        }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6 * b.abs().max(1.0)
    }

    #[test]
    fn a_steady_heartbeat_finds_the_dead_uniformly() {
        let five = Prediction::new(ping(5, 3), 0.0).unwrap();
        assert!(near(five.min_ms(), 3000.0) && near(five.p50_ms(), 5500.0));
        assert!(near(five.max_ms(), 8000.0) && near(five.cdf(4250.0), 0.25));
        assert_eq!((five.cdf(2999.0), five.cdf(8001.0)), (0.0, 1.0));
        assert!(near(five.quantile_ms(0.99), 7950.0) && near(five.mean_ms(), 5500.0));
    }

    #[test]
    fn traffic_that_suppresses_pings_delays_the_finding() {
        // The mean is I + T − (1/λ − I/(e^{λI} − 1)).
        let idle = Prediction::new(ping(20, 20), 0.2).unwrap();
        let mean = 20.0 + 20.0 - (1.0 / 0.2 - 20.0 / ((0.2f64 * 20.0).exp() - 1.0));
        let steps = 100_000;
        let late = |i: i32| 1.0 - idle.cdf(f64::from(i) * 40_000.0 / f64::from(steps));
        let integral = (0..steps).map(late).sum::<f64>() * 40.0 / f64::from(steps);
        assert!((integral - mean).abs() < 0.01, "{integral} {mean}");
        assert!(near(idle.mean_ms(), mean * 1e3));
        for share in [0.0, 0.01, 0.5, 0.99, 1.0] {
            assert!(near(idle.cdf(idle.quantile_ms(share)), share), "{share}");
        }
        assert!(near(idle.cdf(idle.p50_ms()), 0.5) && idle.p50_ms() > 30_000.0);
    }

    #[test]
    fn little_traffic_is_almost_none() {
        let none = Prediction::new(ping(5, 3), 0.0).unwrap();
        let little = Prediction::new(ping(5, 3), 1e-6).unwrap();
        assert!((none.p50_ms() - little.p50_ms()).abs() < 0.1);
        assert!((none.cdf(4000.0) - little.cdf(4000.0)).abs() < 1e-4);
    }

    #[test]
    fn the_traffic_is_found_again_by_its_median() {
        for rate in [0.0, 0.01, 0.2, 3.0] {
            let prediction = Prediction::new(ping(20, 20), rate).unwrap();
            let again = Prediction::with_median(ping(20, 20), prediction.p50_ms()).unwrap();
            assert!((again.cdf(33_000.0) - prediction.cdf(33_000.0)).abs() < 1e-3, "{rate}");
        }
    }

    #[test]
    fn without_pings_nothing_is_predicted() {
        let off = ServerPing { interval: None, timeout: Duration::from_secs(3) };
        assert_eq!(Prediction::new(off, 0.0), None);
    }
}
