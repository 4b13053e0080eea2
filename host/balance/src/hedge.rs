//! Asking a second target when the first takes longer than nearly all: it cuts the tail, and costs a twentieth more load
//! at most.
//!
//! The wait is the 95th percentile of what was measured lately. While something is broken nobody hedges: then everything
//! is slow, and more load is the last thing that helps.

use std::time::Duration;

use crate::{
    budget::{Budget, HEDGES},
    moment::Moment,
    quantile::Quantile,
};

/// The share of requests that are answered before a second target is asked.
const SHARE: f64 = 0.95;
/// How long measurements count, at least.
const SPAN: Duration = Duration::from_secs(30);
/// Fewer measurements than these say nothing about a 95th percentile.
const MEASURED_MIN: u64 = 20;

/// When to ask a second target.
#[derive(Debug, Clone)]
pub struct Hedge {
    latency: Quantile,
    budget: Budget,
}

impl Default for Hedge {
    fn default() -> Self {
        Self {
            latency: Quantile::new(SHARE, SPAN),
            budget: Budget::new(HEDGES),
        }
    }
}

impl Hedge {
    /// Counts a request that may be hedged.
    pub fn count_request(&mut self, now: Moment) {
        self.budget.count_request(now);
    }

    /// Learns how long an answer took.
    pub fn measure(&mut self, latency: Duration, now: Moment) {
        self.latency.record(latency, now);
    }

    /// How long to wait for an answer before a second target is asked; none when nobody should be, because a breaker
    /// `is_open` somewhere, the share of hedges is used up, or too little is known.
    pub fn wait(&mut self, is_open: bool, now: Moment) -> Option<Duration> {
        let may = !is_open && self.latency.count(now) >= MEASURED_MIN && self.budget.has(now);
        if may { self.latency.estimate(now) } else { None }
    }

    /// Spends a hedge; false when there is none to spend.
    pub fn spend(&mut self, now: Moment) -> bool {
        self.budget.spend(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Hedge;
    use crate::{moment::Moment, random::Random};

    #[test]
    fn it_waits_for_the_95th_percentile_and_not_while_something_is_broken() {
        let (mut hedge, now) = (Hedge::default(), Moment::default());
        for ms in 1..=100 {
            hedge.count_request(now);
            assert_eq!(hedge.wait(false, now).is_some(), ms > 20);
            hedge.measure(Duration::from_millis(ms), now);
        }
        let wait = hedge.wait(false, now).expect("enough is known");
        assert!((90..101).contains(&wait.as_millis()), "{wait:?}");
        assert_eq!(hedge.wait(true, now), None);
    }

    #[test]
    fn hedges_stay_within_a_twentieth_even_when_everything_becomes_slow() {
        let mut random = Random::new(5);
        let (mut hedge, mut hedges) = (Hedge::default(), 0);
        for request in 0..20_000_u32 {
            let now = Moment::after_start(Duration::from_millis(u64::from(request)));
            hedge.count_request(now);
            let base_ms = if request < 10_000 { 5 } else { 500 };
            let took = Duration::from_millis(base_ms) + random.up_to(Duration::from_millis(base_ms));
            if hedge.wait(false, now).is_some_and(|wait| took > wait) && hedge.spend(now) {
                hedges += 1;
            }
            hedge.measure(took, now);
            assert!(f64::from(hedges) <= 0.05 * f64::from(request + 1));
        }
        assert!(hedges > 500, "{hedges}: it does hedge");
    }
}
