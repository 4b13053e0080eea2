//! A quantile of what was measured lately, to a twentieth of its value, in a few kilobytes.
//!
//! Measurements fall into buckets whose bounds grow by a tenth each. Two generations of buckets take turns: what is older
//! than two spans is forgotten, and there is always a span's worth to judge by.

use std::time::Duration;

use crate::moment::Moment;

/// How much wider each bucket is than the one before.
const GROWTH: f64 = 1.1;
/// Upper bound of the first bucket, in seconds.
const FIRST_S: f64 = 50e-6;
/// Buckets: the last one ends past a minute.
const BUCKETS: usize = 149;

/// An estimator of one quantile.
#[derive(Debug, Clone)]
pub struct Quantile {
    share: f64,
    span: Duration,
    current: Counts,
    previous: Counts,
    since: Moment,
}

#[derive(Debug, Clone)]
struct Counts {
    buckets: [u32; BUCKETS],
    all: u64,
}

impl Counts {
    const EMPTY: Self = Self {
        buckets: [0; BUCKETS],
        all: 0,
    };
}

impl Quantile {
    /// An estimator of the value below which `share` of the measurements lie, those of the last one or two `span`s.
    #[must_use]
    pub const fn new(share: f64, span: Duration) -> Self {
        Self {
            share,
            span,
            current: Counts::EMPTY,
            previous: Counts::EMPTY,
            since: Moment::after_start(Duration::ZERO),
        }
    }

    /// Counts a measurement.
    pub fn record(&mut self, measured: Duration, now: Moment) {
        self.turn(now);
        let bucket = (measured.as_secs_f64() / FIRST_S).log(GROWTH).ceil();
        // Below the first bound the logarithm is negative, and of nothing it is no number: both are bucket 0.
        let bucket = (bucket as usize).min(BUCKETS - 1);
        self.current.buckets[bucket] = self.current.buckets[bucket].saturating_add(1);
        self.current.all += 1;
    }

    /// How many measurements there are to judge by.
    pub fn count(&mut self, now: Moment) -> u64 {
        self.turn(now);
        self.current.all + self.previous.all
    }

    /// The quantile, from the middle of its bucket; none without a measurement.
    pub fn estimate(&mut self, now: Moment) -> Option<Duration> {
        let all = self.count(now);
        let rank = ((self.share * all as f64).ceil() as u64).max(1);
        let mut below = 0;
        let buckets = self.current.buckets.iter().zip(&self.previous.buckets);
        let bucket = buckets
            .map(|(one, other)| u64::from(*one) + u64::from(*other))
            .position(|count| {
                below += count;
                below >= rank
            })?;
        Some(Duration::from_secs_f64(FIRST_S * GROWTH.powf(bucket as f64 - 0.5)))
    }

    /// Begins another generation when the current one is over.
    fn turn(&mut self, now: Moment) {
        let age = now.since(self.since);
        if age < self.span {
            return;
        }
        let is_recent = age < self.span * 2;
        let ended = std::mem::replace(&mut self.current, Counts::EMPTY);
        self.previous = if is_recent { ended } else { Counts::EMPTY };
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{prop_assert, proptest};

    use super::Quantile;
    use crate::moment::Moment;

    const SPAN: Duration = Duration::from_secs(30);

    #[test]
    fn old_measurements_are_forgotten() {
        let mut p95 = Quantile::new(0.95, SPAN);
        let start = Moment::default();
        assert_eq!(p95.estimate(start), None);
        p95.record(Duration::from_secs(1), start);
        p95.record(Duration::from_millis(1), start + SPAN);
        assert_eq!(p95.count(start + SPAN), 2);
        assert!(p95.estimate(start + SPAN).expect("measured") > Duration::from_millis(900));
        assert!(p95.estimate(start + SPAN * 2).expect("measured") < Duration::from_millis(2));
        assert_eq!(p95.estimate(start + SPAN * 9), None);
    }

    proptest! {
        #[test]
        fn an_estimate_is_within_a_twentieth_of_the_exact_quantile(
            mut measured_us in proptest::collection::vec(50_u64..30_000_000, 1..400), share in 0.5..1.0_f64,
        ) {
            let mut quantile = Quantile::new(share, SPAN);
            for us in &measured_us {
                quantile.record(Duration::from_micros(*us), Moment::default());
            }
            measured_us.sort_unstable();
            let rank = ((share * measured_us.len() as f64).ceil() as usize).max(1);
            let exact_s = measured_us[rank - 1] as f64 / 1e6;
            let found_s = quantile.estimate(Moment::default()).expect("measured").as_secs_f64();
            prop_assert!((found_s / exact_s - 1.0).abs() <= 0.0501, "{found_s} for {exact_s}");
        }

        #[test]
        fn any_measurement_has_a_bucket(ns in 0..u64::MAX) {
            let mut quantile = Quantile::new(0.95, SPAN);
            quantile.record(Duration::from_nanos(ns), Moment::default());
            prop_assert!(quantile.estimate(Moment::default()).is_some());
        }
    }
}
