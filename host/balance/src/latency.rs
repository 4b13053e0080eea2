//! How long a target takes, remembered with a bias for bad news: the peak EWMA of Finagle and Linkerd.
//!
//! A slower answer than expected is believed at once; quicker ones pull the estimate down over the decay time. Without
//! answers it decays, too, so that a target that was avoided is tried again.

use std::time::Duration;

use crate::moment::Moment;

/// An estimate of latency.
#[derive(Debug, Clone)]
pub struct PeakEwma {
    decay: Duration,
    estimate_s: f64,
    at: Moment,
}

impl PeakEwma {
    /// An estimate that begins at `expected` and forgets over `decay`.
    #[must_use]
    pub const fn new(expected: Duration, decay: Duration, now: Moment) -> Self {
        Self {
            decay,
            estimate_s: expected.as_secs_f64(),
            at: now,
        }
    }

    /// Learns that an answer took `latency`.
    pub fn observe(&mut self, latency: Duration, now: Moment) {
        let latency_s = latency.as_secs_f64();
        let current_s = self.estimate_s;
        self.estimate_s = if latency_s >= current_s {
            latency_s
        } else {
            let kept = self.kept(now);
            current_s.mul_add(kept, latency_s * (1.0 - kept))
        };
        // Answers come out of order when threads report them; time does not run backwards for that.
        self.at = self.at.max(now);
    }

    /// The cost of one more request to a target with `open` requests under way.
    #[must_use]
    pub fn cost(&self, open: u32, now: Moment) -> f64 {
        self.estimate_s * self.kept(now) * (f64::from(open) + 1.0)
    }

    /// The last estimate, however long ago that was.
    #[must_use]
    pub fn last(&self) -> Duration {
        Duration::from_secs_f64(self.estimate_s)
    }

    /// The share of what was known at the last answer that still counts.
    fn kept(&self, now: Moment) -> f64 {
        let idle_s = now.since(self.at).as_secs_f64();
        // Without a decay time nothing is kept.
        (-idle_s / self.decay.as_secs_f64().max(f64::MIN_POSITIVE)).exp()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{prop_assert, proptest};

    use super::PeakEwma;
    use crate::moment::Moment;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn bad_news_counts_at_once_and_good_news_slowly() {
        let start = Moment::default();
        let mut latency = PeakEwma::new(ms(10), ms(1_000), start);
        latency.observe(ms(500), start + ms(1));
        assert_eq!(latency.last(), ms(500));
        latency.observe(ms(10), start + ms(101));
        // A tenth of the decay time: e^-0.1 of the old stays.
        let expected_s = 0.5 * (-0.1_f64).exp() + 0.01 * (1.0 - (-0.1_f64).exp());
        assert!((latency.last().as_secs_f64() - expected_s).abs() < 1e-9);
        assert!(latency.cost(0, start + ms(60_000)) < 0.001, "forgotten when idle");
        assert!(
            latency.cost(3, start + ms(101)) > 3.9 * expected_s,
            "requests under way wait in line"
        );
    }

    proptest! {
        #[test]
        fn an_estimate_lies_between_what_was_seen(
            seen in proptest::collection::vec((1_u64..5_000, 0_u64..2_000), 1..60),
        ) {
            let mut now = Moment::default();
            let mut latency = PeakEwma::new(ms(30), ms(10_000), now);
            let (mut least, mut most) = (ms(30), ms(30));
            for (took, pause) in seen {
                now = now + ms(pause);
                latency.observe(ms(took), now);
                (least, most) = (least.min(ms(took)), most.max(ms(took)));
                prop_assert!(latency.last() + ms(1) > least && latency.last() <= most + ms(1));
            }
        }
    }
}
